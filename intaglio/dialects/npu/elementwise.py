"""Tasks of the vector unit that work element by element."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from xdsl.irdl import irdl_op_definition, operand_def, prop_def

from intaglio.dialects.npu.accesses import Access, placement_intervals, run_interval
from intaglio.dialects.npu.attributes import BoundsAttr, OperandAttr, ScaleAttr
from intaglio.dialects.npu.tasks import END_FORMAT, MAP_FORMAT, OUTPUT_FORMAT, MapTaskOp, Number
from intaglio.dialects.npu.types import BufferType
from intaglio.targets.instructions import INTERPOLATED_ENTRIES, TABLE_ENTRIES


class OperandTaskOp(MapTaskOp, ABC):
    """Base of the tasks with two operands: `a` through the address generator, `b` at the output's positions."""

    b = operand_def(BufferType)
    operand = prop_def(OperandAttr)
    bounds = prop_def(BoundsAttr)

    def other_reads(self) -> Sequence[Access]:
        """The second operand."""
        intervals = placement_intervals(self.operand.data, self.window.data, self.channels.value.data)
        return (Access(self.b, intervals, False),)


class BinaryTaskOp(OperandTaskOp, ABC):
    """Base of those whose result is rescaled."""

    result_scale = prop_def(ScaleAttr)


class ScaledSumOp(BinaryTaskOp, ABC):
    """Base of sum, difference, minimum and maximum, which bring both operands to a common scale."""

    a = operand_def(BufferType)
    a_scale = prop_def(ScaleAttr)
    b_scale = prop_def(ScaleAttr)
    assembly_format = (
        "$a `map` $map `,` $b $operand "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`result_scale` $result_scale `a_scale` $a_scale `b_scale` $b_scale `bounds` $bounds "
        + END_FORMAT
        + "type($a) `,` type($b) `,` type($output)"
    )


@irdl_op_definition
class AddOp(ScaledSumOp):
    """Both operands less their zero points, rescaled and added; the sum rescaled (`vector.add`).

    Constraints:
        C1: all buffers are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>, tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%a: !npu.buffer<dram, 8>, %b: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %t = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %a to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %b to %t <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %2 = npu.add %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 8, column_stride 8, channel_stride 1> to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 49, zero_point 0> a_scale <multiplier 1073741824, shift 11, zero_point 0> b_scale <multiplier 1073741824, shift 11, zero_point 0> bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.add"


@irdl_op_definition
class SubtractOp(ScaledSumOp):
    """As `npu.add` with the second operand subtracted (`vector.subtract`).

    Constraints:
        C1: all buffers are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>, tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%a: !npu.buffer<dram, 8>, %b: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %t = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %a to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %b to %t <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %2 = npu.subtract %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 8, column_stride 8, channel_stride 1> to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 49, zero_point 0> a_scale <multiplier 1073741824, shift 11, zero_point 0> b_scale <multiplier 1073741824, shift 11, zero_point 0> bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.subtract"


@irdl_op_definition
class MinimumOp(ScaledSumOp):
    """The smaller of both operands, which are less their zero points and rescaled; that rescaled (`vector.minimum`).

    Constraints:
        C1: all buffers are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>, tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%a: !npu.buffer<dram, 8>, %b: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %t = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %a to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %b to %t <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %2 = npu.minimum %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 8, column_stride 8, channel_stride 1> to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 49, zero_point 0> a_scale <multiplier 1073741824, shift 11, zero_point 0> b_scale <multiplier 1073741824, shift 11, zero_point 0> bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.minimum"


@irdl_op_definition
class MaximumOp(ScaledSumOp):
    """As `npu.minimum` with the larger one (`vector.maximum`).

    Constraints:
        C1: all buffers are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>, tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%a: !npu.buffer<dram, 8>, %b: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %t = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %a to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %b to %t <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %2 = npu.maximum %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 8, column_stride 8, channel_stride 1> to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 49, zero_point 0> a_scale <multiplier 1073741824, shift 11, zero_point 0> b_scale <multiplier 1073741824, shift 11, zero_point 0> bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.maximum"


class CenteredTaskOp(BinaryTaskOp, ABC):
    """Base of product and quotient, of both operands less their zero points."""

    a = operand_def(BufferType)
    a_zero_point = prop_def(Number)
    b_zero_point = prop_def(Number)
    assembly_format = (
        "$a `map` $map `,` $b $operand "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`result_scale` $result_scale `a_zero_point` $a_zero_point `b_zero_point` $b_zero_point `bounds` $bounds "
        + END_FORMAT
        + "type($a) `,` type($b) `,` type($output)"
    )


@irdl_op_definition
class MultiplyOp(CenteredTaskOp):
    """Product of both operands less their zero points, rescaled (`vector.multiply`).

    Constraints:
        C1: all buffers are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x4x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%a: !npu.buffer<dram, 8>, %b: !npu.buffer<dram, 4>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %t = npu.allocate : !npu.buffer<scratchpad, 4>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %a to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %b to %t <source_offset 0, target_offset 0, run 4> : !npu.buffer<dram, 4> to !npu.buffer<scratchpad, 4>
      %2 = npu.multiply %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 0, column_stride 0, channel_stride 1> to %y <offset 0, row_stride 8, column_stride 4> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 31, zero_point 0> a_zero_point 0 b_zero_point 0 bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.multiply"


@irdl_op_definition
class DivideOp(CenteredTaskOp):
    """The first operand over the second one, both less their zero points, rescaled (`vector.divide`).

    Where an operand has two bytes the result's multiplier has 15 bits.

    Constraints:
        C1: all buffers are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x4x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%a: !npu.buffer<dram, 8>, %b: !npu.buffer<dram, 4>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %t = npu.allocate : !npu.buffer<scratchpad, 4>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %a to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %b to %t <source_offset 0, target_offset 0, run 4> : !npu.buffer<dram, 4> to !npu.buffer<scratchpad, 4>
      %2 = npu.divide %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 0, column_stride 0, channel_stride 1> to %y <offset 0, row_stride 8, column_stride 4> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 52, zero_point 0> a_zero_point 0 b_zero_point 0 bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.divide"


@irdl_op_definition
class ConvertOp(MapTaskOp):
    """Input less its zero point, rescaled (`vector.convert`).

    Constraints:
        C1: input and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.25>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %x = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.convert %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 29, zero_point 0> input_zero_point 0 bounds <low -128, high 127> after(%0) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>
      %2 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%1) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.convert"
    input = operand_def(BufferType)
    result_scale = prop_def(ScaleAttr)
    input_zero_point = prop_def(Number)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`result_scale` $result_scale `input_zero_point` $input_zero_point `bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($output)"
    )


@irdl_op_definition
class LookupOp(MapTaskOp):
    """Input, of bytes, through a table of 256 results, the entry of stored value `v` at `v + 128` (`vector.lookup`).

    The number after `table` is the byte of that buffer where the table starts.

    Constraints:
        C1: input, table and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.25>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %c = npu.constant dense<7> : tensor<256xi8>
      %x = npu.allocate : !npu.buffer<scratchpad, 8>
      %t = npu.allocate : !npu.buffer<scratchpad, 256>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %c to %t <source_offset 0, target_offset 0, run 256> : !npu.buffer<constants, 256> to !npu.buffer<scratchpad, 256>
      %2 = npu.lookup %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> table %t 0 to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 256>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.lookup"
    input = operand_def(BufferType)
    table = operand_def(BufferType)
    table_offset = prop_def(Number)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map `table` $table $table_offset "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($table) `,` type($output)"
    )

    def other_reads(self) -> Sequence[Access]:
        """The table."""
        size = TABLE_ENTRIES * self.placement.data.element_bytes
        return (Access(self.table, run_interval(self.table_offset.value.data, size), False),)


@irdl_op_definition
class InterpolateOp(MapTaskOp):
    """Input, of two bytes, between the entries of a table of 513, rescaled (`vector.interpolate`).

    The number after `table` is the byte of that buffer where the table starts.

    Constraints:
        C1: input, table and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<4x!quant.uniform<i16:f32, 0.5>>) -> tensor<4x!quant.uniform<i16:f32, 0.25>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %c = npu.constant dense<7> : tensor<1026xi8>
      %x = npu.allocate : !npu.buffer<scratchpad, 8>
      %t = npu.allocate : !npu.buffer<scratchpad, 1026>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %c to %t <source_offset 0, target_offset 0, run 1026> : !npu.buffer<constants, 1026> to !npu.buffer<scratchpad, 1026>
      %2 = npu.interpolate %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0, element_bytes 2> table %t 0 to %y <offset 0, row_stride 8, column_stride 8, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 37, zero_point 0> bounds <low -32768, high 32767> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 1026>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.interpolate"
    input = operand_def(BufferType)
    table = operand_def(BufferType)
    table_offset = prop_def(Number)
    result_scale = prop_def(ScaleAttr)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map `table` $table $table_offset "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`result_scale` $result_scale `bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($table) `,` type($output)"
    )

    def other_reads(self) -> Sequence[Access]:
        """The table."""
        return (Access(self.table, run_interval(self.table_offset.value.data, 2 * INTERPOLATED_ENTRIES), False),)


@irdl_op_definition
class LogarithmOp(MapTaskOp):
    """Natural logarithm of the input, of two bytes, plus an offset, rescaled (`vector.logarithm`).

    The offset is the logarithm of the input's scale, with 23 bits after the point as logarithms have.

    Constraints:
        C1: input and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<4x!quant.uniform<i16:f32, 1.0>>) -> tensor<4x!quant.uniform<i16:f32, 0.0009765625>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %x = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.logarithm %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0, element_bytes 2> offset 0 to %y <offset 0, row_stride 8, column_stride 8, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 43, zero_point 0> bounds <low -32768, high 32767> after(%0) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>
      %2 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%1) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.logarithm"
    input = operand_def(BufferType)
    offset = prop_def(Number)
    result_scale = prop_def(ScaleAttr)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map `offset` $offset "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`result_scale` $result_scale `bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($output)"
    )

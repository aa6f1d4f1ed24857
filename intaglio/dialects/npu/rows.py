"""Tasks of the vector unit whose results take more than one element of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.dialects.builtin import UnitAttr
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def

from intaglio.dialects.npu.accesses import Access, placement_intervals, run_interval
from intaglio.dialects.npu.attributes import BoundsAttr, ScaleAttr
from intaglio.dialects.npu.tasks import END_FORMAT, MAP_FORMAT, OUTPUT_FORMAT, MapTaskOp, Number
from intaglio.dialects.npu.types import BufferType
from intaglio.targets.instructions import AFFINE_BYTES, EXPONENTIAL_BYTES, WIDE_AFFINE_BYTES


@irdl_op_definition
class TransposeOp(MapTaskOp):
    """Bytes with columns and channels exchanged: those of each window row are a matrix (`vector.transpose`).

    What was a column lies beside its neighbours, and the placement's `column_stride` is from channel to channel.

    Constraints:
        C1: input and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %x = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.transpose %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> to %y <offset 0, row_stride 8, column_stride 2> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 after(%0) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>
      %2 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%1) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.transpose"
    input = operand_def(BufferType)
    assembly_format = "$input `map` $map " + OUTPUT_FORMAT + MAP_FORMAT + END_FORMAT + "type($input) `,` type($output)"

    def accesses(self) -> Sequence[Access]:
        """What it reads and writes."""
        reads = super().accesses()[:-1]
        window, channels = self.window.data, self.channels.value.data
        exchanged = replace(window, columns=channels)
        return *reads, Access(self.output, placement_intervals(self.placement.data, exchanged, window.columns), True)


@irdl_op_definition
class SoftmaxOp(MapTaskOp):
    """Softmax over the channels of each position, rescaled (`vector.softmax`).

    The number after `table` is the byte of that buffer where the exponential of difference 0 is. Elements of two bytes
    need two tables, one after another, and `fraction` says how many bits after the point their entries have.

    Constraints:
        C1: input, table and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x4x!quant.uniform<i8:f32, 0.00390625:-128>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %c = npu.constant dense<1> : tensor<1024xi8>
      %x = npu.allocate : !npu.buffer<scratchpad, 8>
      %t = npu.allocate : !npu.buffer<scratchpad, 1024>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %c to %t <source_offset 0, target_offset 0, run 1024> : !npu.buffer<constants, 1024> to !npu.buffer<scratchpad, 1024>
      %2 = npu.softmax %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> table %t 0 to %y <offset 0, row_stride 8, column_stride 4> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 52, zero_point -128> bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 1024>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.softmax"
    input = operand_def(BufferType)
    table = operand_def(BufferType)
    table_offset = prop_def(Number)
    fraction = opt_prop_def(Number)
    result_scale = prop_def(ScaleAttr)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map `table` $table $table_offset (`fraction` $fraction^)? "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`result_scale` $result_scale `bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($table) `,` type($output)"
    )

    def other_reads(self) -> Sequence[Access]:
        """The table, or both."""
        size = EXPONENTIAL_BYTES * self.map.data.element_bytes
        return (Access(self.table, run_interval(self.table_offset.value.data, size), False),)


@irdl_op_definition
class NormalizeOp(MapTaskOp):
    """Channels of each position over their deviation, times a factor plus an offset (`vector.normalize`).

    The number after `factors` is the byte of that buffer where the first channel's record is: factor and offset, or
    offset and factor for results of two bytes. With `around_mean` the mean is subtracted first; without, the deviation
    is the root mean square. `epsilon` is in the unit of its square times the square of the number of channels.

    Constraints:
        C1: input, factors and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x4x!quant.uniform<i8:f32, 0.25>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %c = npu.constant dense<1> : tensor<32xi8>
      %x = npu.allocate : !npu.buffer<scratchpad, 8>
      %f = npu.allocate : !npu.buffer<scratchpad, 32>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %c to %f <source_offset 0, target_offset 0, run 32> : !npu.buffer<constants, 32> to !npu.buffer<scratchpad, 32>
      %2 = npu.normalize %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> factors %f 0 epsilon 1 around_mean to %y <offset 0, row_stride 8, column_stride 4> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 56, zero_point 0> input_zero_point 0 bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.normalize"
    input = operand_def(BufferType)
    factors = operand_def(BufferType)
    factors_offset = prop_def(Number)
    epsilon = prop_def(Number)
    around_mean = opt_prop_def(UnitAttr)
    result_scale = prop_def(ScaleAttr)
    input_zero_point = prop_def(Number)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map `factors` $factors $factors_offset `epsilon` $epsilon (`around_mean` $around_mean^)? "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`result_scale` $result_scale `input_zero_point` $input_zero_point `bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($factors) `,` type($output)"
    )

    def other_reads(self) -> Sequence[Access]:
        """Factors and offsets."""
        record = AFFINE_BYTES if self.placement.data.element_bytes == 1 else WIDE_AFFINE_BYTES
        size = self.channels.value.data * record
        return (Access(self.factors, run_interval(self.factors_offset.value.data, size), False),)

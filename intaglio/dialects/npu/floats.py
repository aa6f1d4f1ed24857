"""Tasks on bfloat16: what the vector unit computes in float32, and takes out of accumulators of such products.

Elements have two bytes. Bounds are ordinals: `<low -32640, high 32640>`, the infinities, limit nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from xdsl.dialects.builtin import FloatAttr, StringAttr, UnitAttr, f64
from xdsl.ir import Operation
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.npu.accesses import Access, Intervals, run_interval, tap_weight_intervals
from intaglio.dialects.npu.attributes import BoundsAttr, Grid, GridAttr, TapWeightsAttr
from intaglio.dialects.npu.elementwise import OperandTaskOp
from intaglio.dialects.npu.matrix import AccumulatorTaskOp
from intaglio.dialects.npu.tasks import END_FORMAT, MAP_FORMAT, OUTPUT_FORMAT, MapTaskOp, Number
from intaglio.dialects.npu.types import BufferType
from intaglio.numerics.float_lanes import COMBINATIONS, FUNCTIONS, POOLINGS
from intaglio.targets.instruction_format import BIAS_BYTES
from intaglio.targets.instructions import AFFINE_BYTES


def _check_function(op: Operation, known: Collection[str]) -> None:
    function = cast(StringAttr, op.properties["function"]).data
    if function not in known:
        raise VerifyException(f"needs one of the functions {', '.join(known)}, got {function}")


@irdl_op_definition
class FloatSumsOp(AccumulatorTaskOp):
    """Accumulators of bfloat16 products plus the bias of each channel (`vector.float_sums`).

    The number after `biases` is the byte of that buffer where the first channel's bias is, a float32.

    Constraints:
        C1: biases and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<2xbf16>) -> tensor<1xbf16> target "gen2" {
    ^bb0(%in: !npu.buffer<dram, 4>, %out: !npu.buffer<dram, 2>):
      %c = npu.constant dense<[0, 0, 0, 0, -128, 63, 0, 64]> : tensor<8xi8>
      %x = npu.allocate : !npu.buffer<scratchpad, 4>
      %v = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 2>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 4> : !npu.buffer<dram, 4> to !npu.buffer<scratchpad, 4>
      %1 = npu.load %c to %v <source_offset 0, target_offset 0, run 8> : !npu.buffer<constants, 8> to !npu.buffer<scratchpad, 8>
      %2 = npu.matrix_multiply %x map <offset 0, rows 1, row_bytes 4, row_stride 4, pad 0, element_bytes 2> weights %v <offset 4, tap_stride 4, row_stride 2, element_bytes 2, bfloat16 1> window <rows 1, columns 1, step_y 1, step_x 4> taps <rows 1, columns 1, step_y 1, step_x 4> origin <y0 0, x0 0> inner 2 outer 1 accumulator 0 after(%1) : !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 8>
      %3 = npu.float_sums biases %v 0 to %y <offset 0, row_stride 2, column_stride 2, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 1> channels 1 accumulator 0 bounds <low -32640, high 32640> after(%2) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 2>
      %4 = npu.store %y to %out <source_offset 0, target_offset 0, run 2> after(%3) : !npu.buffer<scratchpad, 2> to !npu.buffer<dram, 2>
    }
    ```
    """

    name = "npu.float_sums"
    assembly_format = (
        "`biases` $parameters $parameters_offset `to` $output $placement `window` $window `channels` $channels "
        "`accumulator` $accumulator `bounds` $bounds "
        "(`after` `(` $after^ `)`)? attr-dict `:` type($parameters) `,` type($output)"
    )

    def parameters_read(self) -> Intervals:
        """Bytes of the biases."""
        return run_interval(self.parameters_offset.value.data, BIAS_BYTES * self.channels.value.data)


@irdl_op_definition
class FloatDepthwiseOp(MapTaskOp):
    """Each channel times its own kernel, plus its bias (`vector.float_depthwise`).

    The number after `biases` is the byte of that buffer where the first channel's bias is, a float32.

    Constraints:
        C1: input, weights, biases and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<1x1x2x1xbf16>) -> tensor<1x1x1x1xbf16> target "gen2" {
    ^bb0(%in: !npu.buffer<dram, 4>, %out: !npu.buffer<dram, 2>):
      %c = npu.constant dense<[0, 0, 0, 0, -128, 63, 0, 64]> : tensor<8xi8>
      %x = npu.allocate : !npu.buffer<scratchpad, 4>
      %v = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 2>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 4> : !npu.buffer<dram, 4> to !npu.buffer<scratchpad, 4>
      %1 = npu.load %c to %v <source_offset 0, target_offset 0, run 8> : !npu.buffer<constants, 8> to !npu.buffer<scratchpad, 8>
      %2 = npu.float_depthwise %x map <offset 0, rows 1, row_bytes 4, row_stride 4, pad 0, element_bytes 2> weights %v <offset 4, tap_stride 2, element_bytes 2> biases %v 0 to %y <offset 0, row_stride 2, column_stride 2, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 1, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 1 bounds <low -32640, high 32640> after(%0, %1) : !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 2>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 2> after(%2) : !npu.buffer<scratchpad, 2> to !npu.buffer<dram, 2>
    }
    ```
    """

    name = "npu.float_depthwise"
    input = operand_def(BufferType)
    weights = operand_def(BufferType)
    parameters = operand_def(BufferType)
    tap_weights = prop_def(TapWeightsAttr)
    parameters_offset = prop_def(Number)
    taps = prop_def(GridAttr)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map `weights` $weights $tap_weights `biases` $parameters $parameters_offset "
        + OUTPUT_FORMAT
        + "`taps` $taps "
        + MAP_FORMAT
        + "`bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($weights) `,` type($parameters) `,` type($output)"
    )

    @property
    def tap_grid(self) -> Grid:
        """The taps of the kernel."""
        return self.taps.data

    def other_reads(self) -> Sequence[Access]:
        """Weights and biases."""
        channels = self.channels.value.data
        biases = run_interval(self.parameters_offset.value.data, BIAS_BYTES * channels)
        return (
            Access(self.weights, tap_weight_intervals(self.tap_weights.data, self.taps.data, channels), False),
            Access(self.parameters, biases, False),
        )


@irdl_op_definition
class FloatPoolOp(MapTaskOp):
    """The largest or smallest element over the taps, or their sum over a divisor (`vector.float_pool`).

    Constraints:
        C1: input and output are in the scratchpad.
        C2: all bytes lie in their buffers.
        C3: the function is known.

    Example:
    ```mlir
    npu.program @p : (tensor<1x2x2x1xbf16>) -> tensor<1x1x1x1xbf16> target "gen2" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 2>):
      %x = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 2>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.float_pool "sum" %x map <offset 0, rows 2, row_bytes 4, row_stride 4, pad 0, element_bytes 2> to %y <offset 0, row_stride 2, column_stride 2, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 1 divisor 4 bounds <low -32640, high 32640> after(%0) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 2>
      %2 = npu.store %y to %out <source_offset 0, target_offset 0, run 2> after(%1) : !npu.buffer<scratchpad, 2> to !npu.buffer<dram, 2>
    }
    ```
    """

    name = "npu.float_pool"
    input = operand_def(BufferType)
    function = prop_def(StringAttr)
    taps = prop_def(GridAttr)
    divisor = prop_def(Number)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$function $input `map` $map "
        + OUTPUT_FORMAT
        + "`taps` $taps "
        + MAP_FORMAT
        + "`divisor` $divisor `bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($output)"
    )

    @property
    def tap_grid(self) -> Grid:
        """The taps of the window."""
        return self.taps.data

    def verify_(self) -> None:
        """Check the numbered constraints."""
        super().verify_()
        # C3
        _check_function(self, POOLINGS)


@irdl_op_definition
class FloatCombineOp(OperandTaskOp):
    """Two operands combined (`vector.float_combine`).

    Constraints:
        C1: all buffers are in the scratchpad.
        C2: all bytes lie in their buffers.
        C3: the function is known.

    Example:
    ```mlir
    npu.program @p : (tensor<4xbf16>, tensor<4xbf16>) -> tensor<4xbf16> target "gen2" {
    ^bb0(%a: !npu.buffer<dram, 8>, %b: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %t = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %a to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %b to %t <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %2 = npu.float_combine "add" %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0, element_bytes 2>, %t <offset 0, row_stride 8, column_stride 8, channel_stride 1, element_bytes 2> to %y <offset 0, row_stride 8, column_stride 8, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 4 bounds <low -32640, high 32640> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.float_combine"
    a = operand_def(BufferType)
    function = prop_def(StringAttr)
    assembly_format = (
        "$function $a `map` $map `,` $b $operand "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`bounds` $bounds "
        + END_FORMAT
        + "type($a) `,` type($b) `,` type($output)"
    )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        super().verify_()
        # C3
        _check_function(self, COMBINATIONS)


@irdl_op_definition
class FloatMapOp(MapTaskOp):
    """A function of each element (`vector.float_map`).

    `alpha` and `beta` are coefficients of those functions that have some; the machine rounds them to float32.

    Constraints:
        C1: input and output are in the scratchpad.
        C2: all bytes lie in their buffers.
        C3: the function is known.

    Example:
    ```mlir
    npu.program @p : (tensor<4xbf16>) -> tensor<4xbf16> target "gen2" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %x = npu.allocate : !npu.buffer<scratchpad, 8>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.float_map "sigmoid" %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0, element_bytes 2> to %y <offset 0, row_stride 8, column_stride 8, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 4 alpha 0.0 beta 0.0 bounds <low -32640, high 32640> after(%0) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>
      %2 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%1) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.float_map"
    input = operand_def(BufferType)
    function = prop_def(StringAttr)
    alpha = prop_def(FloatAttr.constr(f64))
    beta = prop_def(FloatAttr.constr(f64))
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$function $input `map` $map "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`alpha` $alpha `beta` $beta `bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($output)"
    )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        super().verify_()
        # C3
        _check_function(self, FUNCTIONS)


@irdl_op_definition
class FloatSoftmaxOp(MapTaskOp):
    """Softmax over the channels of each position (`vector.float_softmax`).

    Constraints:
        C1: input and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<2x4xbf16>) -> tensor<2x4xbf16> target "gen2" {
    ^bb0(%in: !npu.buffer<dram, 16>, %out: !npu.buffer<dram, 16>):
      %x = npu.allocate : !npu.buffer<scratchpad, 16>
      %y = npu.allocate : !npu.buffer<scratchpad, 16>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 16> : !npu.buffer<dram, 16> to !npu.buffer<scratchpad, 16>
      %1 = npu.float_softmax %x map <offset 0, rows 1, row_bytes 16, row_stride 16, pad 0, element_bytes 2> to %y <offset 0, row_stride 16, column_stride 8, element_bytes 2> window <rows 1, columns 2, step_y 1, step_x 8> origin <y0 0, x0 0> channels 4 bounds <low -32640, high 32640> after(%0) : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 16>
      %2 = npu.store %y to %out <source_offset 0, target_offset 0, run 16> after(%1) : !npu.buffer<scratchpad, 16> to !npu.buffer<dram, 16>
    }
    ```
    """

    name = "npu.float_softmax"
    input = operand_def(BufferType)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($output)"
    )


@irdl_op_definition
class FloatNormalizeOp(MapTaskOp):
    """Channels of each position over their deviation, times a factor plus an offset (`vector.float_normalize`).

    The number after `factors` is the byte of that buffer where the first channel's factor and offset are, two float32.
    With `around_mean` the mean is subtracted first; without, the deviation is the root mean square. The machine rounds
    `epsilon` to float32.

    Constraints:
        C1: input, factors and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<2x2xbf16>) -> tensor<2x2xbf16> target "gen2" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %c = npu.constant dense<[0, 0, -128, 63, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, -128, 63]> : tensor<16xi8>
      %x = npu.allocate : !npu.buffer<scratchpad, 8>
      %f = npu.allocate : !npu.buffer<scratchpad, 16>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.load %c to %f <source_offset 0, target_offset 0, run 16> : !npu.buffer<constants, 16> to !npu.buffer<scratchpad, 16>
      %2 = npu.float_normalize %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0, element_bytes 2> factors %f 0 epsilon 1.0 around_mean to %y <offset 0, row_stride 8, column_stride 4, element_bytes 2> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 2 bounds <low -32640, high 32640> after(%0, %1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 8>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.float_normalize"
    input = operand_def(BufferType)
    factors = operand_def(BufferType)
    factors_offset = prop_def(Number)
    epsilon = prop_def(FloatAttr.constr(f64))
    around_mean = opt_prop_def(UnitAttr)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map `factors` $factors $factors_offset `epsilon` $epsilon (`around_mean` $around_mean^)? "
        + OUTPUT_FORMAT
        + MAP_FORMAT
        + "`bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($factors) `,` type($output)"
    )

    def other_reads(self) -> Sequence[Access]:
        """Factors and offsets."""
        size = AFFINE_BYTES * self.channels.value.data
        return (Access(self.factors, run_interval(self.factors_offset.value.data, size), False),)

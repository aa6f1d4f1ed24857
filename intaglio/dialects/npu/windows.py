"""Tasks of the vector unit that slide a window over a feature map."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import UnitAttr
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def

from intaglio.dialects.npu.accesses import Access, parameter_interval, tap_weight_intervals
from intaglio.dialects.npu.attributes import BoundsAttr, Grid, GridAttr, ScaleAttr, TapWeightsAttr
from intaglio.dialects.npu.tasks import END_FORMAT, MAP_FORMAT, OUTPUT_FORMAT, MapTaskOp, Number
from intaglio.dialects.npu.types import BufferType


@irdl_op_definition
class DepthwiseOp(MapTaskOp):
    """Depthwise convolution, rescaled with the parameters of each channel (`vector.depthwise`).

    The number after `parameters` is the byte of that buffer where the first channel's bias is; with `wide`, sums and
    biases have 48 bits and the records of channels 16 bytes.

    Constraints:
        C1: all buffers are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 32>):
      %w = npu.constant dense<1> : tensor<42xi8>
      %x = npu.allocate : !npu.buffer<scratchpad, 32>
      %v = npu.allocate : !npu.buffer<scratchpad, 42>
      %y = npu.allocate : !npu.buffer<scratchpad, 32>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 32> : !npu.buffer<dram, 32> to !npu.buffer<scratchpad, 32>
      %1 = npu.load %w to %v <source_offset 0, target_offset 0, run 42> : !npu.buffer<constants, 42> to !npu.buffer<scratchpad, 42>
      %2 = npu.depthwise %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 2> parameters %v 0 to %y <offset 0, row_stride 8, column_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 3, columns 3, step_y 1, step_x 2> origin <y0 -1, x0 -2> channels 2 zero_point 0 bounds <low -128, high 127> after(%0, %1) : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 32>
      %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 32> after(%2) : !npu.buffer<scratchpad, 32> to !npu.buffer<dram, 32>
    }
    ```
    """

    name = "npu.depthwise"
    input = operand_def(BufferType)
    weights = operand_def(BufferType)
    parameters = operand_def(BufferType)
    tap_weights = prop_def(TapWeightsAttr)
    parameters_offset = prop_def(Number)
    wide = opt_prop_def(UnitAttr)
    taps = prop_def(GridAttr)
    zero_point = prop_def(Number)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map `weights` $weights $tap_weights `parameters` $parameters $parameters_offset (`wide` $wide^)? "
        + OUTPUT_FORMAT
        + "`taps` $taps "
        + MAP_FORMAT
        + "`zero_point` $zero_point `bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($weights) `,` type($parameters) `,` type($output)"
    )

    @property
    def tap_grid(self) -> Grid:
        """The taps of the kernel."""
        return self.taps.data

    def other_reads(self) -> Sequence[Access]:
        """Weights and parameters."""
        channels = self.channels.value.data
        parameters = parameter_interval(self.parameters_offset.value.data, channels, wide=self.wide is not None)
        return (
            Access(self.weights, tap_weight_intervals(self.tap_weights.data, self.taps.data, channels), False),
            Access(self.parameters, parameters, False),
        )


@irdl_op_definition
class MaxOp(MapTaskOp):
    """Largest element over the taps (`vector.max`).

    Constraints:
        C1: input and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 8>):
      %x = npu.allocate : !npu.buffer<scratchpad, 32>
      %y = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 32> : !npu.buffer<dram, 32> to !npu.buffer<scratchpad, 32>
      %1 = npu.max %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad -128> to %y <offset 0, row_stride 4, column_stride 2> window <rows 2, columns 2, step_y 2, step_x 4> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 bounds <low -128, high 127> after(%0) : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 8>
      %2 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%1) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.max"
    input = operand_def(BufferType)
    taps = prop_def(GridAttr)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map "
        + OUTPUT_FORMAT
        + "`taps` $taps "
        + MAP_FORMAT
        + "`bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($output)"
    )

    @property
    def tap_grid(self) -> Grid:
        """The taps of the window."""
        return self.taps.data


@irdl_op_definition
class SumOp(MapTaskOp):
    """Sum over the taps less the input's zero point, rescaled (`vector.sum`).

    Constraints:
        C1: input and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x1x1x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 2>):
      %x = npu.allocate : !npu.buffer<scratchpad, 32>
      %y = npu.allocate : !npu.buffer<scratchpad, 2>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 32> : !npu.buffer<dram, 32> to !npu.buffer<scratchpad, 32>
      %1 = npu.sum %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> to %y <offset 0, row_stride 2, column_stride 2> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 4, columns 4, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 result_scale <multiplier 1073741824, shift 34, zero_point 0> input_zero_point 0 bounds <low -128, high 127> after(%0) : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 2>
      %2 = npu.store %y to %out <source_offset 0, target_offset 0, run 2> after(%1) : !npu.buffer<scratchpad, 2> to !npu.buffer<dram, 2>
    }
    ```
    """

    name = "npu.sum"
    input = operand_def(BufferType)
    taps = prop_def(GridAttr)
    result_scale = prop_def(ScaleAttr)
    input_zero_point = prop_def(Number)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map "
        + OUTPUT_FORMAT
        + "`taps` $taps "
        + MAP_FORMAT
        + "`result_scale` $result_scale `input_zero_point` $input_zero_point `bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($output)"
    )

    @property
    def tap_grid(self) -> Grid:
        """The taps of the window."""
        return self.taps.data


@irdl_op_definition
class RootOp(MapTaskOp):
    """Root of the sum of squares over the taps less the input's zero point, rescaled (`vector.root`).

    Constraints:
        C1: input and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x1x1x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 2>):
      %x = npu.allocate : !npu.buffer<scratchpad, 32>
      %y = npu.allocate : !npu.buffer<scratchpad, 2>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 32> : !npu.buffer<dram, 32> to !npu.buffer<scratchpad, 32>
      %1 = npu.root %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> to %y <offset 0, row_stride 2, column_stride 2> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 4, columns 4, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 result_scale <multiplier 1073741824, shift 34, zero_point 0> input_zero_point 0 bounds <low -128, high 127> after(%0) : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 2>
      %2 = npu.store %y to %out <source_offset 0, target_offset 0, run 2> after(%1) : !npu.buffer<scratchpad, 2> to !npu.buffer<dram, 2>
    }
    ```
    """

    name = "npu.root"
    input = operand_def(BufferType)
    taps = prop_def(GridAttr)
    result_scale = prop_def(ScaleAttr)
    input_zero_point = prop_def(Number)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map "
        + OUTPUT_FORMAT
        + "`taps` $taps "
        + MAP_FORMAT
        + "`result_scale` $result_scale `input_zero_point` $input_zero_point `bounds` $bounds "
        + END_FORMAT
        + "type($input) `,` type($output)"
    )

    @property
    def tap_grid(self) -> Grid:
        """The taps of the window."""
        return self.taps.data

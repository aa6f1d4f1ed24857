"""Tasks of the matrix unit, and what takes results out of its accumulators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import UnitAttr
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.npu.accesses import (
    Access,
    Intervals,
    map_intervals,
    parameter_interval,
    placement_intervals,
    run_interval,
    weight_tile_intervals,
)
from intaglio.dialects.npu.attributes import (
    BoundsAttr,
    FeatureMapAttr,
    GridAttr,
    OriginAttr,
    PlacementAttr,
    WeightTilesAttr,
)
from intaglio.dialects.npu.tasks import Number, TaskOp
from intaglio.dialects.npu.types import BufferType


@irdl_op_definition
class MatrixMultiplyOp(TaskOp):
    """Multiply the elements at each window position and tap with that tap's weight tile (`matrix.multiply`).

    Position `m` of the window goes to accumulator row `accumulator + m`, overwriting it, or added to it with
    `accumulate`.

    Constraints:
        C1: input and weights are in the scratchpad.
        C2: all bytes lie in their buffers.
        C3: `inner` and `outer` are at least 1, `accumulator` at least 0.

    Example:
    ```mlir
    npu.program @p : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 32>):
      %w = npu.constant dense<1> : tensor<28xi8>
      %x = npu.allocate : !npu.buffer<scratchpad, 32>
      %v = npu.allocate : !npu.buffer<scratchpad, 28>
      %y = npu.allocate : !npu.buffer<scratchpad, 32>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 32> : !npu.buffer<dram, 32> to !npu.buffer<scratchpad, 32>
      %1 = npu.load %w to %v <source_offset 0, target_offset 0, run 28> : !npu.buffer<constants, 28> to !npu.buffer<scratchpad, 28>
      %2 = npu.matrix_multiply %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 4, row_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 1, columns 1, step_y 1, step_x 2> origin <y0 0, x0 0> inner 2 outer 2 accumulator 0 after(%0, %1) : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 28>
      %3 = npu.requantize parameters %v 0 to %y <offset 0, row_stride 8, column_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> channels 2 accumulator 0 zero_point 0 bounds <low -128, high 127> after(%2) : !npu.buffer<scratchpad, 28>, !npu.buffer<scratchpad, 32>
      %4 = npu.store %y to %out <source_offset 0, target_offset 0, run 32> after(%3) : !npu.buffer<scratchpad, 32> to !npu.buffer<dram, 32>
    }
    ```
    """

    name = "npu.matrix_multiply"
    QUEUE: ClassVar[str] = "matrix"
    input = operand_def(BufferType)
    weights = operand_def(BufferType)
    map = prop_def(FeatureMapAttr)
    tiles = prop_def(WeightTilesAttr)
    window = prop_def(GridAttr)
    taps = prop_def(GridAttr)
    origin = prop_def(OriginAttr)
    inner = prop_def(Number)
    outer = prop_def(Number)
    accumulator = prop_def(Number)
    accumulate = opt_prop_def(UnitAttr)
    assembly_format = (
        "$input `map` $map `weights` $weights $tiles `window` $window `taps` $taps `origin` $origin "
        "`inner` $inner `outer` $outer `accumulator` $accumulator (`accumulate` $accumulate^)? "
        "(`after` `(` $after^ `)`)? attr-dict `:` type($input) `,` type($weights)"
    )

    def accesses(self) -> Sequence[Access]:
        """What it reads and writes."""
        window, taps = self.window.data, self.taps.data
        inner, outer = self.inner.value.data, self.outer.value.data
        rows = run_interval(self.accumulator.value.data, window.size)
        reads = (
            Access(self.input, map_intervals(self.map.data, window, taps, self.origin.data, inner), False),
            Access(self.weights, weight_tile_intervals(self.tiles.data, taps, inner, outer), False),
        )
        if self.accumulate is not None:
            reads = (*reads, Access(None, rows, False))
        return (*reads, Access(None, rows, True))

    def verify_(self) -> None:
        """Check the numbered constraints."""
        super().verify_()
        # C3
        inner, outer, row = (number.value.data for number in (self.inner, self.outer, self.accumulator))
        if inner < 1 or outer < 1 or row < 0:
            raise VerifyException(
                f"needs positive `inner` and `outer` and an accumulator row, got {inner}, {outer} and {row}"
            )


class AccumulatorTaskOp(TaskOp, ABC):
    """Base of the tasks that turn accumulators into results."""

    QUEUE: ClassVar[str] = "vector"
    parameters = operand_def(BufferType)
    output = operand_def(BufferType)
    parameters_offset = prop_def(Number)
    placement = prop_def(PlacementAttr)
    window = prop_def(GridAttr)
    channels = prop_def(Number)
    accumulator = prop_def(Number)
    bounds = prop_def(BoundsAttr)

    @abstractmethod
    def parameters_read(self) -> Intervals:
        """Bytes of the channels' parameters."""

    def accesses(self) -> Sequence[Access]:
        """What it reads and writes."""
        window, channels = self.window.data, self.channels.value.data
        return (
            Access(None, run_interval(self.accumulator.value.data, window.size), False),
            Access(self.parameters, self.parameters_read(), False),
            Access(self.output, placement_intervals(self.placement.data, window, channels), True),
        )


@irdl_op_definition
class RequantizeOp(AccumulatorTaskOp):
    """Rescale accumulators with the parameters of each channel (`vector.requantize`).

    The number after `parameters` is the byte of that buffer where the first channel's bias is; with `wide`, biases have
    48 bits and the records of channels 16 bytes.

    Constraints:
        C1: parameters and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 2>, %out: !npu.buffer<dram, 1>):
      %c = npu.constant dense<[0, 0, 0, 0, 0, 0, 0, 64, 30, 0, 0, 0, 3, -2]> : tensor<14xi8>
      %x = npu.allocate : !npu.buffer<scratchpad, 2>
      %v = npu.allocate : !npu.buffer<scratchpad, 14>
      %y = npu.allocate : !npu.buffer<scratchpad, 1>
      %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 2> : !npu.buffer<dram, 2> to !npu.buffer<scratchpad, 2>
      %1 = npu.load %c to %v <source_offset 0, target_offset 0, run 14> : !npu.buffer<constants, 14> to !npu.buffer<scratchpad, 14>
      %2 = npu.matrix_multiply %x map <offset 0, rows 1, row_bytes 2, row_stride 2, pad 0> weights %v <offset 12, tap_stride 2, row_stride 1> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 1, columns 1, step_y 1, step_x 2> origin <y0 0, x0 0> inner 2 outer 1 accumulator 0 after(%1) : !npu.buffer<scratchpad, 2>, !npu.buffer<scratchpad, 14>
      %3 = npu.requantize parameters %v 0 to %y <offset 0, row_stride 1, column_stride 1> window <rows 1, columns 1, step_y 1, step_x 1> channels 1 accumulator 0 zero_point 0 bounds <low -128, high 127> after(%2) : !npu.buffer<scratchpad, 14>, !npu.buffer<scratchpad, 1>
      %4 = npu.store %y to %out <source_offset 0, target_offset 0, run 1> after(%3) : !npu.buffer<scratchpad, 1> to !npu.buffer<dram, 1>
    }
    ```
    """

    name = "npu.requantize"
    wide = opt_prop_def(UnitAttr)
    zero_point = prop_def(Number)
    assembly_format = (
        "`parameters` $parameters $parameters_offset (`wide` $wide^)? `to` $output $placement `window` $window `channels` $channels "
        "`accumulator` $accumulator `zero_point` $zero_point `bounds` $bounds "
        "(`after` `(` $after^ `)`)? attr-dict `:` type($parameters) `,` type($output)"
    )

    def parameters_read(self) -> Intervals:
        """Bytes of bias, multiplier and shift."""
        wide = self.wide is not None
        return parameter_interval(self.parameters_offset.value.data, self.channels.value.data, wide=wide)

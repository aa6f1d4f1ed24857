"""The tasks that the accelerator's queues execute: one executing instruction each, with its configuration.

What a task computes is specified in `docs/accelerator.md` under the instruction of its name. Tasks read and write
buffers at byte offsets; they stand in an order in which they may be executed one after another, and their
`after` operands name the tasks of other queues that must have finished before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, cast

from xdsl.dialects.builtin import IntegerAttr, UnitAttr, i64
from xdsl.ir import SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    var_operand_def,
)
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.npu.accesses import (
    Access,
    map_intervals,
    placement_intervals,
    run_interval,
    tap_weight_intervals,
    transfer_intervals,
    weight_tile_intervals,
)
from intaglio.dialects.npu.attributes import (
    BoundsAttr,
    FeatureMapAttr,
    Grid,
    GridAttr,
    OperandAttr,
    OriginAttr,
    PlacementAttr,
    ScaleAttr,
    TapWeightsAttr,
    TransferAttr,
    WeightTilesAttr,
)
from intaglio.dialects.npu.types import BufferType, Space, TokenType

PARAMETER_BYTES = 12
"""Bias, multiplier and shift of one channel, little-endian i32 each."""

TABLE_BYTES = 256
ONE_TAP = Grid(1, 1, 0, 0)

Number = IntegerAttr.constr(i64)


def buffer_type(value: SSAValue) -> BufferType:
    """The type of a buffer value; operand definitions have checked that it is one."""
    return cast(BufferType, value.type)


def space_of(value: SSAValue) -> Space:
    """The memory that a buffer value lies in."""
    return buffer_type(value).space


class TaskOp(IRDLOperation, ABC):
    """Base of all tasks; `QUEUE` names the queue that executes it: `load`, `store`, `matrix` or `vector`."""

    after = var_operand_def(TokenType)
    token = result_def(TokenType)
    irdl_options = (ParsePropInAttrDict(),)

    QUEUE: ClassVar[str] = ""

    @abstractmethod
    def accesses(self) -> Sequence[Access]:
        """What it reads and writes, reads first."""

    @property
    def buffers(self) -> Sequence[SSAValue]:
        """The buffers it works on."""
        return tuple(operand for operand in self.operands if isinstance(operand.type, BufferType))

    def verify_(self) -> None:
        """Check the numbered constraints that all tasks have."""
        # C1
        self.verify_spaces()
        # C2
        for access in self.accesses():
            if access.buffer is None or not len(access.intervals):
                continue
            size = buffer_type(access.buffer).size
            if access.first < 0 or access.end > size:
                verb = "writes" if access.writes else "reads"
                raise VerifyException(f"{verb} bytes {access.first} to {access.end - 1} of a buffer of {size} bytes")

    def verify_spaces(self) -> None:
        """Check that the buffers lie in the memories that the task's unit can reach."""
        for buffer in self.buffers:
            if space_of(buffer) is not Space.SCRATCHPAD:
                raise VerifyException(f"works on buffers in the scratchpad, got {buffer.type}")


def _require_spaces(source: SSAValue, target: SSAValue, sources: set[Space], targets: set[Space]) -> None:
    if space_of(source) not in sources or space_of(target) not in targets:
        raise VerifyException(
            f"moves from {' or '.join(sorted(sources))} to {' or '.join(sorted(targets))}, "
            f"got {source.type} and {target.type}"
        )


class TransferOp(TaskOp, ABC):
    """Base of the tasks that copy between DRAM and the scratchpad."""

    source = operand_def(BufferType)
    target = operand_def(BufferType)
    transfer = prop_def(TransferAttr)
    assembly_format = (
        "$source `to` $target $transfer (`after` `(` $after^ `)`)? attr-dict `:` type($source) `to` type($target)"
    )

    def accesses(self) -> Sequence[Access]:
        """What it reads and writes."""
        transfer = self.transfer.data
        return (
            Access(self.source, transfer_intervals(transfer, 1), False),
            Access(self.target, transfer_intervals(transfer, 2), True),
        )


@irdl_op_definition
class LoadOp(TransferOp):
    """Copy from DRAM to the scratchpad (`load.run`). A source stride of 0 repeats the same bytes.

    Constraints:
        C1: the source is in `dram`, `constants` or `arena`, the target in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %s <source_offset 0, target_offset 0, run 4, count0 2, source_stride0 4, target_stride0 4> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.store %s to %out <source_offset 0, target_offset 0, run 8> after(%0) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.load"
    QUEUE: ClassVar[str] = "load"

    def verify_spaces(self) -> None:
        """Check the source's and the target's memory."""
        _require_spaces(self.source, self.target, {Space.DRAM, Space.CONSTANTS, Space.ARENA}, {Space.SCRATCHPAD})


@irdl_op_definition
class StoreOp(TransferOp):
    """Copy from the scratchpad to DRAM (`store.run`).

    Constraints:
        C1: the source is in the scratchpad, the target in `dram` or `arena`.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.store %s to %out <source_offset 0, target_offset 0, run 8> after(%0) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.store"
    QUEUE: ClassVar[str] = "store"

    def verify_spaces(self) -> None:
        """Check the source's and the target's memory."""
        _require_spaces(self.source, self.target, {Space.SCRATCHPAD}, {Space.DRAM, Space.ARENA})


@irdl_op_definition
class MatrixMultiplyOp(TaskOp):
    """Multiply the bytes at each window position and tap with that tap's weight tile (`matrix.multiply`).

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


@irdl_op_definition
class RequantizeOp(TaskOp):
    """Rescale accumulators to int8 with the parameters of each channel (`vector.requantize`).

    The number after `parameters` is the byte of that buffer where the first channel's bias is.

    Constraints:
        C1: parameters and output are in the scratchpad.
        C2: all bytes lie in their buffers.

    The example is that of `npu.matrix_multiply`.
    """

    name = "npu.requantize"
    QUEUE: ClassVar[str] = "vector"
    parameters = operand_def(BufferType)
    output = operand_def(BufferType)
    parameters_offset = prop_def(Number)
    placement = prop_def(PlacementAttr)
    window = prop_def(GridAttr)
    channels = prop_def(Number)
    accumulator = prop_def(Number)
    zero_point = prop_def(Number)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "`parameters` $parameters $parameters_offset `to` $output $placement `window` $window `channels` $channels "
        "`accumulator` $accumulator `zero_point` $zero_point `bounds` $bounds "
        "(`after` `(` $after^ `)`)? attr-dict `:` type($parameters) `,` type($output)"
    )

    def accesses(self) -> Sequence[Access]:
        """What it reads and writes."""
        window, channels = self.window.data, self.channels.value.data
        return (
            Access(None, run_interval(self.accumulator.value.data, window.size), False),
            Access(self.parameters, run_interval(self.parameters_offset.value.data, channels * PARAMETER_BYTES), False),
            Access(self.output, placement_intervals(self.placement.data, window, channels), True),
        )


class MapTaskOp(TaskOp, ABC):
    """Base of the vector tasks that read a feature map; the output's positions are those of the window.

    Subclasses say what else they read.
    """

    output = operand_def(BufferType)
    map = prop_def(FeatureMapAttr)
    placement = prop_def(PlacementAttr)
    window = prop_def(GridAttr)
    origin = prop_def(OriginAttr)
    channels = prop_def(Number)
    QUEUE: ClassVar[str] = "vector"

    @property
    def source(self) -> SSAValue:
        """The buffer of the feature map, which is the first operand."""
        return self.operands[0]

    @property
    def tap_grid(self) -> Grid:
        """The taps of the kernel; one for tasks without."""
        return ONE_TAP

    def other_reads(self) -> Sequence[Access]:
        """What it reads besides the feature map."""
        return ()

    def accesses(self) -> Sequence[Access]:
        """What it reads and writes."""
        window, channels = self.window.data, self.channels.value.data
        under_window = map_intervals(self.map.data, window, self.tap_grid, self.origin.data, channels)
        return (
            Access(self.source, under_window, False),
            *self.other_reads(),
            Access(self.output, placement_intervals(self.placement.data, window, channels), True),
        )


_SHARED = "`to` $output $placement `window` $window "
_TAIL = "`origin` $origin `channels` $channels "
_END = "(`after` `(` $after^ `)`)? attr-dict `:` "


@irdl_op_definition
class DepthwiseOp(MapTaskOp):
    """Depthwise convolution, rescaled to int8 with the parameters of each channel (`vector.depthwise`).

    The number after `parameters` is the byte of that buffer where the first channel's bias is.

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
    taps = prop_def(GridAttr)
    zero_point = prop_def(Number)
    bounds = prop_def(BoundsAttr)
    assembly_format = (
        "$input `map` $map `weights` $weights $tap_weights `parameters` $parameters $parameters_offset "
        + _SHARED
        + "`taps` $taps "
        + _TAIL
        + "`zero_point` $zero_point `bounds` $bounds "
        + _END
        + "type($input) `,` type($weights) `,` type($parameters) `,` type($output)"
    )

    @property
    def tap_grid(self) -> Grid:
        """The taps of the kernel."""
        return self.taps.data

    def other_reads(self) -> Sequence[Access]:
        """Weights and parameters."""
        channels = self.channels.value.data
        return (
            Access(self.weights, tap_weight_intervals(self.tap_weights.data, self.taps.data, channels), False),
            Access(self.parameters, run_interval(self.parameters_offset.value.data, channels * PARAMETER_BYTES), False),
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
        + _SHARED
        + "`taps` $taps "
        + _TAIL
        + "`bounds` $bounds "
        + _END
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
        + _SHARED
        + "`taps` $taps "
        + _TAIL
        + "`result_scale` $result_scale `input_zero_point` $input_zero_point `bounds` $bounds "
        + _END
        + "type($input) `,` type($output)"
    )

    @property
    def tap_grid(self) -> Grid:
        """The taps of the window."""
        return self.taps.data


class BinaryTaskOp(MapTaskOp, ABC):
    """Base of the tasks with two operands: `a` through the address generator, `b` at the output's positions."""

    b = operand_def(BufferType)
    operand = prop_def(OperandAttr)
    result_scale = prop_def(ScaleAttr)
    bounds = prop_def(BoundsAttr)

    def other_reads(self) -> Sequence[Access]:
        """The second operand."""
        intervals = placement_intervals(self.operand.data, self.window.data, self.channels.value.data)
        return (Access(self.b, intervals, False),)


class ScaledSumOp(BinaryTaskOp, ABC):
    """Base of sum and difference, which bring both operands to a common scale."""

    a = operand_def(BufferType)
    a_scale = prop_def(ScaleAttr)
    b_scale = prop_def(ScaleAttr)
    assembly_format = (
        "$a `map` $map `,` $b $operand "
        + _SHARED
        + _TAIL
        + "`result_scale` $result_scale `a_scale` $a_scale `b_scale` $b_scale `bounds` $bounds "
        + _END
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

    The example is that of `npu.add`.
    """

    name = "npu.subtract"


@irdl_op_definition
class MultiplyOp(BinaryTaskOp):
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
    a = operand_def(BufferType)
    a_zero_point = prop_def(Number)
    b_zero_point = prop_def(Number)
    assembly_format = (
        "$a `map` $map `,` $b $operand "
        + _SHARED
        + _TAIL
        + "`result_scale` $result_scale `a_zero_point` $a_zero_point `b_zero_point` $b_zero_point `bounds` $bounds "
        + _END
        + "type($a) `,` type($b) `,` type($output)"
    )


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
        + _SHARED
        + _TAIL
        + "`result_scale` $result_scale `input_zero_point` $input_zero_point `bounds` $bounds "
        + _END
        + "type($input) `,` type($output)"
    )


@irdl_op_definition
class LookupOp(MapTaskOp):
    """Input through a table of 256 bytes, the entry of stored value `v` at `v + 128` (`vector.lookup`).

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
        + _SHARED
        + _TAIL
        + "`bounds` $bounds "
        + _END
        + "type($input) `,` type($table) `,` type($output)"
    )

    def other_reads(self) -> Sequence[Access]:
        """The table."""
        return (Access(self.table, run_interval(self.table_offset.value.data, TABLE_BYTES), False),)

"""Rules of the `npu` dialect: launches, and programs executed one task after another.

Tasks work on one byte array per buffer and on the accumulators; they are executed in the order they stand, so
tokens and addresses play no role. What each task computes is the table of `docs/accelerator.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import npu
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.interpreter.interpreter import Interpreter
from intaglio.interpreter.registry import calling_rule, find_rule, missing_rule, rule
from intaglio.interpreter.values import Array, value_dtype, value_shape
from intaglio.numerics.requantization import apply_scale
from intaglio.targets.target import load_target

Task = TypeVar("Task", bound=npu.TaskOp)
_TASKS: dict[type[Operation], Callable[[Machine, Any], None]] = {}


class Machine:
    """The memories of the accelerator: one int8 array per buffer, and `rows x D` int32 accumulators."""

    def __init__(self, accumulator_rows: int, array_size: int) -> None:
        self.buffers: dict[SSAValue, Array] = {}
        self.accumulators = np.zeros((accumulator_rows, array_size), np.int32)

    def gather(self, source: SSAValue, read: npu.FeatureMap, positions: tuple[Array, Array], run: int) -> Array:
        """`run` bytes from each position of a feature map.

        Args:
            source: the buffer.
            read: the feature map in it.
            positions: row, and byte within the row, of the first byte; two arrays that broadcast.
            run: bytes from there on.

        Returns:
            int64, `[*positions, run]`, the pad value outside the map.
        """
        y, x = (index[..., None] for index in positions)
        x = x + np.arange(run)
        inside = (y >= 0) & (y < read.rows) & (x >= 0) & (x < read.row_bytes)
        address = np.where(inside, read.offset + y * read.row_stride + x, 0)
        return np.where(inside, self.buffers[source][address], read.pad).astype(np.int64)


def task(*kinds: type[Task]) -> Callable[[Callable[[Machine, Task], None]], Callable[[Machine, Task], None]]:
    """Register the decorated function as what the given tasks do to the machine."""

    def register(function: Callable[[Machine, Task], None]) -> Callable[[Machine, Task], None]:
        _TASKS.update(dict.fromkeys(kinds, function))
        return function

    return register


def positions(window: npu.Grid, taps: npu.Grid, origin: npu.Origin) -> tuple[Array, Array]:
    """Row, and byte within the row, that each output position reads at each tap: `[rows, columns, taps]`."""
    oy, ox, ky, kx = np.ix_(range(window.rows), range(window.columns), range(taps.rows), range(taps.columns))
    y = origin.y0 + oy * window.step_y + ky * taps.step_y + 0 * ox + 0 * kx
    x = origin.x0 + ox * window.step_x + kx * taps.step_x + 0 * oy + 0 * ky
    shape = (window.rows, window.columns, taps.size)
    return y.reshape(shape), x.reshape(shape)


def under_taps(machine: Machine, op: npu.MapTaskOp) -> Array:
    """What a vector task reads of its feature map: int64, `[rows, columns, taps, channels]`."""
    where = positions(op.window.data, op.tap_grid, op.origin.data)
    return machine.gather(op.source, op.map.data, where, op.channels.value.data)


def write(machine: Machine, target: SSAValue, placement: npu.Placement, bounds: npu.Bounds, results: Array) -> None:
    """Limit results `[rows, columns, channels]` to the bounds and write them as bytes."""
    rows, columns, channels = np.ix_(*(range(size) for size in results.shape))
    address = placement.offset + rows * placement.row_stride + columns * placement.column_stride + channels
    machine.buffers[target][address] = np.clip(results, bounds.low, bounds.high).astype(np.int8)


def parameters(machine: Machine, buffer: SSAValue, offset: int, channels: int) -> tuple[Array, Array, Array]:
    """Bias, multiplier and shift of each channel, int64."""
    data = machine.buffers[buffer][offset : offset + channels * npu.PARAMETER_BYTES]
    records = data.view("<i4").reshape(channels, 3).astype(np.int64)
    return records[:, 0], records[:, 1], records[:, 2]


def rescaled(value: Array, scale: npu.Scale) -> Array:
    """`zero_point + value * multiplier / 2**shift`, rounded."""
    return scale.zero_point + apply_scale(value, scale.multiplier, scale.shift)


@task(npu.LoadOp, npu.StoreOp)
def copy(machine: Machine, op: npu.TransferOp) -> None:
    """Copy a run of bytes, repeated by three loops."""
    transfer = op.transfer.data
    starts: list[Array] = []
    for first, side in ((transfer.source_offset, 1), (transfer.target_offset, 2)):
        start = np.array([first])
        for loop in transfer.loops:
            start = (np.arange(loop[0])[:, None] * loop[side] + start).reshape(-1)
        starts.append(start[:, None] + np.arange(transfer.run))
    machine.buffers[op.target][starts[1]] = machine.buffers[op.source][starts[0]]


@task(npu.MatrixMultiplyOp)
def matrix_multiply(machine: Machine, op: npu.MatrixMultiplyOp) -> None:
    """Sum over taps and bytes of value times weight; exact in double precision, as no sum reaches 2**53."""
    window, taps, tiles = op.window.data, op.taps.data, op.tiles.data
    inner, outer = op.inner.value.data, op.outer.value.data
    values = machine.gather(op.input, op.map.data, positions(window, taps, op.origin.data), inner)
    tap, row, column = np.ix_(range(taps.size), range(inner), range(outer))
    address = tiles.offset + tap * tiles.tap_stride + row * tiles.row_stride + column
    weights = machine.buffers[op.weights][address].reshape(taps.size * inner, outer)
    sums = values.reshape(window.size, taps.size * inner).astype(np.float64) @ weights.astype(np.float64)
    first = op.accumulator.value.data
    rows = machine.accumulators[first : first + window.size, :outer]
    rows[...] = (sums.astype(np.int64) + (rows if op.accumulate is not None else 0)).astype(np.int32)


@task(npu.RequantizeOp)
def requantize(machine: Machine, op: npu.RequantizeOp) -> None:
    """Accumulator plus bias, which wraps at 32 bits, rescaled per channel."""
    window, channels, first = op.window.data, op.channels.value.data, op.accumulator.value.data
    bias, multiplier, shift = parameters(machine, op.parameters, op.parameters_offset.value.data, channels)
    sums = (machine.accumulators[first : first + window.size, :channels] + bias).astype(np.int32)
    results = op.zero_point.value.data + apply_scale(sums, multiplier, shift)
    results = results.reshape(window.rows, window.columns, channels)
    write(machine, op.output, op.placement.data, op.bounds.data, results)


@task(npu.DepthwiseOp)
def depthwise(machine: Machine, op: npu.DepthwiseOp) -> None:
    """Sum over taps of value times weight, channel by channel, plus bias, rescaled per channel."""
    channels, tap_weights = op.channels.value.data, op.tap_weights.data
    tap, channel = np.ix_(range(op.taps.data.size), range(channels))
    weights = machine.buffers[op.weights][tap_weights.offset + tap * tap_weights.tap_stride + channel]
    bias, multiplier, shift = parameters(machine, op.parameters, op.parameters_offset.value.data, channels)
    sums = ((under_taps(machine, op) * weights).sum(axis=2) + bias).astype(np.int32)
    results = op.zero_point.value.data + apply_scale(sums, multiplier, shift)
    write(machine, op.output, op.placement.data, op.bounds.data, results)


@task(npu.MaxOp)
def maximum(machine: Machine, op: npu.MaxOp) -> None:
    """Largest value over the taps."""
    write(machine, op.output, op.placement.data, op.bounds.data, under_taps(machine, op).max(axis=2))


@task(npu.SumOp)
def total(machine: Machine, op: npu.SumOp) -> None:
    """Sum over the taps less the zero point, rescaled."""
    sums = (under_taps(machine, op) - op.input_zero_point.value.data).sum(axis=2)
    write(machine, op.output, op.placement.data, op.bounds.data, rescaled(sums, op.result_scale.data))


def operands(machine: Machine, op: npu.BinaryTaskOp) -> tuple[Array, Array]:
    """First and second operand, int64, `[rows, columns, channels]`."""
    window, channels, operand = op.window.data, op.channels.value.data, op.operand.data
    row, column, channel = np.ix_(range(window.rows), range(window.columns), range(channels))
    address = (
        operand.offset + row * operand.row_stride + column * operand.column_stride + channel * operand.channel_stride
    )
    return under_taps(machine, op)[:, :, 0], machine.buffers[op.b][address].astype(np.int64)


@task(npu.AddOp, npu.SubtractOp)
def add(machine: Machine, op: npu.ScaledSumOp) -> None:
    """Both operands rescaled, added or subtracted, and rescaled again."""
    scaled = [
        apply_scale(values - scale.zero_point, scale.multiplier, scale.shift)
        for values, scale in zip(operands(machine, op), (op.a_scale.data, op.b_scale.data), strict=True)
    ]
    combined = scaled[0] - scaled[1] if isinstance(op, npu.SubtractOp) else scaled[0] + scaled[1]
    write(machine, op.output, op.placement.data, op.bounds.data, rescaled(combined, op.result_scale.data))


@task(npu.MultiplyOp)
def multiply(machine: Machine, op: npu.MultiplyOp) -> None:
    """Product of both operands less their zero points, rescaled."""
    a, b = operands(machine, op)
    product = (a - op.a_zero_point.value.data) * (b - op.b_zero_point.value.data)
    write(machine, op.output, op.placement.data, op.bounds.data, rescaled(product, op.result_scale.data))


@task(npu.ConvertOp)
def convert(machine: Machine, op: npu.ConvertOp) -> None:
    """Input less its zero point, rescaled."""
    values = under_taps(machine, op)[:, :, 0] - op.input_zero_point.value.data
    write(machine, op.output, op.placement.data, op.bounds.data, rescaled(values, op.result_scale.data))


@task(npu.LookupOp)
def lookup(machine: Machine, op: npu.LookupOp) -> None:
    """The table's entry for each value."""
    table = machine.buffers[op.table][op.table_offset.value.data :]
    results = table[under_taps(machine, op)[:, :, 0] + 128].astype(np.int64)
    write(machine, op.output, op.placement.data, op.bounds.data, results)


@rule(npu.ProgramOp)
def program(op: npu.ProgramOp, operands: list[Array]) -> list[Array]:
    """Execute the tasks in order.

    Raises:
        UserError: the program's target is unknown, or an operation is no task.
    """
    target = load_target(op.target.data)
    machine = Machine(target.accumulator_rows, target.array_size)
    inputs, outputs = npu.in_and_outputs(op)
    for argument, array in zip(inputs, operands, strict=True):
        machine.buffers[argument] = array.reshape(-1)
    for argument in outputs:
        machine.buffers[argument] = np.zeros(argument.type.size, np.int8)
    for child in op.body.block.ops:
        if isinstance(child, npu.ConstantOp):
            machine.buffers[child.result] = array_of(child.value)
        elif isinstance(child, npu.AllocateOp):
            machine.buffers[child.result] = np.zeros(child.result.type.size, np.int8)
        elif type(child) in _TASKS:
            _TASKS[type(child)](machine, child)
        else:
            raise missing_rule(child)
    types = op.function_type.outputs.data
    return [
        machine.buffers[argument].view(value_dtype(kind)).reshape(value_shape(kind))
        for argument, kind in zip(outputs, types, strict=True)
    ]


@calling_rule(npu.LaunchOp)
def launch(interpreter: Interpreter, op: npu.LaunchOp, operands: list[Array]) -> list[Array]:
    """Run the callee by its own rules, whatever level its operations are of.

    Raises:
        UserError: the module has no such symbol, or no rule for what it names.
    """
    name = op.callee.string_value()
    for symbol in interpreter.module.ops:
        if symbol.properties.get("sym_name") != StringAttr(name):
            continue
        if isinstance(symbol, func.FuncOp):
            return interpreter.run(name, operands)
        compute = find_rule(symbol)
        if compute is None:
            raise missing_rule(symbol)
        return compute(symbol, operands)
    raise UserError(f"npu.launch of @{name}, which the module does not have")

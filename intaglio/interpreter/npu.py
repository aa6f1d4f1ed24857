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
from intaglio.numerics.bfloat16 import floats_of
from intaglio.numerics.fixed_point import (
    LARGEST_SQUARES,
    ROOT_FRACTION_BITS,
    quotient,
    square_root,
    stored_logarithm,
)
from intaglio.numerics.float_lanes import accumulated
from intaglio.numerics.normalization import normalized_by
from intaglio.numerics.requantization import apply_scale
from intaglio.numerics.softmax import probabilities, wide_exponentials
from intaglio.numerics.tables import lookup_int16
from intaglio.numerics.wide_requantization import wide_apply_scale
from intaglio.targets.instructions import (
    AFFINE_BYTES,
    EXPONENTIAL_BYTES,
    INTERPOLATED_ENTRIES,
    PARAMETER_BYTES,
    WIDE_AFFINE_BYTES,
    WIDE_PARAMETER_BYTES,
)
from intaglio.targets.target import load_target

WIDE_BITS = 48
"""Of sums of products of which an operand has two bytes."""

Task = TypeVar("Task", bound=npu.TaskOp)
_TASKS: dict[type[Operation], Callable[[Machine, Any], None]] = {}


class Machine:
    """The memories of the accelerator: one array of bytes per buffer, and `rows x D` accumulators."""

    def __init__(self, accumulator_rows: int, array_size: int) -> None:
        self.buffers: dict[SSAValue, Array] = {}
        self.accumulators = np.zeros((accumulator_rows, array_size), np.int64)
        self.float_accumulators = np.zeros((accumulator_rows, array_size), np.float32)

    def gather(self, source: SSAValue, read: npu.FeatureMap, positions: tuple[Array, Array], run: int) -> Array:
        """`run` elements from each position of a feature map.

        Args:
            source: the buffer.
            read: the feature map in it.
            positions: row, and byte within the row, of the first element; two arrays that broadcast.
            run: elements from there on.

        Returns:
            int64, `[*positions, run]`, the pad value outside the map.
        """
        size = read.element_bytes
        y, x = (index[..., None] for index in positions)
        x = x + np.arange(run) * size
        inside = (y >= 0) & (y < read.rows) & (x >= 0) & (x < read.row_bytes)
        address = np.where(inside, read.offset + y * read.row_stride + x, 0)
        # Of an element outside, `pad` is the high byte.
        return np.where(inside, self.elements(source, address, size), read.pad << 8 * (size - 1))

    def elements(self, buffer: SSAValue, addresses: Array, element_bytes: int) -> Array:
        """The signed little-endian integers at some addresses of a buffer, int64."""
        data = self.buffers[buffer]
        values = data[addresses + element_bytes - 1].astype(np.int64)
        for byte in reversed(range(element_bytes - 1)):
            values = (values << 8) | data[addresses + byte].view(np.uint8)
        return values


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
    """Limit results `[rows, columns, channels]` to the bounds and write them."""
    rows, columns, channels = np.ix_(*(range(size) for size in results.shape))
    size = placement.element_bytes
    address = placement.offset + rows * placement.row_stride + columns * placement.column_stride + channels * size
    limited = np.clip(results, bounds.low, bounds.high)
    for byte in range(size):
        machine.buffers[target][address + byte] = (limited >> 8 * byte).astype(np.int8)


def write_sums(machine: Machine, op: npu.RequantizeOp | npu.DepthwiseOp, sums: Array) -> None:
    """Add biases to sums `[rows, columns, channels]`, which wraps, rescale them per channel and write them."""
    first, channels, wide = op.parameters_offset.value.data, sums.shape[2], op.wide is not None
    bias_bytes, size = (8, WIDE_PARAMETER_BYTES) if wide else (4, PARAMETER_BYTES)
    records = machine.buffers[op.parameters][first : first + channels * size].reshape(channels, size)
    bias = np.ascontiguousarray(records[:, :bias_bytes]).view(f"<i{bias_bytes}")[:, 0].astype(np.int64)
    multiplier, shift = np.ascontiguousarray(records[:, bias_bytes:]).view("<i4").astype(np.int64).T
    if wide:
        scaled = wide_apply_scale(wrapped(sums + bias, WIDE_BITS), multiplier, shift)
    else:
        scaled = apply_scale(wrapped(sums + bias, 32), multiplier, shift)
    write(machine, op.output, op.placement.data, op.bounds.data, op.zero_point.value.data + scaled)


def wrapped(sums: Array, bits: int) -> Array:
    """Sums as lanes of some bits hold them, in two's complement."""
    above = 64 - bits
    return sums << above >> above


def rescaled(value: Array, scale: npu.Scale, *, wide: bool = False) -> Array:
    """`zero_point + value * multiplier / 2**shift`, rounded; of values of 48 bits where `wide`."""
    apply = wide_apply_scale if wide else apply_scale
    return scale.zero_point + apply(value, scale.multiplier, scale.shift)


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
    """Sum over taps and elements of value times weight; exact in double precision, as no sum reaches 2**53."""
    if op.tiles.data.bfloat16:
        multiply_floats(machine, op)
        return
    window, taps, tiles = op.window.data, op.taps.data, op.tiles.data
    inner, outer = op.inner.value.data, op.outer.value.data
    values = machine.gather(op.input, op.map.data, positions(window, taps, op.origin.data), inner)
    tap, row, column = np.ix_(range(taps.size), range(inner), range(outer))
    start = tiles.offset + tap * tiles.tap_stride + row * tiles.row_stride
    if tiles.packed:
        # Two weights of 4 bits in a byte, the lower bits first.
        pair = machine.elements(op.weights, start + column // 2, 1)
        weights = np.where(column % 2, pair >> 4, (pair & 15 ^ 8) - 8)
    else:
        weights = machine.elements(op.weights, start + column * tiles.element_bytes, tiles.element_bytes)
    weights = weights.reshape(taps.size * inner, outer)
    values = values.reshape(window.size, taps.size * inner) - tiles.input_zero_point
    sums = values.astype(np.float64) @ (weights - tiles.zero_point).astype(np.float64)
    first = op.accumulator.value.data
    rows = machine.accumulators[first : first + window.size, :outer]
    bits = 32 if op.map.data.element_bytes == tiles.element_bytes == 1 else WIDE_BITS
    rows[...] = wrapped(sums.astype(np.int64) + (rows if op.accumulate is not None else 0), bits)


def multiply_floats(machine: Machine, op: npu.MatrixMultiplyOp) -> None:
    """Sums of products of bfloat16, rounded to float32 after each tap."""
    window, taps, tiles = op.window.data, op.taps.data, op.tiles.data
    inner, outer = op.inner.value.data, op.outer.value.data
    stored = machine.gather(op.input, op.map.data, positions(window, taps, op.origin.data), inner)
    values = np.moveaxis(floats_of(stored).reshape(window.size, taps.size, inner), 1, 0)
    tap, row, column = np.ix_(range(taps.size), range(inner), range(outer))
    addresses = tiles.offset + tap * tiles.tap_stride + row * tiles.row_stride + column * tiles.element_bytes
    weights = floats_of(machine.elements(op.weights, addresses, tiles.element_bytes))
    first = op.accumulator.value.data
    rows = machine.float_accumulators[first : first + window.size, :outer]
    rows[...] = accumulated(rows if op.accumulate is not None else np.zeros_like(rows), values, weights)


@task(npu.RequantizeOp)
def requantize(machine: Machine, op: npu.RequantizeOp) -> None:
    """Accumulator plus bias, rescaled per channel."""
    window, channels, first = op.window.data, op.channels.value.data, op.accumulator.value.data
    sums = machine.accumulators[first : first + window.size, :channels]
    write_sums(machine, op, sums.reshape(window.rows, window.columns, channels))


@task(npu.DepthwiseOp)
def depthwise(machine: Machine, op: npu.DepthwiseOp) -> None:
    """Sum over taps of value times weight, channel by channel, plus bias, rescaled per channel."""
    channels, tap_weights = op.channels.value.data, op.tap_weights.data
    tap, channel = np.ix_(range(op.taps.data.size), range(channels))
    address = tap_weights.offset + tap * tap_weights.tap_stride + channel * tap_weights.element_bytes
    weights = machine.elements(op.weights, address, tap_weights.element_bytes)
    write_sums(machine, op, (under_taps(machine, op) * weights).sum(axis=2))


@task(npu.MaxOp)
def maximum(machine: Machine, op: npu.MaxOp) -> None:
    """Largest value over the taps."""
    write(machine, op.output, op.placement.data, op.bounds.data, under_taps(machine, op).max(axis=2))


@task(npu.SumOp)
def total(machine: Machine, op: npu.SumOp) -> None:
    """Sum over the taps less the zero point, rescaled."""
    sums = (under_taps(machine, op) - op.input_zero_point.value.data).sum(axis=2)
    write(machine, op.output, op.placement.data, op.bounds.data, rescaled(sums, op.result_scale.data))


@task(npu.RootOp)
def root(machine: Machine, op: npu.RootOp) -> None:
    """Root of the sum over the taps of squares less the zero point, rescaled."""
    squares = ((under_taps(machine, op) - op.input_zero_point.value.data) ** 2).sum(axis=2)
    bits = 8 * op.map.data.element_bytes
    roots = square_root(np.minimum(squares, LARGEST_SQUARES[bits]), ROOT_FRACTION_BITS[bits])
    roots = np.minimum(roots, np.iinfo(np.int32).max)
    write(machine, op.output, op.placement.data, op.bounds.data, rescaled(roots, op.result_scale.data))


def operands(machine: Machine, op: npu.BinaryTaskOp) -> tuple[Array, Array]:
    """First and second operand, int64, `[rows, columns, channels]`."""
    window, channels, operand = op.window.data, op.channels.value.data, op.operand.data
    row, column, channel = np.ix_(range(window.rows), range(window.columns), range(channels))
    size = operand.element_bytes
    start = operand.offset + row * operand.row_stride + column * operand.column_stride
    address = start + channel * operand.channel_stride * size
    return under_taps(machine, op)[:, :, 0], machine.elements(op.b, address, size)


_COMBINE: dict[type[npu.ScaledSumOp], Callable[[Array, Array], Array]] = {
    npu.AddOp: np.add,
    npu.SubtractOp: np.subtract,
    npu.MinimumOp: np.minimum,
    npu.MaximumOp: np.maximum,
}


@task(*_COMBINE)
def combine(machine: Machine, op: npu.ScaledSumOp) -> None:
    """Both operands rescaled, combined, and rescaled again."""
    scaled = [
        apply_scale(values - scale.zero_point, scale.multiplier, scale.shift)
        for values, scale in zip(operands(machine, op), (op.a_scale.data, op.b_scale.data), strict=True)
    ]
    combined = _COMBINE[type(op)](*scaled)
    write(machine, op.output, op.placement.data, op.bounds.data, rescaled(combined, op.result_scale.data))


@task(npu.MultiplyOp)
def multiply(machine: Machine, op: npu.MultiplyOp) -> None:
    """Product of both operands less their zero points, rescaled."""
    a, b = operands(machine, op)
    product = (a - op.a_zero_point.value.data) * (b - op.b_zero_point.value.data)
    write(machine, op.output, op.placement.data, op.bounds.data, rescaled(product, op.result_scale.data))


@task(npu.DivideOp)
def divide(machine: Machine, op: npu.DivideOp) -> None:
    """Quotient of both operands less their zero points, rescaled."""
    a, b = operands(machine, op)
    width = max(op.map.data.element_bytes, op.operand.data.element_bytes)
    ratio = quotient(a - op.a_zero_point.value.data, b - op.b_zero_point.value.data, 8 * width)
    limit = 1 << ((32 if width == 1 else WIDE_BITS) - 1)
    results = rescaled(np.clip(ratio, -limit, limit - 1), op.result_scale.data, wide=width > 1)
    write(machine, op.output, op.placement.data, op.bounds.data, results)


@task(npu.LogarithmOp)
def logarithm(machine: Machine, op: npu.LogarithmOp) -> None:
    """Logarithm of each value, plus an offset, rescaled."""
    steps = stored_logarithm(under_taps(machine, op)[:, :, 0], op.offset.value.data)
    write(machine, op.output, op.placement.data, op.bounds.data, rescaled(steps, op.result_scale.data))


@task(npu.ConvertOp)
def convert(machine: Machine, op: npu.ConvertOp) -> None:
    """Input less its zero point, rescaled."""
    values = under_taps(machine, op)[:, :, 0] - op.input_zero_point.value.data
    write(machine, op.output, op.placement.data, op.bounds.data, rescaled(values, op.result_scale.data))


@task(npu.LookupOp)
def lookup(machine: Machine, op: npu.LookupOp) -> None:
    """The table's entry for each value."""
    size = op.placement.data.element_bytes
    address = op.table_offset.value.data + (under_taps(machine, op)[:, :, 0] + 128) * size
    write(machine, op.output, op.placement.data, op.bounds.data, machine.elements(op.table, address, size))


@task(npu.InterpolateOp)
def interpolate(machine: Machine, op: npu.InterpolateOp) -> None:
    """Between the table's entries around each value, rescaled."""
    addresses = op.table_offset.value.data + 2 * np.arange(INTERPOLATED_ENTRIES)
    table = machine.elements(op.table, addresses, 2).astype(np.int16)
    steps = lookup_int16(table, under_taps(machine, op)[:, :, 0])
    write(machine, op.output, op.placement.data, op.bounds.data, rescaled(steps, op.result_scale.data))


@task(npu.TransposeOp)
def transpose(machine: Machine, op: npu.TransposeOp) -> None:
    """Channels where columns were, and columns where channels were."""
    exchanged = np.swapaxes(under_taps(machine, op)[:, :, 0], 1, 2)
    write(machine, op.output, op.placement.data, npu.Bounds(-128, 127), exchanged)


@task(npu.SoftmaxOp)
def softmax(machine: Machine, op: npu.SoftmaxOp) -> None:
    """The table's entry for each distance from the largest value, over the sum of them, rescaled."""
    first, width = op.table_offset.value.data, op.map.data.element_bytes
    addresses = first + 4 * np.arange(width * EXPONENTIAL_BYTES // 4)
    tables = machine.elements(op.table, addresses, 4).reshape(width, -1)
    values = under_taps(machine, op)[:, :, 0]
    distance = values.max(axis=-1, keepdims=True) - values
    if op.fraction is None:
        exponentials = tables[0, distance]
    else:
        exponentials = wide_exponentials(distance, tables[0], tables[1], op.fraction.value.data)
    results = rescaled(probabilities(exponentials), op.result_scale.data)
    write(machine, op.output, op.placement.data, op.bounds.data, results)


@task(npu.NormalizeOp)
def normalize(machine: Machine, op: npu.NormalizeOp) -> None:
    """Over the deviation, times a factor plus an offset for each channel, rescaled."""
    width, first, numbers = op.placement.data.element_bytes, op.factors_offset.value.data, op.channels.value.data
    if width == 1:
        address = first + AFFINE_BYTES * np.arange(numbers)
        factor, offset = (machine.elements(op.factors, address + byte, 4) for byte in (0, 4))
    else:
        address = first + WIDE_AFFINE_BYTES * np.arange(numbers)
        factor, offset = machine.elements(op.factors, address + 8, 4), machine.elements(op.factors, address, 8)
    fixed = normalized_by(
        under_taps(machine, op)[:, :, 0] - op.input_zero_point.value.data,
        op.epsilon.value.data,
        result_bits=8 * width,
        around_mean=op.around_mean is not None,
    )
    limit = 1 << ((32 if width == 1 else WIDE_BITS) - 1)
    limited = np.clip(fixed * factor + offset, -limit, limit - 1)
    results = rescaled(limited, op.result_scale.data, wide=width > 1)
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
        machine.buffers[argument] = np.ascontiguousarray(array).reshape(-1).view(np.int8)
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

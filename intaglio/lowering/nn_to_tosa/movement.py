"""Operations that move elements, constants, and resampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intaglio.dialects import nn
from intaglio.dialects.weights import array_of
from intaglio.interpreter.values import quantization, storage_bounds, value_dtype
from intaglio.lowering.nn_to_tosa.layers import multipliers
from intaglio.lowering.nn_to_tosa.steps import (
    gathered,
    joined,
    limited,
    of_rank,
    padded,
    parameters,
    rescale,
    reshaped,
    sliced_along,
    storage,
)
from intaglio.lowering.nn_to_tosa.writer import Value, Writer, lowers, unsupported
from intaglio.numerics.quantization import quantize


@lowers(nn.ConstantOp)
def constant(writer: Writer, op: nn.ConstantOp) -> Value:
    """CONST of the stored values."""
    return writer.constant(array_of(op.value), storage(parameters(op.result)))


@lowers(nn.ReshapeOp)
def reshape(writer: Writer, op: nn.ReshapeOp) -> Value:
    """RESHAPE."""
    return reshaped(writer, writer.value(op.input), nn.tensor_of(op.result).get_shape())


@lowers(nn.TransposeOp)
def transpose(writer: Writer, op: nn.TransposeOp) -> Value:
    """TRANSPOSE."""
    value, order = writer.value(op.input), op.permutation.get_values()
    attributes = f"perms = array<i32: {', '.join(map(str, order))}>"
    return writer.op("transpose", [value], [value.shape[axis] for axis in order], value.element, attributes)


@lowers(nn.ConcatOp)
def concat(writer: Writer, op: nn.ConcatOp) -> Value:
    """CONCAT."""
    return joined(writer, [writer.value(value) for value in op.inputs], op.axis.value.data)


@lowers(nn.PadOp)
def pad(writer: Writer, op: nn.PadOp) -> Value:
    """PAD with the stored value of the real one."""
    kind = parameters(op.input)
    real = np.asarray(op.value.value.data, np.float32)
    fill = quantize(real, kind.scale, kind.zero_point, kind.storage_min, kind.storage_max, value_dtype(op.input))
    return padded(writer, writer.value(op.input), op.low.get_values(), op.high.get_values(), int(fill))


@lowers(nn.SliceOp)
def slice_elements(writer: Writer, op: nn.SliceOp) -> Value:
    """SLICE; with steps, REVERSE and a slice of groups as long as the step."""
    value = writer.value(op.input)
    rows = zip(op.starts.get_values(), op.steps.get_values(), nn.tensor_of(op.result).get_shape(), strict=True)
    for axis, (start, step, count) in enumerate(rows):
        value = _every(writer, value, axis, start, step, count)
    return value


def _every(writer: Writer, value: Value, axis: int, start: int, step: int, count: int) -> Value:
    """`count` elements of one dimension from `start` on, `step` apart."""
    if step < 0:
        value = writer.op("reverse", [value], value.shape, value.element, f"axis = {axis} : i32")
        start, step = value.shape[axis] - 1 - start, -step
    used = min(count * step, value.shape[axis] - start)
    value = sliced_along(writer, value, axis, start, used)
    if step == 1 or count == 1:
        return sliced_along(writer, value, axis, 0, count)
    high = [count * step - used if index == axis else 0 for index in range(len(value.shape))]
    value = padded(writer, value, [0] * len(value.shape), high, 0)
    before, after = value.shape[:axis], value.shape[axis + 1 :]
    groups = reshaped(writer, value, (int(np.prod(before)), count, step, int(np.prod(after))))
    return reshaped(writer, sliced_along(writer, groups, 2, 0, 1), (*before, count, *after))


@lowers(nn.BroadcastOp)
def broadcast(writer: Writer, op: nn.BroadcastOp) -> Value:
    """TILE."""
    shape = nn.tensor_of(op.result).get_shape()
    return tiled(writer, of_rank(writer, writer.value(op.input), len(shape)), shape)


def tiled(writer: Writer, value: Value, shape: Sequence[int]) -> Value:
    """The value repeated to a shape of its rank."""
    if tuple(shape) == value.shape:
        return value
    multiples = [size // own for size, own in zip(shape, value.shape, strict=True)]
    return writer.op("tile", [value, writer.shape(multiples)], shape, value.element)


@lowers(nn.GatherOp)
def gather(writer: Writer, op: nn.GatherOp) -> Value:
    """GATHER by constant indices."""
    owner = op.indices.owner
    if not isinstance(owner, nn.ConstantOp) or quantization(op.input) is None:
        raise unsupported(op, "its indices must be constants")
    axis, value = op.axis.value.data, writer.value(op.input)
    indices = array_of(owner.value).astype(np.int64)
    size = value.shape[axis]
    chosen = np.clip(np.where(indices < 0, indices + size, indices), 0, size - 1)
    return reshaped(writer, gathered(writer, value, axis, chosen.reshape(-1)), nn.tensor_of(op.result).get_shape())


_LARGEST_UNIT = 1 << 11
"""TOSA's bound for the numerators of a scale."""


@lowers(nn.ResizeOp)
def resize(writer: Writer, op: nn.ResizeOp) -> Value:
    """RESIZE, with RESCALE after interpolation. Outside its bounds, GATHER of the nearest elements.

    It rounds halves up; other ways to round shift the position.
    """
    if op.mode.data not in (*nn.NEAREST, "linear"):
        raise unsupported(op, f'resampling with mode "{op.mode.data}"')
    value = writer.value(op.input)
    rows, columns = _grid(op, 0), _grid(op, 1)
    if rows is None or columns is None:
        if op.mode.data == "linear":
            raise unsupported(op, "interpolation on a grid as fine or as far off as this")
        for direction in range(2):
            value = gathered(writer, value, 1 + direction, op.taps(direction)[0][:, 0])
        return value
    grid = (*rows[:2], *columns[:2]), (rows[2], columns[2]), (rows[3], columns[3])
    operands = [value, *map(writer.shape, grid)]
    shape = nn.tensor_of(op.result).get_shape()
    if op.mode.data != "linear":
        return writer.op("resize", operands, shape, value.element, "mode = NEAREST_NEIGHBOR")
    mixed = writer.op("resize", operands, shape, "i32" if value.element == "i8" else "i48", "mode = BILINEAR")
    multiplier, shift = multipliers(mixed, 1 / (rows[0] * columns[0]))
    return limited(
        writer,
        rescale(writer, mixed, multiplier, shift, value.element),
        *storage_bounds(parameters(op.result), None),
    )


def _grid(op: nn.ResizeOp, direction: int) -> tuple[int, int, int, int] | None:
    """Scale (numerator and denominator), offset and border of one direction; None if TOSA's bounds forbid them."""
    unit, step, offset = (int(values.get_values()[direction]) for values in (op.units, op.steps, op.offsets))
    match op.mode.data:
        case "round_prefer_ceil" | "linear":
            pass
        case "round_prefer_floor":
            # The position less a quarter of its unit's grid: halves fall below, nothing else changes.
            unit, step, offset = 2 * unit, 2 * step, 2 * offset - 1
        case "floor":
            unit, step, offset = 2 * unit, 2 * step, 2 * offset - unit
        case _:
            unit, step, offset = 2 * unit, 2 * step, 2 * offset + unit - 2
    source, result = (nn.tensor_of(value).get_shape()[1 + direction] for value in (op.input, op.result))
    if source == 1:
        # Every position means the one element, those before it too.
        step, offset = 1, min(0, unit - result)
    elif result == 1:
        # There is no second position to step to.
        step = max(step, 1)
    border = (result - 1) * step - (source - 1) * unit + offset
    within = (
        unit <= _LARGEST_UNIT and 0 < step < 16 * unit and -unit <= offset < 16 * unit and -16 * unit <= border < unit
    )
    return (unit, step, offset, border) if within else None

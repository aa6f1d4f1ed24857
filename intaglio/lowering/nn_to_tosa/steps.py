"""The steps that several rules share: rescaling, limits, and moving elements along one dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import UniformQuantizedType
from intaglio.interpreter.values import quantization, storage_bounds
from intaglio.lowering.nn_to_tosa.writer import Value, Writer

UNIT = 1 << 30, 30
"""Multiplier and shift of the ratio 1."""

NARROW_UNIT = 1 << 14, 14
"""The same with a multiplier of 16 bits, for 48-bit values."""


def parameters(value: SSAValue) -> UniformQuantizedType:
    """The quantization of a value that has one."""
    kind = quantization(value)
    assert kind is not None
    return kind


def zero_point(writer: Writer, value: int, element: str) -> Value:
    """A zero point as the operand that operations take."""
    return writer.constant([value], element)


def rescale(
    writer: Writer,
    value: Value,
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    element: str,
    *,
    zero_in: int = 0,
    zero_out: int = 0,
    double_round: bool = False,
) -> Value:
    """RESCALE: `saturate(apply_scale(value - zero_in) + zero_out)`.

    Args:
        writer: what to write to.
        value: the integers; `i48` takes multipliers of 16 bits, the others of 32.
        multiplier: one, or one for each element of the last dimension.
        shift: as many.
        element: element type of the result.
        zero_in: zero point of the value; 0 unless it is of 8 bits.
        zero_out: zero point of the result; likewise.
        double_round: DOUBLE_ROUND in place of SINGLE_ROUND.
    """
    multipliers, shifts = (np.atleast_1d(np.asarray(numbers, np.int64)) for numbers in (multiplier, shift))
    wide = value.element != "i48"
    if double_round:
        writer.extensions.add("doubleround")
    operands = [
        value,
        writer.constant(multipliers, "i32" if wide else "i16"),
        writer.constant(shifts, "i8"),
        zero_point(writer, zero_in, value.element),
        zero_point(writer, zero_out, element),
    ]
    attributes = (
        f"scale32 = {_text(wide)}, rounding_mode = {'DOUBLE_ROUND' if double_round else 'SINGLE_ROUND'}, "
        f"per_channel = {_text(len(multipliers) > 1)}, input_unsigned = false, output_unsigned = false"
    )
    return writer.op("rescale", operands, value.shape, element, attributes)


def centered(writer: Writer, value: Value, kind: UniformQuantizedType) -> Value:
    """Stored values minus their zero point, in 32 bits."""
    return rescale(writer, value, *UNIT, "i32", zero_in=kind.zero_point)


def multiplied(writer: Writer, lhs: Value, rhs: Value, shift: int = 0) -> Value:
    """MUL of 32-bit values of one rank: `(lhs * rhs + 2^(shift - 1)) >> shift`, without rounding for a shift of 0."""
    shape = np.broadcast_shapes(lhs.shape, rhs.shape)
    return writer.op("mul", [lhs, rhs, writer.constant([shift], "i8")], shape, "i32")


def requantized(
    writer: Writer,
    accumulator: Value,
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    result: SSAValue,
    clamp: nn.ClampAttr | None = None,
) -> Value:
    """An accumulator as the stored values of a result, limited by a fused activation."""
    kind = parameters(result)
    value = rescale(writer, accumulator, multiplier, shift, storage(kind), zero_out=kind.zero_point)
    return limited(writer, value, *storage_bounds(kind, clamp))


def storage(kind: UniformQuantizedType) -> str:
    """The storage type as TOSA writes it."""
    return str(kind.storage_type)


def limited(writer: Writer, value: Value, low: int, high: int) -> Value:
    """CLAMP, unless the bounds are those of the type."""
    bits = int(value.element[1:])
    if (low, high) == (-(1 << (bits - 1)), (1 << (bits - 1)) - 1):
        return value
    attributes = f"min_val = {low} : {value.element}, max_val = {high} : {value.element}"
    return writer.op("clamp", [value], value.shape, value.element, attributes)


def reshaped(writer: Writer, value: Value, shape: Sequence[int]) -> Value:
    """RESHAPE, unless the shape is the same."""
    if tuple(shape) == value.shape:
        return value
    return writer.op("reshape", [value, writer.shape(shape)], shape, value.element)


def of_rank(writer: Writer, value: Value, rank: int) -> Value:
    """The value with dimensions of size 1 in front, as operands of elementwise operations must have equal ranks."""
    return reshaped(writer, value, (*[1] * (rank - len(value.shape)), *value.shape))


def sliced(writer: Writer, value: Value, starts: Sequence[int], sizes: Sequence[int]) -> Value:
    """SLICE, unless it takes everything."""
    if tuple(sizes) == value.shape:
        return value
    operands = [value, writer.shape(starts), writer.shape(sizes)]
    return writer.op("slice", operands, sizes, value.element)


def sliced_along(writer: Writer, value: Value, axis: int, start: int, size: int) -> Value:
    """The elements `start` to `start + size` of one dimension."""
    starts = [start if index == axis else 0 for index in range(len(value.shape))]
    sizes = [size if index == axis else whole for index, whole in enumerate(value.shape)]
    return sliced(writer, value, starts, sizes)


def joined(writer: Writer, values: Sequence[Value], axis: int) -> Value:
    """CONCAT, unless there is one value."""
    if len(values) == 1:
        return values[0]
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    return writer.op("concat", values, shape, values[0].element, f"axis = {axis} : i32")


def padded(writer: Writer, value: Value, low: Sequence[int], high: Sequence[int], fill: int) -> Value:
    """PAD, unless the amounts are 0."""
    amounts = [amount for pair in zip(low, high, strict=True) for amount in pair]
    if not any(amounts):
        return value
    shape = [a + size + b for a, size, b in zip(low, value.shape, high, strict=True)]
    operands = [value, writer.shape(amounts), writer.constant([fill], value.element)]
    return writer.op("pad", operands, shape, value.element)


def gathered(writer: Writer, value: Value, axis: int, indices: npt.NDArray[np.int64]) -> Value:
    """The elements of one dimension with the given numbers, one-dimensional: GATHER between reshapes."""
    before, after = math.prod(value.shape[:axis]), math.prod(value.shape[axis + 1 :])
    flat = reshaped(writer, value, (before, value.shape[axis], after))
    numbers = writer.constant(np.tile(indices, (before, 1)), "i32")
    taken = writer.op("gather", [flat, numbers], (before, len(indices), after), value.element)
    return reshaped(writer, taken, (*value.shape[:axis], len(indices), *value.shape[axis + 1 :]))


def _text(flag: bool) -> str:
    return "true" if flag else "false"

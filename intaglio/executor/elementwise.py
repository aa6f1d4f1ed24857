"""Operations that compute each element from the ones in the same place, with broadcasting.

One or two operands stored in 8 bits, or one in 16, have 256 or 65,536 possible results, which the interpreter's rule
makes once; the kernel looks them up. Sums of operands of one shape have a kernel in machine code. Anything else is
computed by the rule for all samples at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.ir import Operation

from intaglio.dialects import nn
from intaglio.dialects.quant import (
    DequantizeCastOp,
    QuantizeCastOp,
    RequantizeOp,
    UniformQuantizedType,
    is_quantized,
    requantization_mode,
)
from intaglio.executor.jit import compiled
from intaglio.executor.registry import Array, Constants, Kernel, kernel
from intaglio.interpreter.registry import find_rule
from intaglio.interpreter.values import (
    bits_of,
    quantization,
    storage_bounds,
    tensor_type,
    value_dtype,
    value_shape,
)
from intaglio.numerics.addition import add_headroom_bits
from intaglio.numerics.requantization import add_multipliers
from intaglio.params import RequantizationMode

Rule = Callable[[Any, list[Array]], list[Array]]

_BYTES = (np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.bool_))
_HALVES = (np.dtype(np.int16), np.dtype(np.uint16))
_WIDE_TABLE = 1 << 16
"""Entries of the table of an operand of 16 bits, and how many elements there must have been to make it worth while."""


@compiled
def _look_up(x: Any, table: Any, result: Any) -> None:
    for k in range(x.size):
        result[k] = table[x[k]]


@compiled
def _look_up_pairs(x: Any, y: Any, table: Any, result: Any) -> None:
    """Look pairs up in rows of `[rows, columns]`; an operand with one row or one column serves all of them."""
    rows, columns = result.shape
    x_rows, x_columns = x.shape[0] > 1, x.shape[1] > 1
    y_rows, y_columns = y.shape[0] > 1, y.shape[1] > 1
    for i in range(rows):
        x_row, y_row = x[i if x_rows else 0], y[i if y_rows else 0]
        if x_columns and y_columns:
            for k in range(columns):
                result[i, k] = table[x_row[k], y_row[k]]
        elif x_columns:
            for k in range(columns):
                result[i, k] = table[x_row[k], y_row[0]]
        else:
            for k in range(columns):
                result[i, k] = table[x_row[0], y_row[k] if y_columns else y_row[0]]


@compiled
def _quantize(x: Any, scale: Any, zero_point: Any, low: Any, high: Any, result: Any) -> None:
    """`numerics.quantization.quantize` to at most 16 bits; the bounds are less the zero point."""
    # Adding and subtracting 1.5 * 2^23 rounds floats below 2^22 to integers, halves to even.
    rounding = np.float32(12582912.0)
    for k in range(x.size):
        steps = x[k] / scale
        steps = np.float32(0.0) if np.isnan(steps) else steps
        steps = min(max(steps, low), high)
        result[k] = np.int32((steps + rounding) - rounding) + zero_point


@compiled
def _combine(x: Any, y: Any, x_scaling: Any, y_scaling: Any, scaling: Any, sign: Any, store: Any, result: Any) -> None:
    """Sums or differences, as `numerics.addition.combine_scaled` does them in the mode `shift`."""
    x_zero, x_multiplier, x_shift = x_scaling
    y_zero, y_multiplier, y_shift = y_scaling
    multiplier, shift = scaling
    zero_point, low, high = store
    one = np.int64(1)
    x_half, y_half, half = one << (x_shift - one), one << (y_shift - one), one << (shift - one)
    for k in range(x.size):
        left = ((np.int64(x[k]) - x_zero) * x_multiplier + x_half) >> x_shift
        right = ((np.int64(y[k]) - y_zero) * y_multiplier + y_half) >> y_shift
        total = ((left + sign * right) * multiplier + half) >> shift
        result[k] = min(max(total + zero_point, low), high)


@kernel(QuantizeCastOp)
def quantize_cast(op: QuantizeCastOp, constants: Constants) -> Kernel | None:
    """Divide, round and saturate; by the interpreter's rule where there are several scales or wide integers."""
    kind, dtype = tensor_type(op.result).get_element_type(), value_dtype(op.result)
    small = dtype.kind in "iu" and dtype.itemsize <= 2
    if not isinstance(kind, UniformQuantizedType) or not small or value_dtype(op.input) != np.float32:
        return elementwise(op, constants)
    scale, shape = np.float32(kind.scale), value_shape(op.result)
    low, high = (np.float32(bound - kind.zero_point) for bound in (kind.storage_min, kind.storage_max))
    if not (np.isfinite(scale) and scale > 0):
        return None

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        result = np.empty((len(x), *shape), dtype)
        _quantize(x.reshape(-1), scale, np.int32(kind.zero_point), low, high, result.reshape(-1))
        return [result]

    return compute


@kernel(
    nn.ReluOp,
    nn.ClipOp,
    *nn.TABLE_OPS,
    nn.AddOp,
    nn.SubOp,
    nn.MulOp,
    nn.DivOp,
    nn.MaximumOp,
    nn.MinimumOp,
    nn.PowOp,
    nn.CompareOp,
    nn.SelectOp,
    nn.CastOp,
    RequantizeOp,
    DequantizeCastOp,
)
def elementwise(op: Operation, constants: Constants) -> Kernel | None:
    """Look results up where there are few different ones, else compute all samples at once."""
    rule = find_rule(op)
    kinds = [tensor_type(value) for value in (*op.operands, *op.results)]
    per_tensor = all(isinstance(kind.get_element_type(), UniformQuantizedType) for kind in kinds if is_quantized(kind))
    if rule is None or not per_tensor:
        return None
    if isinstance(op, nn.AddOp | nn.SubOp) and (of_sums := _sum_kernel(op, constants)) is not None:
        return of_sums
    in_bytes = all(value_dtype(operand) in _BYTES for operand in op.operands)
    if in_bytes and len(op.operands) == 1:
        return _by_table(op, rule)
    if in_bytes and len(op.operands) == 2:
        return _by_pairs(op, rule, constants)
    rank = len(value_shape(op.results[0]))

    def by_rule(operands: list[Array]) -> list[Array]:
        return rule(op, _aligned(operands, rank, constants))

    if len(op.operands) == 1 and value_dtype(op.operands[0]) in _HALVES:
        return _by_wide_table(op, rule, by_rule)
    return by_rule


def _aligned(operands: Sequence[Array], rank: int, constants: Constants) -> list[Array]:
    """Operands whose samples are on one axis before the dimensions of the result."""
    return [
        operand.reshape(*[1] * (rank + 1 - operand.ndim), *operand.shape)
        if index in constants
        else operand.reshape(len(operand), *[1] * (rank + 1 - operand.ndim), *operand.shape[1:])
        for index, operand in enumerate(operands)
    ]


def _all_stored(dtype: np.dtype[Any]) -> Array:
    """Every value of a type of one byte, in the order of its unsigned bits."""
    return np.array([False, True]) if dtype == np.bool_ else np.arange(256, dtype=np.uint8).view(dtype)


def _in_rows(array: Array, shape: tuple[int, ...]) -> Array:
    """Stored bytes as rows and columns of a result of `shape`, copied only where broadcasting is not of whole rows.

    Args:
        array: aligned with the result.
        shape: of the result.
    """
    split = len(shape) - 1
    if array.shape[split:] != shape[split:] and array.shape[split:] != (1,):
        array = np.broadcast_to(array, shape)
    elif array.shape[:split] != shape[:split] and math.prod(array.shape[:split]) != 1:
        array = np.broadcast_to(array, (*shape[:split], *array.shape[split:]))
    return np.ascontiguousarray(array).reshape(-1, array.shape[-1]).view(np.uint8)


def _by_table(op: Operation, rule: Rule) -> Kernel:
    (table,) = rule(op, [_all_stored(value_dtype(op.operands[0]))])
    shape = value_shape(op.results[0])

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        result = np.empty((len(x), *shape), table.dtype)
        _look_up(x.reshape(-1).view(np.uint8), table, result.reshape(-1))
        return [result]

    return compute


def _by_wide_table(op: Operation, rule: Rule, by_rule: Kernel) -> Kernel:
    """Tables of 65,536 entries are made when that many elements have been computed, unless some have no result."""
    dtype = value_dtype(op.operands[0])
    shape = value_shape(op.results[0])
    table: Array | None = None
    seen = 0

    def compute(operands: list[Array]) -> list[Array]:
        nonlocal table, seen
        x = operands[0]
        seen += x.size
        if table is None:
            if seen < _WIDE_TABLE:
                return by_rule(operands)
            try:
                (table,) = rule(op, [np.arange(_WIDE_TABLE, dtype=np.uint16).view(dtype)])
            except ValueError:
                seen = -(1 << 62)
                return by_rule(operands)
        result = np.empty((len(x), *shape), table.dtype)
        _look_up(x.reshape(-1).view(np.uint16), table, result.reshape(-1))
        return [result]

    return compute


def _sum_kernel(op: nn.AddOp | nn.SubOp, constants: Constants) -> Kernel | None:
    """Sums of quantized operands of one shape in the mode `shift`, where they are sure to fit 32 bits."""
    lhs, rhs, stored = (quantization(value) for value in (op.lhs, op.rhs, op.result))
    if constants or lhs is None or rhs is None or stored is None:
        return None
    if requantization_mode(op) is not RequantizationMode.SHIFT or value_shape(op.lhs) != value_shape(op.rhs):
        return None
    headroom = add_headroom_bits(bits_of(lhs), bits_of(rhs))
    factors = add_multipliers(lhs.scale, rhs.scale, stored.scale, headroom)
    x_scaling, y_scaling = (lhs.zero_point, *factors[0:2]), (rhs.zero_point, *factors[2:4])
    largest = 0
    for kind, (zero_point, multiplier, shift) in ((lhs, x_scaling), (rhs, y_scaling)):
        magnitude = max(abs(kind.storage_min - zero_point), abs(kind.storage_max - zero_point))
        largest += ((magnitude * multiplier) >> shift) + 1
    if largest >= 1 << 31:
        return None
    sign = np.int64(1 if isinstance(op, nn.AddOp) else -1)
    shape, dtype = value_shape(op.result), value_dtype(op.result)
    x_scale, y_scale, scale, limits = (
        tuple(map(np.int64, numbers))
        for numbers in (
            x_scaling,
            y_scaling,
            factors[4:6],
            (stored.zero_point, *storage_bounds(stored, op.clamp)),
        )
    )

    def compute(operands: list[Array]) -> list[Array]:
        x, y = operands
        result = np.empty((len(x), *shape), dtype)
        _combine(x.reshape(-1), y.reshape(-1), x_scale, y_scale, scale, sign, limits, result.reshape(-1))
        return [result]

    return compute


def _by_pairs(op: Operation, rule: Rule, constants: Constants) -> Kernel:
    lhs, rhs = (_all_stored(value_dtype(operand)) for operand in op.operands)
    (table,) = rule(op, [lhs[:, None], rhs[None, :]])
    table = np.ascontiguousarray(np.broadcast_to(table, (len(lhs), len(rhs))))
    shape = value_shape(op.results[0])

    def compute(operands: list[Array]) -> list[Array]:
        count = next(len(operand) for index, operand in enumerate(operands) if index not in constants)
        result = np.empty((count, *shape), table.dtype)
        x, y = operands
        if x.shape == y.shape == result.shape:
            x, y = (array.reshape(1, -1).view(np.uint8) for array in (x, y))
            _look_up_pairs(x, y, table, result.reshape(1, -1))
            return [result]
        if not shape:
            result = result.reshape(count, 1)
        x, y = (_in_rows(a, result.shape) for a in _aligned(operands, max(len(shape), 1), constants))
        _look_up_pairs(x, y, table, result.reshape(-1, result.shape[-1]))
        return [result.reshape(count, *shape)]

    return compute

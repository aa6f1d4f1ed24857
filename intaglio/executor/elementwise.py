"""Operations that compute each element from the ones in the same place, with broadcasting.

One or two operands stored in 8 bits have 256 or 65,536 possible results, which the interpreter's rule makes once; the
kernel looks them up. Anything else is computed by the rule for all samples at once.
"""

from __future__ import annotations

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
)
from intaglio.executor.jit import compiled
from intaglio.executor.registry import Array, Constants, Kernel, kernel
from intaglio.interpreter.registry import find_rule
from intaglio.interpreter.values import tensor_type, value_dtype, value_shape

Rule = Callable[[Any, list[Array]], list[Array]]

_BYTES = (np.dtype(np.int8), np.dtype(np.uint8))


@compiled
def _look_up(x: Any, table: Any, result: Any) -> None:
    for k in range(x.size):
        result[k] = table[x[k]]


@compiled
def _look_up_pairs(x: Any, y: Any, table: Any, result: Any) -> None:
    for k in range(x.size):
        result[k] = table[x[k], y[k]]


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
    in_bytes = all(is_quantized(tensor_type(o)) and value_dtype(o) in _BYTES for o in op.operands)
    if in_bytes and len(op.operands) == 1:
        return _by_table(op, rule)
    if in_bytes and len(op.operands) == 2:
        return _by_pairs(op, rule, constants)
    rank = len(value_shape(op.results[0]))
    return lambda operands: rule(op, _aligned(operands, rank, constants))


def _aligned(operands: Sequence[Array], rank: int, constants: Constants) -> list[Array]:
    """Operands whose samples are on one axis before the dimensions of the result."""
    return [
        operand
        if index in constants
        else operand.reshape(len(operand), *[1] * (rank + 1 - operand.ndim), *operand.shape[1:])
        for index, operand in enumerate(operands)
    ]


def _all_stored(dtype: np.dtype[Any]) -> Array:
    return np.arange(256, dtype=np.uint8).view(dtype)


def _by_table(op: Operation, rule: Rule) -> Kernel:
    (table,) = rule(op, [_all_stored(value_dtype(op.operands[0]))])
    shape = value_shape(op.results[0])

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        result = np.empty((len(x), *shape), table.dtype)
        _look_up(x.reshape(-1).view(np.uint8), table, result.reshape(-1))
        return [result]

    return compute


def _by_pairs(op: Operation, rule: Rule, constants: Constants) -> Kernel:
    lhs, rhs = (_all_stored(value_dtype(operand)) for operand in op.operands)
    (table,) = rule(op, [lhs[:, None], rhs[None, :]])
    table = np.ascontiguousarray(np.broadcast_to(table, (256, 256)))
    shape = value_shape(op.results[0])

    def compute(operands: list[Array]) -> list[Array]:
        count = next(len(operand) for index, operand in enumerate(operands) if index not in constants)
        result = np.empty((count, *shape), table.dtype)
        x, y = (
            np.ascontiguousarray(np.broadcast_to(operand, result.shape)).reshape(-1).view(np.uint8)
            for operand in _aligned(operands, len(shape), constants)
        )
        _look_up_pairs(x, y, table, result.reshape(-1))
        return [result]

    return compute

"""Rules of reductions; the reduced dimensions stay with one element."""

from __future__ import annotations

import math

import numpy as np

from intaglio.dialects import nn
from intaglio.dialects.nn.types import storage_bits
from intaglio.dialects.quant import requantization_mode
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import (
    Array,
    bits_of,
    centered,
    in_double,
    quantization,
    rounded,
    storage_bounds,
    value_dtype,
    value_shape,
)
from intaglio.numerics.averaging import is_wide_sum, scaled_mean
from intaglio.numerics.fixed_point import ROOT_FRACTION_BITS, square_root
from intaglio.numerics.requantization import average_multiplier, quantize_multiplier
from intaglio.numerics.rescaling import rescale, store


def axes_of(op: nn.ReduceOp) -> tuple[int, ...]:
    """The reduced dimensions."""
    return tuple(int(axis) for axis in op.axes.get_values())


def count_of(op: nn.ReduceOp) -> int:
    """How many elements become one."""
    return math.prod(value_shape(op.input)[axis] for axis in axes_of(op))


def sum_or_mean(op: nn.ReduceSumOp | nn.ReduceMeanOp, x: Array, *, count: int, real_divisor: int) -> Array:
    """The sum over a divisor; quantized: the sum of centered elements, requantized."""
    kind, result = quantization(op.input), quantization(op.result)
    if kind is None or result is None:
        return rounded(in_double(x).sum(axis=axes_of(op), keepdims=True) / real_divisor, op.result)
    total = centered(x, kind).sum(axis=axes_of(op), keepdims=True)
    mode, bits = requantization_mode(op), bits_of(kind)
    if isinstance(op, nn.ReduceMeanOp):
        scaled = scaled_mean(total, count, kind.scale, result.scale, bits, mode)
    else:
        scaled = rescale(total, kind.scale / result.scale, mode, wide=is_wide_sum(count, bits))
    return store(scaled, result.zero_point, *storage_bounds(result, None)).astype(value_dtype(op.result))


def sum_multiplier(op: nn.ReduceSumOp | nn.ReduceMeanOp, count: int) -> tuple[int, int]:
    """Multiplier and shift that bring a quantized 32-bit sum of centered elements to the result's scale."""
    kind, result = quantization(op.input), quantization(op.result)
    assert kind is not None and result is not None
    if isinstance(op, nn.ReduceMeanOp):
        return average_multiplier(count, kind.scale, result.scale)
    multiplier, shift = quantize_multiplier(kind.scale / result.scale)
    return int(multiplier), int(shift)


@rule(nn.ReduceMeanOp)
def reduce_mean(op: nn.ReduceMeanOp, operands: list[Array]) -> list[Array]:
    """The sum over the number of elements."""
    count = count_of(op)
    if quantization(op.input) is None and count == 0:
        return [np.full(value_shape(op.result), np.nan, value_dtype(op.result))]
    return [sum_or_mean(op, operands[0], count=count, real_divisor=count)]


@rule(nn.ReduceSumOp)
def reduce_sum(op: nn.ReduceSumOp, operands: list[Array]) -> list[Array]:
    """The sum."""
    return [sum_or_mean(op, operands[0], count=count_of(op), real_divisor=1)]


@rule(nn.ReduceL2Op)
def reduce_l2(op: nn.ReduceL2Op, operands: list[Array]) -> list[Array]:
    """The root of the sum of squares; quantized: of the exact sum, requantized."""
    x, kind, result = operands[0], quantization(op.input), quantization(op.result)
    if kind is None or result is None:
        return [rounded(np.sqrt((in_double(x) ** 2).sum(axis=axes_of(op), keepdims=True)), op.result)]
    total = (centered(x, kind) ** 2).sum(axis=axes_of(op), keepdims=True)
    fraction = ROOT_FRACTION_BITS[storage_bits(op.input)]
    scaled = rescale(square_root(total, fraction), kind.scale * 2.0**-fraction / result.scale, requantization_mode(op))
    return [store(scaled, result.zero_point, *storage_bounds(result, None)).astype(value_dtype(op.result))]


@rule(nn.ReduceMaxOp)
def reduce_max(op: nn.ReduceMaxOp, operands: list[Array]) -> list[Array]:
    """The largest element."""
    x = operands[0]
    smallest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    return [np.asarray(x.max(axis=axes_of(op), keepdims=True, initial=smallest)).astype(x.dtype)]


@rule(nn.ReduceMinOp)
def reduce_min(op: nn.ReduceMinOp, operands: list[Array]) -> list[Array]:
    """The smallest element."""
    x = operands[0]
    largest = np.iinfo(x.dtype).max if x.dtype.kind in "iu" else np.inf
    return [np.asarray(x.min(axis=axes_of(op), keepdims=True, initial=largest)).astype(x.dtype)]


@rule(nn.ReduceProdOp)
def reduce_prod(op: nn.ReduceProdOp, operands: list[Array]) -> list[Array]:
    """The product."""
    return [rounded(in_double(operands[0]).prod(axis=axes_of(op), keepdims=True), op.result)]

"""Rules of the two-operand elementwise operations; operands broadcast as in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from intaglio.dialects import nn
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
)
from intaglio.numerics.addition import add_headroom_bits, combine_scaled
from intaglio.numerics.fixed_point import QUOTIENT_BITS, quotient
from intaglio.numerics.rescaling import rescale, store


def add_or_subtract(
    op: nn.AddOp | nn.SubOp, operands: list[Array], combine: Callable[[Array, Array], Array]
) -> list[Array]:
    """Combine two operands; quantized ones after bringing both to a common scale."""
    lhs, rhs = operands
    lhs_kind, rhs_kind, result = quantization(op.lhs), quantization(op.rhs), quantization(op.result)
    if lhs_kind is None or rhs_kind is None or result is None:
        return [rounded(combine(in_double(lhs), in_double(rhs)), op.result, op.clamp)]
    total = combine_scaled(
        centered(lhs, lhs_kind),
        centered(rhs, rhs_kind),
        (lhs_kind.scale, rhs_kind.scale, result.scale),
        add_headroom_bits(bits_of(lhs_kind), bits_of(rhs_kind)),
        requantization_mode(op),
        combine,
    )
    return [store(total, result.zero_point, *storage_bounds(result, op.clamp)).astype(value_dtype(op.result))]


@rule(nn.AddOp)
def add(op: nn.AddOp, operands: list[Array]) -> list[Array]:
    """Sum."""
    return add_or_subtract(op, operands, np.add)


@rule(nn.SubOp)
def sub(op: nn.SubOp, operands: list[Array]) -> list[Array]:
    """Difference."""
    return add_or_subtract(op, operands, np.subtract)


@rule(nn.MulOp)
def mul(op: nn.MulOp, operands: list[Array]) -> list[Array]:
    """Product; quantized: the product of the centered operands, requantized."""
    lhs, rhs = operands
    lhs_kind, rhs_kind, result = quantization(op.lhs), quantization(op.rhs), quantization(op.result)
    if lhs_kind is None or rhs_kind is None or result is None:
        return [rounded(in_double(lhs) * in_double(rhs), op.result, op.clamp)]
    product = centered(lhs, lhs_kind) * centered(rhs, rhs_kind)
    scaled = rescale(product, lhs_kind.scale * rhs_kind.scale / result.scale, requantization_mode(op))
    return [store(scaled, result.zero_point, *storage_bounds(result, op.clamp)).astype(value_dtype(op.result))]


@rule(nn.DivOp)
def div(op: nn.DivOp, operands: list[Array]) -> list[Array]:
    """Quotient, as IEEE 754 has it for zero divisors; quantized: by the divisor's reciprocal, requantized."""
    lhs, rhs = operands
    lhs_kind, rhs_kind, result = quantization(op.lhs), quantization(op.rhs), quantization(op.result)
    if lhs_kind is None or rhs_kind is None or result is None:
        return [rounded(in_double(lhs) / in_double(rhs), op.result, op.clamp)]
    bits = max(bits_of(lhs_kind), bits_of(rhs_kind))
    ratio = quotient(centered(lhs, lhs_kind), centered(rhs, rhs_kind), bits)
    factor = lhs_kind.scale / rhs_kind.scale * 2.0 ** -QUOTIENT_BITS[bits] / result.scale
    scaled = rescale(ratio, factor, requantization_mode(op), wide=bits > 8)
    return [store(scaled, result.zero_point, *storage_bounds(result, op.clamp)).astype(value_dtype(op.result))]


def extreme(op: nn.MaximumOp | nn.MinimumOp, operands: list[Array], choose: Callable[[Array, Array], Array]) -> Array:
    """One of two operands; quantized ones after bringing both to the result's scale."""
    kinds, result = (quantization(op.lhs), quantization(op.rhs)), quantization(op.result)
    if result is None:
        return rounded(choose(in_double(operands[0]), in_double(operands[1])), op.result, op.clamp)
    scaled = [
        rescale(centered(operand, kind), kind.scale / result.scale, requantization_mode(op))
        for operand, kind in zip(operands, kinds, strict=True)
        if kind is not None
    ]
    bounds = storage_bounds(result, op.clamp)
    return store(choose(*scaled), result.zero_point, *bounds).astype(value_dtype(op.result))


@rule(nn.MaximumOp)
def maximum(op: nn.MaximumOp, operands: list[Array]) -> list[Array]:
    """The larger operand."""
    return [extreme(op, operands, np.maximum)]


@rule(nn.MinimumOp)
def minimum(op: nn.MinimumOp, operands: list[Array]) -> list[Array]:
    """The smaller operand."""
    return [extreme(op, operands, np.minimum)]


@rule(nn.PowOp)
def power(op: nn.PowOp, operands: list[Array]) -> list[Array]:
    """The first operand to the power of the second."""
    return [rounded(np.power(in_double(operands[0]), in_double(operands[1])), op.result, op.clamp)]

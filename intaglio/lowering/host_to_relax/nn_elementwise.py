"""Rules of the two-operand elementwise operations."""

from __future__ import annotations

from collections.abc import Callable

from intaglio.dialects import nn
from intaglio.dialects.nn.types import storage_bits
from intaglio.dialects.quant import requantization_mode
from intaglio.interpreter.values import quantization
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.fixed_point import FixedPoint, requantized
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr
from intaglio.numerics.addition import add_headroom_bits
from intaglio.numerics.fixed_point import QUOTIENT_BITS
from intaglio.params import RequantizationMode


def _add_or_subtract(
    emitter: Emitter, op: nn.AddOp | nn.SubOp, operands: list[Expr], combine: Callable[[Expr, Expr], Expr]
) -> list[Expr]:
    lhs, rhs = operands
    lhs_kind, rhs_kind, result = quantization(op.lhs), quantization(op.rhs), quantization(op.result)
    if lhs_kind is None or rhs_kind is None or result is None:
        return [emitter.clamped(combine(lhs, rhs), op.result, op.clamp)]
    wide_lhs, wide_rhs = emitter.centered(lhs, lhs_kind), emitter.centered(rhs, rhs_kind)
    bits = add_headroom_bits(storage_bits(op.lhs), storage_bits(op.rhs))
    mode, common, headroom = requantization_mode(op), 2.0 * max(lhs_kind.scale, rhs_kind.scale), 2.0**bits
    if mode is RequantizationMode.TFLITE:
        # There the headroom is shifted in before the multiplication, here it is part of the factor.
        wide_lhs, wide_rhs = (emitter.multiply(x, emitter.constant(1 << bits, "int64")) for x in (wide_lhs, wide_rhs))
    factors = [
        scale / common if mode is RequantizationMode.TFLITE else scale / common * headroom
        for scale in (lhs_kind.scale, rhs_kind.scale)
    ]
    total = combine(emitter.rescale(wide_lhs, factors[0], mode), emitter.rescale(wide_rhs, factors[1], mode))
    scaled = emitter.rescale(total, common / (headroom * result.scale), mode)
    return [emitter.store(scaled, op.result, op.clamp)]


@rule(nn.AddOp)
def add(emitter: Emitter, op: nn.AddOp, operands: list[Expr]) -> list[Expr]:
    """Sum."""
    return _add_or_subtract(emitter, op, operands, emitter.add)


@rule(nn.SubOp)
def sub(emitter: Emitter, op: nn.SubOp, operands: list[Expr]) -> list[Expr]:
    """Difference."""
    return _add_or_subtract(emitter, op, operands, emitter.subtract)


@rule(nn.MulOp)
def mul(emitter: Emitter, op: nn.MulOp, operands: list[Expr]) -> list[Expr]:
    """Product; quantized: of the centered operands, requantized."""
    lhs, rhs = operands
    lhs_kind, rhs_kind = quantization(op.lhs), quantization(op.rhs)
    if lhs_kind is None or rhs_kind is None:
        return [emitter.clamped(emitter.multiply(lhs, rhs), op.result, op.clamp)]
    product = emitter.multiply(emitter.centered(lhs, lhs_kind), emitter.centered(rhs, rhs_kind))
    return [requantized(emitter, product, lhs_kind.scale * rhs_kind.scale, op.result, op.clamp)]


@rule(nn.DivOp)
def div(emitter: Emitter, op: nn.DivOp, operands: list[Expr]) -> list[Expr]:
    """Quotient; quantized: by the divisor's reciprocal, requantized."""
    lhs_kind, rhs_kind = quantization(op.lhs), quantization(op.rhs)
    if lhs_kind is None or rhs_kind is None:
        return [emitter.clamped(emitter.divide(*operands), op.result, op.clamp)]
    bits = max(storage_bits(op.lhs), storage_bits(op.rhs))
    lhs, rhs = emitter.centered(operands[0], lhs_kind), emitter.centered(operands[1], rhs_kind)
    ratio = FixedPoint(emitter).quotient(lhs, rhs, bits)
    unit = lhs_kind.scale / rhs_kind.scale * 2.0 ** -QUOTIENT_BITS[bits]
    return [requantized(emitter, ratio, unit, op.result, op.clamp, wide=bits > 8)]


@rule(nn.MaximumOp)
def maximum(emitter: Emitter, op: nn.MaximumOp, operands: list[Expr]) -> list[Expr]:
    """The larger operand."""
    return [_extreme(emitter, op, operands, "maximum")]


@rule(nn.MinimumOp)
def minimum(emitter: Emitter, op: nn.MinimumOp, operands: list[Expr]) -> list[Expr]:
    """The smaller operand."""
    return [_extreme(emitter, op, operands, "minimum")]


def _extreme(emitter: Emitter, op: nn.MaximumOp | nn.MinimumOp, operands: list[Expr], operator: str) -> Expr:
    """One of two operands; quantized: of the stored results that each alone would give, which is the same."""
    kinds = quantization(op.lhs), quantization(op.rhs)
    stored = [
        requantized(emitter, emitter.centered(x, kind), kind.scale, op.result, op.clamp)
        for x, kind in zip(operands, kinds, strict=True)
        if kind is not None
    ]
    if stored:
        return emitter.apply(operator, *stored)
    return emitter.clamped(_unless_nan(emitter, operator, operands), op.result, op.clamp)


def _unless_nan(emitter: Emitter, operator: str, operands: list[Expr]) -> Expr:
    """A maximum or minimum that is NaN if either operand is; TVM's is the second operand then."""
    lhs, rhs = operands
    chosen = emitter.builder.operator(operator, lhs, rhs)
    return emitter.builder.operator("where", emitter.builder.operator("isnan", lhs), lhs, chosen)


@rule(nn.PowOp)
def power(emitter: Emitter, op: nn.PowOp, operands: list[Expr]) -> list[Expr]:
    """The first operand to the power of the second."""
    return [emitter.clamped(emitter.power(*operands), op.result, op.clamp)]

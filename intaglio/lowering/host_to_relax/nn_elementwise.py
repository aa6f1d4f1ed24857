"""Rules of the two-operand elementwise operations."""

from __future__ import annotations

from collections.abc import Callable

from intaglio.dialects import nn
from intaglio.interpreter.values import quantization
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr
from intaglio.numerics.requantization import add_multipliers, quantize_multiplier


def _add_or_subtract(
    emitter: Emitter, op: nn.AddOp | nn.SubOp, operands: list[Expr], combine: Callable[[Expr, Expr], Expr]
) -> list[Expr]:
    lhs, rhs = operands
    lhs_kind, rhs_kind, result = quantization(op.lhs), quantization(op.rhs), quantization(op.result)
    if lhs_kind is None or rhs_kind is None or result is None:
        return [emitter.clamped(combine(lhs, rhs), op.result, op.clamp)]
    lhs_multiplier, lhs_shift, rhs_multiplier, rhs_shift, multiplier, shift = add_multipliers(
        lhs_kind.scale, rhs_kind.scale, result.scale
    )
    total = combine(
        emitter.apply_scale(emitter.centered(lhs, lhs_kind), lhs_multiplier, lhs_shift),
        emitter.apply_scale(emitter.centered(rhs, rhs_kind), rhs_multiplier, rhs_shift),
    )
    return [emitter.requantize(total, multiplier, shift, op.result, op.clamp)]


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
    lhs_kind, rhs_kind, result = quantization(op.lhs), quantization(op.rhs), quantization(op.result)
    if lhs_kind is None or rhs_kind is None or result is None:
        return [emitter.clamped(emitter.multiply(lhs, rhs), op.result, op.clamp)]
    product = emitter.multiply(emitter.centered(lhs, lhs_kind), emitter.centered(rhs, rhs_kind))
    multiplier, shift = quantize_multiplier(lhs_kind.scale * rhs_kind.scale / result.scale)
    return [emitter.requantize(product, multiplier, shift, op.result, op.clamp)]


@rule(nn.DivOp)
def div(emitter: Emitter, op: nn.DivOp, operands: list[Expr]) -> list[Expr]:
    """Quotient, of floats."""
    return [emitter.clamped(emitter.divide(*operands), op.result, op.clamp)]

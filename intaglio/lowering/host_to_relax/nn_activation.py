"""Rules of the activation functions: of quantized tensors, a requantization with limits or a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from intaglio.dialects import nn
from intaglio.errors import UserError
from intaglio.interpreter.values import quantization, value_dtype
from intaglio.ir.locations import describe
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr
from intaglio.numerics.requantization import quantize_multiplier
from intaglio.numerics.tables import TABLE_FUNCTIONS, table_int8

RealFunction = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _clipped(emitter: Emitter, op: nn.ReluOp | nn.ClipOp, x: Expr, clamp: nn.ClampAttr) -> list[Expr]:
    kind, result = quantization(op.input), quantization(op.result)
    if kind is None or result is None:
        return [emitter.clamped(x, op.result, clamp)]
    multiplier, shift = quantize_multiplier(kind.scale / result.scale)
    return [emitter.requantize(emitter.centered(x, kind), multiplier, shift, op.result, clamp)]


@rule(nn.ReluOp)
def relu(emitter: Emitter, op: nn.ReluOp, operands: list[Expr]) -> list[Expr]:
    """Limit below at zero."""
    return _clipped(emitter, op, operands[0], nn.ClampAttr.of(0.0, math.inf))


@rule(nn.ClipOp)
def clip(emitter: Emitter, op: nn.ClipOp, operands: list[Expr]) -> list[Expr]:
    """Limit to the bounds."""
    return _clipped(emitter, op, operands[0], op.clamp)


def _tabulated(emitter: Emitter, op: nn.ActivationOp, x: Expr, function: RealFunction) -> list[Expr]:
    """Look stored values up in the table of their results."""
    kind, result = quantization(op.input), quantization(op.result)
    assert kind is not None and result is not None
    if any(value_dtype(value) != np.int8 for value in (op.input, op.result)):
        raise UserError(f"{describe(op)} is a table of int8 values, got {op.input.type} and {op.result.type}")
    table = table_int8(
        function, kind.scale, kind.zero_point, result.scale, result.zero_point, result.storage_min, result.storage_max
    )
    index = emitter.add(emitter.cast(x, "int32"), emitter.constant(128, "int32"))
    entries = emitter.constant(table, "int8")
    return [emitter.builder.operator("take", entries, index, axis=0, mode="clip")]


def _real(value: float, op: nn.ActivationOp, emitter: Emitter) -> Expr:
    return emitter.constant(value, value_dtype(op.result))


@rule(nn.HardSigmoidOp)
def hard_sigmoid(emitter: Emitter, op: nn.HardSigmoidOp, operands: list[Expr]) -> list[Expr]:
    """`clip(alpha * x + beta, 0, 1)`."""
    alpha, beta = op.alpha.value.data, op.beta.value.data
    if quantization(op.input) is not None:
        return _tabulated(emitter, op, operands[0], partial(TABLE_FUNCTIONS["hard_sigmoid"], alpha=alpha, beta=beta))
    scaled = emitter.multiply(operands[0], _real(alpha, op, emitter))
    shifted = emitter.add(scaled, _real(beta, op, emitter))
    return [emitter.limit(shifted, 0.0, 1.0, value_dtype(op.result))]


@rule(nn.HardSwishOp)
def hard_swish(emitter: Emitter, op: nn.HardSwishOp, operands: list[Expr]) -> list[Expr]:
    """`x * clip(x + 3, 0, 6) / 6`."""
    x = operands[0]
    if quantization(op.input) is not None:
        return _tabulated(emitter, op, x, TABLE_FUNCTIONS["hard_swish"])
    gate = emitter.limit(emitter.add(x, _real(3.0, op, emitter)), 0.0, 6.0, value_dtype(op.result))
    return [emitter.divide(emitter.multiply(x, gate), _real(6.0, op, emitter))]


@rule(nn.SigmoidOp)
def sigmoid(emitter: Emitter, op: nn.SigmoidOp, operands: list[Expr]) -> list[Expr]:
    """Logistic function."""
    if quantization(op.input) is not None:
        return _tabulated(emitter, op, operands[0], TABLE_FUNCTIONS["sigmoid"])
    return [emitter.builder.operator("sigmoid", operands[0])]


@rule(nn.TanhOp)
def tanh(emitter: Emitter, op: nn.TanhOp, operands: list[Expr]) -> list[Expr]:
    """Hyperbolic tangent."""
    if quantization(op.input) is not None:
        return _tabulated(emitter, op, operands[0], TABLE_FUNCTIONS["tanh"])
    return [emitter.builder.operator("tanh", operands[0])]

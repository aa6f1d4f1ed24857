"""Rules of softmax and batch normalization."""

from __future__ import annotations

from intaglio.dialects import nn
from intaglio.interpreter.values import value_dtype
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr


@rule(nn.SoftmaxOp)
def softmax(emitter: Emitter, op: nn.SoftmaxOp, operands: list[Expr]) -> list[Expr]:
    """`exp(x - max) / sum(exp(x - max))` along the axis.

    In double precision and rounded once, as the interpreter does it: the last operation of many networks then gives
    the interpreter's result, not one that differs in the last bit.
    """
    double = emitter.cast(operands[0], "float64")
    result = emitter.builder.operator("nn.softmax", double, axis=op.axis.value.data)
    return [emitter.cast(result, value_dtype(op.result))]


@rule(nn.BatchNormOp)
def batch_norm(emitter: Emitter, op: nn.BatchNormOp, operands: list[Expr]) -> list[Expr]:
    """`(x - mean) / sqrt(variance + epsilon) * scale + offset`."""
    x, scale, offset, mean, variance = operands
    epsilon = emitter.constant(op.epsilon.value.data, value_dtype(op.result))
    deviation = emitter.builder.operator("sqrt", emitter.add(variance, epsilon))
    normalized = emitter.divide(emitter.subtract(x, mean), deviation)
    return [emitter.add(emitter.multiply(normalized, scale), offset)]

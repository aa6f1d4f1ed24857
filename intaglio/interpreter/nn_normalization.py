"""Rules of softmax and batch normalization, in double precision and rounded once."""

from __future__ import annotations

import numpy as np

from intaglio.dialects import nn
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import Array, in_double, rounded


@rule(nn.SoftmaxOp)
def softmax(op: nn.SoftmaxOp, operands: list[Array]) -> list[Array]:
    """`exp(x - max) / sum(exp(x - max))` along the axis."""
    axis = op.axis.value.data
    x = in_double(operands[0])
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return [rounded(exponentials / exponentials.sum(axis=axis, keepdims=True), op.result)]


@rule(nn.BatchNormOp)
def batch_norm(op: nn.BatchNormOp, operands: list[Array]) -> list[Array]:
    """`(x - mean) / sqrt(variance + epsilon) * scale + offset`."""
    x, scale, offset, mean, variance = (in_double(operand) for operand in operands)
    return [rounded((x - mean) / np.sqrt(variance + op.epsilon.value.data) * scale + offset, op.result)]

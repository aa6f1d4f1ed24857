"""Rules of softmax and normalizations, in double precision and rounded once."""

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


@rule(nn.LayerNormOp)
def layer_norm(op: nn.LayerNormOp, operands: list[Array]) -> list[Array]:
    """Mean 0 and variance 1 along the axis, then scale and offset."""
    axis = op.axis.value.data
    x, scale, offset = (in_double(operand) for operand in operands)
    x = np.moveaxis(x, axis, -1)
    distance = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(distance**2, axis=-1, keepdims=True)
    normalized = distance / np.sqrt(variance + op.epsilon.value.data) * scale + offset
    return [rounded(np.moveaxis(normalized, -1, axis), op.result)]


@rule(nn.RmsNormOp)
def rms_norm(op: nn.RmsNormOp, operands: list[Array]) -> list[Array]:
    """Divided by the root of the mean square along the axis, then scaled."""
    axis = op.axis.value.data
    x, scale = (in_double(operand) for operand in operands)
    x = np.moveaxis(x, axis, -1)
    mean_square = np.mean(x**2, axis=-1, keepdims=True)
    return [rounded(np.moveaxis(x / np.sqrt(mean_square + op.epsilon.value.data) * scale, -1, axis), op.result)]


@rule(nn.LocalResponseNormOp)
def local_response_norm(op: nn.LocalResponseNormOp, operands: list[Array]) -> list[Array]:
    """Divided by a power of the sum of squares over the channels around."""
    x, size = in_double(operands[0]), op.size.value.data
    below, above = (size - 1) // 2, size // 2
    squares = np.pad(x**2, [*[(0, 0)] * (x.ndim - 1), (below, above)])
    total = np.lib.stride_tricks.sliding_window_view(squares, size, axis=-1).sum(axis=-1)
    base = op.bias.value.data + op.alpha.value.data / size * total
    return [rounded(x / base**op.beta.value.data, op.result)]

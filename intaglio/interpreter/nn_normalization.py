"""Rules of softmax and normalizations: floats in double precision and rounded once, integers by `numerics`.

What a row has in common is computed along the last dimension, to which the axis is moved.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import i8

from intaglio.dialects import nn
from intaglio.dialects.nn.types import storage_bits
from intaglio.dialects.quant import requantization_mode
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import (
    Array,
    centered,
    in_double,
    quantization,
    rounded,
    storage_bounds,
    value_dtype,
)
from intaglio.numerics.normalization import normalized, normalized_fraction_bits
from intaglio.numerics.rescaling import rescale, store
from intaglio.numerics.softmax import PROBABILITY_BITS, softmax_probabilities
from intaglio.numerics.tflite_softmax import RESULT_SCALE, RESULT_ZERO_POINT, tflite_softmax
from intaglio.params import RequantizationMode


def stored(op: nn.SoftmaxOp | nn.AxisNormOp, value: Array, unit: float, *, wide: bool = False) -> Array:
    """Integers of the given real unit, as the result stores them."""
    result = quantization(op.result)
    assert result is not None
    scaled = rescale(value, unit / result.scale, requantization_mode(op), wide=wide)
    return store(scaled, result.zero_point, *storage_bounds(result, None)).astype(value_dtype(op.result))


def computes_as_litert(op: nn.SoftmaxOp) -> bool:
    """Whether a softmax is one that the kernel of LiteRT computes, in the mode that follows it.

    That is of 8 bits, and its result in steps of 1/256 from -128 on. Others are computed as in the mode `shift`.
    """
    kind, result = quantization(op.input), quantization(op.result)
    return (
        kind is not None
        and result is not None
        and requantization_mode(op) is RequantizationMode.TFLITE
        and kind.storage_type == result.storage_type == i8
        and (result.scale, result.zero_point) == (RESULT_SCALE, RESULT_ZERO_POINT)
        and (result.storage_min, result.storage_max) == (-128, 127)
    )


@rule(nn.SoftmaxOp)
def softmax(op: nn.SoftmaxOp, operands: list[Array]) -> list[Array]:
    """`exp(x - max) / sum(exp(x - max))` along the axis; quantized: integer probabilities, requantized."""
    axis = op.axis.value.data
    kind, result = quantization(op.input), quantization(op.result)
    if kind is not None and result is not None:
        if computes_as_litert(op):
            return [np.moveaxis(tflite_softmax(np.moveaxis(operands[0], axis, -1), kind.scale), -1, axis)]
        probabilities = softmax_probabilities(np.moveaxis(operands[0], axis, -1), kind.scale)
        return [stored(op, np.moveaxis(probabilities, -1, axis), 2.0**-PROBABILITY_BITS)]
    x = in_double(operands[0])
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return [rounded(exponentials / exponentials.sum(axis=axis, keepdims=True), op.result)]


@rule(nn.BatchNormOp)
def batch_norm(op: nn.BatchNormOp, operands: list[Array]) -> list[Array]:
    """`(x - mean) / sqrt(variance + epsilon) * scale + offset`."""
    x, scale, offset, mean, variance = (in_double(operand) for operand in operands)
    return [rounded((x - mean) / np.sqrt(variance + op.epsilon.value.data) * scale + offset, op.result)]


def integer_norm(op: nn.AxisNormOp, operands: list[Array], *, around_mean: bool) -> Array:
    """The normalized elements times the stored scale, plus the stored offset, requantized."""
    x, scale, *offset = operands
    kind, unit = quantization(op.operands[0]), quantization(op.operands[1])
    assert kind is not None and unit is not None
    axis, bits = op.axis.value.data, storage_bits(op.result)
    rows = np.moveaxis(centered(x, kind), axis, -1)
    fixed = normalized(rows, kind.scale, op.epsilon.value.data, result_bits=bits, around_mean=around_mean)
    accumulator = fixed * scale.astype(np.int64) + (offset[0].astype(np.int64) if offset else 0)
    fraction = normalized_fraction_bits(rows.shape[-1], bits)
    return stored(op, np.moveaxis(accumulator, -1, axis), unit.scale * 2.0**-fraction, wide=bits > 8)


@rule(nn.LayerNormOp)
def layer_norm(op: nn.LayerNormOp, operands: list[Array]) -> list[Array]:
    """Mean 0 and variance 1 along the axis, then scale and offset."""
    if quantization(op.input) is not None:
        return [integer_norm(op, operands, around_mean=True)]
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
    if quantization(op.input) is not None:
        return [integer_norm(op, operands, around_mean=False)]
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

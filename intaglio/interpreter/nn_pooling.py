"""Rules of pooling: for each tap of the window, the elements it meets form a strided view of the padded input."""

from __future__ import annotations

from collections.abc import Iterator

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
    tensor_type,
    value_dtype,
    value_shape,
)
from intaglio.numerics.averaging import pooled_mean
from intaglio.numerics.rescaling import store


def taps(x: Array, op: nn.PoolOp, padding: float) -> Iterator[Array]:
    """For each tap of the window, the elements `[N, OH, OW, C]` under it; those outside the input are `padding`."""
    top, left, bottom, right = op.pads.get_values()
    (stride_y, stride_x), (dilation_y, dilation_x) = op.strides.get_values(), op.dilation()
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=padding)
    height, width = tensor_type(op.result).get_shape()[1:3]
    for i in range(op.kernel.get_values()[0]):
        for j in range(op.kernel.get_values()[1]):
            y0, x0 = i * dilation_y, j * dilation_x
            met = x[:, y0 : y0 + stride_y * height : stride_y, x0 : x0 + stride_x * width : stride_x]
            yield met[:, :height, :width]


@rule(nn.MaxPool2dOp)
def max_pool2d(op: nn.MaxPool2dOp, operands: list[Array]) -> list[Array]:
    """The largest element; padding is the smallest value there is, so it never wins."""
    x = operands[0]
    if x.dtype.kind in "iu":
        return [np.maximum.reduce(list(taps(x, op, int(np.iinfo(x.dtype).min))))]
    return [rounded(np.maximum.reduce(list(taps(in_double(x), op, -np.inf))), op.result)]


def window_counts(op: nn.AvgPool2dOp) -> Array:
    """How many elements each window has: those inside the input, or all where padding counts; `[1, OH, OW, 1]`."""
    inside = np.ones((1, *value_shape(op.input)[1:3], 1), np.int64)
    return np.add.reduce(list(taps(inside, op, 1 if op.count_include_pad.value.data else 0)))


@rule(nn.AvgPool2dOp)
def avg_pool2d(op: nn.AvgPool2dOp, operands: list[Array]) -> list[Array]:
    """The sum of the elements inside the input over their number, or the window's size if padding counts."""
    x = operands[0]
    counts = window_counts(op)
    kind, result = quantization(op.input), quantization(op.result)
    if kind is None or result is None:
        total = np.add.reduce(list(taps(in_double(x), op, 0.0)))
        return [rounded(total / counts, op.result, op.clamp)]
    return [stored_means(op, np.add.reduce(list(taps(centered(x, kind), op, 0))), counts)]


def stored_means(op: nn.AvgPool2dOp, total: Array, counts: Array) -> Array:
    """The stored means of quantized windows.

    Args:
        op: the operation.
        total: sums of stored values less their zero point, `[N, OH, OW, C]`.
        counts: elements of the windows, `[1, OH, OW, 1]`.
    """
    kind, result, mode = quantization(op.input), quantization(op.result), requantization_mode(op)
    assert kind is not None and result is not None
    stored = np.empty(total.shape, value_dtype(op.result))
    for count in np.unique(counts):
        same_count = np.broadcast_to(counts == count, total.shape)
        mean = pooled_mean(
            total[same_count], int(count), kind.zero_point, kind.scale, result.scale, bits_of(kind), mode
        )
        stored[same_count] = store(mean, result.zero_point, *storage_bounds(result, op.clamp))
    return stored

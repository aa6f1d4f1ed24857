"""Rules of pooling: a reduction over the window of the padded input, written as a TVM computation."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from intaglio.dialects import nn
from intaglio.dialects.quant import requantization_mode
from intaglio.interpreter.values import bits_of, quantization, value_dtype, value_shape
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr
from intaglio.numerics.averaging import is_wide_sum
from intaglio.numerics.requantization import average_multiplier
from intaglio.params import RequantizationMode


def _reduced(emitter: Emitter, op: nn.PoolOp, x: Expr, reduction: Literal["max", "sum"]) -> Expr:
    """The largest element or the sum of each window of an input that is already padded."""
    te = emitter.builder.te
    stride_y, stride_x = (int(stride) for stride in op.strides.get_values())
    dilation_y, dilation_x = op.dilation()
    height, width = (int(size) for size in op.kernel.get_values())

    def computation(tensor: Expr) -> Expr:
        i, j = te.reduce_axis((0, height), name="i"), te.reduce_axis((0, width), name="j")

        def element(n: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
            met = tensor[n, y * stride_y + i * dilation_y, x * stride_x + j * dilation_x, c]
            return getattr(te, reduction)(met, axis=[i, j])

        return te.compute(value_shape(op.result), element, name=f"{reduction}_pool")

    return emitter.builder.compute(f"{reduction}_pool", computation, x)


def _padded(emitter: Emitter, op: nn.PoolOp, x: Expr, value: float, dtype: np.dtype[Any]) -> Expr:
    top, left, bottom, right = (int(amount) for amount in op.pads.get_values())
    return emitter.padded(x, (0, top, left, 0), (0, bottom, right, 0), value, dtype)


@rule(nn.MaxPool2dOp)
def max_pool2d(emitter: Emitter, op: nn.MaxPool2dOp, operands: list[Expr]) -> list[Expr]:
    """The largest element; padding is the smallest value there is, so it never wins."""
    dtype = value_dtype(op.input)
    smallest = float(np.iinfo(dtype).min) if dtype.kind in "iu" else -np.inf
    return [_reduced(emitter, op, _padded(emitter, op, operands[0], smallest, dtype), "max")]


def _window_counts(op: nn.AvgPool2dOp) -> NDArray[np.int64]:
    """The divisor at each position of the result, of shape `[OH, OW]`."""
    height, width = value_shape(op.result)[1:3]
    kernel, strides, pads = op.kernel.get_values(), op.strides.get_values(), op.pads.get_values()
    if op.count_include_pad.value.data:
        return np.full((height, width), kernel[0] * kernel[1], np.int64)
    inside: list[NDArray[np.int64]] = []
    for axis, positions in enumerate((height, width)):
        first = np.arange(positions) * strides[axis] - pads[axis]
        last = np.minimum(first + kernel[axis], value_shape(op.input)[1 + axis])
        inside.append(last - np.maximum(first, 0))
    return np.multiply.outer(*inside)


@rule(nn.AvgPool2dOp)
def avg_pool2d(emitter: Emitter, op: nn.AvgPool2dOp, operands: list[Expr]) -> list[Expr]:
    """The sum of the elements inside the input over their number, or the window's size if padding counts."""
    x = operands[0]
    counts = _window_counts(op)
    kind, result = quantization(op.input), quantization(op.result)
    if kind is None or result is None:
        dtype = value_dtype(op.result)
        total = _reduced(emitter, op, _padded(emitter, op, x, 0.0, dtype), "sum")
        mean = emitter.divide(total, emitter.constant(counts[:, :, None], dtype))
        return [emitter.clamped(mean, op.result, op.clamp)]
    centered = _padded(emitter, op, emitter.centered(x, kind), 0, np.dtype(np.int64))
    total = _reduced(emitter, op, centered, "sum")
    mode, bits = requantization_mode(op), bits_of(kind)
    if mode is RequantizationMode.TFLITE:
        return [emitter.store(_pooled_mean(emitter, op, total, counts), op.result, op.clamp)]
    if is_wide_sum(int(counts.max()), bits):
        factors = kind.scale / (counts[:, :, None] * result.scale)
        return [emitter.store(emitter.rescale(total, factors, mode, wide=True), op.result, op.clamp)]
    distinct, index = np.unique(counts, return_inverse=True)
    parameters = [average_multiplier(int(count), kind.scale, result.scale) for count in distinct]
    multipliers, shifts = (np.array(values)[index.reshape(counts.shape)] for values in zip(*parameters, strict=True))
    return [emitter.requantize(total, multipliers[:, :, None], shifts[:, :, None], op.result, op.clamp)]


def _pooled_mean(emitter: Emitter, op: nn.AvgPool2dOp, total: Expr, counts: NDArray[np.int64]) -> Expr:
    """`numerics.averaging.pooled_mean` in mode `tflite`: stored values are divided, halves away from zero."""
    kind, result = quantization(op.input), quantization(op.result)
    assert kind is not None and result is not None
    divisors = emitter.constant(counts[:, :, None], "int64")
    stored = emitter.add(total, emitter.constant(counts[:, :, None] * kind.zero_point, "int64"))
    halves = emitter.constant(counts[:, :, None] // 2, "int64")
    magnitude = emitter.apply("floor_divide", emitter.add(emitter.apply("abs", stored), halves), divisors)
    negative = emitter.apply("less", stored, emitter.constant(0, "int64"))
    mean = emitter.select(negative, emitter.apply("negative", magnitude), magnitude)
    mean = emitter.subtract(mean, emitter.constant(kind.zero_point, "int64"))
    if kind.scale == result.scale:
        return mean
    return emitter.rescale(mean, kind.scale / result.scale, RequantizationMode.TFLITE)

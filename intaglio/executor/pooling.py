"""Pooling of stored integers, compiled: largest elements and sums of windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from intaglio.dialects import nn
from intaglio.executor.jit import compiled
from intaglio.executor.registry import Array, Constants, Kernel, kernel
from intaglio.interpreter.nn_pooling import stored_means, window_counts
from intaglio.interpreter.values import quantization, value_dtype, value_shape

_LARGEST_TABLE = 1 << 19
"""Entries of a table of means: windows of up to 2,048 bytes have one."""


@compiled
def _reduce_windows(
    x: Any, zero_point: int, is_sum: bool, window: Any, strides: Any, pads: Any, dilations: Any, result: Any
) -> None:
    """Reduce each window to the sum of its elements less their zero point, or to the largest one.

    Args:
        x: `[N, H, W, C]` stored values.
        zero_point: of the input; 0 for the largest element.
        is_sum: what to compute.
        window: rows and columns.
        strides: vertical and horizontal.
        pads: top and left; outside are no elements.
        dilations: vertical and horizontal.
        result: `[N, OH, OW, C]`, overwritten; for the largest element, filled with the smallest value there is.
    """
    images, height, width, channels = x.shape
    for image in range(images):
        for out_y in range(result.shape[1]):
            for out_x in range(result.shape[2]):
                row = result[image, out_y, out_x]
                if is_sum:
                    for c in range(channels):
                        row[c] = 0
                for tap_y in range(window[0]):
                    y = out_y * strides[0] + tap_y * dilations[0] - pads[0]
                    for tap_x in range(window[1]):
                        column = out_x * strides[1] + tap_x * dilations[1] - pads[1]
                        if not (0 <= y < height and 0 <= column < width):
                            continue
                        elements = x[image, y, column]
                        if is_sum:
                            for c in range(channels):
                                row[c] += elements[c] - zero_point
                        else:
                            for c in range(channels):
                                row[c] = max(row[c], elements[c])


@compiled
def _look_up(totals: Any, first: int, table: Any, result: Any) -> None:
    for k in range(totals.size):
        result[k] = table[totals[k] - first]


def _totals(op: nn.AvgPool2dOp, count: int) -> Array:
    """All sums that `count` stored values less their zero point can have."""
    kind = quantization(op.input)
    assert kind is not None
    limits = np.iinfo(value_dtype(op.input))
    low, high = (count * (int(limit) - kind.zero_point) for limit in (limits.min, limits.max))
    return np.arange(low, high + 1, dtype=np.int64) if high - low < _LARGEST_TABLE else np.empty(1 + _LARGEST_TABLE)


Pair = tuple[int, int]


def _geometry(op: nn.PoolOp) -> tuple[Pair, Pair, Pair, Pair]:
    """Window, strides, pads at the top and left, dilations."""
    rows = (op.kernel.get_values(), op.strides.get_values(), op.pads.get_values(), op.dilation())
    window, strides, pads, dilations = ((int(row[0]), int(row[1])) for row in rows)
    return window, strides, pads, dilations


@kernel(nn.MaxPool2dOp)
def max_pool2d(op: nn.MaxPool2dOp, constants: Constants) -> Kernel | None:
    """The largest element."""
    dtype = value_dtype(op.input)
    if dtype.kind not in "iu":
        return None
    geometry, shape, smallest = _geometry(op), value_shape(op.result), np.iinfo(dtype).min

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        result = np.full((len(x), *shape), smallest, dtype)
        _reduce_windows(x.reshape(-1, *x.shape[2:]), 0, False, *geometry, result.reshape(-1, *shape[1:]))
        return [result]

    return compute


@kernel(nn.AvgPool2dOp)
def avg_pool2d(op: nn.AvgPool2dOp, constants: Constants) -> Kernel | None:
    """Sums of windows, brought to means by the interpreter's arithmetic."""
    kind = quantization(op.input)
    if kind is None:
        return None
    counts, geometry, shape = window_counts(op), _geometry(op), value_shape(op.result)
    steps = _totals(op, int(counts.max(initial=1)))
    if np.unique(counts).size == 1 and steps.size <= _LARGEST_TABLE:
        table = stored_means(op, steps.reshape(1, 1, -1, 1), counts[:, :1, :1]).reshape(-1)
        dtype, first = value_dtype(op.result), int(steps[0])

        def look_up(operands: list[Array]) -> list[Array]:
            x = operands[0]
            total = np.empty((len(x) * shape[0], *shape[1:]), np.int32)
            _reduce_windows(x.reshape(-1, *x.shape[2:]), kind.zero_point, True, *geometry, total)
            result = np.empty((len(x), *shape), dtype)
            _look_up(total.reshape(-1), first, table, result.reshape(-1))
            return [result]

        return look_up

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        total = np.empty((len(x) * shape[0], *shape[1:]), np.int64)
        _reduce_windows(x.reshape(-1, *x.shape[2:]), kind.zero_point, True, *geometry, total)
        return [stored_means(op, total, counts).reshape(len(x), *shape)]

    return compute

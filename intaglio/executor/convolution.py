"""Compiled kernels of convolution and of matrix products, from stored values to stored values.

Rows of the input, zero point subtracted, are gathered into a panel of 16-bit integers, one row for each position of the
result; `tiles.multiply_tile` multiplies it by the packed weights, and the sums are requantized while they are in cache.
The sums are exact: `chunks` cuts the inner dimension so that no sum of a chunk can leave 32 bits, whatever the input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.executor.jit import compiled, inlined
from intaglio.executor.rescaling import store_row
from intaglio.executor.tiles import COLUMNS, ROWS, multiply_tile

Array = np.ndarray[Any, np.dtype[Any]]

_ROWS, _COLUMNS = ROWS, COLUMNS
_INT32_MAX = (1 << 31) - 1


def chunks(weights: Array, largest: int) -> NDArray[np.int64] | None:
    """Where to cut the inner dimension so that every partial sum fits 32 bits.

    Args:
        weights: integers of shape `(..., depth)`.
        largest: largest magnitude of the other operand.

    Returns:
        The ends of the chunks in pairs of elements, the last one beyond all elements; None if a single pair is too
        much.
    """
    magnitudes = np.abs(weights.reshape(-1, weights.shape[-1]).astype(np.int64)) * largest
    padded = np.pad(magnitudes, ((0, 0), (0, magnitudes.shape[1] % 2)))
    pairs = padded.reshape(len(padded), -1, 2).sum(axis=2)
    if pairs.size == 0:
        return np.array([1], np.int64)
    if int(pairs.max()) > _INT32_MAX:
        return None
    ends: list[int] = []
    start = 0
    running = np.cumsum(pairs, axis=1)
    while start < pairs.shape[1]:
        before = running[:, start - 1 : start] if start else 0
        worst = (running[:, start:] - before).max(axis=0)
        start += int(np.searchsorted(worst, _INT32_MAX, side="right"))
        ends.append(start)
    return np.array(ends, np.int64)


@inlined
def _multiply(
    panel: Any, packed: Any, ends: Any, sums: Any, wide_sums: Any, bias: Any, first: int, count: int, rows: int
) -> None:
    """Sums of one tile plus bias, into `wide_sums` where there are several chunks."""
    start = 0
    for chunk in range(ends.size):
        multiply_tile(
            panel.ctypes.data + 4 * start,
            panel.strides[0],
            packed.ctypes.data + packed.strides[0] * start,
            ends[chunk] - start,
            sums.ctypes.data,
        )
        if ends.size > 1:
            for i in range(rows):
                for k in range(count):
                    wide_sums[i, k] = (wide_sums[i, k] if chunk else bias[first + k]) + np.int64(sums[i, k])
        start = ends[chunk]


@compiled
def convolve(
    x: Any,
    zero_point: int,
    packed: Any,
    ends: Any,
    bias: Any,
    narrow: bool,
    kernel: Any,
    strides: Any,
    pads: Any,
    dilations: Any,
    multiplier: Any,
    shift: Any,
    two_roundings: bool,
    result_zero_point: Any,
    low: Any,
    high: Any,
    result: Any,
) -> None:
    """Convolve by groups.

    Args:
        x: `[N, H, W, C]` stored values.
        zero_point: of the input, which padding stands for.
        packed: `[groups, blocks, pairs, 2 * COLUMNS]` weights from `pack_columns`, whose inner dimension is
            `(row, column, channel)`.
        ends: from `chunks`.
        bias: int64 `[O]`.
        narrow: whether sums with bias fit 32 bits.
        kernel: rows and columns of the window.
        strides: vertical and horizontal.
        pads: top and left.
        dilations: vertical and horizontal.
        multiplier: see `Rescale`, and so on to `high`.
        shift: see there.
        two_roundings: see there.
        result_zero_point: see there.
        low: see there.
        high: see there.
        result: `[N, OH, OW, O]`, overwritten.
    """
    images, height, width, channels = x.shape
    groups, blocks, pairs = packed.shape[0], packed.shape[1], packed.shape[2]
    out_height, out_width, outputs = result.shape[1], result.shape[2], result.shape[3] // groups
    depth = channels // groups
    window_rows, window_columns = kernel
    plane = out_height * out_width
    positions = images * plane
    panel = np.zeros((_ROWS, 2 * pairs), np.int16)
    sums = np.empty((_ROWS, _COLUMNS), np.int32)
    wide_sums = np.empty((_ROWS, _COLUMNS), np.int64)
    zero = np.int32(zero_point)
    for group in range(groups):
        first_channel = group * depth
        for start in range(0, positions, _ROWS):
            rows = min(_ROWS, positions - start)
            for i in range(rows):
                image, place = divmod(start + i, plane)
                out_y, out_x = divmod(place, out_width)
                at = 0
                for tap_y in range(window_rows):
                    y = out_y * strides[0] + tap_y * dilations[0] - pads[0]
                    for tap_x in range(window_columns):
                        column = out_x * strides[1] + tap_x * dilations[1] - pads[1]
                        if 0 <= y < height and 0 <= column < width:
                            for channel in range(depth):
                                panel[i, at + channel] = np.int32(x[image, y, column, first_channel + channel]) - zero
                        else:
                            for channel in range(depth):
                                panel[i, at + channel] = 0
                        at += depth
            for block in range(blocks):
                first = block * _COLUMNS
                count = min(_COLUMNS, outputs - first)
                channel = group * outputs + first
                _multiply(panel, packed[group, block], ends, sums, wide_sums, bias, channel, count, rows)
                for i in range(rows):
                    image, place = divmod(start + i, plane)
                    out_y, out_x = divmod(place, out_width)
                    row = result[image, out_y, out_x]
                    if ends.size > 1:
                        store_row(
                            wide_sums[i],
                            channel,
                            count,
                            multiplier,
                            shift,
                            two_roundings,
                            result_zero_point,
                            low,
                            high,
                            row,
                        )
                    elif narrow:
                        for k in range(count):
                            sums[i, k] += np.int32(bias[channel + k])
                        store_row(
                            sums[i], channel, count, multiplier, shift, two_roundings, result_zero_point, low, high, row
                        )
                    else:
                        for k in range(count):
                            wide_sums[i, k] = np.int64(sums[i, k]) + bias[channel + k]
                        store_row(
                            wide_sums[i],
                            channel,
                            count,
                            multiplier,
                            shift,
                            two_roundings,
                            result_zero_point,
                            low,
                            high,
                            row,
                        )


@compiled
def convolve_depthwise(
    padded: Any,
    weights: Any,
    bias: Any,
    strides: Any,
    dilations: Any,
    multiplier: Any,
    shift: Any,
    two_roundings: bool,
    zero_point: Any,
    low: Any,
    high: Any,
    result: Any,
) -> None:
    """Convolve each channel with its own filter, where sums fit 32 bits.

    Args:
        padded: `[N, H, W, C]`, zero point subtracted, padding included.
        weights: int32 `[KH, KW, C]`.
        bias: int32 `[C]`.
        strides: vertical and horizontal.
        dilations: vertical and horizontal.
        multiplier: see `Rescale`, and so on to `high`.
        shift: see there.
        two_roundings: see there.
        zero_point: see there.
        low: see there.
        high: see there.
        result: `[N, OH, OW, C]`, overwritten.
    """
    images, out_height, out_width, channels = result.shape
    window_rows, window_columns = weights.shape[0], weights.shape[1]
    sums = np.empty(channels, np.int32)
    by_three = window_rows == 3 and window_columns == 3
    for image in range(images):
        for out_y in range(out_height):
            for out_x in range(out_width):
                y, x = out_y * strides[0], out_x * strides[1]
                if by_three:
                    row_0 = padded[image, y]
                    row_1, row_2 = padded[image, y + dilations[0]], padded[image, y + 2 * dilations[0]]
                    x_1, x_2 = x + dilations[1], x + 2 * dilations[1]
                    for c in range(channels):
                        sums[c] = (
                            bias[c]
                            + np.int32(row_0[x, c]) * weights[0, 0, c]
                            + np.int32(row_0[x_1, c]) * weights[0, 1, c]
                            + np.int32(row_0[x_2, c]) * weights[0, 2, c]
                            + np.int32(row_1[x, c]) * weights[1, 0, c]
                            + np.int32(row_1[x_1, c]) * weights[1, 1, c]
                            + np.int32(row_1[x_2, c]) * weights[1, 2, c]
                            + np.int32(row_2[x, c]) * weights[2, 0, c]
                            + np.int32(row_2[x_1, c]) * weights[2, 1, c]
                            + np.int32(row_2[x_2, c]) * weights[2, 2, c]
                        )
                else:
                    for c in range(channels):
                        sums[c] = bias[c]
                    for tap_y in range(window_rows):
                        for tap_x in range(window_columns):
                            elements = padded[image, y + tap_y * dilations[0], x + tap_x * dilations[1]]
                            factors = weights[tap_y, tap_x]
                            for c in range(channels):
                                sums[c] += np.int32(elements[c]) * factors[c]
                store_row(
                    sums,
                    0,
                    channels,
                    multiplier,
                    shift,
                    two_roundings,
                    zero_point,
                    low,
                    high,
                    result[image, out_y, out_x],
                )


@compiled
def centered_and_padded(x: Any, zero_point: int, pads: Any, result: Any) -> None:
    """Subtract the zero point and surround by zeros.

    Args:
        x: `[N, H, W, C]` stored values.
        zero_point: of the input.
        pads: top and left.
        result: `[N, H + vertical pads, W + horizontal pads, C]`, overwritten.
    """
    images, height, width, channels = x.shape
    zero = np.int32(zero_point)
    for image in range(images):
        for y in range(result.shape[1]):
            if not pads[0] <= y < pads[0] + height:
                result[image, y] = 0
                continue
            for column in range(result.shape[2]):
                row = result[image, y, column]
                if pads[1] <= column < pads[1] + width:
                    source = x[image, y - pads[0], column - pads[1]]
                    for c in range(channels):
                        row[c] = np.int32(source[c]) - zero
                else:
                    for c in range(channels):
                        row[c] = 0

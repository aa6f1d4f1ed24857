"""Compiled kernels of convolution and of matrix products, from stored values to stored values.

Rows of the input, zero point subtracted, are gathered into a panel of 16-bit integers, one row for each position of the
result; `tiles.multiply_tile` multiplies it by the packed weights, and the sums are requantized while they are in cache.
The sums are exact: `chunks` cuts the inner dimension so that no sum of a chunk can leave 32 bits, whatever the input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.executor.jit import compiled
from intaglio.executor.rescaling import ONCE_UP, Scaling, store_row
from intaglio.executor.tiles import COLUMNS, ROWS, filter_channels_to_bytes, multiply_tile, multiply_tile_to_bytes

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
    if magnitudes.size and int(magnitudes.sum(axis=1).max()) <= _INT32_MAX:
        return np.array([-(-magnitudes.shape[1] // 2)], np.int64)
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


@compiled
def _store_tile(
    panel: Any,
    packed: Any,
    ends: Any,
    bias: Any,
    scaling: Any,
    outputs: int,
    sums: Any,
    wide_sums: Any,
    spare: Any,
    result: Any,
    start: int,
    first: int,
) -> None:
    """Multiply `panel` by all blocks of `packed` and store rows from `start`, columns from `first` of the result."""
    parts, blocks, pairs = packed.shape[0], packed.shape[1], packed.shape[2]
    rows = min(_ROWS, result.shape[0] - start)
    multiplier, shift, rounding, zero_point, low, high = scaling
    for block in range(blocks):
        at = block * _COLUMNS
        count = min(_COLUMNS, outputs - at)
        if result.itemsize == 1 and bias.itemsize == 4 and parts == ends.size == 1 and rounding == ONCE_UP:
            columns = packed[0, block]
            whole = rows == _ROWS and count == _COLUMNS
            target = result[start:, first + at :] if whole else spare
            multiply_tile_to_bytes(
                panel.ctypes.data,
                panel.strides[0],
                columns.ctypes.data,
                pairs,
                bias.ctypes.data + 4 * at,
                multiplier.ctypes.data + 4 * at,
                shift.ctypes.data + 4 * at,
                zero_point,
                low,
                high,
                target.ctypes.data,
                target.strides[0],
            )
            if not whole:
                result[start : start + rows, first + at : first + at + count] = spare[:rows, :count]
            continue
        for i in range(rows):
            for k in range(count):
                wide_sums[i, k] = bias[at + k]
        for part in range(parts):
            columns = packed[part, block]
            chunk_start = 0
            for chunk in range(ends.size):
                multiply_tile(
                    panel.ctypes.data + 4 * chunk_start,
                    panel.strides[0],
                    columns.ctypes.data + columns.strides[0] * chunk_start,
                    ends[chunk] - chunk_start,
                    sums.ctypes.data,
                )
                for i in range(rows):
                    for k in range(count):
                        wide_sums[i, k] += np.int64(sums[i, k]) << np.int64(8 * part)
                chunk_start = ends[chunk]
        for i in range(rows):
            row = result[start + i, first + at :]
            store_row(wide_sums[i], at, count, scaling, row)


@compiled
def convolve(
    x: Any,
    channels: int,
    input_zero_point: int,
    packed: Any,
    ends: Any,
    size: Any,
    kernel: Any,
    strides: Any,
    pads: Any,
    dilations: Any,
    bias: Any,
    scaling: Any,
    result: Any,
) -> None:
    """Convolve by groups.

    Args:
        x: `[N, H, W * C]` stored values.
        channels: `C`.
        input_zero_point: of the input, which padding stands for.
        packed: `[groups, parts, blocks, pairs, 2 * COLUMNS]` weights from `pack_parts`, whose inner dimension is
            `(row, column, channel)`.
        ends: from `chunks`.
        size: height and width of the result.
        kernel: rows and columns of the window.
        strides: vertical and horizontal.
        pads: top and left.
        dilations: vertical and horizontal.
        bias: `[groups, O / groups]`, int32 where sums with bias fit, else int64; padded to whole blocks of columns, as
            the multipliers and shifts.
        scaling: from `Rescale.arguments`.
        result: `[N * OH * OW, O]`, overwritten.
    """
    height, groups = x.shape[1], packed.shape[0]
    width, depth = x.shape[2] // channels, channels // groups
    panel = np.zeros((_ROWS, 2 * packed.shape[3]), np.int16)
    sums = np.empty((_ROWS, _COLUMNS), np.int32)
    wide_sums = np.empty((_ROWS, _COLUMNS), np.int64)
    spare = np.empty((_ROWS, _COLUMNS), result.dtype)
    zero, outputs = np.int32(input_zero_point), result.shape[1] // groups
    multiplier, shift, rounding, zero_point, low, high = scaling
    tile_image, tile_y, tile_x = 0, 0, 0
    for start in range(0, result.shape[0], _ROWS):
        image, out_y, out_x = tile_image, tile_y, tile_x
        for group in range(groups):
            image, out_y, out_x = tile_image, tile_y, tile_x
            for i in range(min(_ROWS, result.shape[0] - start)):
                at = 0
                left = out_x * strides[1] - pads[1]
                for tap_y in range(kernel[0]):
                    y = out_y * strides[0] + tap_y * dilations[0] - pads[0]
                    target = panel[i, at : at + kernel[1] * depth]
                    at += kernel[1] * depth
                    if not 0 <= y < height:
                        for k in range(target.size):
                            target[k] = 0
                    elif groups == 1 and dilations[1] == 1:
                        # All elements of a row of the window stand side by side.
                        first, last = min(max(0, -left), kernel[1]), min(kernel[1], width - left)
                        source = x[image, y, (left + first) * depth :]
                        for k in range(first * depth):
                            target[k] = 0
                        inside = target[first * depth :]
                        for k in range((last - first) * depth):
                            inside[k] = np.int32(source[k]) - zero
                        for k in range(max(last, 0) * depth, target.size):
                            target[k] = 0
                    else:
                        for tap_x in range(kernel[1]):
                            column = left + tap_x * dilations[1]
                            if 0 <= column < width:
                                source = x[image, y, column * channels + group * depth :]
                                for k in range(depth):
                                    target[tap_x * depth + k] = np.int32(source[k]) - zero
                            else:
                                for k in range(depth):
                                    target[tap_x * depth + k] = 0
                out_x += 1
                if out_x == size[1]:
                    out_x = 0
                    out_y += 1
                    if out_y == size[0]:
                        out_y = 0
                        image += 1
            _store_tile(
                panel,
                packed[group],
                ends,
                bias[group],
                (multiplier[group], shift[group], rounding, zero_point, low, high),
                outputs,
                sums,
                wide_sums,
                spare,
                result,
                start,
                group * outputs,
            )
        tile_image, tile_y, tile_x = image, out_y, out_x


def multiply(
    rows: Array, zero_point: int, packed: Array, ends: Array, bias: Array, scaling: Scaling, result: Array
) -> None:
    """Multiply the rows of a matrix: a convolution of single elements.

    Args:
        rows: `[M, K]` stored values.
        zero_point: of the rows.
        packed: see `convolve`, of one group.
        ends: see there.
        bias: see there.
        scaling: see there.
        result: `[M, N]`, overwritten.
    """
    one = (1, 1)
    depth = rows.shape[1]
    size = (1, len(rows))
    convolve(
        rows.reshape(1, 1, rows.size),
        depth,
        zero_point,
        packed,
        ends,
        size,
        one,
        one,
        (0, 0),
        one,
        bias,
        scaling,
        result,
    )


@compiled
def convolve_depthwise(
    padded: Any,
    weights: Any,
    bias: Any,
    strides: Any,
    dilations: Any,
    scaling: Any,
    result: Any,
) -> None:
    """Convolve each channel with its own filter.

    Args:
        padded: `[N, H, W, C]`, zero point subtracted, padding included.
        weights: `[KH, KW, C]`, int32 where sums with bias fit, else int64.
        bias: `[C]`, likewise.
        strides: vertical and horizontal.
        dilations: vertical and horizontal.
        scaling: from `Rescale.arguments`.
        result: `[N, OH, OW, C]`, overwritten.
    """
    images, out_height, out_width, channels = result.shape
    window_rows, window_columns = weights.shape[0], weights.shape[1]
    sums = np.empty(channels, bias.dtype)
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
                            + row_0[x, c] * weights[0, 0, c]
                            + row_0[x_1, c] * weights[0, 1, c]
                            + row_0[x_2, c] * weights[0, 2, c]
                            + row_1[x, c] * weights[1, 0, c]
                            + row_1[x_1, c] * weights[1, 1, c]
                            + row_1[x_2, c] * weights[1, 2, c]
                            + row_2[x, c] * weights[2, 0, c]
                            + row_2[x_1, c] * weights[2, 1, c]
                            + row_2[x_2, c] * weights[2, 2, c]
                        )
                else:
                    for c in range(channels):
                        sums[c] = bias[c]
                    for tap_y in range(window_rows):
                        for tap_x in range(window_columns):
                            elements = padded[image, y + tap_y * dilations[0], x + tap_x * dilations[1]]
                            factors = weights[tap_y, tap_x]
                            for c in range(channels):
                                sums[c] += elements[c] * factors[c]
                store_row(sums, 0, channels, scaling, result[image, out_y, out_x])


@compiled
def convolve_depthwise_to_bytes(
    padded: Any, offsets: Any, weights: Any, strides: Any, bias: Any, scaling: Any, result: Any
) -> None:
    """Convolve each channel with its own filter, where sums fit 32 bits and are rounded once, halves up, to bytes.

    Args:
        padded: `[N, H, W * C]` int16, zero point subtracted, padding included, and as many elements more than that in
            memory as a block of channels has.
        offsets: int64, distance of each tap's element from the first tap's, in bytes.
        weights: `[taps, channels]` int32 with an upper half of 0, padded to whole blocks of `COLUMNS`.
        strides: vertical and horizontal.
        bias: int32 `[channels]`, padded, as the multipliers and shifts.
        scaling: from `Rescale.arguments`.
        result: `[N, OH, OW, C]`, overwritten.
    """
    multiplier, shift, _, zero_point, low, high = scaling
    channels = result.shape[3]
    row_bytes, element_bytes = padded.strides[1], channels * padded.itemsize
    spare = np.empty(_COLUMNS, result.dtype)
    for image in range(result.shape[0]):
        for out_y in range(result.shape[1]):
            row_at = padded.ctypes.data + image * padded.strides[0] + out_y * strides[0] * row_bytes
            for out_x in range(result.shape[2]):
                row = result[image, out_y, out_x]
                for first in range(0, channels, _COLUMNS):
                    is_whole = first + _COLUMNS <= channels
                    target = row[first:] if is_whole else spare
                    filter_channels_to_bytes(
                        row_at + out_x * strides[1] * element_bytes + first * padded.itemsize,
                        offsets.ctypes.data,
                        offsets.size,
                        weights.ctypes.data + first * weights.itemsize,
                        weights.strides[0],
                        bias.ctypes.data + 4 * first,
                        multiplier.ctypes.data + 4 * first,
                        shift.ctypes.data + 4 * first,
                        zero_point,
                        low,
                        high,
                        target.ctypes.data,
                    )
                    if not is_whole:
                        row[first:] = spare[: channels - first]


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

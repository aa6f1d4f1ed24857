"""Sums of products that host libraries call: convolution and matrix product by NumPy's BLAS.

TVM's own loops for them are 27 to 187 times slower than onnxruntime, BLAS is about as fast. Float products are
rounded as BLAS rounds them; integer products are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.numerics import dynamic, integer

Array = NDArray[Any]

_PATCH_BYTES = 16 << 20
"""Size limit of the matrix of input patches that is multiplied at a time; it should stay in the cache."""


def convolution(scalars: Sequence[int], x: Array, weight: Array, result: Array) -> None:
    """Write the sums of a convolution without bias.

    Args:
        scalars: zero point of `x`, two strides, four pads (top, left, bottom, right), two dilations, groups.
        x: `[N, H, W, C]`, float or integer.
        weight: `[O, KH, KW, C / groups]`.
        result: `[N, OH, OW, O]`, float, or int64 for integers.
    """
    zero_point, groups = scalars[0], scalars[9]
    strides, pads, dilations = scalars[1:3], scalars[3:7], scalars[7:9]
    if result.dtype.kind != "f":
        result[...] = integer.conv2d_accumulate(_centered(x, zero_point), weight, strides, pads, dilations, groups, 0)
        return
    x = np.pad(x, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0)))
    outputs, kernel_height, kernel_width, depth = weight.shape
    extent = ((kernel_height - 1) * dilations[0] + 1, (kernel_width - 1) * dilations[1] + 1)
    windows = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    if depth == 1:
        _one_channel_each(windows, weight, result)
        return
    # The last dimensions become those of the weight: rows, columns and channels of the window.
    windows = windows.transpose(0, 1, 2, 4, 5, 3)
    per_group = outputs // groups
    for group in range(groups):
        matrix = weight[group * per_group : (group + 1) * per_group].reshape(per_group, -1).T
        inputs = windows[..., group * depth : (group + 1) * depth]
        _multiply_patches(inputs, matrix, result[..., group * per_group : (group + 1) * per_group])


def quantize_dynamically(x: Array, centered: Array, scale: Array) -> None:
    """Quantize values by their own range.

    Args:
        x: float32.
        centered: int16 of its shape, for the stored values minus their zero point.
        scale: one float64.
    """
    stored, scale[...], zero_point = dynamic.quantize_dynamically(x)
    centered[...] = stored.astype(np.int16) - np.int16(zero_point)


def _centered(values: Array, zero_point: int) -> Array:
    """Stored values minus their zero point, in a type that holds the difference."""
    return values.astype(np.int16 if values.itemsize == 1 else np.int64) - zero_point


def _one_channel_each(windows: Array, weight: Array, result: Array) -> None:
    """Each result channel reads one input channel: no matrix product, but a sum over the taps of the window."""
    repeats = weight.shape[0] // windows.shape[3]
    result[...] = 0
    for row in range(weight.shape[1]):
        for column in range(weight.shape[2]):
            met = windows[..., row, column]
            result += (met.repeat(repeats, axis=3) if repeats > 1 else met) * weight[:, row, column, 0]


def _multiply_patches(windows: Array, matrix: Array, result: Array) -> None:
    height, width = windows.shape[1:3]
    rows = max(1, _PATCH_BYTES // max(1, width * matrix.shape[0] * windows.itemsize))
    for image in range(windows.shape[0]):
        for start in range(0, height, rows):
            patches = windows[image, start : start + rows].reshape(-1, matrix.shape[0])
            block = result[image, start : start + rows]
            block[...] = (patches @ matrix).reshape(block.shape)


def matrix_product(scalars: Sequence[int], lhs: Array, rhs: Array, result: Array) -> None:
    """Write the product of two matrices, or of batches of them.

    Args:
        scalars: zero points of `lhs` and `rhs`, and 1 if `rhs` is transposed.
        lhs: `[..., M, K]`; of rank 1, a row.
        rhs: `[..., K, N]`, or `[N, K]` if transposed; float or integer.
        result: `[..., M, N]`, float, or int64 for integers.
    """
    zero_lhs, zero_rhs, transposed = scalars
    if transposed:
        rhs = rhs.T
    if result.dtype.kind == "f":
        result[...] = np.matmul(lhs, rhs)
        return
    rows = np.atleast_2d(_centered(lhs, zero_lhs))
    result[...] = integer.matmul(rows, _centered(rhs, zero_rhs)).reshape(result.shape)

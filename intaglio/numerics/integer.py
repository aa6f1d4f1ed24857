"""Exact products of integer matrices, and convolution built on them, at the speed of floating-point BLAS.

A float32 sum of integers is exact in any order as long as the sum of magnitudes stays within 2^24, a float64
sum within 2^53. The inner dimension is therefore cut into chunks short enough for the magnitudes at hand
(1024 terms for raw int8 operands, 512 after a zero point was subtracted from one), each multiplied by BLAS and
added to the others exactly.

Results are int64 and never overflow for operands of up to 16 bits. An accumulator of 32 bits holds the same
numbers unless a sum leaves its range, where TOSA calls the result unpredictable; `wrap_int32` is what
two's complement hardware would hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

IntegerArray = npt.NDArray[np.integer[Any]]
Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]

_SMALLEST_FLOAT32_CHUNK = 64
"""Below this many terms a chunk, float64 products are faster."""

_PATCH_BYTES = 32 << 20
"""Size limit of the matrix of input patches that convolution multiplies at a time."""


def wrap_int32(accumulator: IntegerArray) -> Int32Array:
    """The low 32 bits in two's complement: what an int32 accumulator holds after any order of additions."""
    return accumulator.astype(np.int64).astype(np.int32)


def _magnitude(values: IntegerArray) -> int:
    return max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0


def _exact_chunk(magnitude_a: int, magnitude_b: int) -> tuple[type[np.float32] | type[np.float64], int]:
    """The float type to multiply in, and the number of terms whose sum is exact in it."""
    term = max(magnitude_a * magnitude_b, 1)
    if magnitude_a <= 1 << 24 and magnitude_b <= 1 << 24 and (1 << 24) // term >= _SMALLEST_FLOAT32_CHUNK:
        return np.float32, (1 << 24) // term
    if term > 1 << 53:
        raise ValueError(f"products of magnitude {term} have no exact double")
    return np.float64, (1 << 53) // term


def matmul(a: IntegerArray, b: IntegerArray) -> Int64Array:
    """The exact product of integer matrices.

    Args:
        a: integers of shape `(..., m, k)`.
        b: integers of shape `(..., k, n)`; leading dimensions broadcast as in `numpy.matmul`.

    Returns:
        int64 of shape `(..., m, n)`.

    Raises:
        ValueError: when one product of elements has no exact double (more than 53 bits).
    """
    kind, chunk = _exact_chunk(_magnitude(a), _magnitude(b))
    return _chunked_matmul(a.astype(kind), b.astype(kind), chunk)


def _chunked_matmul(a: npt.NDArray[Any], b: npt.NDArray[Any], chunk: int) -> Int64Array:
    depth = a.shape[-1]
    if depth <= chunk:
        return np.matmul(a, b).astype(np.int64)
    total = np.matmul(a[..., :chunk], b[..., :chunk, :]).astype(np.int64)
    for start in range(chunk, depth, chunk):
        total += np.matmul(a[..., start : start + chunk], b[..., start : start + chunk, :]).astype(np.int64)
    return total


def conv2d_accumulate(
    x: IntegerArray,
    w: IntegerArray,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    pad_value: int,
) -> Int64Array:
    """The exact sums of a two-dimensional convolution of integers.

    `out[n, i, j, o] = sum over (p, q, c) of x[n, i*sh + p*dh - top, j*sw + q*dw - left, c] * w[o, p, q, c]`,
    where `x` outside its bounds is `pad_value` and `c` runs over the input channels of the group of `o`.

    Args:
        x: input of shape `(batch, height, width, channels)`, of up to 32 bits, zero point subtracted or not.
        w: weights of shape `(out_channels, kernel_height, kernel_width, channels / groups)`.
        strides: `(vertical, horizontal)`, positive.
        pads: `(top, left, bottom, right)`, not negative.
        dilations: `(vertical, horizontal)`, positive.
        groups: divides both channel counts; equal to `channels` for a depthwise convolution.
        pad_value: what padding contributes, in the units of `x`: its zero point, or 0 when that is subtracted.

    Returns:
        int64 of shape `(batch, out_height, out_width, out_channels)`.

    Raises:
        ValueError: when channels do not divide into groups, or the kernel is larger than the padded input.
    """
    channels, out_channels = x.shape[3], w.shape[0]
    if w.shape[3] * groups != channels or out_channels % groups:
        raise ValueError(
            f"{channels} input and {out_channels} output channels do not divide into {groups} groups of {w.shape[3]}"
        )
    kind, chunk = _exact_chunk(max(_magnitude(x), abs(pad_value)), _magnitude(w))
    if depthwise := groups == channels and w.shape[3] == 1:
        x = x.repeat(out_channels // channels, axis=3)
    windows = _windows(_padded(x, pads, pad_value, kind), w.shape[1:3], strides, dilations)
    if depthwise:
        return _depthwise(windows, w.astype(kind), chunk)
    depth = w[0].size
    matrices = w.astype(kind).reshape(groups, out_channels // groups, depth).transpose(0, 2, 1)
    result = np.empty((*windows.shape[:3], out_channels), np.int64)
    for group, matrix in enumerate(matrices):
        inputs = slice(group * w.shape[3], (group + 1) * w.shape[3])
        outputs = slice(group * matrix.shape[1], (group + 1) * matrix.shape[1])
        _multiply_patches(windows[..., inputs], matrix, chunk, result[..., outputs])
    return result


def _padded(x: IntegerArray, pads: Sequence[int], pad_value: int, kind: type[Any]) -> npt.NDArray[Any]:
    top, left, bottom, right = pads
    batch, height, width, channels = x.shape
    if not any(pads):
        return x.astype(kind)
    padded = np.full((batch, top + height + bottom, left + width + right, channels), pad_value, kind)
    padded[:, top : top + height, left : left + width] = x
    return padded


def _windows(
    padded: npt.NDArray[Any], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> npt.NDArray[Any]:
    """A view of shape `(batch, out_height, out_width, kernel_height, kernel_width, channels)`."""
    extent = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    if padded.shape[1] < extent[0] or padded.shape[2] < extent[1]:
        raise ValueError(f"a kernel of {extent} does not fit the padded input {list(padded.shape[1:3])}")
    view = np.lib.stride_tricks.sliding_window_view(padded, tuple(extent), axis=(1, 2))
    view = view[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)


def _multiply_patches(windows: npt.NDArray[Any], matrix: npt.NDArray[Any], chunk: int, result: Int64Array) -> None:
    """Multiply patches by a weight matrix, a bounded number of output rows at a time."""
    batch, height, width = windows.shape[:3]
    rows = max(1, _PATCH_BYTES // max(1, width * matrix.shape[0] * windows.itemsize))
    for image in range(batch):
        for start in range(0, height, rows):
            patches = windows[image, start : start + rows].reshape(-1, matrix.shape[0])
            block = result[image, start : start + rows]
            block[...] = _chunked_matmul(patches, matrix, chunk).reshape(block.shape)


def _depthwise(windows: npt.NDArray[Any], w: npt.NDArray[Any], chunk: int) -> Int64Array:
    """Convolve each channel with one filter."""
    kernel_height, kernel_width = w.shape[1:3]
    taps = [(row, column) for row in range(kernel_height) for column in range(kernel_width)]
    total = np.zeros((*windows.shape[:3], w.shape[0]), np.int64)
    product = np.empty(total.shape, windows.dtype)
    for start in range(0, len(taps), chunk):
        partial = np.zeros(total.shape, windows.dtype)
        for row, column in taps[start : start + chunk]:
            np.multiply(windows[:, :, :, row, column, :], w[:, row, column, 0], out=product)
            partial += product
        total += partial.astype(np.int64)
    return total

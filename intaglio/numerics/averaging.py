"""Means of integers, in both requantization modes, which differ here in more than a rounding.

TOSA subtracts the zero point, sums, and multiplies by a reciprocal. TensorFlow Lite sums stored values, zero points and
all, and divides with halves rounded away from zero; its input and result have the same scale and zero point, and
where ours have not, its division is followed by its rescaling.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intaglio.numerics.requantization import Int64Array, apply_scale, average_multiplier
from intaglio.numerics.rescaling import rescale
from intaglio.params import RequantizationMode


def is_wide_sum(count: int, bits: int) -> bool:
    """Whether a sum of `count` integers of `bits` bits, zero point subtracted, may leave 32 bits.

    Such sums are rescaled as 48-bit integers: more than 2^23 - 1 elements of 8 bits, or 2^16 - 1 of 16.
    """
    magnitude = 1 << (bits if bits <= 8 else bits - 1)
    return count * magnitude >= 1 << 31


def scaled_mean(
    total: npt.ArrayLike, count: int, scale_in: float, scale_out: float, bits: int, mode: RequantizationMode
) -> Int64Array:
    """A sum as the mean, in units of the result's scale, with one rounding step of the mode.

    Args:
        total: sums of stored values less their zero point.
        count: elements summed, at least 1.
        scale_in: scale of the elements.
        scale_out: scale of the mean.
        bits: width of the elements.
        mode: of the function that the operation is in.

    Raises:
        ValueError: when the ratio of the scales is out of the mode's range.

    Source: TOSA 1.0 AVG_POOL2D where the scales are equal in mode `shift`; else RESCALE.
    """
    wide = is_wide_sum(count, bits)
    if mode is RequantizationMode.SHIFT and not wide:
        return apply_scale(total, *average_multiplier(count, scale_in, scale_out))
    return rescale(total, scale_in / (count * scale_out), mode, wide=wide)


def pooled_mean(
    total: npt.ArrayLike,
    count: int,
    zero_point: int,
    scale_in: float,
    scale_out: float,
    bits: int,
    mode: RequantizationMode,
) -> Int64Array:
    """The mean of the elements of a pooling window, less the result's zero point.

    Args:
        total: sums of stored values less their zero point.
        count: elements summed, at least 1.
        zero_point: of the elements.
        scale_in: scale of the elements.
        scale_out: scale of the mean.
        bits: width of the elements.
        mode: of the function that the operation is in.

    Raises:
        ValueError: when the ratio of the scales is out of the mode's range.

    Source: `scaled_mean`; in mode `tflite` TensorFlow Lite `reference/integer_ops/pooling.h`, `AveragePool`.
    """
    if mode is RequantizationMode.SHIFT:
        return scaled_mean(total, count, scale_in, scale_out, bits, mode)
    mean = rounded_quotient(np.asarray(total, np.int64) + count * zero_point, count) - zero_point
    return mean if scale_in == scale_out else rescale(mean, scale_in / scale_out, mode)


def rounded_quotient(total: npt.ArrayLike, count: int) -> Int64Array:
    """`total / count`, rounded to nearest with halves away from zero."""
    values = np.asarray(total, np.int64)
    return np.sign(values) * ((np.abs(values) + count // 2) // count)

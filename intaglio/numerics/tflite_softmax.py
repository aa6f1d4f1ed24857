"""Softmax as LiteRT's reference kernel computes it from 8-bit integers: gemmlowp's fixed-point numbers throughout.

A number with `i` integer bits is an int32 that stands for its value times `2^(31 - i)`; products are
`tflite_high_multiply`, so that the integer bits of the factors add up. The result has the scale 1/256 and the zero
point -128, whatever the input.

The kernel of LiteRT ends the process for sums of exponentials of 256 and more, where a shift exceeds 31 bits. Here the
shift goes on, with the same rounding.

Source: TensorFlow Lite `kernels/internal/reference/softmax.h` and `quantization_util.cc`; gemmlowp `fixedpoint.h`.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from intaglio.numerics.requantization import Int64Array, tflite_high_multiply, tflite_quantize_multiplier

RESULT_SCALE, RESULT_ZERO_POINT = 1 / 256, -128
"""Parameters of the result, which the kernel asks for."""

_DIFFERENCE_BITS = 5
"""Integer bits of a scaled difference from the largest element."""

_SUM_BITS = 12
"""Integer bits of the sum of exponentials."""

_ONE = (1 << 31) - 1
"""One, without integer bits: the largest number there is."""

_EXPONENTIALS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
"""Powers of two, and `exp` of minus each, without integer bits."""


def tflite_softmax(stored: npt.ArrayLike, scale: float) -> npt.NDArray[np.int8]:
    """Softmax along the last dimension.

    Args:
        stored: integers of 8 bits of one scale; the zero point does not matter.
        scale: of them.

    Returns:
        int8 with `RESULT_SCALE` and `RESULT_ZERO_POINT`.
    """
    values = np.asarray(stored, np.int64)
    distance = values.max(axis=-1, keepdims=True) - values
    exponentials = exponential_table(scale)[distance]
    terms = _rounding_shift(exponentials, _SUM_BITS)
    reciprocal, over_unit = _reciprocal(terms.sum(axis=-1, keepdims=True))
    shares = _rounding_shift(tflite_high_multiply(reciprocal, exponentials), over_unit + 31 - 8)
    return np.clip(shares + RESULT_ZERO_POINT, -128, 127).astype(np.int8)


@cache
def exponential_table(scale: float) -> Int64Array:
    """`exp(-scale * d)` for `d` from 0 to 255, without integer bits; 0 from where scaled differences leave 5 bits."""
    factor = min(scale * (1 << (31 - _DIFFERENCE_BITS)), float(_ONE))
    multiplier, exponent = (int(number) for number in tflite_quantize_multiplier(factor))
    shift = max(exponent, 0)
    radius = math.floor(((1 << _DIFFERENCE_BITS) - 1) * (1 << (31 - _DIFFERENCE_BITS)) / (1 << shift))
    distance = np.arange(256, dtype=np.int64)
    inside = distance <= radius
    scaled = tflite_high_multiply(np.where(inside, -distance << shift, 0), multiplier)
    table = np.where(inside, _exponential(scaled), 0)
    table.setflags(write=False)
    return table


def _exponential(value: Int64Array) -> Int64Array:
    """`exp` of numbers of 5 integer bits that are not positive; the result has none."""
    fraction_bits = 31 - _DIFFERENCE_BITS
    quarter = np.int64(1) << (fraction_bits - 2)
    rest = (value & (quarter - 1)) - quarter
    result = _exponential_below_a_quarter(_saturated(rest << _DIFFERENCE_BITS))
    whole = rest - value
    for power, factor in _EXPONENTIALS:
        bit = np.int64(1) << (fraction_bits + power)
        result = np.where(whole & bit != 0, tflite_high_multiply(result, factor), result)
    return np.where(value == 0, _ONE, result)


def _exponential_below_a_quarter(value: Int64Array) -> Int64Array:
    """`exp` of numbers in `[-1/4, 0)` without integer bits: Taylor's series around -1/8 to the fourth power."""
    x = value + (1 << 28)
    square = tflite_high_multiply(x, x)
    cube, fourth = tflite_high_multiply(square, x), tflite_high_multiply(square, square)
    upper = tflite_high_multiply(_rounding_shift(fourth, 2) + cube, 715827883) + square
    series = x + _rounding_shift(upper, 1)
    return 1895147668 + tflite_high_multiply(series, 1895147668)


def _reciprocal(total: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The reciprocal of sums as a number without integer bits, and how many bits they are above one."""
    headroom = 32 - np.ceil(np.log2(total.astype(np.float64) + 1.0)).astype(np.int64)
    fraction = (total << headroom) - (np.int64(1) << 31)
    return _reciprocal_of_one_and(fraction), _SUM_BITS - headroom


def _reciprocal_of_one_and(value: Int64Array) -> Int64Array:
    """`1 / (1 + x)` for `x` in `[0, 1)`, by three steps of Newton's iteration on half the denominator."""
    total = value + _ONE
    half_denominator = (total + 1) // 2
    x = 1515870810 + tflite_high_multiply(half_denominator, -1010580540)
    for _ in range(3):
        error = (1 << 29) - tflite_high_multiply(half_denominator, x)
        x = x + _saturated(tflite_high_multiply(x, error) << 2)
    return _saturated(x << 1)


def _rounding_shift(value: Int64Array, shift: npt.ArrayLike) -> Int64Array:
    """Divide by a power of two, halves away from zero."""
    shifts = np.asarray(shift, np.int64)
    magnitude = (np.abs(value) + (np.int64(1) << (shifts - 1))) >> shifts
    return np.sign(value) * magnitude


def _saturated(value: Int64Array) -> Int64Array:
    return np.clip(value, -(1 << 31), _ONE)

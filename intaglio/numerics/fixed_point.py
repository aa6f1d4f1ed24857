"""Reciprocals and reciprocal square roots of integers, by a small table and Newton's iteration.

Both count leading zeros to bring the argument to a fixed place, read an estimate of seven bits from a table of 256
entries of 16 bits, and improve it twice. They need nothing that a vector unit with multiplication, shifts, tables and
count-leading-zeros has not, and they are the only division there is in softmax, normalizations and quotients.

A result is a multiplier and a shift, as `requantization.apply_scale` takes them.

Source: Newton-Raphson division and reciprocal square root as in Hennessy and Patterson, "Computer Architecture",
appendix J; the error bounds are derived below and held by the tests.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]

LARGEST_ARGUMENT = (1 << 62) - 1
"""Of both functions."""

_ONE = 1 << 30
_LARGEST_MULTIPLIER = (1 << 31) - 1


def _reciprocal_estimates() -> npt.NDArray[np.int16]:
    """`2^14 / x` at the middle of the interval `[i, i + 1) / 256`; entries below 128 are never read."""
    middle = (np.arange(256) + 0.5) / 256
    return np.where(middle < 0.5, 0, np.rint(2.0**14 / middle)).clip(0, 32767).astype(np.int16)


def _root_estimates() -> npt.NDArray[np.int16]:
    """`2^14 / sqrt(x)` at the middle of the interval `[i, i + 1) / 256`; entries below 64 are never read."""
    middle = (np.arange(256) + 0.5) / 256
    return np.where(middle < 0.25, 0, np.rint(2.0**14 / np.sqrt(middle))).clip(0, 32767).astype(np.int16)


RECIPROCAL_ESTIMATES = _reciprocal_estimates()
"""int16 of 256 entries, indexed by the upper 8 bits of an argument in `[1/2, 1)`."""

ROOT_ESTIMATES = _root_estimates()
"""int16 of 256 entries, indexed by the upper 8 bits of an argument in `[1/4, 1)`."""


def bit_length(value: npt.ArrayLike) -> Int64Array:
    """The number of bits of non-negative integers: 0 for 0, 1 for 1, 2 for 2 and 3.

    It is 64 less the leading zeros of 64 bits.
    """
    rest = np.array(value, np.int64)
    count = np.zeros(rest.shape, np.int64)
    for bits in (32, 16, 8, 4, 2, 1):
        large = rest >= np.int64(1) << bits
        count += np.where(large, bits, 0)
        rest = np.where(large, rest >> bits, rest)
    return count + (rest > 0)


def rounding_shift(value: npt.ArrayLike, shift: npt.ArrayLike) -> Int64Array:
    """`value / 2^shift` rounded half up, for shifts from 1."""
    shifts = np.asarray(shift, np.int64)
    shifted: npt.NDArray[Any] = (np.asarray(value, np.int64) + (np.int64(1) << (shifts - 1))) >> shifts
    return shifted


def _shifted_left(value: Int64Array, amount: Int64Array) -> Int64Array:
    """Shift left, or right where the amount is negative; bits shifted out are cut off."""
    return np.where(amount >= 0, value << np.maximum(amount, 0), value >> np.maximum(-amount, 0))


def reciprocal(value: npt.ArrayLike) -> tuple[Int64Array, Int64Array]:
    """Multiplier and shift of `1 / value`.

    The argument becomes `x` in `[2^30, 2^31)`; with `x` and `y` read as `x / 2^31` and `y / 2^30`, the estimate `y` is
    improved twice by `y = y * (2 - x * y)`. Each step squares the relative error, which is at most `2^-7.9` at first
    (half an interval of the table and its rounding), so that after two steps `2^-31` remains, and rounding adds less
    than `2^-29`.

    Args:
        value: integers from 1 to `LARGEST_ARGUMENT`.

    Returns:
        The multiplier, in `[2^30, 2^31)`, and the shift, 30 more than the argument's bits; both int64. Their quotient
        is `1 / value` with a relative error of at most `2^-28`.

    Raises:
        ValueError: an argument is out of range.
    """
    values = _checked(value)
    bits = bit_length(values)
    x = _shifted_left(values, 31 - bits)
    y = RECIPROCAL_ESTIMATES[x >> 23].astype(np.int64) << 16
    for _ in range(2):
        y = rounding_shift(y * (2 * _ONE - rounding_shift(x * y, 31)), 30)
    return np.clip(y, _ONE, _LARGEST_MULTIPLIER), bits + 30


ROOT_FRACTION_BITS = {8: 14, 16: 7}
"""Bits after the point of the root of a sum of squares, by the width of the elements: the root has 32 bits then."""

LONGEST_SUM_OF_SQUARES = 1 << 14
"""Most elements whose sum of squares has a `square_root` with `ROOT_FRACTION_BITS`."""

LARGEST_SQUARES = {8: (1 << 31) - 1, 16: (1 << 46) - 1}
"""The largest sums of squares whose `square_root` with `ROOT_FRACTION_BITS` fits 32 bits, by the elements' width."""

QUOTIENT_BITS = {8: 22, 16: 30}
"""Bits after the point of `quotient`, by the width of its operands: quotients have 31 and 47 bits then."""


def quotient(dividend: npt.ArrayLike, divisor: npt.ArrayLike, bits: int) -> Int64Array:
    """Integers over integers in fixed point, by the reciprocal of the divisor's magnitude.

    The error is half a unit of the last bit, and besides `2^-28` of the quotient.

    Args:
        dividend: integers of 17 bits, of 9 when `bits` is 8.
        divisor: likewise; broadcasts against `dividend`.
        bits: width of the stored operands, 8 or 16.

    Returns:
        int64 with `QUOTIENT_BITS` bits after the point. Division by zero gives the largest magnitude there is, with
        the sign of the dividend; zero over zero is zero.
    """
    top, bottom = np.asarray(dividend, np.int64), np.asarray(divisor, np.int64)
    multiplier, shift = reciprocal(np.maximum(np.abs(bottom), 1))
    result = rounding_shift(top * np.where(bottom < 0, -multiplier, multiplier), shift - QUOTIENT_BITS[bits])
    return np.where(bottom == 0, np.sign(top) * ((1 << (31 if bits == 8 else 47)) - 1), result)


def _normalized_for_root(values: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
    """`x` in `[2^30, 2^32)`, half the bits it was shifted left by, and `y`: `2^30 / sqrt(x / 2^32)`."""
    half = (32 - bit_length(values)) >> 1
    x = _shifted_left(values, 2 * half)
    y = ROOT_ESTIMATES[x >> 24].astype(np.int64) << 16
    for _ in range(2):
        square = rounding_shift(y * y, 30)
        y = rounding_shift(y * (3 * _ONE - rounding_shift(x * square, 32)), 31)
    return x, half, np.clip(y, _ONE, _LARGEST_MULTIPLIER)


def reciprocal_sqrt(value: npt.ArrayLike) -> tuple[Int64Array, Int64Array]:
    """Multiplier and shift of `1 / sqrt(value)`.

    The argument, shifted by an even number of bits, becomes `x` in `[2^30, 2^32)`; with `x` and `y` read as `x / 2^32`
    and `y / 2^30`, the estimate is improved twice by `y = y * (3 - x * y^2) / 2`. Of a relative error `e` a step leaves
    `1.5 * e^2`: of `2^-7.9` at first, `2^-15.2` and then `2^-29.8`, to which rounding adds less than `2^-29`.

    Args:
        value: integers from 1 to `LARGEST_ARGUMENT`.

    Returns:
        The multiplier, in `[2^30, 2^31)`, and the shift, 31 to 61; both int64. Their quotient is `1 / sqrt(value)`
        with a relative error of at most `2^-28`.

    Raises:
        ValueError: an argument is out of range.
    """
    _, half, y = _normalized_for_root(_checked(value))
    return y, 46 - half


def square_root(value: npt.ArrayLike, fraction_bits: int) -> Int64Array:
    """The square root in fixed point: `x * (1 / sqrt(x))` of the shifted argument, shifted back.

    Args:
        value: integers from 0, below `2^(60 - 2 * fraction_bits)`.
        fraction_bits: of the result, at most 14.

    Returns:
        `sqrt(value) * 2^fraction_bits`, int64, with an error of at most `1/2 + 2^-28` of the result.

    Raises:
        ValueError: an argument is out of range.
    """
    values = np.asarray(value, np.int64)
    if values.size and not 0 <= int(values.min()) <= int(values.max()) < 1 << (60 - 2 * fraction_bits):
        raise ValueError(f"roots with {fraction_bits} bits of fraction exist below 2^{60 - 2 * fraction_bits}")
    x, half, y = _normalized_for_root(np.maximum(values, 1))
    root = rounding_shift(x * y, 31)
    return np.where(values == 0, 0, rounding_shift(root, 15 + half - fraction_bits))


LOGARITHM_BITS = 23
"""Bits after the point of a logarithm; one of a 16-bit value and of its scale has 31 bits then."""

LOGARITHMS = np.rint(np.log1p(np.arange(257) / 256) * 2.0**LOGARITHM_BITS).astype(np.int32)
"""int32 of 257 entries: `log(1 + i / 256)`."""

LOGARITHM_OF_2 = round(float(np.log(2.0)) * 2**LOGARITHM_BITS)


def logarithm(value: npt.ArrayLike) -> Int64Array:
    """The natural logarithm in fixed point, by the number of bits and a table of which neighbours are interpolated.

    Interpolation is wrong by at most `1 / 8 / 256^2`, which is `2^-19`.

    Args:
        value: integers from 1 to `LARGEST_ARGUMENT`.

    Returns:
        `log(value)` with `LOGARITHM_BITS` bits after the point, int64, with an error of at most `2^-18.9`.

    Raises:
        ValueError: an argument is out of range.
    """
    values = _checked(value)
    bits = bit_length(values)
    x = _shifted_left(values, 31 - bits)
    index = (x >> 22) - 256
    entry, following = (LOGARITHMS[index + offset].astype(np.int64) for offset in (0, 1))
    between = rounding_shift((following - entry) * (x & ((1 << 22) - 1)), 22)
    return (bits - 1) * LOGARITHM_OF_2 + entry + between


def stored_logarithm(stored: npt.ArrayLike, offset: int) -> Int64Array:
    """The logarithm of stored values, with `LOGARITHM_BITS` bits after the point.

    Args:
        stored: integers of 16 bits, with the zero point 0.
        offset: the logarithm of their scale, from `logarithm_offset`.

    Returns:
        int64 of 32 bits. Zero has the smallest logarithm there is; a negative number has none, which is 0 here.
    """
    values = np.asarray(stored, np.int64)
    found = logarithm(np.maximum(values, 1)) + offset
    return np.where(values > 0, found, np.where(values == 0, np.iinfo(np.int32).min, 0))


def logarithm_offset(scale: float) -> int:
    """The logarithm of a scale with `LOGARITHM_BITS` bits after the point."""
    return round(math.log(scale) * 2**LOGARITHM_BITS)


def _checked(value: npt.ArrayLike) -> Int64Array:
    values = np.asarray(value, np.int64)
    if values.size and not 1 <= int(values.min()) <= int(values.max()) <= LARGEST_ARGUMENT:
        raise ValueError("the argument must be from 1 to 2^62 - 1")
    return values

"""From a 48-bit accumulator to a stored value: 16-bit multipliers and a single rounding.

Accumulators of 16-bit activations have 48 bits, and a product with 32-bit multipliers would not fit 64. Both modes of
`requantization` therefore know a second form with multipliers of 15 bits, which costs up to `2^-16` of the result.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from intaglio.numerics.requantization import MAX_SHIFT, MIN_SHIFT, Int32Array, Int64Array, tflite_quantize_multiplier

_LIMIT = 1 << 47


def wide_quantize_multiplier(real: npt.ArrayLike) -> tuple[Int32Array, Int32Array]:
    """Integer multiplier and shift whose quotient `multiplier / 2^shift` is closest to `real`.

    The multiplier is in `[2^14, 2^15)` and the shift in `[2, 62]`. A number below `2^-48` keeps the largest shift and
    a smaller multiplier, cut off, down to 0.

    Args:
        real: positive numbers below `2^13`.

    Returns:
        Two int32 arrays of the shape of `real`.

    Raises:
        ValueError: when a number is not positive, not finite or too large.

    Source: TOSA 1.0, RESCALE without `scale32`; MLIR `QuantUtils.cpp`, `computeMultiplierAndShiftTosaScale16`.
    """
    values = np.asarray(real, np.float64)
    mantissa, exponent = np.frexp(np.where(np.isfinite(values), values, 0.0))
    multiplier = np.floor(mantissa * 2.0**15 + 0.5).astype(np.int64)
    overflow = multiplier == 1 << 15
    multiplier = np.where(overflow, 1 << 14, multiplier)
    shift = 15 - exponent.astype(np.int64) - overflow
    if not bool(np.all((values > 0) & np.isfinite(values) & (shift >= MIN_SHIFT))):
        raise ValueError("a rescaling factor of a 48-bit accumulator must be positive and below 2^13")
    multiplier >>= np.clip(shift - MAX_SHIFT, 0, 31)
    return multiplier.astype(np.int32), np.minimum(shift, MAX_SHIFT).astype(np.int32)


def wide_apply_scale(value: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike) -> Int64Array:
    """Multiply by `multiplier / 2^shift` and round half up: `(value * multiplier + 2^(shift-1)) >> shift`.

    Args:
        value: integers of 48 bits.
        multiplier: 0 to `2^15 - 1`; broadcasts against `value`.
        shift: 2 to 62; broadcasts against `value`.

    Raises:
        ValueError: when a value does not fit 48 bits.

    Source: TOSA 1.0, section "Scaling Helpers", `apply_scale_16`.
    """
    values, shifts = _as_48_bits(value), np.asarray(shift, np.int64)
    return cast(Int64Array, (values * np.asarray(multiplier, np.int64) + (np.int64(1) << (shifts - 1))) >> shifts)


def _as_48_bits(value: npt.ArrayLike) -> Int64Array:
    values = np.asarray(value).astype(np.int64)
    if values.size and not -_LIMIT <= int(values.min()) <= int(values.max()) < _LIMIT:
        raise ValueError("a value to rescale must fit 48 bits")
    return values


def wide_tflite_quantize_multiplier(real: npt.ArrayLike) -> tuple[Int32Array, Int32Array]:
    """Multiplier of 15 bits and exponent with `multiplier / 2^15 * 2^exponent` close to `real`.

    It is `tflite_quantize_multiplier`, of whose multiplier the upper half is kept, rounded.

    Args:
        real: numbers, not negative.

    Raises:
        ValueError: when a number is negative or not finite.

    Source: TensorFlow Lite `kernels/internal/common.cc`, `MultiplyByQuantizedMultiplier` of int64.
    """
    multiplier, exponent = tflite_quantize_multiplier(real)
    wide = multiplier.astype(np.int64)
    reduced = np.where(wide < 0x7FFF0000, (wide + (1 << 15)) >> 16, 0x7FFF)
    return reduced.astype(np.int32), exponent


def wide_tflite_apply_scale(value: npt.ArrayLike, multiplier: npt.ArrayLike, exponent: npt.ArrayLike) -> Int64Array:
    """Multiply by `multiplier / 2^15 * 2^exponent` and round half up.

    Args:
        value: integers of 48 bits.
        multiplier: from `wide_tflite_quantize_multiplier`; broadcasts against `value`.
        exponent: from there too, below 8 as TensorFlow Lite asks for.

    Raises:
        ValueError: when a value does not fit 48 bits, or an exponent is too large.

    Source: TensorFlow Lite `kernels/internal/common.cc`, `MultiplyByQuantizedMultiplier` of int64.
    """
    values, shifts = _as_48_bits(value), 15 - np.asarray(exponent, np.int64)
    if bool(np.any(shifts < 8)):
        raise ValueError("a rescaling factor of a 48-bit accumulator must be below 2^7")
    return cast(Int64Array, (values * np.asarray(multiplier, np.int64) + (np.int64(1) << (shifts - 1))) >> shifts)

"""From a wide accumulator to a narrow stored value, in integers: multiply, round, shift.

Two modes, each specified to the last bit:

- `shift` (functions without a prefix): TOSA 1.0 RESCALE with `scale32`, single or double rounding. This is the
  accelerator's.
- `tflite` (functions with the prefix): gemmlowp's rounding doubling high multiply and rounding shift, as the
  reference kernels of TensorFlow Lite.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]

MIN_SHIFT = 2
MAX_SHIFT = 62
_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1

ADD_HEADROOM_BITS = 20
"""Fraction bits of the operands of an 8-bit addition. Source: TensorFlow Lite `add.cc`, `left_shift`."""

WIDE_ADD_HEADROOM_BITS = 15
"""Fraction bits of the operands of a 16-bit addition. Source: TensorFlow Lite `add.cc`, `left_shift`."""


def quantize_multiplier(real: npt.ArrayLike) -> tuple[Int32Array, Int32Array]:
    """Integer multiplier and shift whose quotient `multiplier / 2^shift` is closest to `real`.

    The multiplier is in `[2^30, 2^31)` and the shift in `[2, 62]`, so the relative error is at most `2^-31`. A
    number below `2^-32` keeps the largest shift and a smaller multiplier, cut off, down to 0.

    Args:
        real: positive numbers below `2^29`.

    Returns:
        Two int32 arrays of the shape of `real`.

    Raises:
        ValueError: when a number is not positive, not finite or too large.

    Source: TOSA 1.0, RESCALE; MLIR `Dialect/Tosa/Utils/QuantUtils.cpp`, `computeMultiplierAndShift`.
    """
    values = np.asarray(real, np.float64)
    if not bool(np.all((values > 0) & (values < 2.0**29))):
        raise ValueError("a rescaling factor must be positive and below 2^29")
    mantissa, exponent = np.frexp(values)
    multiplier = np.floor(mantissa * 2.0**31 + 0.5).astype(np.int64)
    overflow = multiplier == 1 << 31
    multiplier = np.where(overflow, 1 << 30, multiplier)
    shift = 31 - exponent.astype(np.int64) - overflow
    if bool(np.any(shift < MIN_SHIFT)):
        raise ValueError("a rescaling factor must be below 2^29")
    multiplier >>= np.clip(shift - MAX_SHIFT, 0, 31)
    return multiplier.astype(np.int32), np.minimum(shift, MAX_SHIFT).astype(np.int32)


def apply_scale(
    value: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike, double_round: bool = False
) -> Int64Array:
    """Multiply by `multiplier / 2^shift` and round: `(value * multiplier + round) >> shift` in 64 bits.

    `round` is `2^(shift-1)` (half up); with `double_round` and a shift above 31, `2^30` is added to it for
    values from 0 and subtracted for negative ones.

    Args:
        value: integers that fit int32.
        multiplier: int32, not negative; broadcasts against `value`.
        shift: 2 to 62; broadcasts against `value`.
        double_round: TOSA's DOUBLE_ROUND.

    Returns:
        int64. It fits int32 for values in `[-2^(shift-1), 2^(shift-1))`, which TOSA requires; outside it is
        the exact result, which saturation then clamps.

    Raises:
        ValueError: when a value does not fit int32.

    Source: TOSA 1.0, section "Scaling Helpers", `apply_scale_32`.
    """
    values = _as_int32_values(value)
    factors = np.asarray(multiplier, np.int64)
    shifts = np.asarray(shift, np.int64)
    rounding = np.int64(1) << (shifts - 1)
    if double_round:
        nudge = np.where(values >= 0, np.int64(1 << 30), np.int64(-(1 << 30)))
        rounding = rounding + np.where(shifts > 31, nudge, 0)
    return cast(Int64Array, (values * factors + rounding) >> shifts)


def _as_int32_values(value: npt.ArrayLike) -> Int64Array:
    values = np.asarray(value)
    # Products of wider values would wrap around in 64 bits without notice.
    narrow = values.dtype.kind in "iu" and values.dtype.itemsize <= 4 and values.dtype != np.uint32
    if not narrow and values.size and not _INT32_MIN <= int(values.min()) <= int(values.max()) <= _INT32_MAX:
        raise ValueError("a value to rescale must fit 32 bits")
    return values.astype(np.int64)


def requantize(
    acc: npt.ArrayLike,
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    zero_point: npt.ArrayLike,
    qmin: int,
    qmax: int,
    double_round: bool = False,
) -> Int64Array:
    """An accumulator as a stored value: `clamp(zero_point + apply_scale(acc, multiplier, shift))`.

    Args:
        acc: integers that fit int32, channels last when `multiplier` and `shift` are per channel.
        multiplier: see `apply_scale`.
        shift: see `apply_scale`.
        zero_point: stored value of real zero.
        qmin: lower bound of the result.
        qmax: upper bound of the result.
        double_round: see `apply_scale`.

    Returns:
        int64 in `[qmin, qmax]`.

    Source: TOSA 1.0, RESCALE.
    """
    scaled = apply_scale(acc, multiplier, shift, double_round)
    return np.clip(scaled + np.asarray(zero_point, np.int64), qmin, qmax)


def reciprocal_scale(count: int) -> tuple[int, int]:
    """Multiplier and shift for dividing by a count of elements.

    The quotient is a little above `1 / count`, so `apply_scale` rounds exact halves away from zero.

    Args:
        count: 1 to `2^31`.

    Raises:
        ValueError: for a count out of range.

    Source: TOSA 1.0, section "Scaling Helpers", `reciprocal_scale`.
    """
    if not 1 <= count <= 1 << 31:
        raise ValueError(f"expected a count of 1 to 2^31 elements, got {count}")
    log2 = (count - 1).bit_length()
    return (((1 << 30) + 1) << log2) // count, 30 + log2


def average_multiplier(count: int, scale_in: float, scale_out: float) -> tuple[int, int]:
    """Multiplier and shift that turn a sum of `count` elements of one scale into a mean of another.

    For equal scales it is TOSA's `reciprocal_scale(count)`, as in AVG_POOL2D; otherwise the closest to
    `scale_in / (count * scale_out)`.

    Args:
        count: elements summed, at least 1.
        scale_in: scale of the elements.
        scale_out: scale of the mean.
    """
    if scale_in == scale_out:
        return reciprocal_scale(count)
    multiplier, shift = quantize_multiplier(scale_in / (count * scale_out))
    return int(multiplier), int(shift)


def add_multipliers(
    scale_a: float, scale_b: float, scale_out: float, headroom_bits: int = ADD_HEADROOM_BITS
) -> tuple[int, int, int, int, int, int]:
    """Multipliers and shifts for adding (or subtracting) tensors of different scales.

    Both operands, zero point subtracted, are brought to the common scale `2 * max(scale_a, scale_b) / 2^headroom`
    with `apply_scale`, added, and brought to the result's scale with `apply_scale` again.

    Args:
        scale_a: of the first operand.
        scale_b: of the second operand.
        scale_out: of the result.
        headroom_bits: 20 for operands of 8 bits, 15 when one has 16.

    Returns:
        `(multiplier_a, shift_a, multiplier_b, shift_b, multiplier_out, shift_out)`.

    Source: TensorFlow Lite `kernels/add.cc`; the TOSA legalization of quantized add does the same.
    """
    common = 2.0 * max(scale_a, scale_b)
    headroom = float(1 << headroom_bits)
    ratios = [scale_a / common * headroom, scale_b / common * headroom, common / (headroom * scale_out)]
    (multiplier_a, multiplier_b, multiplier_out), (shift_a, shift_b, shift_out) = (
        [int(number) for number in numbers] for numbers in quantize_multiplier(ratios)
    )
    return multiplier_a, shift_a, multiplier_b, shift_b, multiplier_out, shift_out


def tflite_quantize_multiplier(real: npt.ArrayLike) -> tuple[Int32Array, Int32Array]:
    """Multiplier in `[2^30, 2^31)` and exponent with `multiplier / 2^31 * 2^exponent` closest to `real`.

    Below `2^-32` both are 0; from `2^30` they saturate at `2^31 - 1` and 30.

    Args:
        real: numbers, not negative.

    Raises:
        ValueError: when a number is negative or not finite.

    Source: TensorFlow Lite `kernels/internal/quantization_util.cc`, `QuantizeMultiplier`.
    """
    values = np.asarray(real, np.float64)
    if not bool(np.all((values >= 0) & np.isfinite(values))):
        raise ValueError("a rescaling factor must be finite and not negative")
    mantissa, exponents = np.frexp(values)
    multiplier = np.floor(mantissa * 2.0**31 + 0.5).astype(np.int64)
    overflow = multiplier == 1 << 31
    exponent = exponents.astype(np.int64) + overflow
    multiplier = np.where(overflow, 1 << 30, multiplier)
    multiplier = np.where(exponent < -31, 0, np.where(exponent > 30, _INT32_MAX, multiplier))
    exponent = np.where(exponent < -31, 0, np.minimum(exponent, 30))
    return multiplier.astype(np.int32), exponent.astype(np.int32)


def tflite_high_multiply(a: npt.ArrayLike, b: npt.ArrayLike) -> Int64Array:
    """`a * b / 2^31`, rounded to nearest with ties upwards; `-2^31 * -2^31` saturates to `2^31 - 1`.

    Args:
        a: integers that fit int32.
        b: integers that fit int32.

    Raises:
        ValueError: when an operand does not fit int32.

    Source: gemmlowp `fixedpoint.h`, `SaturatingRoundingDoublingHighMul`.
    """
    product = _as_int32_values(a) * _as_int32_values(b)
    nudged = product + np.where(product >= 0, np.int64(1 << 30), np.int64(1 - (1 << 30)))
    # C++ division truncates; a shift of the magnitude does the same.
    quotient = np.sign(nudged) * (np.abs(nudged) >> 31)
    return np.minimum(quotient, _INT32_MAX)


def tflite_rounding_shift(value: npt.ArrayLike, exponent: npt.ArrayLike) -> Int64Array:
    """`value / 2^exponent`, rounded to nearest with ties away from zero.

    Args:
        value: int64.
        exponent: 0 to 31.

    Source: gemmlowp `fixedpoint.h`, `RoundingDivideByPOT`.
    """
    values, exponents = np.asarray(value, np.int64), np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponents) - 1
    threshold = (mask >> 1) + (values < 0)
    return cast(Int64Array, (values >> exponents) + ((values & mask) > threshold))


def tflite_apply_scale(value: npt.ArrayLike, multiplier: npt.ArrayLike, exponent: npt.ArrayLike) -> Int64Array:
    """Multiply by `multiplier / 2^31 * 2^exponent` with two roundings.

    Args:
        value: integers; shifted left by a positive exponent they must still fit int32.
        multiplier: from `tflite_quantize_multiplier`; broadcasts against `value`.
        exponent: from `tflite_quantize_multiplier`; broadcasts against `value`.

    Raises:
        ValueError: when a shifted value does not fit int32.

    Source: TensorFlow Lite `kernels/internal/common.h`, `MultiplyByQuantizedMultiplier` with double rounding.
    """
    exponents = np.asarray(exponent, np.int64)
    shifted = _as_int32_values(value) << np.maximum(exponents, 0)
    return tflite_rounding_shift(tflite_high_multiply(shifted, multiplier), np.maximum(-exponents, 0))


def tflite_apply_scale_once(value: npt.ArrayLike, multiplier: npt.ArrayLike, exponent: npt.ArrayLike) -> Int64Array:
    """Multiply by `multiplier / 2^31 * 2^exponent` with one rounding, halves away from zero.

    This is what fully connected layers do, where all others round twice.

    Args:
        value: integers that fit int32.
        multiplier: from `tflite_quantize_multiplier`; broadcasts against `value`.
        exponent: from `tflite_quantize_multiplier`; broadcasts against `value`.

    Raises:
        ValueError: when a value does not fit int32.

    Source: measured on LiteRT 2.3 with its resolver of reference kernels, which gives no other result in 49,636
    elements and at all halves; two roundings give 17 others.
    """
    shifts = 31 - np.asarray(exponent, np.int64)
    product = _as_int32_values(value) * np.asarray(multiplier, np.int64)
    magnitude = (np.abs(product) + (np.int64(1) << (shifts - 1))) >> shifts
    return cast(Int64Array, np.sign(product) * magnitude)


def tflite_requantize(
    acc: npt.ArrayLike,
    multiplier: npt.ArrayLike,
    exponent: npt.ArrayLike,
    zero_point: npt.ArrayLike,
    qmin: int,
    qmax: int,
) -> Int64Array:
    """An accumulator as a stored value: `clamp(zero_point + tflite_apply_scale(acc, ...))`, int64."""
    scaled = tflite_apply_scale(acc, multiplier, exponent)
    return np.clip(scaled + np.asarray(zero_point, np.int64), qmin, qmax)

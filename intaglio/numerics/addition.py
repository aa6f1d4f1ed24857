"""Sums and differences of integers with different scales, in both requantization modes.

Operands are brought to a common scale of 32-bit integers, combined, and brought to the scale of the result. The modes
differ in where they shift: `shift` multiplies by one factor with `headroom` bits in it, `tflite` shifts the operand
left first and multiplies by what is left, at most one half.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.numerics.requantization import (
    ADD_HEADROOM_BITS,
    WIDE_ADD_HEADROOM_BITS,
    Int64Array,
    add_multipliers,
    apply_scale,
    tflite_apply_scale,
    tflite_quantize_multiplier,
)
from intaglio.params import RequantizationMode

Combine = Callable[[npt.NDArray[Any], npt.NDArray[Any]], npt.NDArray[Any]]


def add_headroom_bits(*bits: int) -> int:
    """Fraction bits of the common scale, given the widths of the operands."""
    return ADD_HEADROOM_BITS if max(bits) <= 8 else WIDE_ADD_HEADROOM_BITS


def combine_scaled(
    lhs: npt.NDArray[np.int64],
    rhs: npt.NDArray[np.int64],
    scales: tuple[float, float, float],
    headroom_bits: int,
    mode: RequantizationMode,
    combine: Combine = np.add,
) -> Int64Array:
    """The sum, or another combination, of two operands in units of the result's scale.

    Args:
        lhs: stored values less their zero point.
        rhs: likewise; broadcasts against `lhs`.
        scales: of both operands and of the result.
        headroom_bits: from `add_headroom_bits`.
        mode: of the function that the operation is in.
        combine: `np.add` or `np.subtract`.

    Raises:
        ValueError: when a ratio of scales is out of the mode's range, or a sum does not fit 32 bits.

    Source: TensorFlow Lite `kernels/add.cc` and `reference/integer_ops/add.h`; the TOSA legalization of quantized add.
    """
    if mode is RequantizationMode.SHIFT:
        lhs_multiplier, lhs_shift, rhs_multiplier, rhs_shift, multiplier, shift = add_multipliers(
            *scales, headroom_bits
        )
        total = combine(apply_scale(lhs, lhs_multiplier, lhs_shift), apply_scale(rhs, rhs_multiplier, rhs_shift))
        return apply_scale(total, multiplier, shift)
    common = 2.0 * max(scales[:2])
    factors = tflite_quantize_multiplier([scales[0] / common, scales[1] / common])
    (lhs_multiplier, rhs_multiplier), (lhs_exponent, rhs_exponent) = factors
    total = combine(
        tflite_apply_scale(lhs << headroom_bits, lhs_multiplier, lhs_exponent),
        tflite_apply_scale(rhs << headroom_bits, rhs_multiplier, rhs_exponent),
    )
    return tflite_apply_scale(total, *tflite_quantize_multiplier(common / (2.0**headroom_bits * scales[2])))

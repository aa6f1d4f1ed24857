"""Rounding to bfloat16, once.

Operations on bfloat16 are exact in the sense of this repository's interpreter: their operands, which have 8 significant
bits, are multiplied and summed in double precision, whatever the order, and the result is rounded to nearest, ties to
even. Hardware that sums in float32 differs from it by at most one unit in the last place of bfloat16 as long as its
rounding errors stay below half a unit; that is the tolerance for bfloat16 wherever implementations are compared.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def round_to_bfloat16(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Round floats to the nearest bfloat16, ties to even.

    A double is not rounded to float32 on the way, which could make a tie of what is none.

    Args:
        values: floats of any width up to double; NaN stays NaN, what is too large becomes infinite.

    Source: IEEE 754, rounding to odd (Boldo and Melquiond, "Emulation of a FMA and Correctly Rounded Sums").
    """
    array: npt.NDArray[Any] = np.asarray(values)
    if array.dtype != np.float64:
        return array.astype(BFLOAT16)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow: npt.NDArray[np.float32] = np.asarray(array.astype(np.float32))
        # Cut towards zero, and mark in the last bit what has been cut off: then the second rounding sees it.
        inexact = np.isfinite(narrow) & (narrow.astype(np.float64) != array)
        away = inexact & (np.abs(narrow.astype(np.float64)) > np.abs(array))
    bits: npt.NDArray[np.uint32] = narrow.view(np.uint32) - away.astype(np.uint32)
    bits |= inexact.astype(np.uint32)
    return bits.view(np.float32).astype(BFLOAT16)


def bits_of(values: npt.ArrayLike) -> npt.NDArray[np.int16]:
    """The bits of floats rounded to bfloat16."""
    return round_to_bfloat16(values).view(np.int16)


def floats_of(bits: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The values of bfloat16 bits, which are the upper half of those of a float32."""
    upper: npt.NDArray[np.uint32] = np.asarray(bits).astype(np.uint16).astype(np.uint32) << np.uint32(16)
    return upper.view(np.float32)


LARGEST_ORDINAL = 0x7F80
"""The ordinal of infinity."""


def ordinal(value: float) -> int:
    """The number of a real value, rounded to bfloat16, when all of them are counted from zero, in both directions.

    It grows with the value, and fits 16 bits with its sign: the bits of the magnitude, negated for negative values.
    """
    bits = int(bits_of(np.float64(value)))
    return bits if bits >= 0 else -(bits & 0x7FFF)


def of_ordinal(number: int) -> float:
    """The value of an ordinal."""
    magnitude = float(floats_of(np.array(abs(number), np.int16)))
    return -magnitude if number < 0 else magnitude

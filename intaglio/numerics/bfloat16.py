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

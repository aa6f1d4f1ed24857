"""Rescaling and bounded sums, as the lanes of the vector unit compute them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1

WIDE_BITS_ABOVE = 64 - 48
"""Bits of an int64 above a sum of 48 bits."""

_BYTES = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)
"""The signed value of each byte: a table's entry for byte b is that of the value `_BYTES[b]`."""


def rescale(values: Array, multiplier: Any, shift: Any, double_round: bool) -> Int64Array:
    """Return `values * multiplier / 2^shift` as APPLY_SCALE_32 rounds it, exact in int64 and not yet saturated.

    Args:
        values: integers that fit 32 bits, or 48.
        multiplier: 0 to 2^31 - 1, or 2^15 - 1, broadcast.
        shift: 2 to 62, broadcast.
        double_round: TOSA's DOUBLE_ROUND.
    """
    wide = values.astype(np.int64)
    rounding = np.left_shift(np.int64(1), np.asarray(shift, np.int64) - 1)
    if double_round:
        nudge = np.where(wide >= 0, np.int64(1 << 30), np.int64(-(1 << 30)))
        rounding = rounding + np.where(np.asarray(shift) > 31, nudge, 0)
    wide *= multiplier
    wide += rounding
    wide >>= shift
    return wide


def unpacked(weights: Array, count: int) -> Array:
    """Weights of 4 bits, two in a byte along the last dimension, the lower bits first.

    Args:
        weights: int8.
        count: of weights in a row.
    """
    low = np.left_shift(weights, 4) >> 4
    pairs = np.stack((low, weights >> 4), axis=-1)
    return pairs.reshape(*weights.shape[:-1], -1)[..., :count]


def saturated(values: Int64Array) -> Int64Array:
    """Values limited to 32 bits."""
    return np.clip(values, INT32_MIN, INT32_MAX)


def saturated_wide(values: Int64Array) -> Int64Array:
    """Values limited to 48 bits."""
    limit = 1 << (63 - WIDE_BITS_ABOVE)
    return np.clip(values, -limit, limit - 1)


def operand(
    view: Array, function: Callable[[Int64Array], Int64Array], kind: npt.DTypeLike = np.int64
) -> tuple[Callable[[], Array], int]:
    """A function of stored values that gives what `function`, which is monotonic, makes of the present ones.

    Returns:
        That function, which uses a table for bytes, and the largest magnitude that it gives.
    """
    if view.dtype == np.int8:
        table = function(_BYTES)
        entries, indices = table.astype(kind), view.view(np.uint8)
        return (lambda: entries[indices]), int(np.abs(table).max())
    limits = np.iinfo(view.dtype)
    largest = int(np.abs(function(np.array([limits.min, limits.max], np.int64))).max())
    return (lambda: function(view.astype(np.int64)).astype(kind, copy=False)), largest


def add_narrow(sums: Array, bias: Array) -> Int32Array:
    """A sum's low 32 bits and a bias, wrapped."""
    return sums.astype(np.int32, copy=False) + bias


def add_wide(sums: Array, bias: Array) -> Int64Array:
    """A sum and a bias of 48 bits, wrapped."""
    total = sums.astype(np.int64) + bias
    total <<= WIDE_BITS_ABOVE
    total >>= WIDE_BITS_ABOVE
    return total

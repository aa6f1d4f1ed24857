"""Requantization inside compiled code: the arithmetic of `intaglio.numerics.rescaling`, a value or a row at a time.

Both modes and both widths are three formulas, with the multipliers and shifts that `numerics` chooses: 32-bit integers
in mode `tflite` are rounded twice, or once with halves away from zero in dense layers, and all others once with halves
up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from intaglio.executor.jit import compiled
from intaglio.numerics.rescaling import rescaling
from intaglio.params import RequantizationMode

Array = np.ndarray[Any, np.dtype[Any]]


ONCE_UP, TWICE, ONCE_AWAY = 0, 1, 2

Scaling = tuple[Array, Array, int, np.int64, np.int64, np.int64]
"""`Rescale` as kernels take it: one tuple of its attributes."""


@dataclass(frozen=True)
class Rescale:
    """How sums become stored values.

    Attributes:
        multiplier: int32, one a channel.
        shift: int32, one a channel; right shifts from 1 with one rounding, TensorFlow Lite's exponents with two.
        rounding: `ONCE_UP`, `TWICE` or `ONCE_AWAY`.
        zero_point: of the result.
        low: smallest stored value.
        high: largest stored value.
    """

    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    rounding: int
    zero_point: int
    low: int
    high: int

    def blocks(self, groups: int, block: int) -> Rescale:
        """The same for kernels that work on blocks of channels of a group: `[groups, channels]`, padded."""
        rows = [in_blocks(array, groups, block) for array in (self.multiplier, self.shift)]
        return replace(self, multiplier=rows[0], shift=rows[1])

    @property
    def arguments(self) -> Scaling:
        """The attributes in the order and types that kernels take them in."""
        return (
            self.multiplier,
            self.shift,
            self.rounding,
            np.int64(self.zero_point),
            np.int64(self.low),
            np.int64(self.high),
        )


def in_blocks(channels: NDArray[Any], groups: int, block: int) -> NDArray[Any]:
    """Values of channels as `[groups, channels of a group]`, padded with ones to a multiple of `block`."""
    rows = channels.reshape(groups, -1)
    padded = np.ones((groups, -(-rows.shape[1] // block) * block), channels.dtype)
    padded[:, : rows.shape[1]] = rows
    return padded


def rescale_of(
    factors: ArrayLike,
    mode: RequantizationMode,
    zero_point: int,
    bounds: tuple[int, int],
    *,
    wide: bool,
    channels: int,
    is_dense: bool = False,
) -> Rescale:
    """The rescaling by real factors.

    Args:
        factors: one, or one a channel.
        mode: of the function.
        zero_point: of the result.
        bounds: smallest and largest stored value.
        wide: whether sums have 48 bits instead of 32.
        channels: how many there are.
        is_dense: whether a dense layer is meant, which mode `tflite` rounds in its own way.

    Raises:
        ValueError: a factor is out of the mode's range.
    """
    multiplier, shift = rescaling(mode, wide=wide).multiplier(factors)
    if wide and mode is RequantizationMode.TFLITE:
        shift = 15 - shift  # one rounding shift, as in the other mode
        if int(shift.min()) < 8:
            raise ValueError("a rescaling factor of a 48-bit accumulator must be below 2^7")
    rounding = ONCE_UP
    if mode is RequantizationMode.TFLITE and not wide:
        rounding = ONCE_AWAY if is_dense else TWICE
        shift = 31 - shift if is_dense else shift
    rows = [np.ascontiguousarray(np.broadcast_to(array, (channels,)).astype(np.int32)) for array in (multiplier, shift)]
    return Rescale(rows[0], rows[1], rounding, zero_point, *bounds)


@compiled
def scaled_once(value: Any, multiplier: Any, shift: Any) -> Any:
    """`(value * multiplier + 2^(shift-1)) >> shift` in 64 bits."""
    shift_64 = np.int64(shift)
    return (np.int64(value) * np.int64(multiplier) + (np.int64(1) << (shift_64 - np.int64(1)))) >> shift_64


@compiled
def scaled_twice(value: Any, multiplier: Any, exponent: Any) -> Any:
    """`numerics.requantization.tflite_apply_scale` of one value."""
    left = np.int64(max(exponent, 0))
    right = np.int64(max(-exponent, 0))
    product = (np.int64(value) << left) * np.int64(multiplier)
    nudged = product + (np.int64(1 << 30) if product >= 0 else np.int64(1 - (1 << 30)))
    # Division that truncates: towards zero.
    high = (nudged + (np.int64((1 << 31) - 1) if nudged < 0 else np.int64(0))) >> np.int64(31)
    high = min(high, np.int64((1 << 31) - 1))
    mask = (np.int64(1) << right) - np.int64(1)
    threshold = (mask >> np.int64(1)) + (np.int64(1) if high < 0 else np.int64(0))
    return (high >> right) + (np.int64(1) if (high & mask) > threshold else np.int64(0))


@compiled
def store_row(sums: Any, first: int, count: int, scaling: Any, result: Any) -> None:
    """Requantize sums of the channels from `first` on into a row of results; `scaling` is `Rescale.arguments`."""
    multiplier, shift, rounding, zero_point, low, high = scaling
    if rounding == TWICE:
        for k in range(count):
            scaled = scaled_twice(sums[k], multiplier[first + k], shift[first + k]) + zero_point
            result[k] = min(max(scaled, low), high)
    elif rounding == ONCE_AWAY:
        for k in range(count):
            sign = np.int64(-1) if sums[k] < 0 else np.int64(1)
            scaled = sign * scaled_once(sign * sums[k], multiplier[first + k], shift[first + k]) + zero_point
            result[k] = min(max(scaled, low), high)
    else:
        for k in range(count):
            scaled = scaled_once(sums[k], multiplier[first + k], shift[first + k]) + zero_point
            result[k] = min(max(scaled, low), high)

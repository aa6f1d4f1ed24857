"""Ratios of scales with which integers are rounded as kernels do that scale in float32.

onnxruntime multiplies an accumulator by the ratio `s_x * s_w / s_y` in float32 and rounds the product half to even.
`requantize` multiplies exactly and rounds half up. Both agree but where the float32 product falls on a half that
the exact one misses by less than a unit in its last place: about one accumulator in a million, and enough to change
the results of deep networks. Such accumulators are few and known for each ratio, and a ratio that differs in its
eighth digit rounds them the other way.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intaglio.numerics.requantization import quantize_multiplier

_REACH = 128
"""How many units a multiplier of 31 bits is moved at most: one unit in the last place of a float32."""

_NEAR = 2.0**-21
"""Relative distance from a half within which float32 rounding or another multiplier could matter."""

_STEPS = np.array(sorted(range(-_REACH, _REACH + 1), key=abs), np.int64)


def ratios_as_in_float32(ratios: npt.ArrayLike, zero_point: int, qmin: int, qmax: int) -> npt.NDArray[np.float64]:
    """The ratios closest to the given ones with which `requantize` rounds as float32 kernels.

    Args:
        ratios: positive, below `2^29`; taken as float32.
        zero_point: of the result.
        qmin: smallest stored result.
        qmax: largest stored result; they span at most 16 bits.

    Returns:
        As many ratios, each a multiplier by a power of two that `quantize_multiplier` gives back. Where none rounds
        all accumulators alike, the one that differs in the fewest, those of small results counting more.

    Raises:
        ValueError: a ratio is out of range.
    """
    single = np.asarray(ratios, np.float32)
    flat = single.reshape(-1)
    exact = flat.astype(np.float64)
    multipliers, shifts = (numbers.astype(np.int64) for numbers in quantize_multiplier(exact))
    channel, accumulator = _near_a_half(exact, np.arange(qmin - zero_point, qmax - zero_point, dtype=np.float64) + 0.5)
    expected = np.rint(accumulator.astype(np.float32) * flat[channel]).astype(np.int64)
    candidates = multipliers[channel, None] + _STEPS
    shift = shifts[channel, None]
    rounded = (accumulator[:, None] * candidates + (np.int64(1) << (shift - 1))) >> shift
    # Results near zero are the most frequent, so it is worst to round those differently.
    frequency = 1 / (1 + np.abs(expected[:, None]))
    differences = np.zeros((len(flat), len(_STEPS)))
    np.add.at(differences, channel, (rounded != expected[:, None]) * frequency)
    normal = multipliers >= 1 << 30
    moved = multipliers[:, None] + _STEPS
    outside = (moved >= 1 << 31) | ((moved < 1 << 30) & normal[:, None]) | (moved < 1)
    differences[outside] = np.inf
    best = multipliers + _STEPS[np.argmin(differences, axis=1)]
    found: npt.NDArray[np.float64] = best.astype(np.float64) / np.exp2(shifts.astype(np.float64))
    return found.reshape(single.shape)


def _near_a_half(
    ratios: npt.NDArray[np.float64], halves: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The accumulators that a ratio brings near a half, as pairs of the ratio's index and the accumulator."""
    nearest = np.rint(halves / ratios[:, None])
    around = nearest[:, :, None] + np.arange(-2, 3)
    distance = np.abs(around * ratios[:, None, None] - halves[:, None])
    near = (distance <= np.abs(halves)[:, None] * _NEAR) & (np.abs(around) < 2.0**31)
    channel, half, offset = np.nonzero(near)
    return channel, around[channel, half, offset].astype(np.int64)

"""One way into the arithmetic of rescaling, whatever the requantization mode and the width of the accumulator.

| mode | 32-bit integers | 48-bit integers |
|---|---|---|
| `shift` | `requantization.apply_scale` | `wide_requantization.wide_apply_scale` |
| `tflite` | `requantization.tflite_apply_scale` | `wide_requantization.wide_tflite_apply_scale` |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from intaglio.numerics.requantization import (
    Int32Array,
    Int64Array,
    apply_scale,
    quantize_multiplier,
    tflite_apply_scale,
    tflite_quantize_multiplier,
)
from intaglio.numerics.wide_requantization import (
    wide_apply_scale,
    wide_quantize_multiplier,
    wide_tflite_apply_scale,
    wide_tflite_quantize_multiplier,
)
from intaglio.params import RequantizationMode


@dataclass(frozen=True)
class Rescaling:
    """How real factors become integers, and how integers are multiplied by them.

    Attributes:
        multiplier: gives a multiplier and a shift (or exponent) for each factor.
        apply: multiplies a value by both, rounded; int64.
    """

    multiplier: Callable[[npt.ArrayLike], tuple[Int32Array, Int32Array]]
    apply: Callable[[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike], Int64Array]


_RESCALINGS = {
    (RequantizationMode.SHIFT, False): Rescaling(quantize_multiplier, apply_scale),
    (RequantizationMode.SHIFT, True): Rescaling(wide_quantize_multiplier, wide_apply_scale),
    (RequantizationMode.TFLITE, False): Rescaling(tflite_quantize_multiplier, tflite_apply_scale),
    (RequantizationMode.TFLITE, True): Rescaling(wide_tflite_quantize_multiplier, wide_tflite_apply_scale),
}


def rescaling(mode: RequantizationMode = RequantizationMode.SHIFT, *, wide: bool = False) -> Rescaling:
    """The arithmetic of a mode.

    Args:
        mode: of the function that the operation is in.
        wide: whether values have 48 bits instead of 32.
    """
    return _RESCALINGS[mode, wide]


def rescale(
    value: npt.ArrayLike,
    factor: npt.ArrayLike,
    mode: RequantizationMode = RequantizationMode.SHIFT,
    *,
    wide: bool = False,
) -> Int64Array:
    """Multiply integers by a real factor, rounded as the mode says.

    Args:
        value: integers that fit 32 bits, or 48 when `wide`.
        factor: positive; broadcasts against `value`.
        mode: of the function that the operation is in.
        wide: whether values have 48 bits.

    Raises:
        ValueError: when a value does not fit, or a factor is out of the mode's range.
    """
    arithmetic = rescaling(mode, wide=wide)
    return arithmetic.apply(value, *arithmetic.multiplier(factor))


def store(scaled: npt.ArrayLike, zero_point: npt.ArrayLike, qmin: npt.ArrayLike, qmax: npt.ArrayLike) -> Int64Array:
    """A rescaled value as a stored one: `clamp(zero_point + scaled)`, int64 in `[qmin, qmax]`."""
    return np.clip(np.asarray(scaled, np.int64) + np.asarray(zero_point, np.int64), qmin, qmax)

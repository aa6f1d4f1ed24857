"""Which elements a resampled position reads, and their weights, along one dimension.

Positions are exact fractions of integers, as in TOSA 1.0 RESIZE; no rounding of floats decides which element is
nearest. Source of the interpolation: ONNX Resize.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def resampling_taps(
    mode: str,
    size: int,
    count: int,
    step: int,
    offset: int,
    unit: int,
    *,
    cubic_coefficient: float = -0.75,
    exclude_outside: bool = False,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The elements that each of `count` positions `(p * step + offset) / unit` mixes.

    Args:
        mode: `floor`, `ceil`, `round_prefer_floor`, `round_prefer_ceil` (one element), `linear` (two) or `cubic`.
        size: number of elements of the input.
        count: number of positions.
        step: numerator of the distance between positions.
        offset: numerator of the first position.
        unit: denominator, above 0.
        cubic_coefficient: parameter of Keys' kernel.
        exclude_outside: cubic elements outside the input have no weight, and the others' sum is 1.

    Returns:
        Indices and weights, each `[count, k]` with `k` 1, 2 or 4. Indices outside are those of the border.

    Raises:
        ValueError: there is no such mode.
    """
    numerator = np.arange(count, dtype=np.int64) * step + offset
    whole, rest = np.divmod(numerator, unit)
    if mode == "linear":
        fraction = (rest / unit)[:, None]
        indices, weights = whole[:, None] + np.arange(2), np.concatenate([1.0 - fraction, fraction], axis=1)
    elif mode == "cubic":
        indices = whole[:, None] + np.arange(-1, 3)
        distance = np.abs((rest / unit)[:, None] - np.arange(-1, 3))
        weights = _keys_kernel(distance, cubic_coefficient)
        if exclude_outside:
            weights = np.where((indices >= 0) & (indices < size), weights, 0.0)
            weights = weights / weights.sum(axis=1, keepdims=True)
    else:
        indices, weights = (whole + _rounds_up(mode, rest, unit))[:, None], np.ones((count, 1))
    return np.clip(indices, 0, size - 1), weights


def _rounds_up(mode: str, rest: npt.NDArray[np.int64], unit: int) -> npt.NDArray[np.int64]:
    """1 where a position between two elements belongs to the upper one."""
    match mode:
        case "floor":
            up = np.zeros(rest.shape, np.bool_)
        case "ceil":
            up = rest > 0
        case "round_prefer_floor":
            up = 2 * rest > unit
        case "round_prefer_ceil":
            up = 2 * rest >= unit
        case _:
            raise ValueError(f"there is no resampling mode {mode!r}")
    return up.astype(np.int64)


def _keys_kernel(distance: npt.NDArray[np.float64], a: float) -> npt.NDArray[np.float64]:
    """The cubic convolution kernel. Source: Keys, Cubic convolution interpolation for image processing, 1981."""
    near = ((a + 2.0) * distance - (a + 3.0)) * distance**2 + 1.0
    far = ((a * distance - 5.0 * a) * distance + 8.0 * a) * distance - 4.0 * a
    return np.where(distance <= 1.0, near, np.where(distance < 2.0, far, 0.0))

"""Which integers to store for the weights of a layer, so that its results are next to the float ones.

With inputs `x` the error of a result is `(w - q * scale) . x`, and its mean square `e H e` with the second moments
`H = mean(x x)`. Weights are rounded one after the other, and what one leaves is made up for in those that follow, by
the regression of its input on theirs (Frantar et al. 2022, "GPTQ", after Hassibi and Stork's optimal brain surgeon).
All rows of a weight are rounded together.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_DAMPING = 0.01
"""Added to the second moments of all inputs, as a share of their mean: what was never seen is not free."""

_SHRINKAGES = np.linspace(1.0, 0.5, 26)


def round_rows(
    weights: Floats, moments: Floats, scales: Floats, largest: int, *, kept: npt.NDArray[np.bool_]
) -> Floats:
    """Round the rows of a weight.

    Args:
        weights: `[G, R, K]`, rows of G groups.
        moments: `[G, K, K]`, second moments of the inputs that the rows of a group meet.
        scales: `[G, R]`, positive.
        largest: the largest stored magnitude.
        kept: for which rows, `[G, R]`, the largest element is to be stored as the largest or smallest integer, so
            that their scale follows from the rounded row again.

    Returns:
        Integers `[G, R, K]` from `-largest` to `largest`.
    """
    powers = np.diagonal(moments, axis1=1, axis2=2)
    order = np.argsort(-powers, axis=1, kind="stable")
    rows = np.take_along_axis(weights, order[:, None, :], axis=2)
    damped = np.take_along_axis(np.take_along_axis(moments, order[:, :, None], axis=1), order[:, None, :], axis=2)
    damped = damped + _damping(powers)[:, None, None] * np.eye(damped.shape[1])
    # Upper triangular, with the regressions on what follows in its rows.
    inverse = cast(Floats, np.linalg.inv(damped))
    regressions = cast(Floats, np.linalg.cholesky(inverse)).transpose(0, 2, 1)
    peaks = np.abs(rows).argmax(axis=2)
    peak_values = np.sign(np.take_along_axis(rows, peaks[:, :, None], axis=2)[:, :, 0]) * largest
    peaks = np.where(kept, peaks, -1)
    stored = np.empty_like(rows)
    for index in range(rows.shape[2]):
        column = rows[:, :, index]
        rounded = np.clip(np.rint(column / scales), -largest, largest)
        rounded = np.where(peaks == index, peak_values, rounded)
        stored[:, :, index] = rounded
        error = (column - rounded * scales) / regressions[:, None, index, index]
        rows[:, :, index + 1 :] -= error[:, :, None] * regressions[:, None, index, index + 1 :]
    result = np.empty_like(stored)
    np.put_along_axis(result, np.broadcast_to(order[:, None, :], stored.shape), stored, axis=2)
    return result


def best_scales(weights: Floats, moments: Floats, largest: int) -> Floats:
    """A scale for each row: that with the least error when every weight is rounded by itself.

    It may be as small as half the one that the row's largest element asks for; larger elements are then limited.

    Args:
        weights: `[G, R, K]`.
        moments: `[G, K, K]`.
        largest: the largest stored magnitude.

    Returns:
        `[G, R]`; 1 for rows of zeros.
    """
    powers = np.diagonal(moments, axis1=1, axis2=2)
    powers = (powers + _damping(powers)[:, None])[:, None, :]
    highest = np.abs(weights).max(axis=2)
    highest = np.where(highest > 0, highest, float(largest)) / largest
    best, least = highest, np.full(highest.shape, np.inf)
    for shrinkage in _SHRINKAGES:
        scales = highest * shrinkage
        rounded = np.clip(np.rint(weights / scales[:, :, None]), -largest, largest) * scales[:, :, None]
        error = ((weights - rounded) ** 2 * powers).sum(axis=2)
        better = error < least
        best, least = np.where(better, scales, best), np.where(better, error, least)
    return best


def result_error(weights: Floats, rounded: Floats, moments: Floats) -> float:
    """The mean square error of all results that rounding the weights causes, added up."""
    difference = weights - rounded
    return float(np.einsum("grk,gkl,grl->", difference, moments, difference, optimize=True))


def _damping(powers: Floats) -> Floats:
    """What is added to the second moments `[G, K]` of each group's inputs, `[G]`."""
    return np.maximum(_DAMPING * powers.mean(axis=1), np.finfo(np.float32).tiny)

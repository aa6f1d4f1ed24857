"""The range with the least expected squared error of quantization.

A narrower range rounds more finely and clips more. Both errors are integrated over the histogram, the values of a bin
being spread evenly over it, so that the expectation is smooth in the range and exact for that density: with the
integrals M0, M1, M2 of `p(x)`, `x p(x)` and `x^2 p(x)` over the cell of values stored as the level `v`, the cell adds
`M2 - 2 v M1 + v^2 M0`. Clipping is the error of the two outer cells, which have no outer limit. Exact zeros are
stored without error and do not count.

The best range is searched between zero and the extrema: both limits scaled together, then in turns each limit alone,
first on a coarse grid of candidates, then on finer ones around the best.

Source of the criterion: Banner, Nahshan and Soudry, "Post training 4-bit quantization of convolutional networks for
rapid-deployment" (NeurIPS 2019), which minimises the same expectation in closed form for Gaussian and Laplacian
densities.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from intaglio.passes.calibration.histogram import Float64Array, Histogram

IndexArray = npt.NDArray[np.intp]

_COARSE, _FINE, _ZOOMS, _ROUNDS = 32, 6, 2, 3
"""Candidates of a first and of a finer pass, number of finer passes, and turns over the two limits."""

_RELATIVE_GAIN = 1e-3
"""Another turn over the limits is worth it when the last one lowered the error by this part."""


class ExpectedError:
    """The expected squared error of quantizing the values of a histogram.

    Values are divided by the largest magnitude, so that tiny and huge tensors are computed alike.

    Args:
        histogram: counts of at least two different values.
        bits: width of stored values.
        symmetric: whether zero is stored as 0 and the levels are as many on both sides.
    """

    def __init__(self, histogram: Histogram, bits: int, symmetric: bool) -> None:
        self._bits, self._symmetric = bits, symmetric
        self._unit = max(abs(histogram.low), abs(histogram.high))
        self._first = histogram.first
        self._width = math.ldexp(1.0, histogram.exponent) / self._unit
        edges = histogram.edges() / self._unit
        mass = histogram.nonzero_counts() / max(histogram.total, 1)
        # The last bin may be the single point `high`, which has mass but no width.
        size = np.diff(edges)
        density = np.divide(mass, size, out=np.zeros_like(mass), where=size > 0)
        point = np.where(size > 0, 0.0, mass)
        self._edges, self._density = edges, np.append(density, 0.0)
        self._moments = [
            np.append(0.0, np.cumsum(density * np.diff(edges**power) / power + point * edges[1:] ** (power - 1)))
            for power in (1, 2, 3)
        ]
        m0, m1, _ = self._moments
        self._quadratic = self._density / 2
        self._linear = m0 - self._density * edges
        self._constant = self._quadratic * edges**2 - m1

    def __call__(self, low: Float64Array, high: Float64Array) -> Float64Array:
        """The expected error of each range `low[i]` to `high[i]`, in squared real units.

        Args:
            low: 0 or less; ignored for symmetric levels, of which `high` is the largest.
            high: 0 or more, and above `low`.
        """
        low, high = low / self._unit, high / self._unit
        last = (1 << self._bits) - 1
        if self._symmetric:
            scale = high / (last // 2)
            zero_point = np.full_like(scale, (last + 1) // 2)
        else:
            scale = (high - low) / last
            zero_point = np.rint(-low / scale)
        lowest, highest = -zero_point * scale, (last - zero_point) * scale
        if last > 2 * self._density.size:
            error = self._fine_error(scale, lowest, highest)
        else:
            error = self._cell_error(scale, lowest, highest, last)
        return np.maximum(error, 0.0) * self._unit**2

    def _cell_error(self, scale: Float64Array, lowest: Float64Array, highest: Float64Array, last: int) -> Float64Array:
        """The sum over the cells around each level.

        Summed by parts: with all values stored as the highest level, the error is the second moment around it. Each
        limit `t` between two levels lowers that by `2 scale G(t)`, where `G(t)` is the integral of `(t - x) p(x)`
        below `t`, a quadratic in each bin.
        """
        limits = lowest[:, None] + (np.arange(last) + 0.5) * scale[:, None]
        np.maximum(limits, self._edges[0], out=limits)
        index = self._bin_of(limits)
        below = (self._quadratic[index] * limits + self._linear[index]) * limits + self._constant[index]
        m0, m1, m2 = (moments[-1] for moments in self._moments)
        return m2 - 2 * highest * m1 + highest**2 * m0 - 2 * scale * below.sum(axis=1)

    def _fine_error(self, scale: Float64Array, lowest: Float64Array, highest: Float64Array) -> Float64Array:
        """With more levels than bins, rounding is an even distribution over a step; clipping is as above."""
        below = self._moments_below(lowest - scale / 2)
        inside = self._moments_below(highest + scale / 2)
        clipped = np.zeros_like(scale)
        for (m0, m1, m2), level in (
            (below, lowest),
            ([moments[-1] - part for moments, part in zip(self._moments, inside, strict=True)], highest),
        ):
            clipped += m2 - 2 * level * m1 + level**2 * m0
        return clipped + (inside[0] - below[0]) * scale**2 / 12

    def _moments_below(self, limits: Float64Array) -> list[Float64Array]:
        """M0, M1 and M2 from minus infinity to each limit."""
        limits = np.clip(limits, self._edges[0], self._edges[-1])
        index = self._bin_of(limits)
        start, density = self._edges[index], self._density[index]
        return [
            moments[index] + density * (limits**power - start**power) / power
            for power, moments in enumerate(self._moments, start=1)
        ]

    def _bin_of(self, limits: Float64Array) -> IndexArray:
        """The bin of each limit, that behind the last one when it is not below `high`; outside below: the first."""
        index = np.clip(np.floor(limits / self._width) - self._first, 0, self._density.size - 1).astype(np.intp)
        index[limits >= self._edges[-1]] = self._density.size - 1
        return index


def least_squares_range(histogram: Histogram, bits: int, symmetric: bool) -> tuple[float, float]:
    """The range with the least expected squared error; see the module.

    Args:
        histogram: counts of at least two different values.
        bits: width of stored values.
        symmetric: whether zero is stored as 0 and the levels are as many on both sides.
    """
    error = ExpectedError(histogram, bits, symmetric)
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if symmetric:
        limit = max(-low, high)
        part, _ = _best_part(lambda parts: error(-limit * parts, limit * parts))
        return histogram.inside(-limit * part, limit * part)
    low_part, high_part, least = 1.0, 1.0, np.inf
    if low < 0 < high:
        low_part, least = _best_part(lambda parts: error(low * parts, high * parts))
        high_part = low_part
    for _ in range(_ROUNDS):
        before = least
        if high > 0:
            lower = low * low_part
            high_part, least = _best_part(lambda parts, lower=lower: error(np.full_like(parts, lower), high * parts))
        if low < 0:
            upper = high * high_part
            low_part, least = _best_part(lambda parts, upper=upper: error(low * parts, np.full_like(parts, upper)))
        if low == 0 or high == 0 or before - least <= _RELATIVE_GAIN * before:
            break
    return histogram.inside(low * low_part, high * high_part)


def _best_part(error: Callable[[Float64Array], Float64Array]) -> tuple[float, float]:
    """The part of a range, above 0 and at most 1, with the least error, and that error; the larger one of equals."""
    step = 1 / _COARSE
    best, least = 1.0, np.inf
    parts: Float64Array = np.arange(_COARSE, 0, -1, dtype=np.float64) * step
    for _ in range(1 + _ZOOMS):
        errors = error(parts)
        at = int(errors.argmin())
        if errors[at] < least or (errors[at] == least and parts[at] > best):
            best, least = float(parts[at]), float(errors[at])
        step /= _FINE
        around: Float64Array = best + np.arange(_FINE - 1, -_FINE, -1, dtype=np.float64) * step
        parts = around[(around > 0) & (around <= 1)]
    return best, least

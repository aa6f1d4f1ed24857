"""A histogram whose range grows with the values it sees, and which does not depend on their order.

A bin is as wide as a power of two and starts at a multiple of its width: bin `j` holds `j * w <= x < (j + 1) * w`.
The width is the smallest with which the range of all values, with zero, takes at most twice the asked number of bins
(a quantizer's range always includes zero). When a value falls outside, the width doubles as often as needed and pairs
of bins are added up. Because every bin of a wider grid is exactly two of the narrower one, the counts are those that
the final grid would have given from the start: growth loses nothing, the order of samples does not matter, and
histograms of parts of the data add up to that of the whole.

Exact zeros are counted apart from their bin: every quantizer stores them without error, and behind a ReLU they are
half of all values.

Of a large tensor, a fixed subset of the values is looked at (see `counted`, and `subsets` for feature maps).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = np.ndarray[Any, np.dtype[Any]]
Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

COUNTED_VALUES = 16384
"""How many values of a tensor are counted for one sample, at most. 64 samples then give a million, and that is what
matters: clipping a value costs its square times its frequency, widening the range for it its square times
1 / (12 * 255^2), so that values rarer than one in 780,000 do not move the best range of 8 bits, however large they
are. Counting all values of a large network would take longer than computing them."""

_SMALLEST_EXPONENT = -126
"""Of the bin width: its reciprocal must be a float32."""


def counted(values: Array) -> Array:
    """The values of one sample that are counted: all, or at most `COUNTED_VALUES` evenly spaced ones.

    The distance between them has no divisor in common with the number of values, so that they spread evenly over
    channels, rows and columns in every layout.

    Args:
        values: one-dimensional.
    """
    if values.size <= COUNTED_VALUES:
        return values
    stride = -(-values.size // COUNTED_VALUES)
    while math.gcd(stride, values.size) != 1:
        stride += 1
    return values[::stride]


class Histogram:
    """Counts of the values of one tensor.

    Attributes:
        bins: the range from the smallest to the largest value, with zero, takes at least this many bins, at most
            twice as many (fewer only when values are so small that bins would be narrower than 2^-126).
        low: smallest value, infinity before the first.
        high: largest value, minus infinity before the first.
        zeros: how many of the counted values are exactly zero.
        exponent: bins are `2.0 ** exponent` wide.
        first: index of the first bin, which holds `low`.
        counts: values in each bin up to that of `high`, zeros included.

    Args:
        bins: at least 2.
    """

    def __init__(self, bins: int) -> None:
        if bins < 2:
            raise ValueError(f"a histogram needs at least 2 bins, got {bins}")
        self.bins = bins
        self.low, self.high = math.inf, -math.inf
        self.zeros = 0
        self.exponent = 0
        self.first = 0
        self.counts: Int64Array = np.zeros(0, np.int64)

    def add(self, values: Array, low: float, high: float) -> None:
        """Count values.

        Args:
            values: finite float32 values, one-dimensional; a subset of those in the range is allowed.
            low: their smallest value or less, a float32.
            high: their largest value or more, a float32.
        """
        self._cover(low, high)
        # A product of float32 is exact unless it is subnormal, which only wide bins can make it.
        kind = np.float32 if self.exponent <= 0 else np.float64
        inverse = kind(math.ldexp(1.0, -self.exponent))
        size = min(values.size, COUNTED_VALUES)
        scaled, index = np.empty(size, kind), np.empty(size, np.int64)
        for start in range(0, values.size, COUNTED_VALUES):
            part = values[start : start + COUNTED_VALUES]
            bins, whole = scaled[: part.size], index[: part.size]
            np.multiply(part, inverse, out=bins)
            np.floor(bins, out=bins)
            np.subtract(bins, kind(self.first), out=bins)
            np.copyto(whole, bins, casting="unsafe")
            self.counts += np.bincount(whole, minlength=self.counts.size)
            self.zeros += int(np.count_nonzero(part == 0))

    def merge(self, other: Histogram) -> None:
        """Add the counts of other values of the same tensor.

        Raises:
            ValueError: the histograms have different numbers of bins.
        """
        if other.bins != self.bins:
            raise ValueError(f"histograms of {self.bins} and {other.bins} bins cannot be merged")
        if not other.counts.size:
            return
        self._cover(other.low, other.high)
        self._place(other.counts, other.first, other.exponent)
        self.zeros += other.zeros

    def restore(self, low: float, high: float, bins: tuple[int, int, int], counts: Int64Array) -> None:
        """Take over the state of another histogram of as many bins.

        Args:
            low: smallest value.
            high: largest value.
            bins: exponent, first index, and number of zeros.
            counts: values in each bin.

        Raises:
            ValueError: that is the state of no such histogram.
        """
        exponent, first, zeros = bins
        if counts.size:
            fits = math.isfinite(low) and math.isfinite(high) and low <= high
            fits = fits and exponent == _exponent_for(low, high, 2 * self.bins) and first == _index(low, exponent)
            fits = fits and counts.size == _index(high, exponent) - first + 1 and bool((counts >= 0).all())
            at_zero = int(counts[-first]) if fits and 0 <= -first < counts.size else 0
            if not fits or not 0 <= zeros <= at_zero:
                raise ValueError(f"the counts are of no histogram of {self.bins} bins")
            self.low, self.high, self.exponent, self.first, self.zeros = low, high, exponent, first, zeros
        else:
            self.low, self.high, self.exponent, self.first, self.zeros = math.inf, -math.inf, 0, 0, 0
        self.counts = counts.copy()

    def inside(self, low: float, high: float) -> tuple[float, float]:
        """A range with its limits moved to the smallest and largest value when they are beyond them."""
        return min(max(low, self.low), self.high), min(max(high, self.low), self.high)

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def edges(self) -> Float64Array:
        """Limits of the bins, one more than there are bins; the outermost ones are `low` and `high`."""
        width = math.ldexp(1.0, self.exponent)
        edges = np.arange(self.first, self.first + self.counts.size + 1, dtype=np.float64) * width
        if edges.size > 1:
            edges[0], edges[-1] = self.low, self.high
        return edges

    def nonzero_counts(self) -> Int64Array:
        """Values in each bin, without exact zeros."""
        counts = self.counts.copy()
        if self.zeros:
            counts[-self.first] -= self.zeros
        return counts

    def _cover(self, low: float, high: float) -> None:
        """Widen the range, doubling the width of bins when there would be too many."""
        if self.low <= low and high <= self.high:
            return
        old, old_first, old_exponent = self.counts, self.first, self.exponent
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.exponent = _exponent_for(self.low, self.high, 2 * self.bins)
        self.first = _index(self.low, self.exponent)
        self.counts = np.zeros(_index(self.high, self.exponent) - self.first + 1, np.int64)
        if old.size:
            self._place(old, old_first, old_exponent)

    def _place(self, counts: Int64Array, first: int, exponent: int) -> None:
        """Add counts of bins that are as wide or narrower."""
        index = (np.arange(first, first + counts.size) >> (self.exponent - exponent)) - self.first
        np.add.at(self.counts, index, counts)


def _index(value: float, exponent: int) -> int:
    return math.floor(math.ldexp(value, -exponent))


def _exponent_for(low: float, high: float, most: int) -> int:
    """The smallest exponent with which the range of the values and zero takes at most `most` bins."""
    low, high = min(low, 0.0), max(high, 0.0)
    exponent = _SMALLEST_EXPONENT
    if low < high:
        # Fewer than (high - low) / 2^exponent bins are not enough, so that no smaller exponent is right.
        exponent = max(exponent, math.frexp(high - low)[1] - 2 - (most - 1).bit_length())
    while _index(high, exponent) - _index(low, exponent) >= most:
        exponent += 1
    return exponent

"""What calibration remembers of the values of a tensor, and the range that follows.

Memory does not grow with the number of samples. Apart from the moving average, statistics of parts of the data merge
into those of the whole, bit for bit, in any order: many machines can calibrate together.

To add a method, describe it in `intaglio.params` and keep its statistics here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np

from intaglio.errors import UserError
from intaglio.params import (
    AverageMinMaxMethod,
    CalibrationMethod,
    HistogramEntropyMethod,
    HistogramMSEMethod,
    HistogramPercentileMethod,
    MinMaxMethod,
    MovingAverageMinMaxMethod,
)
from intaglio.passes.calibration.entropy import entropy_range
from intaglio.passes.calibration.histogram import COUNTED_VALUES, Histogram, counted
from intaglio.passes.calibration.mean_squared_error import least_squares_range
from intaglio.passes.calibration.percentile import percentile_range

Array = np.ndarray[Any, np.dtype[Any]]

Range = tuple[float, float]

_CACHED_VALUES = 1 << 16

Method = TypeVar("Method", bound=CalibrationMethod)


class NotFiniteError(ValueError):
    """A tensor has values that are NaN or infinite; the message says which."""


@dataclass(frozen=True)
class Grid:
    """The integers that values will be quantized to, for the methods that weigh rounding against clipping.

    Attributes:
        bits: width of stored values.
        symmetric: real zero is stored as 0, and as much is below it as above.
    """

    bits: int = 8
    symmetric: bool = False


class RangeStatistics(ABC, Generic[Method]):
    """Statistics of one tensor.

    Attributes:
        most_values: how many values of a sample they look at, at most; None for all.

    Args:
        method: the method they are kept for.
    """

    most_values: ClassVar[int | None] = None

    def __init__(self, method: Method) -> None:
        self.method = method

    @abstractmethod
    def update(self, values: Array, samples: int = 1) -> None:
        """Take in the values of the tensor for one run of the network.

        Args:
            values: floats of any shape.
            samples: how many samples the run was of; if more than one, the first axis of `values` counts them.

        Raises:
            NotFiniteError: a value is NaN or infinite, also as float32. The statistics are as before.
        """

    @abstractmethod
    def merge(self, other: RangeStatistics[Any]) -> None:
        """Take in what the statistics of the same tensor for other samples hold.

        Raises:
            UserError: the methods differ, or the method cannot be merged.
        """

    @abstractmethod
    def range(self, grid: Grid) -> Range:
        """The range that follows from all values so far, low and high; `(0, 0)` when there were none."""

    def extrema(self) -> Range | None:
        """The smallest and the largest value so far, where `range` may leave values out and they are known."""
        return None

    @abstractmethod
    def state(self) -> dict[str, Array]:
        """Everything that `restore` needs, as arrays."""

    @abstractmethod
    def restore(self, state: Mapping[str, Array]) -> None:
        """Take over a saved state.

        Raises:
            ValueError: the arrays are not what `state` gives.
        """

    def _check_mergeable(self, other: RangeStatistics[Any]) -> None:
        if other.method != self.method:
            raise UserError(
                f"statistics for {other.method} cannot be merged into those for {self.method}",
                hint="collect all parts with the same calibration method",
            )


class MinMaxStatistics(RangeStatistics[MinMaxMethod]):
    """Smallest and largest value."""

    def __init__(self, method: MinMaxMethod) -> None:
        super().__init__(method)
        self._low, self._high = math.inf, -math.inf

    def update(self, values: Array, samples: int = 1) -> None:
        """Widen the range to these values."""
        if values.size:
            self.widen(_extrema(values))

    def widen(self, extrema: Range) -> None:
        """Widen the range to values whose extrema are known."""
        self._low, self._high = min(self._low, extrema[0]), max(self._high, extrema[1])

    def merge(self, other: RangeStatistics[Any]) -> None:
        """Widen the range to that of `other`."""
        self._check_mergeable(other)
        assert isinstance(other, MinMaxStatistics), "statistics of one method are of one class"
        self._low, self._high = min(self._low, other._low), max(self._high, other._high)

    def range(self, grid: Grid) -> Range:
        """From the smallest to the largest value."""
        return (self._low, self._high) if self._low <= self._high else (0.0, 0.0)

    def state(self) -> dict[str, Array]:
        """The two values."""
        return {"extrema": np.array([self._low, self._high])}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take over a saved state."""
        self._low, self._high = _array(state, "extrema", np.float64, (2,)).tolist()


class MovingAverageStatistics(RangeStatistics[MovingAverageMinMaxMethod]):
    """Exponential moving averages of the smallest and of the largest value of each sample.

    The first sample's extrema are the start; each later one moves the averages by `smoothing` of the difference.
    """

    def __init__(self, method: MovingAverageMinMaxMethod) -> None:
        super().__init__(method)
        self._started = False
        self._low = self._high = 0.0

    def update(self, values: Array, samples: int = 1) -> None:
        """Move the averages, sample by sample."""
        for low, high in _extrema_of_samples(values, samples):
            if self._started:
                self._low += self.method.smoothing * (low - self._low)
                self._high += self.method.smoothing * (high - self._high)
            else:
                self._started, self._low, self._high = True, low, high

    def merge(self, other: RangeStatistics[Any]) -> None:
        """Refuse: the result would depend on the order of the samples."""
        raise UserError(
            "statistics of the method moving_average cannot be merged: they depend on the order of the samples",
            hint="calibrate in one run, or use average, whose parts merge",
        )

    def range(self, grid: Grid) -> Range:
        """The two averages."""
        return self._low, self._high

    def state(self) -> dict[str, Array]:
        """Whether there was a sample, and the two averages."""
        return {"averages": np.array([float(self._started), self._low, self._high])}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take over a saved state."""
        started, self._low, self._high = _array(state, "averages", np.float64, (3,)).tolist()
        self._started = bool(started)


class AverageStatistics(RangeStatistics[AverageMinMaxMethod]):
    """Averages of the smallest and of the largest value of each sample, all samples having the same weight.

    Sums are kept exactly (Shewchuk's expansions), so that they do not depend on the order of samples.
    """

    def __init__(self, method: AverageMinMaxMethod) -> None:
        super().__init__(method)
        self._samples = 0
        self._lows: list[float] = []
        self._highs: list[float] = []

    def update(self, values: Array, samples: int = 1) -> None:
        """Add the extrema of each sample."""
        for low, high in _extrema_of_samples(values, samples):
            self._samples += 1
            self._lows = _exact_sum([*self._lows, low])
            self._highs = _exact_sum([*self._highs, high])

    def merge(self, other: RangeStatistics[Any]) -> None:
        """Add the sums of `other`."""
        self._check_mergeable(other)
        assert isinstance(other, AverageStatistics), "statistics of one method are of one class"
        self._samples += other._samples
        self._lows = _exact_sum([*self._lows, *other._lows])
        self._highs = _exact_sum([*self._highs, *other._highs])

    def range(self, grid: Grid) -> Range:
        """The two averages."""
        count = max(self._samples, 1)
        return math.fsum(self._lows) / count, math.fsum(self._highs) / count

    def state(self) -> dict[str, Array]:
        """The number of samples and the terms of the two sums."""
        return {
            "samples": np.array([self._samples], np.int64),
            "lows": np.array(self._lows, np.float64),
            "highs": np.array(self._highs, np.float64),
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take over a saved state."""
        (self._samples,) = _array(state, "samples", np.int64, (1,)).tolist()
        self._lows = _array(state, "lows", np.float64).tolist()
        self._highs = _array(state, "highs", np.float64).tolist()


class HistogramStatistics(RangeStatistics[Method]):
    """A histogram, and a way to choose a range from it.

    Args:
        method: the method.
        bins: of the histogram.
        choose: gives the range for a histogram with counts.
    """

    most_values = COUNTED_VALUES

    def __init__(self, method: Method, bins: int, choose: Callable[[Histogram, Method, Grid], Range]) -> None:
        super().__init__(method)
        self.histogram = Histogram(bins)
        self._choose = choose

    def update(self, values: Array, samples: int = 1) -> None:
        """Count the values."""
        if not values.size:
            return
        parts = [counted(part) for part in values.reshape(samples, -1)]
        extrema = [_extrema(part) for part in parts]
        for part, (low, high) in zip(parts, extrema, strict=True):
            self.histogram.add(part.astype(np.float32, copy=False), low, high)

    def merge(self, other: RangeStatistics[Any]) -> None:
        """Add the counts of `other`."""
        self._check_mergeable(other)
        assert isinstance(other, HistogramStatistics), "statistics of one method are of one class"
        self.histogram.merge(other.histogram)

    def range(self, grid: Grid) -> Range:
        """The range that the method chooses; that of all values when there is nothing to choose."""
        histogram = self.histogram
        if histogram.low >= histogram.high:
            return (histogram.low, histogram.high) if histogram.total else (0.0, 0.0)
        return self._choose(histogram, self.method, grid)

    def extrema(self) -> Range | None:
        """The smallest and the largest of the values counted."""
        return (self.histogram.low, self.histogram.high) if self.histogram.total else None

    def state(self) -> dict[str, Array]:
        """The extrema, the grid of bins and the counts."""
        histogram = self.histogram
        return {
            "extrema": np.array([histogram.low, histogram.high]),
            "bins": np.array([histogram.exponent, histogram.first, histogram.zeros], np.int64),
            "counts": histogram.counts,
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take over a saved state."""
        low, high = _array(state, "extrema", np.float64, (2,)).tolist()
        exponent, first, zeros = _array(state, "bins", np.int64, (3,)).tolist()
        self.histogram.restore(low, high, (exponent, first, zeros), _array(state, "counts", np.int64))


_STATISTICS: dict[type[CalibrationMethod], Callable[[Any], RangeStatistics[Any]]] = {
    MinMaxMethod: MinMaxStatistics,
    MovingAverageMinMaxMethod: MovingAverageStatistics,
    AverageMinMaxMethod: AverageStatistics,
    HistogramMSEMethod: lambda method: HistogramStatistics(
        cast(HistogramMSEMethod, method),
        method.num_bins,
        lambda histogram, _, grid: least_squares_range(histogram, grid.bits, grid.symmetric),
    ),
    HistogramEntropyMethod: lambda method: HistogramStatistics(
        cast(HistogramEntropyMethod, method),
        method.num_bins,
        lambda histogram, _, grid: entropy_range(histogram, grid.bits, grid.symmetric),
    ),
    HistogramPercentileMethod: lambda method: HistogramStatistics(
        cast(HistogramPercentileMethod, method),
        method.num_bins,
        lambda histogram, chosen, grid: percentile_range(histogram, chosen.percentile_value, grid.symmetric),
    ),
}


def statistics_for(method: CalibrationMethod) -> RangeStatistics[Any]:
    """Empty statistics for a calibration method."""
    return _STATISTICS[type(method)](method)


def _extrema(values: Array) -> Range:
    """Smallest and largest value as float32; NaN anywhere makes both NaN."""
    (extrema,) = _extrema_of_samples(values, 1)
    return extrema


def _extrema_of_samples(values: Array, samples: int) -> list[Range]:
    """Smallest and largest value of each sample as float32."""
    if not values.size:
        return []
    found: list[Range] = []
    for row in values.reshape(samples, -1):
        # In parts that stay in the cache between the two searches; NaN in one makes the result NaN.
        parts = [row[start : start + _CACHED_VALUES] for start in range(0, row.size, _CACHED_VALUES)]
        extrema = [(part.min(), part.max()) for part in parts]
        with np.errstate(over="ignore"):
            low, high = (float(np.float32(bound)) for bound in (np.min(extrema), np.max(extrema)))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise NotFiniteError("NaN" if math.isnan(low) or math.isnan(high) else "infinite")
        found.append((low, high))
    return found


def _exact_sum(terms: list[float]) -> list[float]:
    """The shortest list of floats, without overlapping bits, that has the same exact sum."""
    parts: list[float] = []
    for term in terms:
        count = 0
        for part in parts:
            large, small = (term, part) if abs(term) >= abs(part) else (part, term)
            total = large + small
            if (rest := small - (total - large)) != 0:
                parts[count] = rest
                count += 1
            term = total  # noqa: PLW2901 (the carry of the addition)
        parts[count:] = [term]
    return parts


def _array(
    state: Mapping[str, Array], name: str, dtype: type[np.generic], shape: tuple[int, ...] | None = None
) -> Array:
    array = state.get(name)
    if array is None or array.dtype != dtype or array.ndim != 1 or (shape is not None and array.shape != shape):
        raise ValueError(f"array {name!r} is missing or of another kind")
    return array

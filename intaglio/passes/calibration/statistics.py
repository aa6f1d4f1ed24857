"""What calibration remembers of the values of a tensor, and the range that follows.

Memory does not grow with the number of samples. To add a method, describe it in `intaglio.params` and keep its
statistics here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from intaglio.params import CalibrationMethod, MinMaxMethod


class RangeStatistics(ABC):
    """Statistics of one tensor."""

    @abstractmethod
    def update(self, values: np.ndarray[Any, np.dtype[Any]]) -> None:
        """Take in the finite values of the tensor for one sample."""

    @abstractmethod
    def range(self) -> tuple[float, float]:
        """The range that follows from all values so far, low and high; `(0, 0)` when there were none."""


class MinMaxStatistics(RangeStatistics):
    """Smallest and largest value."""

    def __init__(self) -> None:
        self._low = math.inf
        self._high = -math.inf

    def update(self, values: np.ndarray[Any, np.dtype[Any]]) -> None:
        """Take in the finite values of the tensor for one sample."""
        if values.size:
            self._low = min(self._low, float(values.min()))
            self._high = max(self._high, float(values.max()))

    def range(self) -> tuple[float, float]:
        """From the smallest to the largest value."""
        return (self._low, self._high) if self._low <= self._high else (0.0, 0.0)


_STATISTICS: dict[type[CalibrationMethod], type[RangeStatistics]] = {MinMaxMethod: MinMaxStatistics}


def statistics_for(method: CalibrationMethod) -> RangeStatistics:
    """Empty statistics for a calibration method."""
    return _STATISTICS[type(method)]()

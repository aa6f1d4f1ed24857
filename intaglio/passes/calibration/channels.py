"""What calibration remembers of each channel of a tensor, and how that stands in the text.

```mlir
%1 = quant.observe %0 {method = "mse", range = array<f64: -1.0, 6.0>, means = dense<[0.5, 1.5]> : tensor<2xf32>,
                       mean_squares = ..., minima = ..., maxima = ...} : tensor<1x8x8x2xf32>
```

Channels are the last dimension. Corrections of biases need means, moving scales between layers needs extrema. Of more
than 100 channels the text has digests; the values are then in the weights file, as those of large constants are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import f32

from intaglio.dialects.quant import ObserveOp
from intaglio.dialects.weights import array_of, constant_attr
from intaglio.executor.jit import compiled

Array = np.ndarray[Any, np.dtype[Any]]
Floats = npt.NDArray[np.float64]

_PROPERTIES = ("means", "mean_squares", "minima", "maxima")


@dataclass(frozen=True)
class ChannelValues:
    """What the values of a tensor were on calibration data, an element for each channel.

    Attributes:
        means: their means.
        mean_squares: means of their squares.
        minima: the smallest.
        maxima: the largest.
    """

    means: Floats
    mean_squares: Floats
    minima: Floats
    maxima: Floats

    @property
    def magnitudes(self) -> Floats:
        """The largest magnitudes."""
        return np.maximum(np.abs(self.minima), np.abs(self.maxima))

    def divided(self, factors: Floats) -> ChannelValues:
        """The same of the values divided by positive factors."""
        return ChannelValues(
            self.means / factors, self.mean_squares / factors**2, self.minima / factors, self.maxima / factors
        )


class ChannelStatistics:
    """Statistics of the channels of one tensor; memory depends on their number only.

    Sums are in double precision: adding up parts of the data in another order may change the last digits of a mean,
    which is more than the text, in single precision, can show.
    """

    def __init__(self) -> None:
        self._count = 0
        self._sums = np.zeros((4, 0))

    def update(self, values: Array) -> tuple[float, float] | None:
        """Take in the values of the tensor for one run of the network, channels last.

        Returns:
            The smallest and the largest of them; None when there are none, or one is NaN or infinite, in which case the
            statistics are as before.
        """
        if not values.size:
            return None
        rows = np.ascontiguousarray(values.reshape(-1, values.shape[-1] if values.ndim else 1), np.float32)
        sums = np.zeros((4, rows.shape[1]))
        sums[2:] = rows[0]
        _take_in(rows, *sums)
        if not np.isfinite(sums[0]).all():
            return None
        self._add(len(rows), sums)
        return float(sums[2].min()), float(sums[3].max())

    def merge(self, other: ChannelStatistics) -> None:
        """Take in the statistics of the same tensor for other samples."""
        if other._count:
            self._add(other._count, other._sums)

    def values(self) -> ChannelValues | None:
        """What follows from all values so far; None when there were none."""
        if not self._count:
            return None
        sums, squares, minima, maxima = self._sums
        return ChannelValues(sums / self._count, squares / self._count, minima.copy(), maxima.copy())

    def state(self) -> dict[str, Array]:
        """Everything that `restore` needs, as arrays."""
        return {"channel_count": np.array([self._count], np.int64), "channel_sums": self._sums}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take over a saved state.

        Raises:
            ValueError: the arrays are not what `state` gives.
        """
        count, sums = state.get("channel_count"), state.get("channel_sums")
        if count is None or sums is None or count.shape != (1,) or sums.ndim != 2 or len(sums) != 4:
            raise ValueError("statistics of channels are missing or of another kind")
        self._count, self._sums = int(count[0]), sums.astype(np.float64)

    def _add(self, count: int, sums: Floats) -> None:
        if self._count:
            minima, maxima = np.minimum(self._sums[2], sums[2]), np.maximum(self._sums[3], sums[3])
            sums = np.stack([self._sums[0] + sums[0], self._sums[1] + sums[1], minima, maxima])
        self._count += count
        self._sums = sums.copy()


@compiled
def _take_in(rows: Array, sums: Floats, squares: Floats, minima: Floats, maxima: Floats) -> None:
    """Take rows of channels into sums and extrema, all in one pass over them."""
    for row in range(rows.shape[0]):
        for channel in range(rows.shape[1]):
            value = np.float64(rows[row, channel])
            sums[channel] += value
            squares[channel] += value * value
            minima[channel] = min(minima[channel], value)
            maxima[channel] = max(maxima[channel], value)


def channel_values(observer: ObserveOp) -> ChannelValues | None:
    """What an observer knows of its channels, None when they were not looked at."""
    properties = [observer.properties.get(name) for name in _PROPERTIES]
    arrays = [array_of(entry).astype(np.float64) for entry in properties if entry is not None]
    return ChannelValues(*arrays) if len(arrays) == len(_PROPERTIES) else None


def write_channel_values(observer: ObserveOp, values: ChannelValues | None) -> None:
    """Write what is known of the channels into an observer; None removes it."""
    for name in _PROPERTIES:
        observer.properties.pop(name, None)
        if values is not None:
            limits = np.finfo(np.float32)
            array = np.clip(getattr(values, name), limits.min, limits.max)
            observer.properties[name] = constant_attr(name, array, f32)

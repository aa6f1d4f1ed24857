"""The error of one tensor over a data set: sums by channel, in memory that does not grow with the samples."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.analysis.metrics import decibels

Array = np.ndarray[Any, np.dtype[Any]]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TensorError:
    """How far a tensor is from the float network's.

    Attributes:
        sqnr_db: signal-to-quantization-noise ratio, `10 log10(sum x^2 / sum (q - x)^2)`; infinite when equal.
        mse: mean of `(q - x)^2`.
        cosine: cosine of the angle between all values `q` and all `x`; 1 when both are zero throughout.
        psnr_db: `10 log10((max x - min x)^2 / mse)`; infinite when equal.
        max_error: the largest `|q - x|`.
        mean_error: mean of `q - x`: the error that a bias could take away.
    """

    sqnr_db: float
    mse: float
    cosine: float
    psnr_db: float
    max_error: float
    mean_error: float

    def to_dict(self) -> dict[str, float | None]:
        """The figures by name; None for those that are not finite, as JSON has no infinity."""
        return {name: finite(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class ChannelError:
    """The error of one channel.

    Attributes:
        channel: its index on the last axis.
        sqnr_db: see `TensorError`.
        mse: see `TensorError`.
        mean_error: see `TensorError`.
        share: of the tensor's squared error.
    """

    channel: int
    sqnr_db: float
    mse: float
    mean_error: float
    share: float

    def to_dict(self) -> dict[str, float | None]:
        """The figures by name; None for those that are not finite."""
        return {name: finite(value) for name, value in asdict(self).items()}


def finite(value: float) -> float | None:
    """A number, or None when it is infinite or NaN."""
    return value if math.isfinite(value) else None


class ErrorStatistics:
    """Sums over the samples seen so far; channels lie on the last axis.

    Attributes:
        low: the smallest float value, infinity before the first.
        high: the largest float value.
    """

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf
        self._count = 0
        self._signal: Float64Array = np.zeros(0)
        self._noise: Float64Array = np.zeros(0)
        self._error: Float64Array = np.zeros(0)
        self._cross = 0.0
        self._largest = 0.0

    def add(self, reference: Array, value: Array) -> None:
        """Take in a sample.

        Args:
            reference: what the float network has.
            value: what is compared with it, in real values, of the same shape.
        """
        channels = reference.shape[-1] if reference.ndim else 1
        if not reference.size:
            return
        exact = reference.reshape(-1, channels).astype(np.float64)
        error = value.reshape(-1, channels).astype(np.float64)
        error -= exact
        if not self._count:
            self._signal, self._noise, self._error = (np.zeros(channels) for _ in range(3))
        self._count += exact.shape[0]
        self._signal += np.einsum("nc,nc->c", exact, exact)
        self._noise += np.einsum("nc,nc->c", error, error)
        self._error += error.sum(axis=0)
        self._cross += float(np.vdot(exact, error))
        self._largest = max(self._largest, float(error.max()), -float(error.min()))
        self.low, self.high = min(self.low, float(exact.min())), max(self.high, float(exact.max()))

    @property
    def total(self) -> TensorError:
        """The error of the whole tensor; NaN throughout before the first value."""
        size = self._count * self._signal.size
        if not size:
            return TensorError(*[math.nan] * 6)
        signal, noise = float(self._signal.sum()), float(self._noise.sum())
        mse = noise / size
        length = math.sqrt(signal) * math.sqrt(max(signal + 2 * self._cross + noise, 0.0))
        cosine = (signal + self._cross) / length if length else float(signal == noise == 0)
        span = self.high - self.low
        return TensorError(
            decibels(signal, noise),
            mse,
            min(max(cosine, -1.0), 1.0),
            decibels(span * span, mse),
            self._largest,
            float(self._error.sum()) / size,
        )

    def worst_channels(self, most: int = 5) -> list[ChannelError]:
        """The channels with the largest share of the squared error, the largest first.

        Args:
            most: how many there are to be at most; channels without error are left out.
        """
        total = float(self._noise.sum())
        if not total or not self._count:
            return []
        order = np.argsort(-self._noise, kind="stable")[:most]
        return [
            ChannelError(
                int(channel),
                decibels(float(self._signal[channel]), float(self._noise[channel])),
                float(self._noise[channel]) / self._count,
                float(self._error[channel]) / self._count,
                float(self._noise[channel]) / total,
            )
            for channel in order
            if self._noise[channel] > 0
        ]

    @property
    def bias_share(self) -> float:
        """The share of the squared error that a constant for each channel would take away, 0 to 1."""
        total = float(self._noise.sum())
        return float(np.square(self._error).sum()) / self._count / total if total and self._count else 0.0

    @property
    def channel_spread(self) -> float:
        """How many times stronger the strongest channel of the float values is than the median one, in amplitude.

        Channels that are zero throughout are left out; 1 when there is nothing to compare.
        """
        powers = self._signal[self._signal > 0]
        return math.sqrt(float(powers.max()) / float(np.median(powers))) if powers.size else 1.0

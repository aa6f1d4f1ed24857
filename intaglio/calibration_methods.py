"""How the range of a tensor is derived from its values on calibration data.

Names, meaning and defaults follow the calibration methods of SiMa.ai's AFE; `average` is that of Latent AI's Forge.
As text, a method is its name, with the settings that differ from the defaults in braces, as in a pipeline:
`percentile{percentile_value=99.99 num_bins=2048}`. That is what `quant.observe` and command lines hold.

```python
CalibrationMethod.from_str("mse") == HistogramMSEMethod(num_bins=2048)
```
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from abc import ABC
from dataclasses import dataclass
from typing import ClassVar

from intaglio.errors import UserError

_TEXT = re.compile(r"([^{}]*)(?:\{([^{}]*)\})?")

LEAST_BINS, MOST_BINS = 16, 1 << 20
"""Limits of `num_bins`; the upper one keeps a network's histograms in memory."""


@dataclass(frozen=True)
class CalibrationMethod(ABC):
    """A calibration method; each is a frozen dataclass whose fields are its settings.

    Attributes:
        name: what command lines and the `method` of `quant.observe` call it.
    """

    name: ClassVar[str]
    _aliases: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def from_str(method: str) -> CalibrationMethod:
        """The method that a text names, in lower or upper case.

        Args:
            method: `min_max`, `mse`, `moving_average`, `entropy` (also `histogram_entropy`), `percentile` (also
                `histogram_percentile`) or `average`, with settings in braces unless they are the defaults.

        Raises:
            UserError: there is no such method or setting, or a value is out of range.
        """
        match = _TEXT.fullmatch(method.strip())
        name, settings = (match[1].strip(), match[2] or "") if match else (method, "")
        found = _METHODS.get(name.lower().replace("-", "_"))
        if found is None or match is None:
            close = difflib.get_close_matches(name.lower(), list(_METHODS), n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            names = ", ".join(dict.fromkeys(known.name for known in _METHODS.values()))
            raise UserError(f"there is no calibration method {method!r}", hint=f"{hint}supported methods: {names}")
        return found(**_settings(found, settings))

    def __str__(self) -> str:
        """The text that `from_str` reads."""
        changed = [
            f"{field.name}={getattr(self, field.name)}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]
        return self.name + (f"{{{' '.join(changed)}}}" if changed else "")


@dataclass(frozen=True)
class MinMaxMethod(CalibrationMethod):
    """The range is from the smallest to the largest value seen."""

    name = "min_max"
    _aliases = ("minmax",)


@dataclass(frozen=True)
class MovingAverageMinMaxMethod(CalibrationMethod):
    """The range is from the moving average of each sample's smallest value to that of its largest.

    The first sample's extrema are the start; after each further sample, the averages move by `smoothing` of the
    difference to its extrema. Samples count one by one in their order, whatever batches they come in, so that parts
    of the data cannot be calibrated apart and merged.

    Attributes:
        smoothing: weight of a new sample, above 0 and at most 1. The default is that of PyTorch's
            `MovingAverageMinMaxObserver` and of onnxruntime; AFE does not document its own.

    Raises:
        UserError: the smoothing constant is out of range.
    """

    smoothing: float = 0.01
    name = "moving_average"

    def __post_init__(self) -> None:
        if not 0 < self.smoothing <= 1:
            raise UserError(f"smoothing={self.smoothing} is out of range", where=self.name, hint="above 0, at most 1")


@dataclass(frozen=True)
class AverageMinMaxMethod(CalibrationMethod):
    """The range is from the average of each sample's smallest value to the average of its largest."""

    name = "average"


@dataclass(frozen=True)
class HistogramMSEMethod(CalibrationMethod):
    """The range is the one with the least expected squared error of quantization over a histogram of the values.

    Attributes:
        num_bins: bins that the range of all values takes, at least; twice as many at most.

    Raises:
        UserError: the number of bins is out of range.
    """

    num_bins: int = 2048
    name = "mse"
    _aliases = ("histogram_mse",)

    def __post_init__(self) -> None:
        _check_bins(self.name, self.num_bins)


@dataclass(frozen=True)
class HistogramEntropyMethod(CalibrationMethod):
    """The range is the one whose quantized histogram diverges least (Kullback-Leibler) from that of the values.

    Attributes:
        num_bins: bins that the range of all values takes, at least; twice as many at most.

    Raises:
        UserError: the number of bins is out of range.
    """

    num_bins: int = 512
    name = "entropy"
    _aliases = ("histogram_entropy",)

    def __post_init__(self) -> None:
        _check_bins(self.name, self.num_bins)


@dataclass(frozen=True)
class HistogramPercentileMethod(CalibrationMethod):
    """The range holds a given part of all values; half of the rest is cut off on each side.

    Attributes:
        percentile_value: the part in percent, above 0 and at most 100.
        num_bins: bins that the range of all values takes, at least; twice as many at most.

    Raises:
        UserError: a setting is out of range.
    """

    percentile_value: float = 99.9
    num_bins: int = 1024
    name = "percentile"
    _aliases = ("histogram_percentile",)

    def __post_init__(self) -> None:
        _check_bins(self.name, self.num_bins)
        if not 0 < self.percentile_value <= 100:
            raise UserError(
                f"percentile_value={self.percentile_value} is out of range",
                where=self.name,
                hint="a percentage above 0, at most 100",
            )


def _check_bins(name: str, bins: int) -> None:
    if not LEAST_BINS <= bins <= MOST_BINS:
        raise UserError(f"num_bins={bins} is out of range", where=name, hint=f"from {LEAST_BINS} to {MOST_BINS}")


_METHODS: dict[str, type[CalibrationMethod]] = {
    spelling: method
    for method in (
        MinMaxMethod,
        HistogramMSEMethod,
        MovingAverageMinMaxMethod,
        HistogramEntropyMethod,
        HistogramPercentileMethod,
        AverageMinMaxMethod,
    )
    for spelling in (method.name, *method._aliases)  # pyright: ignore[reportPrivateUsage] (own classes)
}


def _settings(method: type[CalibrationMethod], text: str) -> dict[str, float]:
    known = {field.name: float if isinstance(field.default, float) else int for field in dataclasses.fields(method)}
    settings: dict[str, float] = {}
    for item in text.split():
        name, equals, value = item.partition("=")
        if name not in known or not equals or name in settings:
            hint = f"it has {', '.join(known)}" if known else "it has no settings"
            raise UserError(f"{item!r} is no setting of the calibration method {method.name}", hint=hint)
        try:
            settings[name] = known[name](value)
        except ValueError:
            settings[name] = math.nan
        if not math.isfinite(settings[name]):
            kind = "a number" if known[name] is float else "a whole number"
            raise UserError(f"{name} is not {kind}: {value!r}", where=f"calibration method {method.name}")
    return settings

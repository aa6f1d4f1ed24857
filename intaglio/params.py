"""Parameters of quantization: calibration method and quantization schemes.

Names and meaning follow the quantization parameters of SiMa.ai's AFE. A request that this compiler cannot carry
out is refused when it is made, not when the network is quantized.

```python
params = QuantizationParams().with_activation_quantization(quantization_scheme(asymmetric=False, per_channel=False))
```
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from intaglio.calibration_methods import (
    AverageMinMaxMethod,
    CalibrationMethod,
    HistogramEntropyMethod,
    HistogramMSEMethod,
    HistogramPercentileMethod,
    MinMaxMethod,
    MovingAverageMinMaxMethod,
)
from intaglio.errors import UserError

__all__ = [
    "AverageMinMaxMethod",
    "CalibrationMethod",
    "HistogramEntropyMethod",
    "HistogramMSEMethod",
    "HistogramPercentileMethod",
    "MinMaxMethod",
    "MovingAverageMinMaxMethod",
    "QuantizationParams",
    "QuantizationScheme",
    "default_calibration",
    "default_quantization",
    "quantization_scheme",
]


_DEFAULT_CALIBRATION = MinMaxMethod()


def default_calibration() -> CalibrationMethod:
    """The calibration method used when none is asked for."""
    return _DEFAULT_CALIBRATION


@dataclass(frozen=True)
class QuantizationScheme:
    """How a kind of tensor is quantized.

    Attributes:
        asymmetric: whether real zero may be stored as something else than 0.
        per_channel: whether each output channel has its own scale.
        bits: width of the stored integers.
    """

    asymmetric: bool
    per_channel: bool
    bits: int = 8

    def __post_init__(self) -> None:
        if self.bits != 8:
            raise UserError(f"quantization to {self.bits} bits is not supported", hint="use bits=8")


def quantization_scheme(asymmetric: bool, per_channel: bool, bits: int = 8) -> QuantizationScheme:
    """Construct a quantization scheme.

    Args:
        asymmetric: whether real zero may be stored as something else than 0.
        per_channel: whether each output channel has its own scale.
        bits: width of the stored integers; 8.

    Raises:
        UserError: `bits` is not 8.
    """
    return QuantizationScheme(asymmetric, per_channel, bits)


@dataclass(frozen=True)
class QuantizationParams:
    """What to do when quantizing a network; immutable, each `with_` method returns a changed copy.

    Attributes:
        calibration_method: how ranges of activations are found.
        activation_quantization_scheme: per tensor, asymmetric by default.
        weight_quantization_scheme: symmetric, per channel by default.

    Raises:
        UserError: activations per channel or asymmetric weights are asked for.
    """

    calibration_method: CalibrationMethod = _DEFAULT_CALIBRATION
    activation_quantization_scheme: QuantizationScheme = QuantizationScheme(asymmetric=True, per_channel=False)
    weight_quantization_scheme: QuantizationScheme = QuantizationScheme(asymmetric=False, per_channel=True)

    def __post_init__(self) -> None:
        if self.activation_quantization_scheme.per_channel:
            raise UserError("activations cannot be quantized per channel", hint="use per_channel=False")
        if self.weight_quantization_scheme.asymmetric:
            raise UserError("weights cannot be quantized asymmetrically", hint="use asymmetric=False")

    def with_calibration(self, method: CalibrationMethod) -> QuantizationParams:
        """A copy that calibrates activations by `method`."""
        return replace(self, calibration_method=method)

    def with_activation_quantization(self, scheme: QuantizationScheme) -> QuantizationParams:
        """A copy that quantizes activations by `scheme`.

        Raises:
            UserError: the scheme is per channel.
        """
        return replace(self, activation_quantization_scheme=scheme)

    def with_weight_quantization(self, scheme: QuantizationScheme) -> QuantizationParams:
        """A copy that quantizes weights by `scheme`.

        Raises:
            UserError: the scheme is asymmetric.
        """
        return replace(self, weight_quantization_scheme=scheme)


default_quantization = QuantizationParams()
"""int8 throughout: asymmetric activations per tensor, symmetric weights per channel, min-max calibration."""

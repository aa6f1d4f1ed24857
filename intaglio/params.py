"""Parameters of quantization: calibration method and quantization schemes.

Names and meaning follow the quantization parameters of SiMa.ai's AFE. A request that this compiler cannot carry
out is refused when it is made, not when the network is quantized.

```python
params = QuantizationParams().with_activation_quantization(quantization_scheme(asymmetric=False, per_channel=False))
```
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, replace
from typing import ClassVar

from intaglio.errors import UserError


@dataclass(frozen=True)
class CalibrationMethod(ABC):
    """How the range of a tensor is derived from its values on calibration data.

    Each method is a frozen dataclass whose fields are its settings; `name` is what command lines and the
    `method` of `quant.observe` call it.
    """

    name: ClassVar[str]

    @staticmethod
    def from_str(method: str) -> CalibrationMethod:
        """The method called `method`, in lower or upper case, with its default settings.

        Raises:
            UserError: there is no such method.
        """
        found = _METHODS.get(method.lower())
        if found is None:
            raise UserError(
                f"there is no calibration method {method!r}", hint=f"supported methods: {', '.join(sorted(_METHODS))}"
            )
        return found()


@dataclass(frozen=True)
class MinMaxMethod(CalibrationMethod):
    """The range is from the smallest to the largest value seen."""

    name = "min_max"


_METHODS: dict[str, type[CalibrationMethod]] = {method.name: method for method in (MinMaxMethod,)}


def default_calibration() -> CalibrationMethod:
    """The calibration method used when none is asked for."""
    return MinMaxMethod()


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

    calibration_method: CalibrationMethod = MinMaxMethod()
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

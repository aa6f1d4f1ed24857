"""Parameters of quantization: calibration method, schemes, arithmetic, exceptions, and what repairs accuracy.

Names and meaning follow the quantization parameters of SiMa.ai's AFE. A request that this compiler cannot carry
out is refused when it is made, not when the network is quantized. `params_file` reads and writes them as TOML.

```python
params = (
    default_quantization.with_precision("a16w8")
    .with_unquantized_nodes({"head/Softmax"})
    .with_custom_quantization_configs({"head/Gemm": {"output_int32": True}})
    .with_channel_equalization()
)
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, TypeVar

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
from intaglio.precision import ACTIVATION_BITS, WEIGHT_BITS, NodeConfig, Precision

__all__ = [
    "AverageMinMaxMethod",
    "BiasCorrectionType",
    "CalibrationMethod",
    "HistogramEntropyMethod",
    "HistogramMSEMethod",
    "HistogramPercentileMethod",
    "MinMaxMethod",
    "MovingAverageMinMaxMethod",
    "NodeConfig",
    "Precision",
    "QuantizationParams",
    "QuantizationScheme",
    "QuantizationType",
    "RequantizationMode",
    "bfloat16_scheme",
    "default_calibration",
    "default_quantization",
    "int16_quantization",
    "quantization_scheme",
]


_DEFAULT_CALIBRATION = HistogramMSEMethod()


def default_calibration() -> CalibrationMethod:
    """The calibration method used wherever none is asked for: `mse`, as in AFE's default quantization."""
    return _DEFAULT_CALIBRATION


@dataclass(frozen=True)
class QuantizationScheme:
    """How a kind of tensor is quantized.

    Attributes:
        asymmetric: whether real zero may be stored as something else than 0. 16-bit activations are symmetric all the
            same, because the rescaling of 48-bit accumulators (TOSA 1.0 RESCALE) needs a zero point of 0; a remark
            says so.
        per_channel: whether each output channel has its own scale.
        bits: width of the stored integers: 8 or 16 for activations, 4, 8 or 16 for weights.
        bf16: whether values are bfloat16 instead; the other settings are then ignored.

    Raises:
        UserError: there are no integers of that width.
    """

    asymmetric: bool
    per_channel: bool
    bits: int = 8
    bf16: bool = False

    def __post_init__(self) -> None:
        if self.bits not in WEIGHT_BITS:
            raise UserError(f"quantization to {self.bits} bits is not supported", hint="use bits=8, 16, or 4 (weights)")


def quantization_scheme(asymmetric: bool, per_channel: bool, bits: int = 8) -> QuantizationScheme:
    """Construct a quantization scheme for integers.

    Args:
        asymmetric: whether real zero may be stored as something else than 0.
        per_channel: whether each output channel has its own scale.
        bits: width of the stored integers: 8 or 16 for activations, 4, 8 or 16 for weights.

    Raises:
        UserError: `bits` is something else.
    """
    return QuantizationScheme(asymmetric, per_channel, bits)


def bfloat16_scheme() -> QuantizationScheme:
    """Construct the scheme that stores values as bfloat16 instead of integers."""
    return QuantizationScheme(asymmetric=False, per_channel=False, bits=16, bf16=True)


class RequantizationMode(StrEnum):
    """The arithmetic that brings wide accumulators back to stored values; each is specified to the last bit."""

    SHIFT = "shift"
    """Multiply, add half, shift, as TOSA 1.0 RESCALE with single rounding: the accelerator's."""

    TFLITE = "tflite"
    """The reference kernels of TensorFlow Lite: doubling high multiply and rounding shift, two roundings."""

    @staticmethod
    def parse(text: str) -> RequantizationMode:
        """The mode that a text names.

        Raises:
            UserError: there is no such mode.
        """
        return _choice(RequantizationMode, text, "requantization mode")


class BiasCorrectionType(StrEnum):
    """How biases are made up for what rounding the weights does to the mean of a layer's result."""

    NONE = "none"
    REGULAR = "regular"
    """In closed form, from the observed means of the layers' inputs."""

    ITERATIVE = "iterative"
    """Layer by layer, on the inputs that the layers before it give once they are quantized."""


class QuantizationType(StrEnum):
    """Where ranges come from, as in Latent AI's Forge."""

    STATIC = "static"
    """From calibration data."""

    DYNAMIC = "dynamic"
    """From the values at hand, each time the network runs: of what layers with constant weights read, on the host."""

    ANY = "any"
    """Static where there is calibration data (or a file of ranges, or text with them), else dynamic."""


Choice = TypeVar("Choice", bound=StrEnum)


def _choice(kind: type[Choice], value: str, setting: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(member.value for member in kind)
        raise UserError(f"there is no {setting} {value!r}", hint=f"use one of {names}") from None


@dataclass(frozen=True)
class QuantizationParams:
    """What to do when quantizing a network; immutable, each `with_` method returns a changed copy.

    Attributes:
        calibration_method: how ranges of activations are found, `mse` by default.
        activation_quantization_scheme: per tensor, asymmetric by default.
        weight_quantization_scheme: symmetric, per channel by default.
        requantization_mode: the arithmetic of quantized operations.
        quantization_type: where ranges come from.
        unquantized_nodes: ONNX names, or patterns with `*`, `?` and `[...]`, of nodes that stay float.
        custom_quantization_configs: settings of nodes by name or pattern. What is set for a name counts more than what
            is set for a pattern, and a later pattern more than one before it.
        bias_correction: how biases are corrected.
        channel_equalization: whether scales are moved between neighbouring layers until their channels are alike.
        smooth_quant: whether scales are moved from activations with outliers into the weights that read them.
        smooth_quant_alpha: how much of it, from 0 (nothing) to 1 (all); None searches one for each layer.
        split_tensors: whether output channels far beyond the others are split off their weight.
        round_weights: whether weights are rounded up or down by what that does to the layer's result.

    Raises:
        UserError: activations per channel or in 4 bits, asymmetric weights, weights wider than activations, bfloat16
            for only one of them, dynamic quantization to other widths, or another choice that does not exist.
    """

    calibration_method: CalibrationMethod = _DEFAULT_CALIBRATION
    activation_quantization_scheme: QuantizationScheme = QuantizationScheme(asymmetric=True, per_channel=False)
    weight_quantization_scheme: QuantizationScheme = QuantizationScheme(asymmetric=False, per_channel=True)
    requantization_mode: RequantizationMode = RequantizationMode.SHIFT
    quantization_type: QuantizationType = QuantizationType.STATIC
    unquantized_nodes: frozenset[str] = frozenset()
    custom_quantization_configs: Mapping[str, NodeConfig] = field(default_factory=dict[str, NodeConfig], hash=False)
    bias_correction: BiasCorrectionType = BiasCorrectionType.NONE
    channel_equalization: bool = False
    smooth_quant: bool = False
    smooth_quant_alpha: float | None = 0.5
    split_tensors: bool = False
    round_weights: bool = False

    def __post_init__(self) -> None:
        activation, weight = self.activation_quantization_scheme, self.weight_quantization_scheme
        if activation.per_channel:
            raise UserError("activations cannot be quantized per channel", hint="use per_channel=False")
        if weight.asymmetric:
            raise UserError("weights cannot be quantized asymmetrically", hint="use asymmetric=False")
        if activation.bf16 != weight.bf16:
            raise UserError(
                "bfloat16 activations need bfloat16 weights, and the other way round",
                hint='with_precision("bf16") sets both',
            )
        if activation.bits not in ACTIVATION_BITS:
            raise UserError(f"activations cannot be quantized to {activation.bits} bits", hint="use bits=8 or 16")
        if weight.bits > activation.bits:
            raise UserError(
                f"weights of {weight.bits} bits need activations as wide, not of {activation.bits}",
                hint='with_precision("a16w16") sets both',
            )
        if self.quantization_type is QuantizationType.DYNAMIC and (activation.bf16 or activation.bits != 8):
            raise UserError(
                f"dynamic quantization is of 8 bits, got the precision {self.precision}",
                hint='use the precision a8w8 or a8w4, or quantization type "static"',
            )
        alpha = self.smooth_quant_alpha
        if alpha is not None and not 0 <= alpha <= 1:
            raise UserError(f"smooth_quant_alpha={alpha} is out of range", hint="from 0 to 1, or None to search")
        # A mapping handed in may be changed by its owner later.
        object.__setattr__(self, "custom_quantization_configs", dict(self.custom_quantization_configs))

    @property
    def precision(self) -> Precision:
        """The precision of nodes without one of their own, from both schemes."""
        activation, weight = self.activation_quantization_scheme, self.weight_quantization_scheme
        return Precision.BF16 if activation.bf16 else Precision("int", activation.bits, weight.bits)

    @property
    def node_configs(self) -> dict[str, NodeConfig]:
        """What is asked of nodes by name or pattern; an unquantized node has the precision `float`."""
        unquantized = dict.fromkeys(sorted(self.unquantized_nodes), NodeConfig(precision=Precision.FLOAT))
        return {**self.custom_quantization_configs, **unquantized}

    def with_calibration(self, method: CalibrationMethod) -> QuantizationParams:
        """A copy that calibrates activations by `method`."""
        return replace(self, calibration_method=method)

    def with_activation_quantization(self, scheme: QuantizationScheme) -> QuantizationParams:
        """A copy that quantizes activations by `scheme`; bfloat16 and back sets the weights' scheme with it.

        Raises:
            UserError: the scheme is per channel, or of 4 bits.
        """
        weight = self.weight_quantization_scheme
        if scheme.bf16 != weight.bf16:
            weight = bfloat16_scheme() if scheme.bf16 else QuantizationScheme(asymmetric=False, per_channel=True)
        return replace(self, activation_quantization_scheme=scheme, weight_quantization_scheme=weight)

    def with_weight_quantization(self, scheme: QuantizationScheme) -> QuantizationParams:
        """A copy that quantizes weights by `scheme`.

        Raises:
            UserError: the scheme is asymmetric, or wider than that of activations.
        """
        return replace(self, weight_quantization_scheme=scheme)

    def with_precision(self, precision: Precision | str) -> QuantizationParams:
        """A copy with the bits of both schemes, the rest of which stays as it is.

        Args:
            precision: `a8w8`, `a16w8`, `a16w16`, `a8w4`, `a16w4`, `bf16`; also `int8` and `int16`.

        Raises:
            UserError: there is no such precision, or it is `float`.
        """
        precision = Precision.parse(precision) if isinstance(precision, str) else precision
        if precision.is_float:
            raise UserError("a network of float nodes alone is not quantized", hint="do not quantize it")
        if precision.is_bfloat16:
            return replace(
                self, activation_quantization_scheme=bfloat16_scheme(), weight_quantization_scheme=bfloat16_scheme()
            )
        activation, weight = self.activation_quantization_scheme, self.weight_quantization_scheme
        if activation.bf16:
            activation, weight = _DEFAULT_SCHEMES
        return replace(
            self,
            activation_quantization_scheme=replace(activation, bits=precision.activation_bits),
            weight_quantization_scheme=replace(weight, bits=precision.weight_bits),
        )

    def with_requantization_mode(self, requantization_mode: RequantizationMode | str) -> QuantizationParams:
        """A copy that computes in `shift` or `tflite` arithmetic.

        Raises:
            UserError: there is no such mode.
        """
        return replace(self, requantization_mode=RequantizationMode.parse(requantization_mode))

    def with_quantization_type(
        self, quantization_type: QuantizationType | Literal["static", "dynamic", "any"]
    ) -> QuantizationParams:
        """A copy that takes ranges from calibration (`static`), as values come (`dynamic`), or as it can (`any`).

        Raises:
            UserError: there is no such type, or `dynamic` is asked for with another precision than 8-bit activations.
        """
        return replace(self, quantization_type=_choice(QuantizationType, quantization_type, "quantization type"))

    def with_unquantized_nodes(self, node_names: Iterable[str]) -> QuantizationParams:
        """A copy that keeps these nodes in float, and no others that an earlier call named.

        Args:
            node_names: ONNX names, or patterns with `*`, `?` and `[...]`.
        """
        return replace(self, unquantized_nodes=frozenset(node_names))

    def with_custom_quantization_configs(
        self, custom_quantization_configs: Mapping[str, NodeConfig | Mapping[str, Any]]
    ) -> QuantizationParams:
        """A copy with settings for single nodes, in place of those of an earlier call.

        Args:
            custom_quantization_configs: by ONNX name or pattern, settings such as `{"precision": "a16w8"}` or
                `{"output_int32": True}`; see `NodeConfig`.

        Raises:
            UserError: a setting does not exist or has a value of another type.
        """
        configs = {
            name: config if isinstance(config, NodeConfig) else NodeConfig.of(config, where=name)
            for name, config in custom_quantization_configs.items()
        }
        return replace(self, custom_quantization_configs=configs)

    def with_bias_correction(self, enable: bool | BiasCorrectionType | str = True) -> QuantizationParams:
        """A copy that corrects biases: True for `regular`, False for `none`, or one of the types.

        Raises:
            UserError: there is no such type.
        """
        if isinstance(enable, bool):
            enable = BiasCorrectionType.REGULAR if enable else BiasCorrectionType.NONE
        return replace(self, bias_correction=_choice(BiasCorrectionType, enable, "bias correction"))

    def with_channel_equalization(self, enable: bool = True) -> QuantizationParams:
        """A copy that equalizes channels, or does not."""
        return replace(self, channel_equalization=enable)

    def with_smooth_quant(self, enable: bool = True, alpha: float | None = 0.5) -> QuantizationParams:
        """A copy that smooths activations, or does not.

        Args:
            enable: whether it does.
            alpha: how much, from 0 to 1; None searches one for each layer.

        Raises:
            UserError: alpha is out of range.
        """
        return replace(self, smooth_quant=enable, smooth_quant_alpha=alpha)

    def with_split_tensors(self, enable: bool = True) -> QuantizationParams:
        """A copy that splits outlier channels off weights, or does not."""
        return replace(self, split_tensors=enable)

    def with_round_weights(self, enable: bool = True) -> QuantizationParams:
        """A copy that rounds weights by what it does to results, or to nearest."""
        return replace(self, round_weights=enable)


default_quantization = QuantizationParams(
    channel_equalization=True,
    smooth_quant=True,
    smooth_quant_alpha=None,
)
"""int8 throughout: asymmetric activations per tensor, symmetric weights per channel, `mse` calibration, as in AFE.

Channels are equalized and activations smoothed, which AFE leaves to the user: both keep the float function. Of the
model zoo no network loses by more than one standard error, and some gain ten points (`benchmarks/accuracy.py`).
"""

_DEFAULT_SCHEMES = (
    default_quantization.activation_quantization_scheme,
    default_quantization.weight_quantization_scheme,
)

int16_quantization = default_quantization.with_precision(Precision.INT16)
"""16-bit activations and 8-bit weights, otherwise as `default_quantization`."""

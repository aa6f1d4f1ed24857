"""The settings that accuracy is measured under, by name."""

from __future__ import annotations

import intaglio as ig
from intaglio.params import CalibrationMethod, QuantizationParams

METHODS = ("min_max", "mse", "moving_average", "entropy", "percentile", "average")
PRECISIONS = ("a16w8", "a16w16", "bf16")

_DEFAULT = ig.default_quantization
_PLAIN = _DEFAULT.with_channel_equalization(False).with_smooth_quant(False).with_bias_correction("none")
_WEIGHTS = {"per channel": True, "per tensor": False}

REPAIRS = {
    "plain": lambda params: params,
    "equalized": lambda params: params.with_channel_equalization(),
    "smooth": lambda params: params.with_smooth_quant(alpha=None),
    "bias": lambda params: params.with_bias_correction("regular"),
    "bias iterative": lambda params: params.with_bias_correction("iterative"),
}
"""Each repair alone, on parameters without any."""


def _scheme(params: QuantizationParams, weights: str) -> QuantizationParams:
    return params.with_weight_quantization(ig.quantization_scheme(asymmetric=False, per_channel=_WEIGHTS[weights]))


SETTINGS: dict[str, QuantizationParams] = {
    "default": _DEFAULT,
    **{method: _DEFAULT.with_calibration(CalibrationMethod.from_str(method)) for method in METHODS},
    **{precision: _DEFAULT.with_precision(precision) for precision in PRECISIONS},
    **{
        repair if weights == "per channel" else f"{weights} {repair}": change(_scheme(_PLAIN, weights))
        for weights in _WEIGHTS
        for repair, change in REPAIRS.items()
    },
    "default bias": _DEFAULT.with_bias_correction("regular"),
    "default bias iterative": _DEFAULT.with_bias_correction("iterative"),
}
"""Parameters by name. What equals another one is not run again."""

REPAIR_SETTINGS = tuple(name for name in SETTINGS if name not in ("default", *METHODS, *PRECISIONS))

REPAIRED = (
    "pulsevad_2k",
    "mnist_mobilenet_hard",
    "mobilenet_v2",
    "mbv2_hard",
    "mbv2_mid",
    "vit_hard",
)
"""The networks whose repairs are measured unless settings are named."""


def settings_of(name: str, group: str) -> list[str]:
    """The settings that a network is measured under unless they are named.

    Args:
        name: of the network.
        group: `zoo`, which has all methods and precisions, or `bench`.
    """
    found = ["default", *METHODS, *PRECISIONS] if group == "zoo" else ["default"]
    return found + (list(REPAIR_SETTINGS) if name.removeprefix("raw/") in REPAIRED else [])

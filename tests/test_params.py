"""Parameters of quantization: defaults, immutability, and refusals."""

import dataclasses

import pytest

from intaglio.errors import UserError
from intaglio.params import (
    CalibrationMethod,
    MinMaxMethod,
    QuantizationParams,
    default_quantization,
    quantization_scheme,
)


def test_defaults_are_asymmetric_activations_and_symmetric_weights_per_channel():
    assert default_quantization.calibration_method == MinMaxMethod()
    assert default_quantization.activation_quantization_scheme == quantization_scheme(True, False, bits=8)
    assert default_quantization.weight_quantization_scheme == quantization_scheme(False, True, bits=8)


def test_builders_leave_the_original_alone():
    symmetric = quantization_scheme(asymmetric=False, per_channel=False)
    changed = default_quantization.with_activation_quantization(symmetric).with_weight_quantization(symmetric)
    assert changed.activation_quantization_scheme == changed.weight_quantization_scheme == symmetric
    assert default_quantization == QuantizationParams()
    with pytest.raises(dataclasses.FrozenInstanceError):
        default_quantization.calibration_method = MinMaxMethod()  # type: ignore[misc]


@pytest.mark.parametrize("name", ["min_max", "MIN_MAX"])
def test_methods_are_found_by_name(name: str):
    method = CalibrationMethod.from_str(name)
    assert method == MinMaxMethod()
    assert QuantizationParams().with_calibration(method).calibration_method is method


def test_unknown_method_lists_the_supported_ones():
    with pytest.raises(UserError, match="no calibration method 'kl'") as error:
        CalibrationMethod.from_str("kl")
    assert "min_max" in str(error.value)


@pytest.mark.parametrize("bits", [0, 4, 7, 16])
def test_other_widths_are_refused(bits: int):
    with pytest.raises(UserError, match=f"{bits} bits"):
        quantization_scheme(True, False, bits=bits)


def test_unsupported_schemes_are_refused():
    with pytest.raises(UserError, match="per channel"):
        QuantizationParams().with_activation_quantization(quantization_scheme(True, True))
    with pytest.raises(UserError, match="asymmetrically"):
        QuantizationParams().with_weight_quantization(quantization_scheme(True, False))

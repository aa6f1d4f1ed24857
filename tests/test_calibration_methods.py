"""Calibration methods: names, settings and their text."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

AFE = {
    "MIN_MAX": MinMaxMethod(),
    "min_max": MinMaxMethod(),
    "MSE": HistogramMSEMethod(2048),
    "mse": HistogramMSEMethod(2048),
    "MOVING_AVERAGE": MovingAverageMinMaxMethod(),
    "moving_average": MovingAverageMinMaxMethod(),
    "HISTOGRAM_ENTROPY": HistogramEntropyMethod(512),
    "entropy": HistogramEntropyMethod(512),
    "HISTOGRAM_PERCENTILE": HistogramPercentileMethod(99.9, 1024),
    "percentile": HistogramPercentileMethod(99.9, 1024),
}
"""Spellings and defaults in AFE's documentation."""

FORGE = {
    "average": AverageMinMaxMethod(),
    "entropy": HistogramEntropyMethod(),
    "minmax": MinMaxMethod(),
    "percentile": HistogramPercentileMethod(),
}


@pytest.mark.parametrize(("text", "method"), [*AFE.items(), *FORGE.items()])
def test_spellings(text: str, method: CalibrationMethod):
    assert CalibrationMethod.from_str(text) == method
    assert hash(CalibrationMethod.from_str(text)) == hash(method)


def test_methods_are_immutable_and_differ_by_settings():
    method = HistogramMSEMethod(num_bins=64)
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.num_bins = 32  # type: ignore[misc]
    assert method != HistogramMSEMethod()
    assert method != HistogramEntropyMethod(num_bins=64)


def test_defaults_are_printed_without_settings():
    assert str(HistogramPercentileMethod()) == "percentile"
    assert str(HistogramPercentileMethod(99.99, 2048)) == "percentile{percentile_value=99.99 num_bins=2048}"


@given(
    st.one_of(
        st.builds(HistogramMSEMethod, st.integers(16, 1 << 20)),
        st.builds(HistogramEntropyMethod, st.integers(16, 1 << 20)),
        st.builds(HistogramPercentileMethod, st.floats(0, 100, exclude_min=True), st.integers(16, 1 << 20)),
        st.builds(MovingAverageMinMaxMethod, st.floats(0, 1, exclude_min=True)),
    )
)
def test_text_reads_back(method: CalibrationMethod):
    assert CalibrationMethod.from_str(str(method)) == method


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("percentle", "did you mean percentile"),
        ("", "supported methods: min_max, mse"),
        ("mse{", "no calibration method 'mse{'"),
        ("mse{bins=3}", "'bins=3' is no setting .* mse.*num_bins"),
        ("mse{num_bins}", "'num_bins' is no setting"),
        ("mse{num_bins=64 num_bins=65}", "'num_bins=65' is no setting"),
        ("min_max{num_bins=64}", "has no settings"),
        ("mse{num_bins=8}", "num_bins=8 is out of range"),
        ("entropy{num_bins=2.5}", "num_bins is not a whole number: '2.5'"),
        ("percentile{percentile_value=nan}", "percentile_value is not a number: 'nan'"),
        ("percentile{percentile_value=0}", "percentile_value=0.0 is out of range"),
        ("percentile{percentile_value=100.5}", "out of range"),
        ("moving_average{smoothing=0}", "smoothing=0.0 is out of range"),
    ],
)
def test_mistakes(text: str, message: str):
    with pytest.raises(UserError) as error:
        CalibrationMethod.from_str(text)
    assert re.search(message, str(error.value).replace("\n", " ")), str(error.value)

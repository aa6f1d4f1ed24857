"""Rescaling of 48-bit integers against the formulas of TOSA 1.0 and TensorFlow Lite, typed in Python integers."""

from __future__ import annotations

from fractions import Fraction
from math import floor, frexp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.numerics.rescaling import rescale, rescaling, store
from intaglio.numerics.wide_requantization import (
    wide_apply_scale,
    wide_quantize_multiplier,
    wide_tflite_apply_scale,
    wide_tflite_quantize_multiplier,
)
from intaglio.params import RequantizationMode

LIMIT = 2**47
int48s = st.one_of(st.integers(-LIMIT, LIMIT - 1), st.integers(-300, 300))
factors = st.floats(1e-14, 8000.0)


def tosa_multiplier_16(real: float) -> tuple[int, int]:
    mantissa, exponent = frexp(real)
    multiplier = floor(Fraction(mantissa) * 2**15 + Fraction(1, 2))
    if multiplier == 2**15:
        multiplier, exponent = 2**14, exponent + 1
    shift = 15 - exponent
    return (multiplier, shift) if shift <= 62 else (multiplier >> min(31, shift - 62), 62)


def tflite_int64(value: int, real: float) -> int:
    mantissa, exponent = frexp(real)
    multiplier = floor(Fraction(mantissa) * 2**31 + Fraction(1, 2))
    if multiplier == 2**31:
        multiplier, exponent = 2**30, exponent + 1
    if exponent < -31:
        multiplier, exponent = 0, 0
    reduced = (multiplier + (1 << 15)) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    total = 15 - exponent
    return (value * reduced + (1 << (total - 1))) >> total


@given(factors)
def test_multiplier_is_tosas(real: float):
    multiplier, shift = wide_quantize_multiplier(real)
    assert (int(multiplier), int(shift)) == tosa_multiplier_16(real)


@given(st.lists(int48s, min_size=1, max_size=8), factors)
def test_a_48_bit_value_is_rescaled_as_tosa_does(values: list[int], real: float):
    multiplier, shift = tosa_multiplier_16(real)
    expected = [(value * multiplier + (1 << (shift - 1))) >> shift for value in values]
    np.testing.assert_array_equal(rescale(np.array(values), real, wide=True), expected)


@given(st.lists(int48s, min_size=1, max_size=8), st.floats(1e-14, 127.0))
def test_a_48_bit_value_is_rescaled_as_tensorflow_lite_does(values: list[int], real: float):
    expected = [tflite_int64(value, real) for value in values]
    found = rescale(np.array(values), real, RequantizationMode.TFLITE, wide=True)
    np.testing.assert_array_equal(found, expected)


@given(int48s, st.floats(1e-9, 0.5))
def test_the_result_is_near_the_exact_one(value: int, real: float):
    found = int(rescale(value, real, wide=True))
    exact = Fraction(value) * Fraction(real)
    assert abs(found - exact) <= Fraction(1, 2) + abs(exact) / 2**15


def test_factors_and_values_out_of_range_are_refused():
    for real in (0.0, -1.0, float("nan"), float("inf"), 2.0**13):
        with pytest.raises(ValueError, match="positive and below 2"):
            wide_quantize_multiplier(real)
    assert wide_quantize_multiplier(8191.0)[1] == 2
    with pytest.raises(ValueError, match="fit 48 bits"):
        wide_apply_scale(LIMIT, 1 << 14, 20)
    with pytest.raises(ValueError, match="below 2"):
        wide_tflite_apply_scale(1, *wide_tflite_quantize_multiplier(300.0))


def test_the_largest_reduced_multiplier_does_not_overflow():
    multiplier, exponent = wide_tflite_quantize_multiplier(np.nextafter(1.0, 0.0) * (1 - 2**-20))
    assert (int(multiplier), int(exponent)) == (0x7FFF, 0)


@pytest.mark.parametrize("mode", RequantizationMode)
@pytest.mark.parametrize("wide", [False, True])
def test_factors_broadcast_per_channel(mode: RequantizationMode, wide: bool):
    values = np.array([[1000, -1000, 7], [12345, 3, -9]])
    factors = np.array([0.1, 0.75, 1.5])
    arithmetic = rescaling(mode, wide=wide)
    found = rescale(values, factors, mode, wide=wide)
    for index in np.ndindex(values.shape):
        one = arithmetic.apply(values[index], *arithmetic.multiplier(factors[index[1]]))
        assert found[index] == one


def test_stored_values_are_clamped_behind_the_zero_point():
    np.testing.assert_array_equal(store([-1000, 0, 5, 1000], 3, -128, 127), [-128, 3, 8, 127])

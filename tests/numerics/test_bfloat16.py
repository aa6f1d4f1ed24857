"""Rounding to bfloat16 against rounding in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intaglio.numerics.bfloat16 import round_to_bfloat16

LARGEST = Fraction(2) ** 127 * (2 - Fraction(1, 128))


def rounded_exactly(value: float) -> float:
    """Nearest bfloat16, ties to even, by the definition: 8 significant bits, exponents from -126."""
    exact = abs(Fraction(value))
    if not exact:
        return value
    exponent = max(math.frexp(abs(value))[1] - 1, -126)
    unit = Fraction(2) ** (exponent - 7)
    result = round(exact / unit) * unit
    return math.copysign(float(result) if result <= LARGEST else math.inf, value)


@given(st.floats(allow_nan=False, allow_infinity=False, width=64))
@example(1 + 2.0**-8)
@example(1 + 2.0**-8 + 2.0**-40)
@example(1 + 3 * 2.0**-8 - 2.0**-50)
@example(3.3961775292304601e38)
@example(2.0**-134 + 2.0**-180)
def test_doubles_are_rounded_once(value: float):
    found = float(round_to_bfloat16(np.float64(value)))
    assert found == rounded_exactly(value)
    assert math.copysign(1, found) == math.copysign(1, value)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_narrower_floats(dtype: type):
    values = np.random.default_rng(0).normal(size=300).astype(dtype)
    np.testing.assert_array_equal(round_to_bfloat16(values), values.astype(ml_dtypes.bfloat16))


def test_what_is_no_number_stays():
    found = round_to_bfloat16(np.array([np.nan, np.inf, -np.inf, -0.0])).astype(np.float32)
    assert np.isnan(found[0]) and found[1:3].tolist() == [np.inf, -np.inf] and np.signbit(found[3])

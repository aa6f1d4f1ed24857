"""Lanes of float32 on bfloat16: ordinals, rounding twice, sums of the array."""

from __future__ import annotations

import math

import numpy as np
import pytest

from intaglio.numerics.bfloat16 import bits_of, floats_of, of_ordinal, ordinal, round_to_bfloat16
from intaglio.numerics.float_lanes import (
    COMBINATIONS,
    FUNCTIONS,
    accumulated,
    clamped,
    mapped,
    normalized,
    single,
    single_bits,
    softmax,
)
from intaglio.numerics.tables import TABLE_FUNCTIONS

ALL = np.arange(1 << 16).astype(np.uint16).view(np.int16)


def test_ordinals_grow_with_values() -> None:
    values = [-math.inf, -3.0, -1e-30, 0.0, 1e-30, 0.5, 3.0, math.inf]
    numbers = [ordinal(value) for value in values]
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[3], numbers[-1]) == (-32640, 0, 32640)
    assert [of_ordinal(number) for number in (ordinal(-3.0), 0, 32640)] == [-3.0, 0.0, math.inf]


@pytest.mark.parametrize("name", COMBINATIONS)
def test_rounding_twice_is_as_good_as_once(name: str) -> None:
    rng = np.random.default_rng(1)
    a, b = (floats_of(bits_of(rng.standard_normal(20_000) * 2.0 ** rng.integers(-9, 9, 20_000))) for _ in range(2))
    exact = COMBINATIONS[name](a.astype(np.float64), b.astype(np.float64))
    np.testing.assert_array_equal(bits_of(COMBINATIONS[name](a, b)), round_to_bfloat16(exact).view(np.int16))


def test_functions_are_those_of_tables() -> None:
    assert sorted(FUNCTIONS) == sorted(TABLE_FUNCTIONS)
    finite = ALL[np.isfinite(floats_of(ALL))]
    with np.errstate(over="ignore"):
        expected = bits_of(np.tanh(floats_of(finite).astype(np.float64)))
    np.testing.assert_array_equal(mapped("tanh", finite, 0.0, 0.0), expected)
    assert floats_of(mapped("leaky_relu", bits_of(np.array([-2.0])), 0.25, 0.0)) == [-0.5]


def test_bounds_hold_what_is_rounded() -> None:
    values = np.array([-9.0, -0.001, 3.0, 6.01, math.inf, math.nan], np.float32)
    found = floats_of(clamped(values, 0, ordinal(6.0)))
    np.testing.assert_array_equal(found, np.array([0, 0, 3, 6, 6, math.nan], np.float32))


def test_an_accumulator_is_rounded_once_for_each_tap() -> None:
    # Within a tap 2^-30 is added to 1 - 1; to an accumulator of 1 it is lost.
    one_tap = np.array([[[1.0, 2.0**-30, -1.0]]], np.float32)
    three = one_tap.transpose(2, 0, 1)
    weights = np.ones((1, 3, 1), np.float32)
    zero = np.zeros((1, 1), np.float32)
    assert accumulated(zero, one_tap, weights) == 2.0**-30
    assert accumulated(zero, three, weights.reshape(3, 1, 1)) == 0


def test_rows() -> None:
    rows = np.array([[1.0, 1.0, 1.0, 1.0], [-200.0, 0.0, 0.0, -200.0]], np.float32)
    np.testing.assert_array_equal(softmax(rows), [[0.25] * 4, [0, 0.5, 0.5, 0]])
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    found = normalized(rows, ones, zeros + 2, 0.0, around_mean=True)[1]
    np.testing.assert_array_equal(found, [1, 3, 3, 1])
    assert single(single_bits(0.2)) == float(np.float32(0.2))

"""Reciprocals and roots against exact fractions and NumPy's extended precision, and their stated error bounds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from intaglio.numerics.fixed_point import (
    LARGEST_ARGUMENT,
    LOGARITHM_BITS,
    QUOTIENT_BITS,
    bit_length,
    logarithm,
    quotient,
    reciprocal,
    reciprocal_sqrt,
    rounding_shift,
    square_root,
)

POWERS = [power + offset for bits in range(2, 62) for power in (1 << bits,) for offset in (-1, 0, 1)]


def arguments() -> np.ndarray:
    """All small integers, those around powers of two, and random ones of every size."""
    random = 2.0 ** np.random.default_rng(0).uniform(0, 61.9, 100_000)
    values = np.concatenate([np.arange(1, 70_000), POWERS, random.astype(np.int64), [LARGEST_ARGUMENT]])
    return np.unique(values)


def test_bit_length():
    values = [0, 1, 2, 3, 4, *POWERS, LARGEST_ARGUMENT]
    assert bit_length(values).tolist() == [value.bit_length() for value in values]


@pytest.mark.parametrize(("value", "shift", "expected"), [(5, 1, 3), (-5, 1, -2), (7, 3, 1), (3, 3, 0), (-4, 3, 0)])
def test_rounding_shift_rounds_half_up(value, shift, expected):
    assert rounding_shift(value, shift) == expected


def test_reciprocal():
    values = arguments()
    multiplier, shift = reciprocal(values)
    assert multiplier.min() >= 1 << 30
    assert multiplier.max() < 1 << 31
    assert shift.tolist() == [30 + int(value).bit_length() for value in values]
    real = np.ldexp(multiplier.astype(np.longdouble), -shift.astype(np.int32)) * values.astype(np.longdouble)
    assert np.abs(real - 1).max() < 2.0**-28


@pytest.mark.parametrize("value", [1, 2, 3, 10, 255, 256, 1000, (1 << 31) - 1, LARGEST_ARGUMENT])
def test_reciprocal_by_fractions(value):
    multiplier, shift = reciprocal(value)
    assert abs(Fraction(int(multiplier), 1 << int(shift)) * value - 1) < Fraction(1, 1 << 28)


def test_reciprocal_sqrt():
    values = arguments()
    multiplier, shift = reciprocal_sqrt(values)
    assert multiplier.min() >= 1 << 30
    assert multiplier.max() < 1 << 31
    assert (shift.min(), shift.max()) == (31, 61)
    real = np.ldexp(multiplier.astype(np.longdouble), -shift.astype(np.int32))
    assert np.abs(real * np.sqrt(values.astype(np.longdouble)) - 1).max() < 2.0**-28


@pytest.mark.parametrize("fraction_bits", [0, 7, 14])
def test_square_root(fraction_bits):
    values = arguments()
    values = np.concatenate([[0], values[values < 1 << (60 - 2 * fraction_bits)]])
    exact = np.sqrt(values.astype(np.longdouble)) * 2**fraction_bits
    assert (np.abs(square_root(values, fraction_bits) - exact) <= 0.5 + exact * 2.0**-28).all()


def test_square_root_of_squares():
    roots = np.arange(1 << 15)
    assert (square_root(roots * roots, 0) == roots).all()


def test_logarithm():
    values = arguments()
    exact = np.log(values.astype(np.longdouble)) * 2**LOGARITHM_BITS
    assert np.abs(logarithm(values) - exact).max() <= 2 ** (LOGARITHM_BITS - 18.9)


@pytest.mark.parametrize("bits", [8, 16])
def test_quotient(bits):
    limit = 1 << bits
    rng = np.random.default_rng(bits)
    top, bottom = rng.integers(-limit + 1, limit, (2, 20_000))
    bottom[bottom == 0] = 1
    exact = top.astype(np.longdouble) / bottom * 2 ** QUOTIENT_BITS[bits]
    assert (np.abs(quotient(top, bottom, bits) - exact) <= 0.5 + np.abs(exact) * 2.0**-28).all()


def test_quotient_by_zero_saturates():
    assert quotient([5, -5, 0], 0, 8).tolist() == [2**31 - 1, 1 - 2**31, 0]
    assert quotient([5, -5, 0], 0, 16).tolist() == [2**47 - 1, 1 - 2**47, 0]


@pytest.mark.parametrize("function", [logarithm, reciprocal, reciprocal_sqrt])
@pytest.mark.parametrize("value", [0, -1, LARGEST_ARGUMENT + 1])
def test_arguments_out_of_range(function, value):
    with pytest.raises(ValueError, match="from 1 to"):
        function([1, value])


@pytest.mark.parametrize("value", [-1, 1 << 46])
def test_roots_out_of_range(value):
    with pytest.raises(ValueError, match=r"below 2\^46"):
        square_root(value, 7)

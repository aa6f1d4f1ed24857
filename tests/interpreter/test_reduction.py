"""Reductions: floats against NumPy, integers against TOSA's formulas in Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.dialects import nn
from intaglio.dialects.quant import uniform

KINDS = {
    nn.ReduceMeanOp: np.mean,
    nn.ReduceSumOp: np.sum,
    nn.ReduceMaxOp: np.max,
    nn.ReduceMinOp: np.min,
    nn.ReduceProdOp: np.prod,
    nn.ReduceL2Op: lambda x, axis, keepdims: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_floats(run_op, kind, axes):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    actual = run_op(lambda v: kind(v, axes), x)
    np.testing.assert_allclose(actual, KINDS[kind](x.astype(np.float64), axis=axes, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (nn.ReduceSumOp, 0.0),
        (nn.ReduceProdOp, 1.0),
        (nn.ReduceL2Op, 0.0),
        (nn.ReduceMaxOp, -np.inf),
        (nn.ReduceMinOp, np.inf),
        (nn.ReduceMeanOp, np.nan),
    ],
)
def test_of_nothing(run_op, kind, expected):
    actual = run_op(lambda v: kind(v, [1]), np.zeros((2, 0), np.float32))
    np.testing.assert_array_equal(actual, np.full((2, 1), expected, np.float32))


@settings(deadline=None, max_examples=30)
@given(
    st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    st.integers(0, 2**32 - 1),
)
def test_sum_of_integers(run_op, tosa, random_stored, scales, zeros, seed):
    x_kind, y_kind = (uniform(8, scale, zero) for scale, zero in zip(scales, zeros, strict=True))
    x = random_stored(np.random.default_rng(seed), (3, 7), x_kind)
    actual = run_op(lambda v: nn.ReduceSumOp(v, [1], y_kind), (x, x_kind))
    for row, have in zip(x.tolist(), actual[:, 0].tolist(), strict=True):
        total = sum(value - x_kind.zero_point for value in row)
        assert have == tosa.rescale(total, x_kind.scale / y_kind.scale, y_kind)


@pytest.mark.parametrize("count", [1, 3, 7, 64])
def test_mean_of_integers_at_one_scale_divides_by_the_reciprocal(run_op, tosa, random_stored, count):
    kind = uniform(8, 0.1, -9)
    x = random_stored(np.random.default_rng(count), (5, count), kind)
    actual = run_op(lambda v: nn.ReduceMeanOp(v, [1]), (x, kind))
    for row, have in zip(x.tolist(), actual[:, 0].tolist(), strict=True):
        total = sum(value - kind.zero_point for value in row)
        mean = tosa.apply_scale_32(total, *tosa.reciprocal_scale(count)) + kind.zero_point
        assert have == min(max(mean, -128), 127)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("count", [1, 2, 50, 1000])
def test_root_of_squares_of_integers(run_op, bits, count):
    """The exact root, rounded once: small elements beside large ones are not lost."""
    kind, result = (
        uniform(bits, 0.25, 7 if bits == 8 else 0),
        uniform(bits, 0.25 * count**0.5, -100 if bits == 8 else 0),
    )
    rng = np.random.default_rng(count)
    x = rng.integers(kind.storage_min, kind.storage_max + 1, (40, count)) // rng.integers(1, 100, (40, 1))
    actual = run_op(lambda v: nn.ReduceL2Op(v, [1], result), (x.astype(np.int8 if bits == 8 else np.int16), kind))
    steps = np.sqrt((0.0625 * (x - kind.zero_point) ** 2).sum(1, keepdims=True)) / result.scale + result.zero_point
    assert np.abs(actual - np.clip(steps, result.storage_min, result.storage_max)).max() <= 0.51


@pytest.mark.parametrize("kind", [nn.ReduceMaxOp, nn.ReduceMinOp])
def test_largest_and_smallest_stored_value(run_op, kind):
    stored = uniform(8, 0.5, 3)
    x = np.random.default_rng(1).integers(-128, 128, (2, 3, 4)).astype(np.int8)
    actual = run_op(lambda v: kind(v, [0, 2]), (x, stored))
    np.testing.assert_array_equal(actual, KINDS[kind](x, axis=(0, 2), keepdims=True))

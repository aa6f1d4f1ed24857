"""Two-operand arithmetic, in floats with broadcasting and in integers done by hand."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32

from intaglio.dialects import nn
from intaglio.dialects.quant import uniform

FLOAT_OPERATIONS = {
    nn.AddOp: operator.add,
    nn.SubOp: operator.sub,
    nn.MulOp: operator.mul,
    nn.DivOp: operator.truediv,
}
SHAPES = [((2, 3), (2, 3)), ((2, 1, 3), (4, 1)), ((), (5,)), ((1, 2, 2, 3), (3,)), ((4,), (1,))]
scales = st.floats(0.001, 2.0)
zero_points = st.integers(-128, 127)


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("kind", FLOAT_OPERATIONS)
@pytest.mark.parametrize("clamp", [None, (-0.5, 0.75)])
def test_floats(run_op, kind, shapes, clamp):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    attribute = None if clamp is None else nn.ClampAttr.of(*clamp)
    result = TensorType(f32, np.broadcast_shapes(*shapes))
    actual = run_op(lambda s, t: kind(s, t, result, clamp=attribute), a, b)
    # One IEEE operation in single precision, which computing in double and rounding once equals.
    expected = FLOAT_OPERATIONS[kind](a, b)
    np.testing.assert_array_equal(actual, expected if clamp is None else np.clip(expected, *map(np.float32, clamp)))


def test_division_by_zero_is_ieee(run_op):
    a, b = np.array([1, -1, 0], np.float32), np.zeros(3, np.float32)
    actual = run_op(lambda s, t: nn.DivOp(s, t, TensorType(f32, [3])), a, b)
    np.testing.assert_array_equal(actual, np.array([np.inf, -np.inf, np.nan], np.float32))


@pytest.mark.parametrize("kind", [nn.AddOp, nn.SubOp])
@settings(deadline=None, max_examples=40)
@given(st.tuples(scales, scales, scales), st.tuples(zero_points, zero_points, zero_points), st.integers(0, 2**32 - 1))
def test_sums_of_integers(run_op, tosa, real, assert_within_one_step, random_stored, kind, scales, zeros, seed):
    rng = np.random.default_rng(seed)
    a_kind, b_kind, y_kind = (uniform(8, scale, zero) for scale, zero in zip(scales, zeros, strict=True))
    a, b = random_stored(rng, (3, 4), a_kind), random_stored(rng, (4,), b_kind)
    actual = run_op(lambda s, t: kind(s, t, TensorType(y_kind, [3, 4])), (a, a_kind), (b, b_kind))
    twice_largest = 2 * max(a_kind.scale, b_kind.scale)
    sign = 1 if kind is nn.AddOp else -1
    for i, j in np.ndindex(3, 4):
        left = tosa.apply_scale_32(
            int(a[i, j]) - a_kind.zero_point, *tosa.multiplier(a_kind.scale / twice_largest * 2.0**20)
        )
        right = tosa.apply_scale_32(
            int(b[j]) - b_kind.zero_point, *tosa.multiplier(b_kind.scale / twice_largest * 2.0**20)
        )
        total = left + sign * right
        assert actual[i, j] == tosa.rescale(total, twice_largest / (2.0**20 * y_kind.scale), y_kind)
    assert_within_one_step(actual, real(a, a_kind) + sign * real(b, b_kind), y_kind)


@settings(deadline=None, max_examples=40)
@given(st.tuples(scales, scales, scales), st.tuples(zero_points, zero_points, zero_points), st.integers(0, 2**32 - 1))
def test_products_of_integers(run_op, tosa, real, assert_within_one_step, random_stored, scales, zeros, seed):
    rng = np.random.default_rng(seed)
    a_kind, b_kind, y_kind = (uniform(8, scale, zero) for scale, zero in zip(scales, zeros, strict=True))
    a, b = random_stored(rng, (3, 4), a_kind), random_stored(rng, (3, 1), b_kind)
    actual = run_op(lambda s, t: nn.MulOp(s, t, TensorType(y_kind, [3, 4])), (a, a_kind), (b, b_kind))
    for i, j in np.ndindex(3, 4):
        product = (int(a[i, j]) - a_kind.zero_point) * (int(b[i, 0]) - b_kind.zero_point)
        assert actual[i, j] == tosa.rescale(product, a_kind.scale * b_kind.scale / y_kind.scale, y_kind)
    assert_within_one_step(actual, real(a, a_kind) * real(b, b_kind), y_kind)


@pytest.mark.parametrize("kind", [nn.AddOp, nn.SubOp, nn.MulOp])
def test_clamps_of_integers_are_real_bounds(run_op, kind):
    quantized = uniform(8, 0.5, 10)
    stored = np.arange(-128, 128, dtype=np.int8)
    one = np.array([12 if kind is nn.MulOp else 10], np.int8)
    clamp = nn.ClampAttr.of(-2.0, 3.0)
    build = lambda s, t: kind(s, t, TensorType(quantized, [256]), clamp=clamp)  # noqa: E731
    actual = run_op(build, (stored, quantized), (one, quantized))
    np.testing.assert_array_equal(actual, np.clip(stored, 10 - 4, 10 + 6))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("operation", [nn.DivOp, nn.MaximumOp, nn.MinimumOp])
def test_quotients_and_extremes_of_integers(run_op, bits, operation):
    """The real function of the values that are stored, rounded once; what is out of range saturates."""
    largest = 1 << (bits - 1)
    a_kind = uniform(bits, 4.0 / largest, -7 if bits == 8 else 0)
    b_kind = uniform(bits, 8.0 / largest, 30 if bits == 8 else 0)
    result = uniform(bits, 6.0 / largest, 11 if bits == 8 else 0)
    rng, dtype = np.random.default_rng(bits), np.int8 if bits == 8 else np.int16
    a, b = rng.integers(-largest, largest, (2, 3000)).astype(dtype)
    b[b == b_kind.zero_point] = b_kind.zero_point + 1
    real = a_kind.scale * (a.astype(float) - a_kind.zero_point), b_kind.scale * (b.astype(float) - b_kind.zero_point)
    function = {nn.DivOp: np.divide, nn.MaximumOp: np.maximum, nn.MinimumOp: np.minimum}[operation]
    steps = np.clip(function(*real) / result.scale + result.zero_point, -largest, largest - 1)
    actual = run_op(lambda x, y: operation(x, y, TensorType(result, x.type.get_shape())), (a, a_kind), (b, b_kind))
    # Wide quotients are multiplied by 15 bits.
    assert np.abs(actual - steps).max() <= (1.6 if operation is nn.DivOp and bits == 16 else 0.51)


def test_quotients_by_zero_saturate(run_op):
    kind = uniform(8, 0.5, 3)
    a, b = np.array([10, -10, 3], np.int8), np.array([3, 3, 3], np.int8)
    actual = run_op(lambda x, y: nn.DivOp(x, y, x.type), (a, kind), (b, kind))
    assert actual.tolist() == [127, -128, 3]

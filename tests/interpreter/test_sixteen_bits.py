"""Operations on 16-bit integers, and between 8 and 16 bits, against TOSA's formulas in Python integers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType

from intaglio.dialects import nn
from intaglio.dialects.quant import uniform, uniform_per_axis
from intaglio.errors import UserError

WIDTHS = st.sampled_from([(16, 16), (16, 8), (8, 16)])
SEEDS = st.integers(0, 2**32 - 1)


def kind_of(bits, scale, zero_point):
    """Integers of 8 bits with a zero point, or of 16 without."""
    return uniform(bits, scale if bits == 8 else scale / 256, zero_point if bits == 8 else 0)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([(16, 16), (16, 8)]), st.sampled_from([4, 8, 16]), SEEDS)
def test_dense_in_48_bits(run_op, tosa, random_stored, bits, weight_bits, seed):
    rng = np.random.default_rng(seed)
    x_kind, y_kind = kind_of(bits[0], 0.02, 0), kind_of(bits[1], 0.15, 11)
    limit = 2 ** (weight_bits - 1) - 1
    scales = rng.uniform(0.5, 2.0, 3) / limit
    w_kind = uniform_per_axis(weight_bits, 0, scales, storage_min=-limit)
    b_kind = uniform_per_axis(48, 0, x_kind.scale * scales)
    x = random_stored(rng, (2, 5), x_kind)
    w = rng.integers(-limit, limit, (3, 5), np.int16 if weight_bits == 16 else np.int8, endpoint=True)
    b = rng.integers(-(2**35), 2**35, 3)
    result = TensorType(y_kind, (2, 3))
    actual = run_op(lambda *v: nn.DenseOp(*v, result), (x, x_kind), (w, w_kind), (b, b_kind))
    for row, column in np.ndindex(2, 3):
        total = sum(int(x[row, k]) * int(w[column, k]) for k in range(5)) + int(b[column])
        expected = tosa.rescale_48(total, x_kind.scale * scales[column] / y_kind.scale, y_kind)
        assert actual[row, column] == expected


def test_8_bit_operands_give_16_bits_straight_from_the_accumulator(run_op, tosa, random_stored):
    rng = np.random.default_rng(5)
    x_kind, y_kind, w_kind = kind_of(8, 0.02, 11), kind_of(16, 0.15, 0), uniform(8, 0.01, storage_min=-127)
    x, w = random_stored(rng, (4, 7), x_kind), random_stored(rng, (3, 7), w_kind)
    actual = run_op(lambda a, b: nn.DenseOp(a, b, None, TensorType(y_kind, (4, 3))), (x, x_kind), (w, w_kind))
    totals = (x.astype(int) - 11) @ w.astype(int).T
    for index, total in np.ndenumerate(totals):
        assert actual[index] == tosa.rescale(int(total), x_kind.scale * w_kind.scale / y_kind.scale, y_kind)


@pytest.mark.parametrize(("bits", "width"), [(8, 32), (16, 48)])
@pytest.mark.parametrize("per_axis", [True, False])
def test_a_result_of_accumulators_is_not_requantized(run_op, random_stored, bits, width, per_axis):
    rng = np.random.default_rng(6)
    x_kind = kind_of(bits, 0.02, -7)
    scales = np.array([0.01, 0.02, 0.5]) if per_axis else np.full(3, 0.01)
    products = x_kind.scale * scales
    w_kind = uniform_per_axis(8, 0, scales) if per_axis else uniform(8, 0.01)
    y_kind = uniform_per_axis(width, 1, products) if per_axis else uniform(width, float(products[0]))
    x, w = random_stored(rng, (2, 9), x_kind), rng.integers(-127, 128, (3, 9), np.int8)
    result = TensorType(y_kind, (2, 3))
    sums = (x.astype(int) - x_kind.zero_point) @ w.astype(int).T
    actual = run_op(lambda a, b: nn.DenseOp(a, b, None, result), (x, x_kind), (w, w_kind))
    np.testing.assert_array_equal(actual, sums)
    assert actual.dtype == (np.int32 if width == 32 else np.int64)
    clamp = nn.ClampAttr.of(0.0, 1.5)
    clamped = run_op(lambda a, b: nn.DenseOp(a, b, None, result, clamp=clamp), (x, x_kind), (w, w_kind))
    np.testing.assert_array_equal(clamped, np.clip(sums, 0, np.rint(1.5 / products).astype(int)))


@pytest.mark.parametrize(("value", "fits"), [(2**47 - 1, True), (2**47, False)])
def test_a_48_bit_accumulator_that_overflows_is_an_error(run_op, value, fits):
    x_kind, w_kind, y_kind = uniform(16, 1.0), uniform(8, 1.0), uniform(16, 2.0**33)
    b_kind = uniform(48, 1.0)
    arguments = (np.ones((1, 1), np.int16), x_kind), (np.ones((1, 1), np.int8), w_kind), (np.array([value - 1]), b_kind)
    build = lambda *v: nn.DenseOp(*v, TensorType(y_kind, (1, 1)))  # noqa: E731 (one expression is clearest)
    if fits:
        assert run_op(build, *arguments).item() == 2**14
    else:
        with pytest.raises(UserError, match="more than 48 bits hold"):
            run_op(build, *arguments)


@settings(deadline=None, max_examples=20)
@given(WIDTHS, SEEDS)
def test_convolution(run_op, tosa, random_stored, bits, seed):
    rng = np.random.default_rng(seed)
    x_kind, y_kind, w_kind = kind_of(bits[0], 0.02, 3), kind_of(bits[1], 0.2, -5), uniform(8, 0.01, storage_min=-127)
    x, w = random_stored(rng, (1, 4, 4, 2), x_kind), random_stored(rng, (3, 2, 2, 2), w_kind)
    result = TensorType(y_kind, (1, 2, 2, 3))
    actual = run_op(
        lambda a, b: nn.Conv2dOp(a, b, None, result, strides=(2, 2), pads=(1, 0, 0, 1)), (x, x_kind), (w, w_kind)
    )
    padded = np.pad(x.astype(int) - x_kind.zero_point, ((0, 0), (1, 0), (0, 1), (0, 0)))
    rescale = tosa.rescale_48 if bits[0] == 16 else tosa.rescale
    for _, i, j, o in np.ndindex(1, 2, 2, 3):
        total = int((padded[0, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] * w[o].astype(int)).sum())
        assert actual[0, i, j, o] == rescale(total, x_kind.scale * w_kind.scale / y_kind.scale, y_kind)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([(16, 16, 16), (16, 16, 8), (8, 8, 16)]), SEEDS)
def test_matmul(run_op, tosa, random_stored, bits, seed):
    rng = np.random.default_rng(seed)
    a_kind, b_kind, y_kind = (kind_of(width, 0.03, zero) for width, zero in zip(bits, (3, -4, 9), strict=True))
    a, b = random_stored(rng, (2, 3, 4), a_kind), random_stored(rng, (2, 4, 2), b_kind)
    actual = run_op(lambda x, y: nn.MatmulOp(x, y, TensorType(y_kind, (2, 3, 2))), (a, a_kind), (b, b_kind))
    rescale = tosa.rescale_48 if 16 in bits[:2] else tosa.rescale
    totals = (a.astype(int) - a_kind.zero_point) @ (b.astype(int) - b_kind.zero_point)
    for index, total in np.ndenumerate(totals):
        assert actual[index] == rescale(int(total), a_kind.scale * b_kind.scale / y_kind.scale, y_kind)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([(16, 16, 16), (16, 16, 8), (8, 8, 16), (16, 8, 16)]),
    st.sampled_from([(nn.AddOp, 1), (nn.SubOp, -1)]),
    st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.floats(0.05, 2.0)),
    SEEDS,
)
def test_sums(run_op, tosa, random_stored, bits, operation, scales, seed):
    rng = np.random.default_rng(seed)
    build, sign = operation
    zeros = (3, -4, 9)
    a_kind, b_kind, y_kind = map(kind_of, bits, scales, zeros)
    a, b = random_stored(rng, (20,), a_kind), random_stored(rng, (20,), b_kind)
    actual = run_op(lambda x, y: build(x, y, TensorType(y_kind, (20,))), (a, a_kind), (b, b_kind))
    headroom = 15 if 16 in bits[:2] else 20
    common = 2 * max(a_kind.scale, b_kind.scale)

    def shifted(value, kind):
        return tosa.apply_scale_32(int(value) - kind.zero_point, *tosa.multiplier(kind.scale / common * 2**headroom))

    for index in range(20):
        total = shifted(a[index], a_kind) + sign * shifted(b[index], b_kind)
        assert actual[index] == tosa.rescale(total, common / (2**headroom * y_kind.scale), y_kind)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([(16, 16, 16), (16, 16, 8), (8, 8, 16), (8, 16, 16)]), SEEDS)
def test_products(run_op, tosa, random_stored, bits, seed):
    rng = np.random.default_rng(seed)
    a_kind, b_kind, y_kind = map(kind_of, bits, (0.02, 0.03, 0.1), (3, -4, 9))
    a, b = random_stored(rng, (20,), a_kind), random_stored(rng, (20,), b_kind)
    actual = run_op(lambda x, y: nn.MulOp(x, y, TensorType(y_kind, (20,))), (a, a_kind), (b, b_kind))
    products = (a.astype(int) - a_kind.zero_point) * (b.astype(int) - b_kind.zero_point)
    expected = [tosa.rescale(int(p), a_kind.scale * b_kind.scale / y_kind.scale, y_kind) for p in products]
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("bits", [(16, 16), (16, 8), (8, 16)])
def test_relu_between_widths(run_op, tosa, random_stored, bits):
    x_kind, y_kind = kind_of(bits[0], 0.05, 7), kind_of(bits[1], 0.03, -100)
    x = random_stored(np.random.default_rng(0), (200,), x_kind)
    actual = run_op(lambda v: nn.ReluOp(v, TensorType(y_kind, (200,))), (x, x_kind))
    expected = [tosa.rescale(max(int(q) - x_kind.zero_point, 0), x_kind.scale / y_kind.scale, y_kind) for q in x]
    np.testing.assert_array_equal(actual, expected)


FUNCTIONS = {
    "sigmoid": (nn.SigmoidOp, lambda x: 1 / (1 + math.exp(-x)), 1 / 128),
    "tanh": (nn.TanhOp, math.tanh, 1 / 64),
    "hard_swish": (nn.HardSwishOp, lambda x: x * min(max(x + 3, 0), 6) / 6, 1 / 8),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("out_bits", [16, 8])
def test_tables_of_513_entries(run_op, name, out_bits):
    build, function, out_scale = FUNCTIONS[name]
    x_kind, y_kind = kind_of(16, 0.0625, 0), kind_of(out_bits, out_scale, -100)
    x = np.concatenate([np.arange(-32768, 32768, 97), [32767, 0, -1]]).astype(np.int16)
    actual = run_op(lambda v: build(v, TensorType(y_kind, x.shape)), (x, x_kind))
    entry_scale = y_kind.scale if out_bits == 16 else y_kind.scale / 128
    entries = [
        min(max(round(function(x_kind.scale * (128 * i - 32768)) / entry_scale), -32768), 32767) for i in range(513)
    ]
    fraction_bits = 7 if out_bits == 16 else 14
    for q, found in zip(x.tolist(), actual.tolist(), strict=True):
        index, fraction = (q + 32768) >> 7, q & 127
        value = (entries[index] << 7) + (entries[index + 1] - entries[index]) * fraction
        stored = ((value + (1 << (fraction_bits - 1))) >> fraction_bits) + y_kind.zero_point
        assert found == min(max(stored, y_kind.storage_min), y_kind.storage_max)
    real = np.array([function(x_kind.scale * q) for q in x.tolist()])
    error = np.abs((actual.astype(float) - y_kind.zero_point) * y_kind.scale - real)
    exact = real / y_kind.scale + y_kind.zero_point
    inside = (exact > y_kind.storage_min) & (exact < y_kind.storage_max)
    assert error[inside].max() <= 0.51 * y_kind.scale + 0.0002


def test_8_bit_inputs_look_up_entries_of_16_bits(run_op):
    x_kind, y_kind = kind_of(8, 0.05, 5), uniform(16, 1 / 32768)
    x = np.arange(-128, 128, dtype=np.int8)
    actual = run_op(lambda v: nn.TanhOp(v, TensorType(y_kind, (256,))), (x, x_kind))
    expected = [round(math.tanh(0.05 * (q - 5)) * 32768) for q in range(-128, 128)]
    np.testing.assert_array_equal(actual, np.clip(expected, -32768, 32767))


@pytest.mark.parametrize("bits", [(16, 16), (16, 8), (8, 16)])
def test_means(run_op, tosa, random_stored, bits):
    x_kind, y_kind = kind_of(bits[0], 0.05, 7), kind_of(bits[1], 0.03, -4)
    x = random_stored(np.random.default_rng(0), (1, 3, 3, 2), x_kind)
    totals = (x.astype(int) - x_kind.zero_point).sum(axis=(0, 1, 2))
    pooled = run_op(lambda v: nn.AvgPool2dOp(v, TensorType(y_kind, (1, 1, 1, 2)), kernel=(3, 3)), (x, x_kind)).reshape(
        -1
    )
    reduced = run_op(lambda v: nn.ReduceMeanOp(v, [1, 2], y_kind), (x, x_kind)).reshape(-1)
    expected = [tosa.rescale(int(total), x_kind.scale / (9 * y_kind.scale), y_kind) for total in totals]
    assert pooled.tolist() == reduced.tolist() == expected


def test_a_mean_of_too_many_words_for_32_bits(run_op, tosa):
    x_kind, y_kind = uniform(16, 0.01), uniform(16, 0.005)
    x = np.full((70000,), 32767, np.int16)
    assert run_op(lambda v: nn.ReduceMeanOp(v, [0], x_kind), (x, x_kind)).item() in (32766, 32767)
    small = np.full((70000,), -32768 // 4, np.int16)
    found = run_op(lambda v: nn.ReduceMeanOp(v, [0], y_kind), (small, x_kind)).item()
    assert found == tosa.rescale_48(70000 * (-32768 // 4), 0.01 / (70000 * 0.005), y_kind)


# The requantization mode of TensorFlow Lite.


def test_convolutions_round_twice(run_op, lite, random_stored):
    """Dense layers round once, see `tests/oracles`."""
    rng = np.random.default_rng(1)
    x_kind, y_kind = uniform(8, 0.02, 11), uniform(8, 0.011, -3)
    scales = np.array([0.01, 0.0123, 0.5])
    w_kind, b_kind = uniform_per_axis(8, 0, scales), uniform_per_axis(32, 0, 0.02 * scales)
    x, w, b = random_stored(rng, (300, 5), x_kind), rng.integers(-127, 128, (3, 5), np.int8), np.array([5, -9, 0])
    arguments = (x[None, None], x_kind), (w[:, None, None], w_kind), (b.astype(np.int32), b_kind)
    result = TensorType(y_kind, (1, 1, 300, 3))
    actual = run_op(lambda *v: nn.Conv2dOp(*v, result), *arguments, mode="tflite")[0, 0]
    totals = (x.astype(int) - 11) @ w.astype(int).T + b
    for (row, o), total in np.ndenumerate(totals):
        expected = lite.multiply(int(total), 0.02 * scales[o] / 0.011) - 3
        assert actual[row, o] == min(max(expected, -128), 127)
    assert (actual != run_op(lambda *v: nn.Conv2dOp(*v, result), *arguments)).any()


@pytest.mark.parametrize(("build", "sign"), [(nn.AddOp, 1), (nn.SubOp, -1)])
@pytest.mark.parametrize("bits", [8, 16])
def test_sums_shift_first(run_op, lite, random_stored, build, sign, bits):
    rng = np.random.default_rng(2)
    a_kind, b_kind, y_kind = map(kind_of, (bits,) * 3, (0.02, 0.071, 0.08), (3, -4, 9))
    a, b = random_stored(rng, (300,), a_kind), random_stored(rng, (300,), b_kind)
    actual = run_op(lambda x, y: build(x, y, TensorType(y_kind, (300,))), (a, a_kind), (b, b_kind), mode="tflite")
    left = 20 if bits == 8 else 15
    common = 2 * max(a_kind.scale, b_kind.scale)
    for index in range(300):
        first = lite.multiply((int(a[index]) - a_kind.zero_point) << left, a_kind.scale / common)
        second = lite.multiply((int(b[index]) - b_kind.zero_point) << left, b_kind.scale / common)
        total = lite.multiply(first + sign * second, common / (2**left * y_kind.scale)) + y_kind.zero_point
        assert actual[index] == min(max(total, y_kind.storage_min), y_kind.storage_max)


def test_products_round_twice(run_op, lite, random_stored):
    rng = np.random.default_rng(3)
    a_kind, b_kind, y_kind = map(kind_of, (8,) * 3, (0.02, 0.071, 0.08), (3, -4, 9))
    a, b = random_stored(rng, (500,), a_kind), random_stored(rng, (500,), b_kind)
    actual = run_op(lambda x, y: nn.MulOp(x, y, TensorType(y_kind, (500,))), (a, a_kind), (b, b_kind), mode="tflite")
    for index in range(500):
        product = (int(a[index]) - 3) * (int(b[index]) + 4)
        assert actual[index] == min(max(lite.multiply(product, 0.02 * 0.071 / 0.08) + 9, -128), 127)


def test_pooling_divides_stored_values_with_halves_away_from_zero(run_op):
    kind = uniform(8, 0.5, 7)
    x = np.array([[-3, -4, 5, 6], [-8, -1, 1, 0]], np.int8).reshape(1, 2, 4, 1)
    result = TensorType(kind, (1, 2, 2, 1))

    def build(value):
        return nn.AvgPool2dOp(value, result, kernel=(1, 2), strides=(1, 2))

    # The means of the stored values are -3.5, 5.5, -4.5 and 0.5.
    assert run_op(build, (x, kind), mode="tflite").reshape(-1).tolist() == [-4, 6, -5, 1]
    assert run_op(build, (x, kind)).reshape(-1).tolist() != [-4, 6, -5, 1]

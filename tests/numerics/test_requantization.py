"""Rescaling against the formulas of TOSA 1.0 and gemmlowp, typed in Python integers."""

import math

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from intaglio.numerics.integer import conv2d_accumulate
from intaglio.numerics.requantization import (
    add_multipliers,
    apply_scale,
    average_multiplier,
    quantize_multiplier,
    reciprocal_scale,
    requantize,
    tflite_apply_scale,
    tflite_high_multiply,
    tflite_quantize_multiplier,
    tflite_requantize,
    tflite_rounding_shift,
)

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
int32s = st.one_of(st.integers(INT32_MIN, INT32_MAX), st.integers(-300, 300))
multipliers = st.one_of(st.integers(2**30, INT32_MAX), st.integers(0, INT32_MAX))
factors = st.floats(1e-9, 1e4)


def tosa_apply_scale_32(value, multiplier, shift, double_round):
    rounding = 1 << (shift - 1)
    if double_round and shift > 31:
        rounding += (1 << 30) if value >= 0 else -(1 << 30)
    return (value * multiplier + rounding) >> shift


def gemmlowp_apply_scale(value, multiplier, exponent):
    left, right = max(exponent, 0), max(-exponent, 0)
    a = value << left
    if a == multiplier == INT32_MIN:
        high = INT32_MAX
    else:
        product = a * multiplier
        nudged = product + ((1 << 30) if product >= 0 else 1 - (1 << 30))
        high = abs(nudged) // (1 << 31) * (1 if nudged >= 0 else -1)
    # Round half away from zero.
    quotient, remainder = divmod(abs(high), 1 << right)
    return (quotient + (2 * remainder >= 1 << right and right > 0)) * (1 if high >= 0 else -1)


@given(st.lists(int32s, min_size=1, max_size=20), multipliers, st.integers(2, 62), st.booleans())
def test_apply_scale_is_tosa(values, multiplier, shift, double_round):
    expected = [tosa_apply_scale_32(value, multiplier, shift, double_round) for value in values]
    actual = apply_scale(np.array(values, np.int32), multiplier, shift, double_round)
    assert actual.tolist() == expected


def test_apply_scale_at_every_corner():
    values = [INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX]
    for double_round in (False, True):
        for shift in range(2, 63):
            for multiplier in (0, 1, 2**30, 2**30 + 1, INT32_MAX):
                expected = [tosa_apply_scale_32(value, multiplier, shift, double_round) for value in values]
                assert apply_scale(values, multiplier, shift, double_round).tolist() == expected


def test_double_rounding_differs_from_single_where_expected():
    # 1.5 * 2^-2 = 0.375 rounds to 0 at once; in two steps 0.5-ish rounds up.
    multiplier, shift = 3 << 29, 32
    values = np.arange(-2000, 2000)
    single, double = (apply_scale(values, multiplier, shift, mode) for mode in (False, True))
    assert np.any(single != double)
    assert np.abs(single - double).max() == 1


def test_apply_scale_broadcasts_per_channel():
    values = np.arange(-6, 6).reshape(2, 2, 3) * 1000
    multiplier, shift = quantize_multiplier([0.5, 0.25, 0.001])
    expected = np.stack([apply_scale(values[..., c], multiplier[c], shift[c]) for c in range(3)], -1)
    np.testing.assert_array_equal(apply_scale(values, multiplier, shift), expected)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1])
def test_values_wider_than_the_accumulator_are_rejected(value):
    with pytest.raises(ValueError, match="32 bits"):
        apply_scale(np.array([value]), 2**30, 31)


@given(st.floats(2.0**-31, 2.0**28.99))
def test_multiplier_is_within_half_a_unit(real):
    multiplier, shift = (int(number) for number in quantize_multiplier(real))
    assert 2**30 <= multiplier < 2**31
    assert 2 <= shift <= 62
    assert abs(math.ldexp(multiplier, -shift) - real) <= real * 2.0**-31


def test_multipliers_by_hand():
    assert [int(n) for n in quantize_multiplier(1.0)] == [2**30, 30]
    assert [int(n) for n in quantize_multiplier(0.75)] == [3 << 29, 31]
    # The mantissa rounds up to one: the next power of two.
    assert [int(n) for n in quantize_multiplier(1.0 - 2.0**-33)] == [2**30, 30]
    assert [int(n) for n in quantize_multiplier(2.0**-33)] == [2**29, 62]
    assert [int(n) for n in quantize_multiplier(2.0**-80)] == [0, 62]


@pytest.mark.parametrize("real", [0.0, -1.0, math.nan, math.inf, 2.0**29, 2.0**29 - 2.0**-10])
def test_factors_out_of_range_are_rejected(real):
    with pytest.raises(ValueError, match="rescaling factor"):
        quantize_multiplier(real)


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=10), factors, st.integers(-128, 127))
def test_requantize_is_within_half_a_step(values, real, zero_point):
    multiplier, shift = quantize_multiplier(real)
    exact = np.clip(np.array(values) * real + zero_point, -128, 127)
    actual = requantize(values, multiplier, shift, zero_point, -128, 127)
    assert np.all(np.abs(actual - exact) <= 0.5 + 1e-3)
    assert actual.min() >= -128
    assert actual.max() <= 127


def test_requantize_saturates_after_the_zero_point():
    assert requantize([INT32_MAX, INT32_MIN], 2**30, 30, 100, -128, 127).tolist() == [127, -128]


@given(st.integers(1, 2**31))
def test_reciprocal_is_tosa(count):
    bits = 0
    while (1 << bits) < count:
        bits += 1
    assert reciprocal_scale(count) == ((((1 << 30) + 1) << bits) // count, 30 + bits)


@pytest.mark.parametrize("count", [1, 2, 3, 9, 49, 64, 1000])
def test_average_of_equal_scales_divides_rounding_halves_away_from_zero(count):
    sums = np.arange(-128 * count, 127 * count + 1, max(1, count // 7))
    multiplier, shift = average_multiplier(count, 0.3, 0.3)
    expected = np.sign(sums) * np.floor(np.abs(sums) / count + 0.5)
    np.testing.assert_array_equal(apply_scale(sums, multiplier, shift), expected)


def test_average_of_different_scales():
    multiplier, shift = average_multiplier(4, 0.3, 0.6)
    assert math.ldexp(multiplier, -shift) == pytest.approx(0.125, rel=1e-9)


@pytest.mark.parametrize("count", [0, 2**31 + 1])
def test_counts_out_of_range_are_rejected(count):
    with pytest.raises(ValueError, match="count"):
        reciprocal_scale(count)


@given(*[st.floats(1e-4, 10.0)] * 2, st.floats(0.5, 4.0), st.integers(-255, 255), st.integers(-255, 255))
def test_addition_is_within_a_step(scale_a, scale_b, relative_out, a, b):
    scale_out = relative_out * max(scale_a, scale_b)
    mult_a, shift_a, mult_b, shift_b, mult_out, shift_out = add_multipliers(scale_a, scale_b, scale_out)
    total = apply_scale(a, mult_a, shift_a) + apply_scale(b, mult_b, shift_b)
    actual = int(apply_scale(total, mult_out, shift_out))
    # TOSA's REQUIRE on the operand of each rescale.
    for value, shift in ((a, shift_a), (b, shift_b), (int(total), shift_out)):
        assert -(1 << (shift - 1)) <= value < 1 << (shift - 1)
    assert abs(actual - (a * scale_a + b * scale_b) / scale_out) <= 0.5 + 1e-4


def test_addition_multipliers_by_hand():
    # The common scale is 2: operands 1/2 and 1/8 of it, times 2^20; result 2 / (2^20 * 0.75).
    multipliers = add_multipliers(1.0, 0.25, 0.75)
    assert multipliers[:4] == (2**30, 11, 2**30, 13)
    assert multipliers[4:] == (round(2**32 / 3), 31 + 18)


def test_addition_of_equal_scales_is_exact():
    mult_a, shift_a, mult_b, shift_b, mult_out, shift_out = add_multipliers(0.1, 0.1, 0.1)
    a, b = np.meshgrid(np.arange(-255, 256), np.arange(-255, 256))
    total = apply_scale(a, mult_a, shift_a) + apply_scale(b, mult_b, shift_b)
    np.testing.assert_array_equal(apply_scale(total, mult_out, shift_out), a + b)


@given(st.integers(-(2**24), 2**24), st.floats(2.0**-30, 64.0))
def test_tflite_scale_is_gemmlowp(value, real):
    multiplier, exponent = (int(number) for number in tflite_quantize_multiplier(real))
    expected = gemmlowp_apply_scale(value, multiplier, exponent)
    assert int(tflite_apply_scale(value, multiplier, exponent)) == expected


@given(int32s, int32s)
def test_high_multiply_is_gemmlowp(a, b):
    assert int(tflite_high_multiply(a, b)) == gemmlowp_apply_scale(a, b, 0)


def test_high_multiply_saturates_its_one_overflow():
    assert int(tflite_high_multiply(INT32_MIN, INT32_MIN)) == INT32_MAX


def test_high_multiply_takes_ties_upwards():
    assert tflite_high_multiply([-3, -1, 1, 3], 2**30).tolist() == [-1, 0, 1, 2]


def test_rounding_shift_takes_ties_away_from_zero():
    assert tflite_rounding_shift([-6, -5, -2, -1, 1, 2, 5, 6], 2).tolist() == [-2, -1, -1, 0, 0, 1, 1, 2]
    assert tflite_rounding_shift([-6, 5], 0).tolist() == [-6, 5]


def test_tflite_multipliers_by_hand():
    multiplier, exponent = tflite_quantize_multiplier([0.0, 0.75, 2.0, 1.0 - 2.0**-33, 2.0**-40, 2.0**40])
    assert multiplier.tolist() == [0, 3 << 29, 2**30, 2**30, 0, INT32_MAX]
    assert exponent.tolist() == [0, 0, 2, 1, 0, 30]


def test_tflite_shift_that_overflows_is_rejected():
    with pytest.raises(ValueError, match="32 bits"):
        tflite_apply_scale(2**30, 2**30, 2)


@pytest.mark.parametrize("real", [-1.0, math.nan, math.inf])
def test_tflite_factors_out_of_range_are_rejected(real):
    with pytest.raises(ValueError, match="finite"):
        tflite_quantize_multiplier(real)


def test_quantized_convolution_is_onnx_qlinearconv_within_a_step():
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (1, 5, 9, 8), dtype=np.uint8)
    w = rng.integers(-127, 128, (6, 5, 3, 3), dtype=np.int8)
    bias = rng.integers(-5000, 5000, 6, dtype=np.int32)
    x_scale, x_zero, y_scale, y_zero = np.float32(0.02), np.uint8(117), np.float32(0.15), np.uint8(130)
    w_scale = rng.uniform(0.001, 0.02, 6).astype(np.float32)
    w_zero = np.zeros(6, np.int8)
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"]
    values = [x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias]
    feeds = {name: np.asarray(value) for name, value in zip(names, values, strict=True)}
    node = onnx.helper.make_node("QLinearConv", names, ["y"], pads=[1, 1, 1, 1], strides=[2, 1])
    infos = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in feeds.items()
    ]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.UINT8, None)
    graph = onnx.helper.make_graph([node], "g", infos, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    expected = ReferenceEvaluator(model).run(None, feeds)[0].transpose(0, 2, 3, 1)

    real_input = x.transpose(0, 2, 3, 1).astype(np.int16) - 117
    acc = conv2d_accumulate(real_input, w.transpose(0, 2, 3, 1), (2, 1), (1, 1, 1, 1), (1, 1), 1, 0) + bias
    factor = np.float64(x_scale) * w_scale / y_scale
    difference = requantize(acc, *quantize_multiplier(factor), 130, 0, 255) - expected.astype(np.int64)
    assert len(np.unique(expected)) > 100
    assert np.abs(difference).max() <= 1
    double = tflite_requantize(acc, *tflite_quantize_multiplier(factor), 130, 0, 255)
    assert np.abs(double - expected.astype(np.int64)).max() <= 1

"""Quantize and dequantize against ONNX's reference evaluator, and the parameters chosen for ranges."""

import math

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from intaglio.numerics.quantization import (
    choose_parameters,
    choose_weight_scales,
    dequantize,
    integer_range,
    quantize,
)

RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}
float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
scales = st.floats(2.0**-20, 2.0**10, width=32)


def onnx_operator(name, inputs, axis=None):
    attributes = {} if axis is None else {"axis": axis}
    node = onnx.helper.make_node(name, list(inputs), ["y"], **attributes)
    kinds = {key: onnx.helper.np_dtype_to_tensor_dtype(value.dtype) for key, value in inputs.items()}
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info(key, kinds[key], value.shape) for key, value in inputs.items()],
        [onnx.helper.make_empty_tensor_value_info("y")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    return ReferenceEvaluator(model).run(None, inputs)[0]


@pytest.mark.parametrize("dtype", RANGES)
def test_quantize_is_onnx_quantize_linear(dtype):
    rng = np.random.default_rng(1)
    qmin, qmax = RANGES[dtype]
    zero_point = (qmin + qmax) // 2 + 3
    scale = np.float32(0.037)
    # A spread that saturates on both sides, and exact halves.
    x = np.concatenate([rng.normal(0, (qmax - qmin) * 0.03, 4000), scale * (np.arange(-50, 50) + 0.5)])
    x = x.astype(np.float32)
    expected = onnx_operator("QuantizeLinear", {"x": x, "s": np.array(scale), "z": np.array(zero_point, dtype)})
    assert expected.min() == qmin
    assert expected.max() == qmax
    actual = quantize(x, scale, zero_point, qmin, qmax, dtype)
    assert actual.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_parameters_along_an_axis_are_onnx(axis):
    rng = np.random.default_rng(2)
    x = rng.normal(0, 3, (4, 5, 6)).astype(np.float32)
    channels = x.shape[axis]
    scale = rng.uniform(0.01, 0.1, channels).astype(np.float32)
    zero_point = rng.integers(-20, 20, channels, dtype=np.int8)
    stored = onnx_operator("QuantizeLinear", {"x": x, "s": scale, "z": zero_point}, axis % 3)
    np.testing.assert_array_equal(quantize(x, scale, zero_point, -128, 127, np.int8, axis), stored)
    real = onnx_operator("DequantizeLinear", {"x": stored, "s": scale, "z": zero_point}, axis % 3)
    np.testing.assert_array_equal(dequantize(stored, scale, zero_point, axis), real)


def test_dequantize_of_wide_integers_is_onnx():
    rng = np.random.default_rng(3)
    stored = rng.integers(-(2**31), 2**31, 1000).astype(np.int32)
    expected = onnx_operator("DequantizeLinear", {"x": stored, "s": np.array(3e-5, np.float32)})
    actual = dequantize(stored, 3e-5, 0)
    assert actual.dtype == np.float32
    np.testing.assert_array_equal(actual, expected)


def test_the_division_is_float32():
    scale = np.float32(0.1)
    x = (scale * (np.arange(-20000, 20000) + 0.5)).astype(np.float32)
    expected = onnx_operator("QuantizeLinear", {"x": x, "s": np.array(scale), "z": np.array(0, np.int16)})
    np.testing.assert_array_equal(quantize(x, scale, 0, -32768, 32767, np.int16), expected)
    # Here a quotient in double precision would round otherwise.
    assert np.any(np.rint(x.astype(np.float64) / np.float64(scale)) != expected)


def test_special_values():
    stored = quantize([math.nan, math.inf, -math.inf, 0.0, -0.0], 0.1, 7, -100, 100, np.int8)
    assert stored.tolist() == [7, 100, -100, 7, 7]


def test_halves_go_to_even_before_the_zero_point_is_added():
    assert quantize([0.5, 1.5, 2.5, -0.5, -1.5], 1.0, 1, -128, 127, np.int8).tolist() == [1, 3, 3, 1, -1]


def test_widest_storage_saturates_within_its_type():
    stored = quantize([3e38, -3e38], 1.0, 0, -(2**63), 2**63 - 1, np.int64)
    assert stored[0] > 2**62
    assert stored[1] == -(2**63)


def test_float_storage_keeps_fractions():
    x = np.array([0.3, 1000.0, math.nan, -2.25], np.float32)
    stored = quantize(x, 0.5, 0, -448, 448, ml_dtypes.float8_e4m3fn)
    expected = np.array([0.6, 448.0, 0.0, -4.5], np.float32).astype(ml_dtypes.float8_e4m3fn)
    np.testing.assert_array_equal(stored.astype(np.float32), expected.astype(np.float32))
    np.testing.assert_array_equal(dequantize(stored, 0.5, 0), expected.astype(np.float32) * np.float32(0.5))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan, 1e-60])
def test_scales_without_float32_value_are_rejected(scale):
    with pytest.raises(ValueError, match="positive and finite"):
        quantize([1.0], scale, 0, -128, 127, np.int8)


@given(st.lists(float32s, min_size=1, max_size=20), scales, st.integers(-128, 127))
def test_error_is_half_a_step_inside_the_range(values, scale, zero_point):
    x = np.array(values, np.float32)
    stored = quantize(x, scale, zero_point, -128, 127, np.int8)
    error = np.abs(x.astype(np.float64) - dequantize(stored, scale, zero_point))
    low, high = scale * (-128 - zero_point), scale * (127 - zero_point)
    inside = (x >= low) & (x <= high)
    assert np.all(error[inside] <= scale * 0.5 * (1 + 1e-4))
    assert np.all(stored[x > high + scale] == 127)
    assert np.all(stored[x < low - scale] == -128)


@given(scales, st.integers(-128, 127))
def test_quantize_undoes_dequantize(scale, zero_point):
    stored = np.arange(-128, 128, dtype=np.int8)
    again = quantize(dequantize(stored, scale, zero_point), scale, zero_point, -128, 127, np.int8)
    np.testing.assert_array_equal(again, stored)


@given(float32s, float32s, st.sampled_from([4, 8, 16]), st.booleans(), st.booleans())
def test_chosen_parameters_cover_the_range(first, second, bits, symmetric, signed):
    lo, hi = min(first, second), max(first, second)
    scale, zero_point = choose_parameters(lo, hi, bits, symmetric, signed)
    qmin, qmax = integer_range(bits, signed)
    assert scale > 0
    assert scale == np.float32(scale)
    assert qmin <= zero_point <= qmax
    assert float(dequantize(np.array(zero_point, np.int32), scale, zero_point)) == 0.0
    # The zero point is rounded, so either end may be cut by half a step.
    assert scale * (qmin - zero_point) <= min(lo, 0.0) + scale * 0.51
    assert scale * (qmax - zero_point) >= max(hi, 0.0) - scale * 0.51


def test_chosen_parameters_by_hand():
    assert choose_parameters(-1.0, 1.55) == (float(np.float32(0.01)), -28)
    assert choose_parameters(2.0, 5.1, signed=False) == (float(np.float32(5.1 / 255)), 0)
    assert choose_parameters(-2.54, 1.0, symmetric=True) == (float(np.float32(0.02)), 0)
    assert choose_parameters(-2.54, 1.0, symmetric=True, signed=False) == (float(np.float32(0.02)), 128)
    assert choose_parameters(0.0, 0.0) == (1.0, 0)
    assert choose_parameters(0.0, 0.0, symmetric=True, signed=False) == (1.0, 128)


@pytest.mark.parametrize("bounds", [(1.0, -1.0), (math.nan, 1.0), (0.0, math.inf)])
def test_ranges_that_make_no_sense_are_rejected(bounds):
    with pytest.raises(ValueError, match="finite ordered range"):
        choose_parameters(*bounds)


def test_weight_scales_by_hand():
    w = np.array([[1.27, -0.5], [0.0, 0.0], [0.1, -25.4]], np.float32)
    assert choose_weight_scales(w, 0) == pytest.approx([0.01, 1.0, 0.2])
    assert choose_weight_scales(w, -1) == pytest.approx([0.01, 0.2])
    assert choose_weight_scales(w, None) == pytest.approx(0.2)
    assert choose_weight_scales(w, None, bits=4) == pytest.approx(25.4 / 7)
    scales = choose_weight_scales(w, 0)
    np.testing.assert_array_equal(scales, scales.astype(np.float32))


@given(st.lists(float32s, min_size=1, max_size=30), st.sampled_from([4, 8, 16]))
def test_weights_stay_in_the_narrow_range(values, bits):
    w = np.array(values, np.float32)
    bound = 2 ** (bits - 1) - 1
    stored = quantize(w, choose_weight_scales(w, None, bits), 0, -(2**31), 2**31 - 1, np.int64)
    assert np.abs(stored).max() <= bound
    assert np.abs(stored).max() == bound or np.abs(w).max() < bound * float(np.finfo(np.float32).tiny)


def test_weights_that_are_not_finite_are_rejected():
    with pytest.raises(ValueError, match="finite"):
        choose_weight_scales([1.0, math.nan], None)

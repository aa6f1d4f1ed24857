"""Lookup tables against the functions they stand for."""

import math

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from intaglio.numerics.clamp import clamp_bounds
from intaglio.numerics.error_function import erf
from intaglio.numerics.quantization import quantize
from intaglio.numerics.tables import (
    TABLE_FUNCTIONS,
    hard_sigmoid,
    lookup_int8,
    lookup_int16,
    sigmoid,
    table_int8,
    table_int16,
    tanh,
)

ONNX_FORMS = {
    "abs": ("Abs", {}),
    "elu": ("Elu", {}),
    "erf": ("Erf", {}),
    "exp": ("Exp", {}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "hard_sigmoid": ("HardSigmoid", {}),
    "hard_swish": ("HardSwish", {}),
    "leaky_relu": ("LeakyRelu", {}),
    "log": ("Log", {}),
    "mish": ("Mish", {}),
    "reciprocal": ("Reciprocal", {}),
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "silu": ("Swish", {}),
    "softplus": ("Softplus", {}),
    "sqrt": ("Sqrt", {}),
    "tanh": ("Tanh", {}),
}


def test_every_function_has_an_onnx_operator():
    assert TABLE_FUNCTIONS.keys() == ONNX_FORMS.keys()


@pytest.mark.parametrize("name", TABLE_FUNCTIONS)
def test_functions_are_onnx_operators(name):
    op_type, attributes = ONNX_FORMS[name]
    info = [onnx.helper.make_tensor_value_info(key, onnx.TensorProto.DOUBLE, [None]) for key in "xy"]
    node = onnx.helper.make_node(op_type, ["x"], ["y"], **attributes)
    graph = onnx.helper.make_graph([node], "g", info[:1], info[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 24)])
    x = np.linspace(-20.0, 20.0, 4001)
    # The logarithm and the root of what has none, and the reciprocal of zero.
    with np.errstate(all="ignore"):
        expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(TABLE_FUNCTIONS[name](x), expected, rtol=1e-6, atol=1e-6)


def test_the_error_function_is_exact_to_a_unit_in_the_last_place():
    x = np.concatenate([np.linspace(-7.0, 7.0, 20001), np.logspace(-300, 3, 500), [0.0, np.inf, -np.inf]])
    expected = np.array([math.erf(value) for value in x])
    np.testing.assert_allclose(erf(x), expected, rtol=3e-16, atol=0)
    assert np.isnan(erf(np.nan))
    assert math.copysign(1.0, erf(-0.0)) == -1.0


def test_extreme_arguments_do_not_overflow():
    x = np.array([-1e300, -1e4, 1e4, 1e300])
    assert sigmoid(x).tolist() == [0.0, 0.0, 1.0, 1.0]
    assert tanh(x).tolist() == [-1.0, -1.0, 1.0, 1.0]


def test_int8_table_by_hand():
    table = table_int8(lambda x: hard_sigmoid(x, 0.25, 0.5), 0.5, 2, 1 / 128, -128)
    assert table.dtype == np.int8
    assert table.shape == (256,)
    # Stored 2 is real 0: one half, 64 steps above -128. Each further step adds 0.125, 16 steps.
    assert table[2 + 128] == -64
    assert table[3 + 128] == -48
    assert table[-128 + 128] == -128
    assert table[127 + 128] == 0
    assert lookup_int8(table, np.array([[2, 3]], np.int8)).tolist() == [[-64, -48]]


@pytest.mark.parametrize("name", TABLE_FUNCTIONS)
def test_int8_tables_round_each_entry_to_nearest(name):
    function = TABLE_FUNCTIONS[name]
    in_scale, in_zp, out_scale, out_zp = 0.04, 11, 0.031, -5
    entries = table_int8(function, in_scale, in_zp, out_scale, out_zp, -120, 120)
    exact = function(in_scale * (np.arange(-128.0, 128.0) - in_zp)) / out_scale + out_zp
    exact = np.where(np.isnan(exact), out_zp, exact)
    assert np.abs(entries - np.clip(exact, -120, 120)).max() <= 0.5 + 1e-9


def test_nan_becomes_the_zero_point():
    assert np.all(table_int8(lambda x: x * math.nan, 1.0, 0, 1.0, 9) == 9)


def tosa_lookup(table, value):
    index, fraction = (value + 32768) >> 7, value & 0x7F
    base, following = int(table[index]), int(table[index + 1])
    return (base << 7) + (following - base) * fraction


def test_int16_lookup_is_tosa_for_every_input():
    table = table_int16(tanh, 8 / 32768, 1 / 32768)
    assert table.shape == (513,)
    values = np.arange(-32768, 32768)
    assert lookup_int16(table, values).tolist() == [tosa_lookup(table, int(value)) for value in values]


def test_int16_lookup_interpolates_closely():
    table = table_int16(sigmoid, 10 / 32768, 1 / 32768)
    values = np.arange(-32768, 32768)
    exact = sigmoid(values * (10 / 32768)) * 32768
    assert np.abs(lookup_int16(table, values) / 128 - exact).max() < 1.5


def test_int16_lookup_clips_wider_values():
    table = table_int16(tanh, 1 / 32768, 1 / 32768)
    assert lookup_int16(table, [10**6, -(10**6)]).tolist() == lookup_int16(table, [32767, -32768]).tolist()


def test_steep_int16_tables_are_rejected():
    with pytest.raises(ValueError, match="too steep"):
        table_int16(lambda x: np.where(x < 0, -1.0, 1.0), 1 / 32768, 1 / 32768)


@given(
    st.floats(-100, 100, width=32),
    st.floats(-100, 100, width=32),
    st.floats(2.0**-7, 2.0, width=32),
    st.integers(-128, 127),
)
def test_clamping_stored_values_is_clamping_real_values(first, second, scale, zero_point):
    low, high = min(first, second), max(first, second)
    bounds = clamp_bounds(low, high, scale, zero_point, -128, 127)
    x = np.linspace(-300, 300, 1001, dtype=np.float32)
    clamped = quantize(np.clip(x, low, high), scale, zero_point, -128, 127, np.int8)
    assert np.clip(quantize(x, scale, zero_point, -128, 127, np.int8), *bounds).tolist() == clamped.tolist()


def test_clamp_bounds_by_hand():
    assert clamp_bounds(None, None, 0.1, 0, -127, 127) == (-127, 127)
    assert clamp_bounds(0.0, 6.0, 0.05, -20, -128, 127) == (-20, 100)
    assert clamp_bounds(0.0, math.inf, 0.05, -20, -128, 127) == (-20, 127)
    assert clamp_bounds(-math.inf, 1.0, 0.25, 0, -128, 127) == (-128, 4)

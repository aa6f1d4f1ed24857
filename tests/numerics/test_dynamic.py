"""Quantization by the range of the values at hand, against onnxruntime's DynamicQuantizeLinear."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from intaglio.numerics.dynamic import SMALLEST_SCALE, dynamic_parameters, quantize_dynamically


@pytest.fixture(scope="module")
def reference() -> onnxruntime.InferenceSession:
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])
    tensors = [("y", TensorProto.UINT8), ("scale", TensorProto.FLOAT), ("zero", TensorProto.UINT8)]
    graph = helper.make_graph(
        [node],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in tensors],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@given(st.integers(0, 2**32 - 1), st.floats(-30, 30), st.floats(-2, 2))
def test_bytes_are_those_of_onnxruntime(
    reference: onnxruntime.InferenceSession, seed: int, exponent: float, offset: float
):
    rng = np.random.default_rng(seed)
    x = ((rng.normal(size=257) + offset) * 2.0**exponent).astype(np.float32)
    stored, scale, zero_point = quantize_dynamically(x)
    expected, expected_scale, expected_zero = reference.run(None, {"x": x})
    assert (scale, zero_point + 128) == (float(expected_scale), int(expected_zero))
    np.testing.assert_array_equal(stored.astype(int) + 128, expected)


@pytest.mark.parametrize(
    ("values", "scale", "stored"),
    [
        ([0.0, 0.0], 1.0, [-128, -128]),
        ([], 1.0, []),
        ([2.55], 0.01, [127]),
        ([-2.55, 0.0], 0.01, [-128, 127]),
        ([np.nan, 2.55, np.inf, -np.inf], 0.01, [-128, 127, 127, -128]),
        ([np.nan, np.inf], 1.0, [-128, 127]),
        ([1e-44, -1e-44], SMALLEST_SCALE, [-128, -128]),
    ],
)
def test_what_onnx_leaves_open(values: list[float], scale: float, stored: list[int]):
    found, found_scale, _ = quantize_dynamically(np.array(values, np.float32))
    assert found_scale == pytest.approx(scale, rel=1e-6)
    assert found.tolist() == stored


def test_a_range_beyond_the_floats_has_a_scale():
    largest = float(np.finfo(np.float32).max)
    scale, zero_point = dynamic_parameters([-largest, largest])
    assert np.isfinite(np.float32(scale)) and scale == pytest.approx(2 * (largest / 255)) and zero_point in (-1, 0)

"""Pooling against onnxruntime, and against integers done by hand."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from xdsl.dialects.builtin import TensorType, f32

from intaglio.dialects import nn
from intaglio.dialects.nn.types import window_output_shape
from intaglio.dialects.quant import uniform


def onnx_pool(name, x, **attributes):
    node = helper.make_node(name, ["x"], ["y"], **attributes)
    info = helper.make_tensor_value_info
    shape = [x.shape[k] for k in (0, 3, 1, 2)]
    graph = helper.make_graph([node], "g", [info("x", TensorProto.FLOAT, shape)], [info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": np.ascontiguousarray(x.transpose(0, 3, 1, 2))})
    return y.transpose(0, 2, 3, 1)


@st.composite
def geometries(draw, *, dilated):
    kernel = [draw(st.integers(1, 3)) for _ in range(2)]
    dilations = [draw(st.integers(1, 2 if dilated else 1)) for _ in range(2)]
    # ONNX takes pads smaller than the kernel only.
    pads = [draw(st.integers(0, kernel[k % 2] - 1)) for k in range(4)]
    strides = [draw(st.integers(1, 3)) for _ in range(2)]
    return kernel, dilations, pads, strides, [draw(st.integers(4, 7)) for _ in range(2)]


@settings(deadline=None, max_examples=60)
@given(geometries(dilated=True), st.integers(0, 2**32 - 1))
def test_max_pool2d_of_floats(run_op, geometry, seed):
    kernel, dilations, pads, strides, size = geometry
    x = np.random.default_rng(seed).normal(size=(2, *size, 3)).astype(np.float32) - 5
    shape = [2, *window_output_shape(size, kernel, strides, pads, dilations), 3]
    assume(min(shape) > 0)
    options = {"strides": strides, "pads": pads, "dilations": dilations}
    actual = run_op(lambda v: nn.MaxPool2dOp(v, TensorType(f32, shape), kernel=kernel, **options), x)
    np.testing.assert_array_equal(actual, onnx_pool("MaxPool", x, kernel_shape=kernel, **options))


@settings(deadline=None, max_examples=60)
@given(geometries(dilated=False), st.booleans(), st.integers(0, 2**32 - 1))
def test_avg_pool2d_of_floats(run_op, geometry, include, seed):
    kernel, _, pads, strides, size = geometry
    x = np.random.default_rng(seed).normal(size=(2, *size, 3)).astype(np.float32)
    shape = [2, *window_output_shape(size, kernel, strides, pads, [1, 1]), 3]
    assume(min(shape) > 0)
    options = {"strides": strides, "pads": pads}
    actual = run_op(
        lambda v: nn.AvgPool2dOp(v, TensorType(f32, shape), kernel=kernel, count_include_pad=include, **options), x
    )
    expected = onnx_pool("AveragePool", x, kernel_shape=kernel, count_include_pad=int(include), **options)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("zero", [-128, 0, 100])
@pytest.mark.parametrize("signed", [True, False])
def test_max_pool2d_of_integers_ignores_padding(run_op, random_stored, zero, signed):
    kind = uniform(8, 0.5, zero if signed else zero + 128, signed=signed)
    x = random_stored(np.random.default_rng(0), (1, 3, 3, 2), kind)
    pads = [1, 1, 1, 1]
    shape = [1, 4, 4, 2]
    actual = run_op(lambda v: nn.MaxPool2dOp(v, TensorType(kind, shape), kernel=[2, 2], pads=pads), (x, kind))
    for row, column, c in np.ndindex(4, 4, 2):
        under = x[0, max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1, c]
        assert actual[0, row, column, c] == under.max()


@settings(deadline=None, max_examples=60)
@given(
    geometries(dilated=False),
    st.booleans(),
    st.sampled_from([(0.5, 0.5), (0.02, 0.013), (0.02, 0.05)]),
    st.integers(-128, 127),
    st.integers(0, 2**32 - 1),
)
def test_avg_pool2d_of_integers(
    run_op, tosa, real, assert_within_one_step, random_stored, geometry, include, scales, zero, seed
):
    kernel, _, pads, strides, size = geometry
    height, width = window_output_shape(size, kernel, strides, pads, [1, 1])
    assume(min(height, width) > 0)
    x_kind, y_kind = uniform(8, scales[0], zero), uniform(8, scales[1], -5)
    x = random_stored(np.random.default_rng(seed), (1, *size, 2), x_kind)
    actual = run_op(
        lambda v: nn.AvgPool2dOp(
            v,
            TensorType(y_kind, [1, height, width, 2]),
            kernel=kernel,
            strides=strides,
            pads=pads,
            count_include_pad=include,
        ),
        (x, x_kind),
    )
    reals = np.zeros(actual.shape)
    for row, column, c in np.ndindex(height, width, 2):
        top, left = row * strides[0] - pads[0], column * strides[1] - pads[1]
        under = x[0, max(top, 0) : top + kernel[0], max(left, 0) : left + kernel[1], c].ravel().tolist()
        total = sum(stored - zero for stored in under)
        count = kernel[0] * kernel[1] if include else len(under)
        if scales[0] == scales[1]:
            factors = tosa.reciprocal_scale(count)
        else:
            factors = tosa.multiplier(x_kind.scale / (count * y_kind.scale))
        expected = tosa.apply_scale_32(total, *factors) - 5
        assert actual[0, row, column, c] == min(max(expected, -128), 127)
        reals[0, row, column, c] = total * x_kind.scale / count
    assert_within_one_step(actual, reals, y_kind)


def test_global_average_and_clamp(run_op):
    x = np.arange(32, dtype=np.float32).reshape(1, 4, 4, 2)
    clamp = nn.ClampAttr.of(0.0, 15.5)
    actual = run_op(lambda v: nn.AvgPool2dOp(v, TensorType(f32, [1, 1, 1, 2]), kernel=[4, 4], clamp=clamp), x)
    assert actual.ravel().tolist() == [15.0, 15.5]

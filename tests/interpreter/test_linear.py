"""Convolution, dense layers and matrix products against onnxruntime and against integers done by hand."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from xdsl.dialects.builtin import TensorType, f32

from intaglio.dialects import nn
from intaglio.dialects.nn.types import window_output_shape
from intaglio.dialects.quant import uniform, uniform_per_axis
from intaglio.errors import UserError


def onnx_conv(x, w, b, strides, pads, dilations, groups):
    """The convolution of NHWC and OHWI arrays by onnxruntime."""
    arrays = {"x": x.transpose(0, 3, 1, 2), "w": w.transpose(0, 3, 1, 2)} | ({"b": b} if b is not None else {})
    node = helper.make_node("Conv", list(arrays), ["y"], strides=strides, pads=pads, dilations=dilations, group=groups)
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in arrays.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph([node], "conv", inputs, [output]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {name: np.ascontiguousarray(array) for name, array in arrays.items()})
    return y.transpose(0, 2, 3, 1)


@st.composite
def geometries(draw):
    groups, per_group, outputs = draw(st.sampled_from([(1, 3, 4), (2, 2, 3), (4, 1, 1), (4, 1, 2), (1, 1, 1)]))
    window = [draw(st.integers(1, 3)) for _ in range(2)]
    dilations = [draw(st.integers(1, 2)) for _ in range(2)]
    strides = [draw(st.integers(1, 3)) for _ in range(2)]
    pads = [draw(st.integers(0, 2)) for _ in range(4)]
    size = [draw(st.integers(5, 8)) for _ in range(2)]
    return groups, per_group, outputs, window, dilations, strides, pads, size, draw(st.integers(1, 2))


@settings(deadline=None, max_examples=60)
@given(geometries(), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_conv2d_of_floats(run_op, geometry, has_bias, clamped, seed):
    groups, per_group, outputs, window, dilations, strides, pads, size, batch = geometry
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, *size, groups * per_group)).astype(np.float32)
    w = rng.normal(size=(groups * outputs, *window, per_group)).astype(np.float32)
    b = rng.normal(size=groups * outputs).astype(np.float32) if has_bias else None
    expected = onnx_conv(x, w, b, strides, pads, dilations, groups)
    if clamped:
        expected = np.clip(expected, -0.5, 1.5)

    def build(source, weight, bias=None):
        kind = TensorType(f32, expected.shape)
        clamp = nn.ClampAttr.of(-0.5, 1.5) if clamped else None
        options = {"strides": strides, "pads": pads, "dilations": dilations, "groups": groups, "clamp": clamp}
        return nn.Conv2dOp(source, weight, bias, kind, **options)

    actual = run_op(build, x, w, *([b] if has_bias else []))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(geometries(), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_conv2d_of_integers(
    run_op, tosa, real, assert_within_one_step, random_stored, geometry, has_bias, per_axis, unsigned, seed
):
    groups, per_group, outputs, window, dilations, strides, pads, size, _ = geometry
    rng = np.random.default_rng(seed)
    channels = groups * outputs
    x_kind = uniform(8, 0.021, int(rng.integers(20, 90)), signed=not unsigned)
    y_kind = uniform(8, 0.19, int(rng.integers(-90, 90)))
    scales = rng.uniform(0.001, 0.05, channels) if per_axis else np.full(channels, 0.013)
    w_kind = uniform_per_axis(8, 0, scales, storage_min=-127) if per_axis else uniform(8, 0.013)
    bias_scales = x_kind.scale * scales
    b_kind = uniform_per_axis(32, 0, bias_scales) if per_axis else uniform(32, float(bias_scales[0]))
    x = random_stored(rng, (1, *size, groups * per_group), x_kind)
    w = rng.integers(-127, 128, (channels, *window, per_group), np.int8)
    b = rng.integers(-5000, 5000, channels, np.int32) if has_bias else np.zeros(channels, np.int32)
    height, width = window_output_shape(size, window, strides, pads, dilations)
    clamp = nn.ClampAttr.of(-1.9, 3.8)

    def build(source, weight, bias=None):
        kind = TensorType(y_kind, [1, height, width, channels])
        options = {"strides": strides, "pads": pads, "dilations": dilations, "groups": groups, "clamp": clamp}
        return nn.Conv2dOp(source, weight, bias, kind, **options)

    actual = run_op(build, (x, x_kind), (w, w_kind), *([(b, b_kind)] if has_bias else []))

    reals = np.zeros(actual.shape)
    low, high = y_kind.zero_point - 10, y_kind.zero_point + 20
    for row, column, o in np.ndindex(height, width, channels):
        accumulator = int(b[o])
        for i, j, c in np.ndindex(*window, per_group):
            y, z = row * strides[0] + i * dilations[0] - pads[0], column * strides[1] + j * dilations[1] - pads[1]
            if 0 <= y < size[0] and 0 <= z < size[1]:
                stored = int(x[0, y, z, o // outputs * per_group + c])
                accumulator += (stored - x_kind.zero_point) * int(w[o, i, j, c])
        expected = tosa.rescale(accumulator, float(x_kind.scale * scales[o] / y_kind.scale), y_kind)
        assert actual[0, row, column, o] == min(max(expected, low), high, 127)
        reals[0, row, column, o] = accumulator * x_kind.scale * scales[o]
    assert_within_one_step(actual, np.clip(reals, -1.9, 3.8), y_kind)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 3), max_size=2), st.booleans(), st.integers(0, 2**32 - 1))
def test_dense_of_floats(run_op, leading, has_bias, seed):
    rng = np.random.default_rng(seed)
    x, w, b = (rng.normal(size=shape).astype(np.float32) for shape in ((*leading, 5), (4, 5), (4,)))
    arguments = [x, w, b] if has_bias else [x, w]
    actual = run_op(lambda s, t, u=None: nn.DenseOp(s, t, u, TensorType(f32, [*leading, 4])), *arguments)
    expected = np.einsum("...k,ok->...o", x, w) + (b if has_bias else 0)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_dense_of_integers(run_op, tosa, assert_within_one_step, random_stored, seed):
    rng = np.random.default_rng(seed)
    x_kind, y_kind = uniform(8, 0.05, -7), uniform(8, 0.3, 11)
    scales = rng.uniform(0.001, 0.05, 3)
    x, w = random_stored(rng, (2, 9), x_kind), rng.integers(-127, 128, (3, 9), np.int8)
    b = rng.integers(-3000, 3000, 3, np.int32)
    actual = run_op(
        lambda s, t, u: nn.DenseOp(s, t, u, TensorType(y_kind, [2, 3])),
        (x, x_kind),
        (w, uniform_per_axis(8, 0, scales)),
        (b, uniform_per_axis(32, 0, x_kind.scale * scales)),
    )
    reals = np.zeros((2, 3))
    for n, o in np.ndindex(2, 3):
        accumulator = sum((int(x[n, k]) + 7) * int(w[o, k]) for k in range(9)) + int(b[o])
        assert actual[n, o] == tosa.rescale(accumulator, float(x_kind.scale * scales[o] / y_kind.scale), y_kind)
        reals[n, o] = accumulator * x_kind.scale * scales[o]
    assert_within_one_step(actual, reals, y_kind)


def test_matmul_of_floats(run_op):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 4)).astype(np.float32), rng.normal(size=(2, 4, 5)).astype(np.float32)
    clamp = nn.ClampAttr.of(-1.0, 1.0)
    actual = run_op(lambda s, t: nn.MatmulOp(s, t, TensorType(f32, [2, 3, 5]), clamp=clamp), a, b)
    expected = np.clip(np.einsum("bik,bkj->bij", a.astype(np.float64), b), -1, 1)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_matmul_of_integers(run_op, tosa, assert_within_one_step, random_stored):
    rng = np.random.default_rng(0)
    a_kind, b_kind, y_kind = uniform(8, 0.05, -7), uniform(8, 0.02, 100), uniform(8, 0.3, 11)
    a, b = random_stored(rng, (2, 6), a_kind), random_stored(rng, (6, 3), b_kind)
    actual = run_op(lambda s, t: nn.MatmulOp(s, t, TensorType(y_kind, [2, 3])), (a, a_kind), (b, b_kind))
    reals = np.zeros((2, 3))
    for i, j in np.ndindex(2, 3):
        accumulator = sum((int(a[i, k]) + 7) * (int(b[k, j]) - 100) for k in range(6))
        assert actual[i, j] == tosa.rescale(accumulator, a_kind.scale * b_kind.scale / y_kind.scale, y_kind)
        reals[i, j] = accumulator * a_kind.scale * b_kind.scale
    assert_within_one_step(actual, reals, y_kind)


@pytest.mark.parametrize(("bias", "fits"), [(2**31 - 1 - 128 * 127, True), (2**31 - 128 * 127, False)])
def test_an_accumulator_of_more_than_32_bits_is_an_error(run_op, bias, fits):
    x_kind, w_kind = uniform(8, 1.0, -128), uniform(8, 1.0)
    arguments = (
        (np.array([[0]], np.int8), x_kind),
        (np.array([[127]], np.int8), w_kind),
        (np.array([bias], np.int32), uniform(32, 1.0)),
    )

    def build(s, t, u):
        return nn.DenseOp(s, t, u, TensorType(uniform(8, 2.0**24), [1, 1]))

    if fits:
        assert run_op(build, *arguments).tolist() == [[127]]
    else:
        with pytest.raises(UserError, match=r"accumulator of nn\.dense reaches 2147483648, more than 32 bits hold"):
            run_op(build, *arguments)

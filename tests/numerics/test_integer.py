"""Integer products through floating-point BLAS equal integer arithmetic, also at the extremes."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from intaglio.numerics.integer import conv2d_accumulate, matmul, wrap_int32


@pytest.mark.parametrize(
    ("low_a", "high_a", "low_b", "high_b"),
    [
        (-128, 127, -128, 127),
        (0, 255, -127, 127),
        (-255, 255, -255, 255),
        (-32768, 32767, -128, 127),
        (-32768, 32767, -32768, 32767),
        (-(2**31), 2**31 - 1, -128, 127),
    ],
)
@pytest.mark.parametrize("depth", [1, 255, 256, 257, 1025, 5000])
def test_extreme_operands_multiply_exactly(low_a, high_a, low_b, high_b, depth):
    rng = np.random.default_rng(depth)
    a = rng.choice(np.array([low_a, low_a + 1, high_a - 1, high_a], np.int64), (5, depth))
    b = rng.choice(np.array([low_b, low_b + 1, high_b - 1, high_b], np.int64), (depth, 7))
    # The worst sums: every term the largest product of one sign.
    a[0], b[:, 0] = low_a, low_b
    a[1], b[:, 1] = high_a, low_b
    np.testing.assert_array_equal(matmul(a, b), np.einsum("mk,kn->mn", a, b))


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(0, 600), st.integers(1, 5))
def test_matmul_is_integer_matmul(seed, rows, depth, columns):
    rng = np.random.default_rng(seed)
    a = rng.integers(-128, 128, (2, rows, depth), dtype=np.int8)
    b = rng.integers(-128, 128, (depth, columns), dtype=np.int8)
    np.testing.assert_array_equal(matmul(a, b), a.astype(np.int64) @ b.astype(np.int64))


def test_products_without_an_exact_double_are_rejected():
    with pytest.raises(ValueError, match="no exact double"):
        matmul(np.array([[2**31]]), np.array([[2**31]]))


def direct_convolution(x, w, strides, pads, dilations, groups, pad_value):
    """The definition in the docstring of `conv2d_accumulate`, one output element at a time."""
    batch, height, width, _ = x.shape
    outputs, kernel_height, kernel_width, depth = w.shape
    top, left, bottom, right = pads
    out_height = (height + top + bottom - (kernel_height - 1) * dilations[0] - 1) // strides[0] + 1
    out_width = (width + left + right - (kernel_width - 1) * dilations[1] - 1) // strides[1] + 1
    result = np.zeros((batch, out_height, out_width, outputs), np.int64)
    for n, i, j, o in np.ndindex(result.shape):
        first = o // (outputs // groups) * depth
        for p, q, c in np.ndindex(kernel_height, kernel_width, depth):
            row, column = i * strides[0] + p * dilations[0] - top, j * strides[1] + q * dilations[1] - left
            inside = 0 <= row < height and 0 <= column < width
            value = int(x[n, row, column, first + c]) if inside else pad_value
            result[n, i, j, o] += value * int(w[o, p, q, c])
    return result


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_convolution_is_its_definition(data):
    draw = data.draw
    groups, depth, multiple = draw(st.sampled_from([(1, 3, 4), (2, 2, 3), (3, 1, 1), (3, 1, 2), (1, 1, 2)]))
    kernel = draw(st.tuples(*[st.integers(1, 3)] * 2))
    strides = draw(st.tuples(*[st.integers(1, 2)] * 2))
    dilations = draw(st.tuples(*[st.integers(1, 2)] * 2))
    pads = draw(st.tuples(*[st.integers(0, 2)] * 4))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    bits = draw(st.sampled_from([8, 16]))
    bound = 2 ** (bits - 1)
    x = rng.integers(-bound, bound, (2, 5, 6, groups * depth))
    w = rng.integers(-bound, bound, (groups * multiple, *kernel, depth))
    pad_value = draw(st.sampled_from([0, -bound, 3]))
    arguments = (x, w, strides, pads, dilations, groups, pad_value)
    np.testing.assert_array_equal(conv2d_accumulate(*arguments), direct_convolution(*arguments))


def test_long_sums_are_cut_into_exact_chunks():
    # 9 * 600 terms of 255 * 255 are far beyond 2^24, and all of one sign.
    x = np.full((1, 4, 4, 600), 255, np.int16)
    w = np.full((2, 3, 3, 600), 255, np.int16)
    result = conv2d_accumulate(x, w, (1, 1), (0, 0, 0, 0), (1, 1), 1, 0)
    assert np.all(result == 9 * 600 * 255 * 255)


def test_long_depthwise_sums_are_cut_into_exact_chunks():
    x = np.full((1, 40, 40, 2), 255, np.int16)
    w = np.full((2, 40, 40, 1), 255, np.int16)
    assert conv2d_accumulate(x, w, (1, 1), (0, 0, 0, 0), (1, 1), 2, 0).tolist() == [[[[1600 * 255 * 255] * 2]]]


def test_padding_counts_in_the_length_of_exact_chunks():
    x = np.zeros((1, 1, 1, 600), np.int8)
    w = np.full((1, 3, 3, 600), 127, np.int8)
    result = conv2d_accumulate(x, w, (1, 1), (1, 1, 1, 1), (1, 1), 1, 32767)
    assert result.tolist() == [[[[8 * 600 * 127 * 32767]]]]


def test_convolution_is_onnx_convinteger():
    rng = np.random.default_rng(9)
    x = rng.integers(-128, 128, (2, 16, 12, 10), dtype=np.int8)
    w = rng.integers(-128, 128, (8, 4, 3, 3), dtype=np.int8)
    node = onnx.helper.make_node(
        "ConvInteger", ["x", "w"], ["y"], pads=[1, 2, 0, 1], strides=[2, 1], dilations=[1, 2], group=4
    )
    infos = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT8, value.shape)
        for name, value in (("x", x), ("w", w))
    ]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.INT32, None)
    graph = onnx.helper.make_graph([node], "g", infos, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    expected = ReferenceEvaluator(model).run(None, {"x": x, "w": w})[0].transpose(0, 2, 3, 1)
    actual = conv2d_accumulate(x.transpose(0, 2, 3, 1), w.transpose(0, 2, 3, 1), (2, 1), (1, 2, 0, 1), (1, 2), 4, 0)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("groups", [2, 3])
def test_channels_that_do_not_divide_are_rejected(groups):
    x, w = np.zeros((1, 3, 3, 6), np.int8), np.zeros((3, 1, 1, 3), np.int8)
    with pytest.raises(ValueError, match="divide into"):
        conv2d_accumulate(x, w, (1, 1), (0, 0, 0, 0), (1, 1), groups, 0)


def test_a_kernel_larger_than_the_input_is_rejected():
    x, w = np.zeros((1, 3, 3, 1), np.int8), np.zeros((1, 2, 2, 1), np.int8)
    with pytest.raises(ValueError, match="does not fit"):
        conv2d_accumulate(x, w, (1, 1), (0, 0, 0, 0), (3, 1), 1, 0)


def test_wrapping_is_twos_complement():
    values = np.array([2**31 - 1, 2**31, -(2**31) - 1, 2**32 + 5])
    assert wrap_int32(values).tolist() == [2**31 - 1, -(2**31), 2**31 - 1, 5]

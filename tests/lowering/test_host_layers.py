"""Layers and functions on the host: TVM's result against the interpreter's, and against onnxruntime for floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.lowering.host_functions import (
    QA,
    QB,
    QY,
    bytes_of,
    compare,
    function,
    nchw,
    nhwc,
    normal,
    onnx_result,
)

FLOAT_UNARY: list[tuple[str, str, dict[str, Any]]] = [
    ("nn.relu %x", "Relu", {}),
    ("nn.hard_sigmoid %x alpha 0.2 : f64 beta 0.5 : f64", "HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    ("nn.hard_swish %x", "HardSwish", {}),
    ("nn.sigmoid %x", "Sigmoid", {}),
    ("nn.tanh %x", "Tanh", {}),
    ("nn.softmax %x axis 2", "Softmax", {"axis": 2}),
]


@pytest.mark.parametrize(("op", "onnx_op", "attributes"), FLOAT_UNARY)
def test_float_activations(op: str, onnx_op: str, attributes: dict[str, Any]) -> None:
    x = normal((2, 5, 7))
    text = function(
        f"  %y = {op} : (tensor<2x5x7xf32>) -> tensor<2x5x7xf32>", "%x: tensor<2x5x7xf32>", "tensor<2x5x7xf32>"
    )
    actual = compare(text, [x], rtol=1e-6, atol=2e-7)
    np.testing.assert_allclose(actual, onnx_result(onnx_op, {"x": x}, x.shape, **attributes), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("op", "onnx_op"), [("nn.add", "Add"), ("nn.sub", "Sub"), ("nn.mul", "Mul"), ("nn.div", "Div")]
)
@pytest.mark.parametrize("shape", [(2, 4, 3), (4, 1), (3,), ()])
def test_float_elementwise(op: str, onnx_op: str, shape: tuple[int, ...]) -> None:
    a, b = normal((2, 4, 3)), normal(shape, 1)
    kind = f"tensor<{''.join(f'{size}x' for size in shape)}f32>"
    text = function(
        f"  %y = {op} %a, %b : (tensor<2x4x3xf32>, {kind}) -> tensor<2x4x3xf32>",
        f"%a: tensor<2x4x3xf32>, %b: {kind}",
        "tensor<2x4x3xf32>",
    )
    actual = compare(text, [a, b])
    np.testing.assert_array_equal(actual, onnx_result(onnx_op, {"a": a, "b": b}, a.shape))


def test_clamps_keep_nan() -> None:
    text = function(
        "  %z = nn.clip %x to <-1.0, 6.0> : (tensor<5xf32>) -> tensor<5xf32>\n"
        "  %y = nn.relu %z : (tensor<5xf32>) -> tensor<5xf32>",
        "%x: tensor<5xf32>",
        "tensor<5xf32>",
    )
    actual = compare(text, [np.array([np.nan, -np.inf, np.inf, 3.0, -3.0], np.float32)])
    np.testing.assert_array_equal(actual, np.array([np.nan, 0.0, 6.0, 3.0, 0.0], np.float32))


CONVOLUTIONS = [
    # channels, outputs, groups, kernel, strides, pads, dilations
    (3, 8, 1, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    (4, 6, 2, (3, 2), (2, 1), (0, 1, 2, 0), (1, 2)),
    (5, 5, 5, (3, 3), (2, 2), (1, 0, 1, 2), (1, 1)),
    (4, 8, 4, (2, 2), (1, 1), (0, 0, 0, 0), (2, 2)),
    (7, 3, 1, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
]


def convolution_text(
    case: tuple[Any, ...], types: tuple[str, str, str, str], clamp: str
) -> tuple[str, tuple[int, ...]]:
    channels, outputs, groups, kernel, strides, pads, dilations = case
    size = [(9 + pads[k] + pads[k + 2] - dilations[k] * (kernel[k] - 1) - 1) // strides[k] + 1 for k in range(2)]
    x, w = (
        f"tensor<2x9x9x{channels}x{types[0]}>",
        f"tensor<{outputs}x{kernel[0]}x{kernel[1]}x{channels // groups}x{types[1]}>",
    )
    b, y = f"tensor<{outputs}x{types[2]}>", f"tensor<2x{size[0]}x{size[1]}x{outputs}x{types[3]}>"
    body = (
        f"  %y = nn.conv2d %x, %w bias %b strides {list(strides)} pads {list(pads)} dilations {list(dilations)} "
        f"groups {groups} {clamp} : ({x}, {w}, {b}) -> {y}"
    )
    return function(body, f"%x: {x}, %w: {w}, %b: {b}", y), (2, outputs, *size)


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_float_convolution(case: tuple[Any, ...]) -> None:
    channels, outputs, groups, kernel, strides, pads, dilations = case
    x, w, b = normal((2, 9, 9, channels)), normal((outputs, *kernel, channels // groups), 1), normal((outputs,), 2)
    text, shape = convolution_text(case, ("f32",) * 4, "clamp <0.0, inf>")
    actual = compare(text, [x, w, b], rtol=1e-5, atol=2e-5)
    expected = onnx_result(
        "Conv",
        {"x": nchw(x), "w": nchw(w), "b": b},
        shape,
        strides=strides,
        pads=pads,
        dilations=dilations,
        group=groups,
    )
    np.testing.assert_allclose(actual, nhwc(np.maximum(expected, 0)), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_quantized_convolution(case: tuple[Any, ...], dtype: type[Any]) -> None:
    channels, outputs, groups, kernel = case[:4]
    scales = np.linspace(0.002, 0.01, outputs)
    storage, zero_point = ("i8", -7) if dtype is np.int8 else ("u8", 131)
    types = (
        f"!quant.uniform<{storage}:f32, 0.05:{zero_point}>",
        f"!quant.uniform<i8<-127:127>:f32:0, {{{','.join(map(repr, scales.tolist()))}}}>",
        f"!quant.uniform<i32:f32:0, {{{','.join(map(repr, (0.05 * scales).tolist()))}}}>",
        f"!quant.uniform<{storage}:f32, 0.11:{zero_point + 9}>",
    )
    text, _ = convolution_text(case, types, "clamp <-6.0, 9.0>")
    bias = np.random.default_rng(3).integers(-20000, 20000, outputs).astype(np.int32)
    weight = np.maximum(bytes_of((outputs, *kernel, channels // groups), 1), -127).astype(np.int8)
    actual = compare(text, [bytes_of((2, 9, 9, channels), dtype=dtype), weight, bias])
    assert len(np.unique(actual)) > 20


def test_float_dense_and_matmul() -> None:
    x, w, b = normal((2, 3, 12)), normal((5, 12), 1), normal((5,), 2)
    text = function(
        "  %y = nn.dense %x, %w bias %b : (tensor<2x3x12xf32>, tensor<5x12xf32>, tensor<5xf32>) -> tensor<2x3x5xf32>",
        "%x: tensor<2x3x12xf32>, %w: tensor<5x12xf32>, %b: tensor<5xf32>",
        "tensor<2x3x5xf32>",
    )
    np.testing.assert_allclose(compare(text, [x, w, b], rtol=1e-5, atol=1e-5), x @ w.T + b, rtol=1e-5, atol=1e-5)
    a, c = normal((2, 3, 4)), normal((2, 4, 5), 1)
    text = function(
        "  %y = nn.matmul %a, %b : (tensor<2x3x4xf32>, tensor<2x4x5xf32>) -> tensor<2x3x5xf32>",
        "%a: tensor<2x3x4xf32>, %b: tensor<2x4x5xf32>",
        "tensor<2x3x5xf32>",
    )
    expected = onnx_result("MatMul", {"a": a, "b": c}, (2, 3, 5))
    np.testing.assert_allclose(compare(text, [a, c], rtol=1e-5, atol=1e-5), expected, rtol=1e-5, atol=1e-5)


def test_quantized_dense_and_matmul() -> None:
    text = function(
        "  %y = nn.dense %x, %w bias %b clamp <0.0, inf> : "
        "(tensor<2x70x!a>, tensor<9x70x!w>, tensor<9x!b>) -> tensor<2x9x!y>",
        "%x: tensor<2x70x!a>, %w: tensor<9x70x!w>, %b: tensor<9x!b>",
        "tensor<2x9x!y>",
        f"!a = {QA}\n!y = {QY}\n!w = !quant.uniform<i8<-127:127>:f32, 0.01>\n!b = !quant.uniform<i32:f32, 0.00043>",
    )
    weight = np.maximum(bytes_of((9, 70), 1), -127).astype(np.int8)
    compare(text, [bytes_of((2, 70)), weight, np.arange(-4000, 5000, 1000, dtype=np.int32)])
    text = function(
        "  %y = nn.matmul %a, %b : (tensor<2x3x4x!a>, tensor<2x4x5x!b>) -> tensor<2x3x5x!y>",
        "%a: tensor<2x3x4x!a>, %b: tensor<2x4x5x!b>",
        "tensor<2x3x5x!y>",
        f"!a = {QA}\n!b = {QB}\n!y = {QY}",
    )
    compare(text, [bytes_of((2, 3, 4)), bytes_of((2, 4, 5), 1)])


@pytest.mark.parametrize("op", ["nn.add", "nn.sub", "nn.mul"])
@pytest.mark.parametrize("clamp", ["", "clamp <0.0, 4.0>"])
def test_quantized_elementwise_on_every_pair_of_bytes(op: str, clamp: str) -> None:
    text = function(
        f"  %y = {op} %a, %b {clamp} : (tensor<256x1x!a>, tensor<256x!b>) -> tensor<256x256x!y>",
        "%a: tensor<256x1x!a>, %b: tensor<256x!b>",
        "tensor<256x256x!y>",
        f"!a = {QA}\n!b = {QB}\n!y = {QY}",
    )
    every = np.arange(-128, 128).astype(np.int8)
    compare(text, [every[:, None], every])


@pytest.mark.parametrize(
    "op",
    [
        "nn.relu %x",
        "nn.clip %x to <-1.0, 2.5>",
        "nn.hard_sigmoid %x alpha 0.2 : f64 beta 0.5 : f64",
        "nn.hard_swish %x",
        "nn.sigmoid %x",
        "nn.tanh %x",
        'nn.gelu %x approximate "none"',
        "nn.leaky_relu %x alpha 0.1 : f64",
        "nn.sqrt %x",
        "nn.log %x",
    ],
)
def test_quantized_activations_on_every_byte(op: str) -> None:
    text = function(
        f"  %y = {op} : (tensor<256x!a>) -> tensor<256x!b>",
        "%x: tensor<256x!a>",
        "tensor<256x!b>",
        f"!a = {QA}\n!b = {QB}",
    )
    compare(text, [np.arange(-128, 128).astype(np.int8)])


@pytest.mark.parametrize(
    ("op", "result"),
    [("mean", QY), ("mean", QA), ("sum", QY), ("max", QA), ("min", QA)],
)
def test_quantized_reductions(op: str, result: str) -> None:
    text = function(
        f"  %y = nn.reduce_{op} %x axes [0, 2] : (tensor<3x4x5x!a>) -> tensor<1x4x1x!y>",
        "%x: tensor<3x4x5x!a>",
        "tensor<1x4x1x!y>",
        f"!a = {QA}\n!y = {result}",
    )
    compare(text, [bytes_of((3, 4, 5))])


@pytest.mark.parametrize(
    ("strides", "pads", "size"), [((2, 2), (0, 1, 1, 0), (8, 8)), ((1, 3), (3, 0, -2, 0), (5, 12))]
)
def test_quantized_transposed_convolution(
    strides: tuple[int, ...], pads: tuple[int, ...], size: tuple[int, int]
) -> None:
    x, w, y = "tensor<1x4x4x6x!a>", "tensor<4x3x3x3x!w>", f"tensor<1x{size[0]}x{size[1]}x4x!y>"
    text = function(
        f"  %y = nn.conv_transpose2d %x, %w bias %b strides {list(strides)} pads {list(pads)} dilations [1, 1] "
        f"groups 2 clamp <0.0, inf> : ({x}, {w}, tensor<4x!b>) -> {y}",
        f"%x: {x}, %w: {w}, %b: tensor<4x!b>",
        y,
        f"!a = {QA}\n!y = {QY}\n!w = !quant.uniform<i8<-127:127>:f32, 0.01>\n!b = !quant.uniform<i32:f32, 0.00043>",
    )
    weight = np.maximum(bytes_of((4, 3, 3, 3), 1), -127).astype(np.int8)
    actual = compare(text, [bytes_of((1, 4, 4, 6)), weight, np.arange(-2000, 2000, 1000, dtype=np.int32)])
    assert len(np.unique(actual)) > 10


POOLS = [((3, 3), (2, 2), (1, 1, 1, 1)), ((2, 3), (1, 2), (0, 1, 1, 0)), ((9, 9), (1, 1), (0, 0, 0, 0))]


def pool_text(op: str, tail: str, case: tuple[Any, ...], kind: tuple[str, str]) -> tuple[str, tuple[int, ...]]:
    kernel, strides, pads = case
    size = [(9 + pads[k] + pads[k + 2] - kernel[k]) // strides[k] + 1 for k in range(2)]
    x, y = f"tensor<2x9x9x4x{kind[0]}>", f"tensor<2x{size[0]}x{size[1]}x4x{kind[1]}>"
    body = f"  %y = {op} %x kernel {list(kernel)} strides {list(strides)} pads {list(pads)} {tail} : ({x}) -> {y}"
    return function(body, f"%x: {x}", y), (2, 4, *size)


@pytest.mark.parametrize("case", POOLS)
def test_max_pool(case: tuple[Any, ...]) -> None:
    kernel, strides, pads = case
    x = normal((2, 9, 9, 4))
    text, shape = pool_text("nn.max_pool2d", "dilations [1, 1]", case, ("f32", "f32"))
    expected = onnx_result("MaxPool", {"x": nchw(x)}, shape, kernel_shape=kernel, strides=strides, pads=pads)
    np.testing.assert_array_equal(compare(text, [x]), nhwc(expected))
    text, _ = pool_text("nn.max_pool2d", "dilations [1, 1]", case, (QA, QA))
    compare(text, [bytes_of((2, 9, 9, 4))])


@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize("include", ["true", "false"])
def test_average_pool(case: tuple[Any, ...], include: str) -> None:
    kernel, strides, pads = case
    x = normal((2, 9, 9, 4))
    text, shape = pool_text("nn.avg_pool2d", f"count_include_pad {include}", case, ("f32", "f32"))
    expected = onnx_result(
        "AveragePool",
        {"x": nchw(x)},
        shape,
        kernel_shape=kernel,
        strides=strides,
        pads=pads,
        count_include_pad=int(include == "true"),
    )
    np.testing.assert_allclose(compare(text, [x], rtol=1e-5, atol=1e-6), nhwc(expected), rtol=1e-5, atol=1e-6)
    for result in (QA, QY):
        text, _ = pool_text("nn.avg_pool2d", f"count_include_pad {include}", case, (QA, result))
        compare(text, [bytes_of((2, 9, 9, 4))])


def test_batch_norm() -> None:
    x, (scale, offset, mean) = normal((1, 4, 4, 3)), normal((3, 3), 1)
    variance = np.abs(normal((3,), 2))
    kinds = ", ".join(["tensor<1x4x4x3xf32>"] + ["tensor<3xf32>"] * 4)
    text = function(
        "  %y = nn.batch_norm %x scale %s offset %o mean %m variance %v epsilon 1.0e-05 : f64 : "
        f"({kinds}) -> tensor<1x4x4x3xf32>",
        "%x: tensor<1x4x4x3xf32>, %s: tensor<3xf32>, %o: tensor<3xf32>, %m: tensor<3xf32>, %v: tensor<3xf32>",
        "tensor<1x4x4x3xf32>",
    )
    actual = compare(text, [x, scale, offset, mean, variance], rtol=1e-5, atol=1e-5)
    inputs = {"x": nchw(x), "s": scale, "o": offset, "m": mean, "v": variance}
    expected = onnx_result("BatchNormalization", inputs, (1, 3, 4, 4), epsilon=1e-5)
    np.testing.assert_allclose(actual, nhwc(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("exponent", [3.0, 0.5])
def test_powers_print_no_warning(exponent: float, capfd: pytest.CaptureFixture[str]) -> None:
    x = np.abs(normal((2, 3))) + np.float32(0.5)
    text = function(
        f"  %e = nn.constant dense<{exponent}> : tensor<f32>\n"
        "  %y = nn.pow %x, %e : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32>",
        "%x: tensor<2x3xf32>",
        "tensor<2x3xf32>",
    )
    np.testing.assert_allclose(compare(text, [x], rtol=1e-6), x**exponent, rtol=1e-6)
    assert capfd.readouterr().err == ""

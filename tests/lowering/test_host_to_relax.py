"""Every operation on the host: TVM's result against the interpreter's, and against onnxruntime for floats."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp

from intaglio.errors import UserError
from intaglio.interpreter.interpreter import Interpreter
from intaglio.ir.parsing import parse_module
from intaglio.lowering.host_to_relax import host_to_relax
from intaglio.lowering.tvm import compile_library
from intaglio.numerics.quantization import quantize
from intaglio.runtime.host_library import HostLibrary

Array = np.ndarray[Any, np.dtype[Any]]
Launcher = Callable[[int, list[Array]], list[Array]]


def no_regions(region: int, inputs: list[Array]) -> list[Array]:
    raise AssertionError("there is no accelerator region")


def main_of(module: ModuleOp) -> func.FuncOp:
    return next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == "main")


def library_of(text: str, launcher: Launcher = no_regions) -> tuple[ModuleOp, HostLibrary]:
    module = parse_module(text)
    return module, HostLibrary(compile_library(host_to_relax(main_of(module), {"region_0": 0})), launcher)


def function(body: str, arguments: str, result: str, definitions: str = "") -> str:
    return f"{definitions}\nfunc.func @main({arguments}) -> {result} {{\n{body}\n  func.return %y : {result}\n}}\n"


def compare(text: str, arguments: list[Array], rtol: float = 0.0, atol: float = 0.0) -> Array:
    module, library = library_of(text)
    (expected,) = Interpreter(module).run("main", arguments)
    (actual,) = library.run(arguments)
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)
    return actual


def onnx_result(op_type: str, inputs: dict[str, Array], output_shape: tuple[int, ...], **attributes: Any) -> Array:
    """The result of one ONNX operator in onnxruntime; tensors are NCHW there."""
    graph = helper.make_graph(
        [helper.make_node(op_type, list(inputs), ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def nchw(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def nhwc(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def normal(shape: tuple[int, ...], seed: int = 0, scale: float = 2.0) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * scale, np.float32)


def bytes_of(shape: tuple[int, ...], seed: int = 0, dtype: type[Any] = np.int8) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape).astype(dtype)


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


QA, QB, QY = (
    "!quant.uniform<i8:f32, 0.043:-5>",
    "!quant.uniform<i8:f32, 0.0171:12>",
    "!quant.uniform<i8:f32, 0.061:3>",
)


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


def test_stored_values_move() -> None:
    text = function(
        "  %s = nn.slice %x starts [0, 3, 1, 0] steps [1, -1, 2, 1] : (tensor<1x4x6x2x!a>) -> tensor<1x3x3x2x!a>\n"
        '  %r = nn.resize %s mode "floor" steps [1, 1] offsets [0, 0] units [2, 3] cubic_coefficient -0.75 : f64 '
        "exclude_outside false : (tensor<1x3x3x2x!a>) -> tensor<1x6x9x2x!a>\n"
        "  %y = nn.broadcast %r : (tensor<1x6x9x2x!a>) -> tensor<2x6x9x2x!a>",
        "%x: tensor<1x4x6x2x!a>",
        "tensor<2x6x9x2x!a>",
        f"!a = {QA}",
    )
    x = bytes_of((1, 4, 6, 2))
    expected = x[:, ::-1][:, :3, 1::2].repeat(2, axis=1).repeat(3, axis=2)
    np.testing.assert_array_equal(compare(text, [x]), np.concatenate([expected, expected]))


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


@pytest.mark.parametrize("kind", ["f32", QA])
def test_moving_elements(kind: str) -> None:
    text = function(
        "  %a = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x2x3x4x!t>) -> tensor<1x3x4x2x!t>\n"
        "  %b = nn.reshape %a : (tensor<1x3x4x2x!t>) -> tensor<1x4x6x!t>\n"
        "  %c = nn.pad %b low [0, 1, 0] high [0, 0, 2] value 0.4 : f64 : (tensor<1x4x6x!t>) -> tensor<1x5x8x!t>\n"
        "  %y = nn.concat %c, %c axis 1 : (tensor<1x5x8x!t>, tensor<1x5x8x!t>) -> tensor<1x10x8x!t>",
        "%x: tensor<1x2x3x4x!t>",
        "tensor<1x10x8x!t>",
        f"!t = {kind}",
    )
    compare(text, [normal((1, 2, 3, 4)) if kind == "f32" else bytes_of((1, 2, 3, 4))])


def test_constants_of_every_kind() -> None:
    text = function(
        "  %c = nn.constant dense<[1.0, -2.5, 3.0]> : tensor<3xf32>\n"
        "  %q = nn.constant dense<[1, -128, 127]> : tensor<3xi8> as tensor<3x!q>\n"
        "  %d = quant.dcast %q : tensor<3x!q> to tensor<3xf32>\n"
        "  %s = nn.add %c, %d : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>\n"
        "  %y = nn.add %s, %x : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>",
        "%x: tensor<3xf32>",
        "tensor<3xf32>",
        f"!q = {QA}",
    )
    compare(text, [normal((3,))])


STORAGE = [
    ("i8", np.int8, 3),
    ("u8", np.uint8, 128),
    ("i16", np.int16, 0),
    ("i8<-127:127>", np.int8, -127),
    ("i32", np.int32, 0),
]


@pytest.mark.parametrize(("storage", "dtype", "zero_point"), STORAGE)
def test_quantize_cast_is_bit_exact(storage: str, dtype: type[Any], zero_point: int) -> None:
    """These values are ties or next to one: multiplied by the reciprocal, a third of the quotients would differ."""
    scale = 0.0371
    steps = np.random.default_rng(0).integers(-400, 400, 4096) + 0.5
    ties = steps.astype(np.float32) * np.float32(scale)
    near = [np.nextafter(ties, np.float32(limit)) for limit in (-np.inf, np.inf)]
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, -3e38, 1e-45], np.float32)
    x = np.concatenate([ties, *near, special])
    text = function(
        f"  %y = quant.qcast %x : tensor<{x.size}xf32> to tensor<{x.size}x!q>",
        f"%x: tensor<{x.size}xf32>",
        f"tensor<{x.size}x!q>",
        f"!q = !quant.uniform<{storage}:f32, {scale}:{zero_point}>",
    )
    low, high = (-127, 127) if "<" in storage else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    actual = compare(text, [x])
    np.testing.assert_array_equal(actual, quantize(x, scale, zero_point, low, high, dtype))


def test_casts_with_parameters_per_axis_and_per_block() -> None:
    x = normal((3, 4), scale=40.0)
    for kind in ("i8:f32:1, {0.1,0.2:5,0.3:-7,0.4}", "i8:f32:{0:3, 1:2}, {{0.1:3, 0.4}}"):
        text = function(
            "  %q = quant.qcast %x : tensor<3x4xf32> to tensor<3x4x!q>\n"
            "  %y = quant.dcast %q : tensor<3x4x!q> to tensor<3x4xf32>",
            "%x: tensor<3x4xf32>",
            "tensor<3x4xf32>",
            f"!q = !quant.uniform<{kind}>",
        )
        compare(text, [x])


def test_storage_cast_and_observe() -> None:
    text = function(
        '  %o = quant.observe %x {method = "min_max"} : tensor<4xf32>\n'
        "  %q = quant.qcast %o : tensor<4xf32> to tensor<4x!q>\n"
        "  %y = quant.scast %q : tensor<4x!q> to tensor<4xi8>",
        "%x: tensor<4xf32>",
        "tensor<4xi8>",
        f"!q = {QA}",
    )
    compare(text, [normal((4,))])


LAUNCHING = """
!q = !quant.uniform<i8:f32, 0.05:3>
func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<2x2xf32>) {
  %q = quant.qcast %x : tensor<4xf32> to tensor<4x!q>
  %a, %b = npu.launch @region_0(%q, %q) : (tensor<4x!q>, tensor<4x!q>) -> (tensor<4x!q>, tensor<2x2x!q>)
  %c = quant.dcast %a : tensor<4x!q> to tensor<4xf32>
  %d = quant.dcast %b : tensor<2x2x!q> to tensor<2x2xf32>
  func.return %c, %d : tensor<4xf32>, tensor<2x2xf32>
}
func.func @region_0(%a: tensor<4x!q>, %b: tensor<4x!q>) -> (tensor<4x!q>, tensor<2x2x!q>) {
  %y = nn.add %a, %b : (tensor<4x!q>, tensor<4x!q>) -> tensor<4x!q>
  %z = nn.reshape %y : (tensor<4x!q>) -> tensor<2x2x!q>
  func.return %y, %z : tensor<4x!q>, tensor<2x2x!q>
}
"""


def test_regions_are_launched() -> None:
    calls: list[int] = []
    interpreter = Interpreter(parse_module(LAUNCHING))

    def launcher(region: int, inputs: list[Array]) -> list[Array]:
        calls.append(region)
        return interpreter.run("region_0", inputs)

    _, library = library_of(LAUNCHING, launcher)
    x = normal((4,))
    for actual, expected in zip(library.run([x]), interpreter.run("main", [x]), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert calls == [0]


def test_errors_in_regions_reach_the_caller() -> None:
    def launcher(region: int, inputs: list[Array]) -> list[Array]:
        raise ValueError("address 12 is out of range")

    _, library = library_of(LAUNCHING, launcher)
    with pytest.raises(ValueError, match="address 12 is out of range"):
        library.run([normal((4,))])


def test_an_operation_that_no_rule_lowers_is_named() -> None:
    text = function(
        '  %y = "test.op"(%x) : (tensor<4xf32>) -> tensor<4xf32> loc("head/Erf")', "%x: tensor<4xf32>", "tensor<4xf32>"
    )
    with pytest.raises(UserError, match=r'test\.op "head/Erf".* cannot run on the host'):
        library_of(text)


def test_an_argument_may_be_a_result() -> None:
    text = "func.func @main(%y: tensor<2xf32>) -> tensor<2xf32> {\n  func.return %y : tensor<2xf32>\n}"
    compare(text, [normal((2,))])


def test_libraries_that_do_not_belong_here_are_refused() -> None:
    with pytest.raises(UserError, match="the host library cannot be loaded"):
        HostLibrary(b"not a library", no_regions)


SAME_BYTES = """
import hashlib, sys
from xdsl.dialects import func
from intaglio.ir.parsing import parse_module
from intaglio.lowering.host_to_relax import host_to_relax
from intaglio.lowering.tvm import compile_library
module = parse_module(sys.stdin.read())
main = next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == "main")
print(hashlib.blake2b(compile_library(host_to_relax(main, {"region_0": 0}))).hexdigest())
"""


def test_libraries_of_two_processes_are_the_same() -> None:
    digests = [
        subprocess.run(
            [sys.executable, "-c", SAME_BYTES], input=LAUNCHING, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert digests[0] == digests[1]


def test_importing_tvm_keeps_the_exception_hook() -> None:
    code = (
        "import sys; hook = sys.excepthook; from intaglio.lowering.tvm import load_tvm; load_tvm(); "
        "assert 'tvm' in sys.modules and sys.excepthook is hook"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

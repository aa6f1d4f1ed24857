"""The pass quantize-from-casts: integers give what floats between casts give, to a step."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.dialects import nn
from intaglio.dialects.quant import DequantizeCastOp
from intaglio.interpreter import Interpreter, value_shape
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.ir.verification import verify_module
from intaglio.passes.quantization.quantize_from_casts import QuantizeFromCasts

Q = "!quant.uniform<i8:f32, 0.02:7>"
P = "!quant.uniform<i8:f32, 0.031:-100>"
R = "!quant.uniform<i8:f32, 0.027:-3>"
IMAGE = "tensor<1x6x6x4xf32>"
OPERATIONS = {
    "relu": (f"nn.relu %a : ({IMAGE}) -> {IMAGE}", "1x6x6x4"),
    "clip": (f"nn.clip %a to <-0.5, 1.0> : ({IMAGE}) -> {IMAGE}", "1x6x6x4"),
    "sigmoid": (f"nn.sigmoid %a : ({IMAGE}) -> {IMAGE}", "1x6x6x4"),
    "leaky_relu": (f"nn.leaky_relu %a alpha 0.1 : f64 : ({IMAGE}) -> {IMAGE}", "1x6x6x4"),
    "add": (f"nn.add %a, %b clamp <0.0, inf> : ({IMAGE}, {IMAGE}) -> {IMAGE}", "1x6x6x4"),
    "sub": (f"nn.sub %a, %b : ({IMAGE}, {IMAGE}) -> {IMAGE}", "1x6x6x4"),
    "mul": (f"nn.mul %a, %b : ({IMAGE}, {IMAGE}) -> {IMAGE}", "1x6x6x4"),
    "matmul": (f"nn.matmul %a, %t : ({IMAGE}, tensor<1x6x4x6xf32>) -> tensor<1x6x6x6xf32>", "1x6x6x6"),
    "concat": (f"nn.concat %a, %b axis 3 : ({IMAGE}, {IMAGE}) -> tensor<1x6x6x8xf32>", "1x6x6x8"),
    "max_pool": (
        "nn.max_pool2d %a kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : "
        f"({IMAGE}) -> tensor<1x3x3x4xf32>",
        "1x3x3x4",
    ),
    "avg_pool": (
        "nn.avg_pool2d %a kernel [3, 3] strides [1, 1] pads [1, 1, 1, 1] count_include_pad false : "
        f"({IMAGE}) -> {IMAGE}",
        "1x6x6x4",
    ),
}


def module_of(operation: str, shape: str) -> str:
    return f"""
func.func @main(%x: tensor<1x6x6x4x{Q}>, %y: tensor<1x6x6x4x{P}>) -> tensor<{shape}x{R}> {{
  %a = quant.dcast %x : tensor<1x6x6x4x{Q}> to {IMAGE}
  %b = quant.dcast %y : tensor<1x6x6x4x{P}> to {IMAGE}
  %t = nn.transpose %b permutation [0, 1, 3, 2] : ({IMAGE}) -> tensor<1x6x4x6xf32>
  %o = {operation}
  %q = quant.qcast %o : tensor<{shape}xf32> to tensor<{shape}x{R}>
  func.return %q : tensor<{shape}x{R}>
}}
"""


def quantized(source: str):
    before = parse_module(source)
    after = before.clone()
    QuantizeFromCasts().apply(make_context(), after)
    verify_module(after)
    return before, after


@pytest.mark.parametrize("name", OPERATIONS)
def test_integers_give_what_floats_do(name: str):
    before, after = quantized(module_of(*OPERATIONS[name]))
    used = [op for op in after.walk() if isinstance(op, DequantizeCastOp) and op.result.first_use is not None]
    assert used == []
    rng = np.random.default_rng(0)
    arguments = [rng.integers(-128, 128, (1, 6, 6, 4)).astype(np.int8) for _ in range(2)]
    (expected,), (actual,) = (Interpreter(module).run("main", arguments) for module in (before, after))
    difference = np.abs(expected.astype(int) - actual.astype(int))
    assert difference.max() <= 1
    assert np.mean(difference) < 0.02
    assert np.ptp(expected.astype(int)) > 20


def convolution(weight: str, kind: str, bias: str, bias_kind: str | None) -> str:
    stored = f"nn.constant dense<{bias}> : tensor<2xf32>"
    if bias_kind:
        stored = f"nn.constant dense<{bias}> : tensor<2xi32> as tensor<2x{bias_kind}>"
    cast = f"%bc = quant.dcast %bs : tensor<2x{bias_kind}> to tensor<2xf32>" if bias_kind else ""
    window = "strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1"
    return f"""
func.func @main(%x: tensor<1x6x6x4x{Q}>) -> tensor<1x6x6x2x{R}> {{
  %a = quant.dcast %x : tensor<1x6x6x4x{Q}> to {IMAGE}
  %ws = nn.constant dense<{weight}> : tensor<2x1x1x4xi8> as tensor<2x1x1x4x{kind}>
  %w = quant.dcast %ws : tensor<2x1x1x4x{kind}> to tensor<2x1x1x4xf32>
  %bs = {stored}
  {cast}
  %o = nn.conv2d %a, %w bias {"%bc" if bias_kind else "%bs"} {window}
     : ({IMAGE}, tensor<2x1x1x4xf32>, tensor<2xf32>) -> tensor<1x6x6x2xf32>
  %q = quant.qcast %o : tensor<1x6x6x2xf32> to tensor<1x6x6x2x{R}>
  func.return %q : tensor<1x6x6x2x{R}>
}}
"""


WEIGHT = "[[[[100, -27, 5, 33]]], [[[-128, 127, 0, 1]]]]"
LAYERS = {
    "per_tensor": (WEIGHT, "!quant.uniform<i8:f32, 0.013>", "[400, -900]", "!quant.uniform<i32:f32, 0.00026>"),
    "per_channel": (
        WEIGHT,
        "!quant.uniform<i8:f32:0, {0.013,0.004}>",
        "[40, -90]",
        "!quant.uniform<i32:f32:0, {0.00026,0.00008}>",
    ),
    "zero_point": (WEIGHT, "!quant.uniform<i8:f32, 0.013:-40>", "[400, -900]", "!quant.uniform<i32:f32, 0.00026>"),
    "other_bias_scale": (WEIGHT, "!quant.uniform<i8:f32, 0.013>", "[4, -9]", "!quant.uniform<i32:f32, 0.1>"),
    "float_bias": (WEIGHT, "!quant.uniform<i8:f32, 0.013>", "[0.3, -0.8]", None),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_take_stored_weights_and_biases(name: str):
    before, after = quantized(convolution(*LAYERS[name]))
    (layer,) = (op for op in after.walk() if isinstance(op, nn.Conv2dOp))
    assert str(layer.result.type).endswith("x!quant.uniform<i8:f32, 0.027:-3>>")
    argument = np.random.default_rng(0).integers(-128, 128, (1, 6, 6, 4)).astype(np.int8)
    (expected,), (actual,) = (Interpreter(module).run("main", [argument]) for module in (before, after))
    difference = np.abs(expected.astype(int) - actual.astype(int))
    assert value_shape(layer.result) == actual.shape
    assert difference.max() <= 1 and np.mean(difference) < 0.02
    assert np.ptp(expected.astype(int)) > 20

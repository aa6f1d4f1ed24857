"""Networks of functions that few layers have: in integers throughout, and close to the float network."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerType

from intaglio.dialects import nn
from intaglio.dialects.quant import DequantizeCastOp, QuantizeCastOp, is_quantized
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.quantization.quantize import Quantize

X = "tensor<2x8xf32>"

BODIES = {
    "softmax": f"%y = nn.softmax %x axis 1 : ({X}) -> {X}",
    "layer_norm": f"""
  %s = nn.constant dense<[0.5, 1.0, -1.0, 2.0, 0.25, 1.5, 1.0, -0.5]> : tensor<8xf32>
  %o = nn.constant dense<[0.0, 1.0, 0.5, -1.0, 0.0, 0.0, 2.0, 0.25]> : tensor<8xf32>
  %y = nn.layer_norm %x scale %s offset %o axis 1 epsilon 1.0e-05 : f64 : ({X}, tensor<8xf32>, tensor<8xf32>) -> {X}""",
    "rms_norm": f"""
  %s = nn.constant dense<[0.5, 1.0, -1.0, 2.0, 0.25, 1.5, 1.0, -0.5]> : tensor<8xf32>
  %y = nn.rms_norm %x scale %s axis 1 epsilon 1.0e-05 : f64 : ({X}, tensor<8xf32>) -> {X}""",
    "matmul": f"""
  %a = nn.tanh %x : ({X}) -> {X}
  %t = nn.transpose %a permutation [1, 0] : ({X}) -> tensor<8x2xf32>
  %p = nn.matmul %t, %x : (tensor<8x2xf32>, {X}) -> tensor<8x8xf32>
  %y = nn.matmul %x, %p : ({X}, tensor<8x8xf32>) -> {X}""",
    "division by a number": f"""
  %c = nn.constant dense<3.5> : tensor<f32>
  %y = nn.div %x, %c : ({X}, tensor<f32>) -> {X}""",
    "division": f"""
  %g = nn.sigmoid %x : ({X}) -> {X}
  %y = nn.div %x, %g : ({X}, {X}) -> {X}""",
    "maximum and minimum": f"""
  %c = nn.constant dense<0.25> : tensor<f32>
  %a = nn.maximum %x, %c : ({X}, tensor<f32>) -> {X}
  %y = nn.minimum %a, %x : ({X}, {X}) -> {X}""",
    "limits far apart": f"""
  %c = nn.constant dense<[0.5, 300.0, 0.25, 1.0, 200.0, 0.75, 0.3, 1000.0]> : tensor<8xf32>
  %y = nn.minimum %x, %c : ({X}, tensor<8xf32>) -> {X}""",
    "reduce_l2": f"""
  %r = nn.reduce_l2 %x axes [1] : ({X}) -> tensor<2x1xf32>
  %y = nn.mul %x, %r : ({X}, tensor<2x1xf32>) -> {X}""",
    "select": f"""
  %c = nn.constant dense<[true, false, true, false, true, true, true, false]> : tensor<8xi1>
  %a = nn.relu %x : ({X}) -> {X}
  %b = nn.tanh %x : ({X}) -> {X}
  %y = nn.select %c, %a, %b : (tensor<8xi1>, {X}, {X}) -> {X}""",
    "gather": f"""
  %i = nn.constant dense<[1, 0]> : tensor<2xi64>
  %t = nn.constant dense<[[1.0, 0.5, -0.5, 0.25, 1.0, 0.0, -1.0, 0.75], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]]> : {X}
  %e = nn.gather %t, %i axis 0 : ({X}, tensor<2xi64>) -> {X}
  %y = nn.add %x, %e : ({X}, {X}) -> {X}""",
    "exponential": f"""
  %e = nn.exp %x : ({X}) -> {X}
  %y = nn.mul %e, %x : ({X}, {X}) -> {X}""",
    "reciprocal": f"""
  %e = nn.softplus %x : ({X}) -> {X}
  %r = nn.reciprocal %e : ({X}) -> {X}
  %y = nn.mul %r, %x : ({X}, {X}) -> {X}""",
    "logarithm": f"""
  %e = nn.softplus %x : ({X}) -> {X}
  %l = nn.log %e : ({X}) -> {X}
  %y = nn.add %l, %x : ({X}, {X}) -> {X}""",
    "logarithm of softmax": f"""
  %m = nn.reduce_max %x axes [1] : ({X}) -> tensor<2x1xf32>
  %d = nn.sub %x, %m : ({X}, tensor<2x1xf32>) -> {X}
  %e = nn.exp %d : ({X}) -> {X}
  %s = nn.reduce_sum %e axes [1] : ({X}) -> tensor<2x1xf32>
  %l = nn.log %s : (tensor<2x1xf32>) -> tensor<2x1xf32>
  %y = nn.sub %d, %l : ({X}, tensor<2x1xf32>) -> {X}""",
    "softmax in steps": f"""
  %e = nn.exp %x : ({X}) -> {X}
  %s = nn.reduce_sum %e axes [1] : ({X}) -> tensor<2x1xf32>
  %r = nn.reshape %s : (tensor<2x1xf32>) -> tensor<2x1xf32>
  %y = nn.div %e, %r : ({X}, tensor<2x1xf32>) -> {X}""",
    "resize": f"""
  %m = nn.relu %x : ({X}) -> {X}
  %i = nn.reshape %m : ({X}) -> tensor<1x2x8x1xf32>
  %r = nn.resize %i mode "linear" steps [1, 2] offsets [0, 1] units [2, 4] cubic_coefficient -7.5e-01 : f64
    exclude_outside false : (tensor<1x2x8x1xf32>) -> tensor<1x4x16x1xf32>
  %p = nn.avg_pool2d %r kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] count_include_pad false
    : (tensor<1x4x16x1xf32>) -> tensor<1x2x8x1xf32>
  %y = nn.reshape %p : (tensor<1x2x8x1xf32>) -> {X}""",
}


def samples(count: int, seed: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(size=(count, 2, 8)).astype(np.float32))


def quantized(name: str, precision: str, mode: str = "shift"):
    text = f"func.func @main(%x: {X}) -> {X} {{\n{BODIES[name]}\nfunc.return %y : {X}\n}}"
    module = parse_module(text)
    reference = Interpreter(module.clone())
    InsertObservers().apply(make_context(), module)
    record_ranges(module, [{"input0": sample} for sample in samples(64, 0)])
    Quantize(precision=precision, requantization=mode).apply(make_context(), module)
    return module, reference


def noise(module, reference: Interpreter) -> float:
    """Decibels of the result over its error on the calibration samples, of which none is out of range."""
    actual, expected = (
        np.stack([run.run("main", [sample])[0] for sample in samples(64, 0)])
        for run in (Interpreter(module), reference)
    )
    return 10 * np.log10((expected**2).sum() / ((actual - expected) ** 2).sum())


@pytest.mark.parametrize(("precision", "decibels"), [("a8w8", 26), ("a16w8", 48)])
@pytest.mark.parametrize("name", BODIES)
def test_functions_come_close_to_floats(name, precision, decibels):
    module, reference = quantized(name, precision)
    for op in module.walk():
        if op.name.startswith("nn.") and not isinstance(op, nn.ConstantOp):
            assert all(is_quantized(nn.tensor_of(result)) for result in op.results), op.name
    assert sum(isinstance(op, DequantizeCastOp) for op in module.walk()) == 1
    assert sum(isinstance(op, QuantizeCastOp) for op in module.walk()) == 1
    assert noise(module, reference) > decibels


@pytest.mark.parametrize(("precision", "decibels"), [("a8w8", 26), ("a16w8", 48)])
@pytest.mark.parametrize("name", BODIES)
def test_functions_in_tflite_mode(name, precision, decibels):
    assert noise(*quantized(name, precision, "tflite")) > decibels


def widths(name: str, kind: type) -> set[int]:
    module, _ = quantized(name, "a8w8")
    elements = [nn.tensor_of(op.results[0]).get_element_type() for op in module.walk() if isinstance(op, kind)]
    return {element.storage_type.width.data for element in elements if isinstance(element.storage_type, IntegerType)}


@pytest.mark.parametrize(("name", "kind"), [("exponential", nn.ExpOp), ("softmax in steps", nn.ReduceSumOp)])
def test_what_spans_orders_of_magnitude_has_16_bits(name, kind):
    assert widths(name, kind) == {16}


def test_negative_other_functions_have_8_bits():
    assert widths("division", nn.SigmoidOp) == {8}


def test_a_constant_divisor_becomes_a_factor():
    module, _ = quantized("division by a number", "a8w8")
    assert not any(isinstance(op, nn.DivOp) for op in module.walk())

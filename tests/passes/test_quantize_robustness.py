"""What `quantize` makes of numbers that no trained network should have: defined results, and warnings with names."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.calibration_methods import CalibrationMethod
from intaglio.errors import UserError
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.quantization.quantize import Quantize
from intaglio.remarks import collecting

METHODS = ["min_max", "mse", "moving_average", "entropy", "percentile", "average"]


def quantized(text: str, samples: list[np.ndarray], method: str = "min_max") -> tuple[Interpreter, list[str]]:
    """Calibrate and quantize a function of one input; the warnings come along."""
    module = parse_module(text)
    InsertObservers(str(CalibrationMethod.from_str(method))).apply(make_context(), module)
    record_ranges(module, [{"input0": sample} for sample in samples])
    with collecting() as found:
        Quantize().apply(make_context(), module)
    return Interpreter(module), [str(message) for message in found if message.severity == "warning"]


def run(interpreter: Interpreter, x: np.ndarray) -> np.ndarray:
    (result,) = interpreter.run("main", [x])
    return result


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


DENSE = """
func.func @main(%x: tensor<1x4xf32>) -> tensor<1x3xf32> {{
  %w = nn.constant dense<{weight}> : tensor<3x4xf32> loc("weight")
  %b = nn.constant dense<{bias}> : tensor<3xf32> loc("bias")
  %y = nn.dense %x, %w bias %b : (tensor<1x4xf32>, tensor<3x4xf32>, tensor<3xf32>) -> tensor<1x3xf32> loc("layer")
  func.return %y : tensor<1x3xf32>
}}
"""
ORDINARY = "[[0.5, -0.25, 1.0, 0.125], [1.0, 1.0, -1.0, 0.5], [0.25, 0.5, 0.75, 1.0]]"


def test_a_bias_that_would_overflow_its_integers():
    text = DENSE.format(weight=ORDINARY, bias="[0.5, 3.0e+07, -1.0]")
    interpreter, warnings = quantized(text, [normal(1, 4) * 1e-3 for _ in range(8)])
    assert len(warnings) == 1
    assert '"layer"' in warnings[0]
    assert run(interpreter, normal(1, 4) * 1e-3)[0, 1] == pytest.approx(3e7, rel=0.005)


def test_negative_an_ordinary_bias_gives_no_warning():
    _, warnings = quantized(DENSE.format(weight=ORDINARY, bias="[0.5, 3.0, -1.0]"), [normal(1, 4)])
    assert warnings == []


@pytest.mark.parametrize("method", METHODS)
def test_one_sample_is_enough(method):
    text, x = DENSE.format(weight=ORDINARY, bias="[0.5, 3.0, -1.0]"), normal(1, 4)
    interpreter, _ = quantized(text, [x], method)
    (expected,) = Interpreter(parse_module(text)).run("main", [x])
    np.testing.assert_allclose(run(interpreter, x), expected, atol=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_data_of_zeros(method):
    """Nothing divides by zero: results are the biases."""
    text = DENSE.format(weight=ORDINARY, bias="[0.5, 3.0, -1.0]")
    interpreter, _ = quantized(text, [np.zeros((1, 4), np.float32)] * 3, method)
    np.testing.assert_allclose(run(interpreter, np.zeros((1, 4), np.float32)), [[0.5, 3.0, -1.0]], atol=0.02)


@pytest.mark.parametrize("bias", ["[0.0, 0.0, 0.0]", "[0.5, 3.0, -1.0]"])
@pytest.mark.parametrize("weight", ["0.0", "[[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, -1.0, 0.5], [0.0, 0.0, 0.0, 0.0]]"])
def test_channels_of_zeros(weight, bias):
    text = DENSE.format(weight=weight, bias=bias)
    interpreter, warnings = quantized(text, [normal(1, 4, seed=seed) for seed in range(8)])
    (expected,) = Interpreter(parse_module(text)).run("main", [normal(1, 4)])
    assert not any("overflow" in warning for warning in warnings)
    np.testing.assert_allclose(run(interpreter, normal(1, 4)), expected, atol=0.05)


@pytest.mark.parametrize("magnitude", [1e-44, 1e-38, 1e-30, 1e30, 1e37])
def test_scales_at_the_ends_of_float(magnitude):
    """Denormal and huge values give finite results of the right sign, without an exception."""
    text = DENSE.format(weight=ORDINARY, bias="0.0")
    interpreter, _ = quantized(text, [(normal(1, 4, seed=seed) * magnitude).astype(np.float32) for seed in range(4)])
    x = (np.array([[1.0, -1.0, 1.0, 1.0]]) * magnitude).astype(np.float32)
    result = run(interpreter, x)
    assert np.isfinite(result).all()
    assert (result >= 0)[0, 0]


@pytest.mark.parametrize("value", ["1.0e-44", "1.0e-38", "1.0e+30"])
def test_weights_at_the_ends_of_float(value):
    interpreter, _ = quantized(DENSE.format(weight=value, bias="0.0"), [normal(1, 4, seed=seed) for seed in range(4)])
    assert np.isfinite(run(interpreter, normal(1, 4))).all()


def test_products_beyond_float_are_refused():
    text = """
func.func @main(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: 0.0, 1.0e+38>} : tensor<4xf32>
  %1 = quant.observe %y {method = "min_max", range = array<f64: 0.0, 1.0e+38>} : tensor<4xf32>
  %2 = nn.mul %0, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> loc("product")
  %3 = quant.observe %2 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  func.return %3 : tensor<4xf32>
}
"""
    with pytest.raises(UserError, match=r'"product".*cannot be quantized'):
        Quantize().apply(make_context(), parse_module(text))


SUM = """
func.func @main(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {{
  %c = nn.constant dense<{values}> : tensor<4xf32> loc("offsets")
  %y = nn.{operation} %x, %c : (tensor<1x4xf32>, tensor<4xf32>) -> tensor<1x4xf32>
  func.return %y : tensor<1x4xf32>
}}
"""


def test_constants_that_are_not_finite():
    """Infinity is the constant's largest magnitude; a warning names the constant."""
    text = SUM.format(operation="minimum", values="[0.5, 0x7F800000, -2.0, 1.0]")
    interpreter, warnings = quantized(text, [normal(1, 4, seed=seed) for seed in range(8)])
    assert len(warnings) == 1
    assert '"offsets"' in warnings[0]
    assert "1 elements" in warnings[0]
    x = np.array([[1.0, 1.0, -1.0, 1.0]], np.float32)
    np.testing.assert_allclose(run(interpreter, x), [[0.5, 1.0, -2.0, 1.0]], atol=0.02)


def test_weights_that_are_not_a_number_count_as_zero():
    text = DENSE.format(weight=ORDINARY.replace("-0.25", "0x7FC00000"), bias="[0.5, 3.0, -1.0]")
    calibrated = text.replace("%y = nn.dense %x", "%y = nn.dense %o").replace(
        "  %w =",
        '  %o = quant.observe %x {method = "min_max", range = array<f64: -2.0, 2.0>} : tensor<1x4xf32>\n  %w =',
    )
    calibrated = calibrated.replace(
        "  func.return %y",
        '  %z = quant.observe %y {method = "min_max", '
        "range = array<f64: -8.0, 8.0>} : tensor<1x3xf32>\n  func.return %z",
    )
    module = parse_module(calibrated)
    with collecting() as found:
        Quantize().apply(make_context(), module)
    assert ['"weight"' in message.message for message in found if message.severity == "warning"] == [True]
    result = run(Interpreter(module), np.ones((1, 4), np.float32))
    np.testing.assert_allclose(result, [[0.5 + 1.0 + 0.125 + 0.5, 4.5, 1.5]], atol=0.1)


@pytest.mark.parametrize("operation", ["add", "sub", "mul", "maximum"])
def test_constants_of_zeros(operation):
    interpreter, _ = quantized(SUM.format(operation=operation, values="0.0"), [normal(1, 4, seed=s) for s in range(8)])
    x = normal(1, 4)
    expected = {"add": x, "sub": x, "mul": 0 * x, "maximum": np.maximum(x, 0)}[operation]
    np.testing.assert_allclose(run(interpreter, x), expected, atol=0.03)


def test_a_norm_of_rows_without_variance():
    text = """
func.func @main(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %s = nn.constant dense<1.0> : tensor<4xf32>
  %o = nn.constant dense<[0.5, -0.5, 1.0, 0.0]> : tensor<4xf32>
  %y = nn.layer_norm %x scale %s offset %o axis 1 epsilon 1.0e-05 : f64
    : (tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}
"""
    constant = np.full((2, 4), 3.0, np.float32)
    interpreter, _ = quantized(text, [constant, constant])
    np.testing.assert_allclose(run(interpreter, constant), [[0.5, -0.5, 1.0, 0.0]] * 2, atol=0.01)


def test_operations_whose_result_nobody_reads():
    text = """
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %dead = nn.pow %x, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %gone = nn.mul %x, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.relu %x : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}
"""
    interpreter, warnings = quantized(text, [normal(4, seed=seed) for seed in range(4)])
    assert warnings == []
    np.testing.assert_allclose(run(interpreter, normal(4)), np.maximum(normal(4), 0), atol=0.03)


@pytest.mark.parametrize(("bad", "message"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_data_that_is_not_finite_names_the_tensor(bad, message):
    x = normal(1, 4)
    x[0, 2] = bad
    with pytest.raises(UserError, match=message):
        quantized(DENSE.format(weight=ORDINARY, bias="0.0"), [normal(1, 4), x])


def test_data_without_samples():
    with pytest.raises(UserError, match=r"no samples|empty"):
        quantized(DENSE.format(weight=ORDINARY, bias="0.0"), [])

"""Attention masks: probabilities of masked scores stay as exact as those of scores without a mask."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp, UniformQuantizedType
from intaglio.dialects.weights import array_of
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.quantization.quantize import Quantize
from intaglio.remarks import collecting

KEYS = 12
HIDDEN = 4
SCORES = "tensor<1x8x12xf32>"

ATTENTION = """
func.func @main(%q: tensor<1x8x4xf32>, %k: tensor<1x4x12xf32>, %c: tensor<12xi1>, %n: tensor<12xf32>)
    -> tensor<1x8x12xf32> {{
  %s = nn.matmul %q, %k : (tensor<1x8x4xf32>, tensor<1x4x12xf32>) -> tensor<1x8x12xf32>
  {body}
  %y = nn.softmax %z axis 2 : (tensor<1x8x12xf32>) -> tensor<1x8x12xf32>
  func.return %y : tensor<1x8x12xf32>
}}
"""

MASKED = [0.0] * (KEYS - HIDDEN) + [1.0] * HIDDEN


def constant_mask(value: str) -> str:
    numbers = ", ".join(value if hidden else "0.0" for hidden in MASKED)
    kind = f"tensor<{KEYS}xf32>"
    return f"%m = nn.constant dense<[{numbers}]> : {kind}\n%z = nn.add %s, %m : ({SCORES}, {kind}) -> {SCORES}"


def chosen_mask(value: str) -> str:
    """A mask made of constants by a condition that only the input tells."""
    return f"""
  %zero = nn.constant dense<0.0> : tensor<f32>
  %never = nn.constant dense<{value}> : tensor<f32>
  %m = nn.select %c, %never, %zero : (tensor<12xi1>, tensor<f32>, tensor<f32>) -> tensor<12xf32>
  %r = nn.reshape %m : (tensor<12xf32>) -> tensor<1x12xf32>
  %z = nn.add %s, %r : ({SCORES}, tensor<1x12xf32>) -> {SCORES}"""


def scores_replaced(value: str) -> str:
    return f"""
  %never = nn.constant dense<{value}> : tensor<f32>
  %z = nn.select %c, %never, %s : (tensor<12xi1>, tensor<f32>, {SCORES}) -> {SCORES}"""


def computed_mask(value: str) -> str:
    """A mask computed from an input of zeros and ones."""
    return f"""
  %never = nn.constant dense<{value}> : tensor<f32>
  %m = nn.mul %n, %never : (tensor<12xf32>, tensor<f32>) -> tensor<12xf32>
  %z = nn.add %s, %m : ({SCORES}, tensor<12xf32>) -> {SCORES}"""


def samples(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    hidden = np.array(MASKED, np.float32)
    return [
        {
            "input0": rng.normal(size=(1, 8, 4)).astype(np.float32) * 1.5,
            "input1": rng.normal(size=(1, 4, KEYS)).astype(np.float32) * 1.5,
            "input2": hidden > 0,
            "input3": hidden,
        }
        for _ in range(count)
    ]


def quantized_and_float(body: str, method: str = "min_max") -> tuple[Interpreter, Interpreter]:
    module = parse_module(ATTENTION.format(body=body))
    reference = Interpreter(module.clone())
    InsertObservers(method).apply(make_context(), module)
    record_ranges(module, samples(16))
    Quantize().apply(make_context(), module)
    return Interpreter(module), reference


def largest_error(body: str, method: str = "min_max") -> float:
    actual, expected = quantized_and_float(body, method)
    return max(
        float(
            np.abs(actual.run("main", list(sample.values()))[0] - expected.run("main", list(sample.values()))[0]).max()
        )
        for sample in samples(24)[16:]
    )


UNMASKED = "%z = nn.reshape %s : (tensor<1x8x12xf32>) -> tensor<1x8x12xf32>"


@pytest.mark.parametrize("value", ["-1.0e+04", "-1.0e+09", "-3.4028234e+38", "0xFF800000"])
@pytest.mark.parametrize("form", [constant_mask, chosen_mask, scores_replaced])
@pytest.mark.parametrize("method", ["min_max", "mse"])
def test_masks_do_not_stretch_the_range_of_scores(form, value, method):
    # A step of the scores is 1.6 times that without a mask.
    assert largest_error(form(value), method) <= 2 * largest_error(UNMASKED, method)


@pytest.mark.parametrize("value", ["-1.0e+04", "-1.0e+09"])
def test_computed_masks_do_not_stretch_the_range_of_scores(value):
    assert largest_error(computed_mask(value)) <= 2 * largest_error(UNMASKED)


def test_masked_elements_get_nothing():
    actual, _ = quantized_and_float(constant_mask("-1.0e+04"))
    for sample in samples(4):
        (probabilities,) = actual.run("main", list(sample.values()))
        assert probabilities[..., -HIDDEN:].max() == 0.0


def stored_range(module, kind: type) -> tuple[float, float]:
    op = next(op for op in module.walk() if isinstance(op, kind))
    element = nn.tensor_of(op.results[0]).get_element_type()
    assert isinstance(element, UniformQuantizedType)
    return tuple(element.scale * (bound - element.zero_point) for bound in (element.storage_min, element.storage_max))


def test_ranges_follow_from_the_scores():
    """Scores from -6 to 8 and 12 keys: the sum starts 8 + log(12) below the scores, the mask that and 14 below zero."""
    text = ATTENTION.format(body=constant_mask("-1.0e+04"))
    module = parse_module(text)
    InsertObservers().apply(make_context(), module)
    record_ranges(module, samples(2))
    for op in module.walk():
        if isinstance(op, ObserveOp) and isinstance(op.input.owner, nn.MatmulOp):
            op.properties["range"] = type(op.range).from_list(op.range.elt_type, [-6.0, 8.0])
    with collecting() as remarks:
        Quantize().apply(make_context(), module)
    margin = 8 + np.log(KEYS)
    assert stored_range(module, nn.AddOp) == pytest.approx((-6 - margin, 8), abs=0.1)
    mask = next(op for op in module.walk() if isinstance(op, nn.AddOp)).rhs.type.get_element_type()
    assert mask.scale * 255 == pytest.approx(14 + margin, abs=0.1)
    assert any("masks scores" in found.message for found in remarks)


READ_BY_OTHERS = """
func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<4xf32>
  %m = nn.constant dense<[0.0, 0.0, -500.0, 0.0]> : tensor<4xf32>
  %1 = nn.add %0, %m : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -501.0, 1.0>} : tensor<4xf32>
  %y = nn.softmax %2 axis 0 : (tensor<4xf32>) -> tensor<4xf32>
  %3 = quant.observe %y {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  func.return %3, %READ : tensor<4xf32>, tensor<4xf32>
}
"""


def test_negative_sums_that_others_read_keep_their_range():
    module = parse_module(READ_BY_OTHERS.replace("%READ", "%2"))
    Quantize().apply(make_context(), module)
    assert stored_range(module, nn.AddOp)[0] == pytest.approx(-501, abs=2)


def test_the_same_sum_read_by_softmax_alone_is_limited():
    module = parse_module(READ_BY_OTHERS.replace("%READ", "%3"))
    Quantize().apply(make_context(), module)
    assert stored_range(module, nn.AddOp)[0] == pytest.approx(-1 - 8 - np.log(4), abs=0.1)


@pytest.mark.parametrize("where", ["network", "sum"])
def test_negative_masks_of_what_stays_in_floats_keep_their_numbers(where):
    text = READ_BY_OTHERS.replace("%READ", "%3")
    if where == "sum":
        text = text.replace("nn.add %0, %m :", 'nn.add %0, %m {quant.precision = "float"} :')
    module = parse_module(text)
    Quantize(precision="float" if where == "network" else "a8w8").apply(make_context(), module)
    constant = next(op for op in module.walk() if isinstance(op, nn.ConstantOp))
    assert array_of(constant.value).min() == -500
    (result, _) = Interpreter(module).run("main", [np.array([0.5, 0.25, 1.0, -1.0], np.float32)])
    exponentials = np.exp([0.5, 0.25, -499.0, -1.0])
    np.testing.assert_allclose(result, exponentials / exponentials.sum(), atol=0.02)


def test_negative_biases_that_lower_whole_rows_keep_their_range():
    """Softmax does not notice a number added to a row, whose probabilities must not become equal."""
    rows = """
func.func @main(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<2x4xf32>
  %m = nn.constant dense<[[0.0], [-50.0]]> : tensor<2x1xf32>
  %1 = nn.add %0, %m : (tensor<2x4xf32>, tensor<2x1xf32>) -> tensor<2x4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -51.0, 1.0>} : tensor<2x4xf32>
  %y = nn.softmax %2 axis 1 : (tensor<2x4xf32>) -> tensor<2x4xf32>
  %3 = quant.observe %y {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<2x4xf32>
  func.return %3 : tensor<2x4xf32>
}
"""
    module = parse_module(rows)
    Quantize().apply(make_context(), module)
    (result,) = Interpreter(module).run("main", [np.array([[1.0, 0.0, -1.0, 0.5]] * 2, np.float32)])
    assert (result.argmax(1) == 0).all()


def test_negative_small_biases_keep_their_range():
    module = parse_module(READ_BY_OTHERS.replace("%READ", "%3").replace("-500.0", "-9.0").replace("-501.0", "-10.0"))
    Quantize().apply(make_context(), module)
    assert stored_range(module, nn.AddOp)[0] == pytest.approx(-10, abs=0.1)

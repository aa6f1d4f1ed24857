"""Limits by constants: quantized as what they make, and left out where integers saturate anyway."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp, element_type_of
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.ir.verification import verify_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.quantization.limits import limit_of, limited_value
from intaglio.passes.quantization.quantize import Quantize

BODY = """
!x = tensor<1x4x4x3xf32>
func.func @main(%x: !x {{onnx.name = "x"}}) -> (!x {{onnx.name = "y"}}) {{
  %w = nn.constant dense<[[[[2.0, 0.5, -1.0]]], [[[1.0, 1.0, 1.0]]], [[[-0.5, 2.0, 0.25]]]]> : tensor<3x1x1x3xf32>
  %b = nn.constant dense<{bounds}> : tensor<3xf32>
  %0 = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 clamp <0.0, inf> {attributes} :
    (!x, tensor<3x1x1x3xf32>) -> !x
  %1 = {limit}
  %2 = nn.conv2d %1, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, tensor<3x1x1x3xf32>) -> !x
  {end}
}}
"""
MINIMUM = "nn.minimum %0, %b : (!x, tensor<3xf32>) -> !x"


def network(
    bounds: list[float], *, limit: str = MINIMUM, attributes: str = "", end: str = "func.return %2 : !x"
) -> str:
    return BODY.format(bounds=bounds, limit=limit, attributes=attributes, end=end)


def samples() -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    rng = np.random.default_rng(3)
    return [rng.normal(size=(1, 4, 4, 3)).astype(np.float32) for _ in range(8)]


def calibrated(text: str) -> ModuleOp:
    module = parse_module(text)
    InsertObservers(method="min_max").apply(make_context(), module)
    record_ranges(module, [{"x": x} for x in samples()])
    return module


def quantized(text: str, precision: str = "a8w8") -> ModuleOp:
    module = calibrated(text)
    Quantize(precision=precision).apply(make_context(), module)
    verify_module(module)
    return module


def minima(module: ModuleOp) -> list[nn.MinimumOp]:
    return [op for op in module.walk() if isinstance(op, nn.MinimumOp)]


@pytest.mark.parametrize("precision", ["a8w8", "a16w8", "a16w16"])
def test_no_observer_and_one_type(precision: str):
    text = network([1.5, 3.0, 0.5])
    observed = [observer.input.owner for observer in calibrated(text).walk() if isinstance(observer, ObserveOp)]
    assert [op.name for op in observed if isinstance(op, nn.MinimumOp | nn.Conv2dOp)] == ["nn.minimum", "nn.conv2d"]
    (limit,) = minima(quantized(text, precision))
    assert element_type_of(limit.lhs.type) == element_type_of(limit.rhs.type) == element_type_of(limit.result.type)


def test_bounds_beyond_the_range_are_saturation():
    """The largest value seen is 7.1: bounds above that change nothing, whatever the input."""
    module = quantized(network([8.0, 9.0, 96.0]))
    assert not minima(module)
    layer = next(op for op in module.walk() if isinstance(op, nn.Conv2dOp))
    kind = element_type_of(layer.result.type)
    free = quantized(network([8.0, 9.0, 96.0], limit="nn.minimum %0, %0 : (!x, !x) -> !x"))
    assert element_type_of(next(op for op in free.walk() if isinstance(op, nn.Conv2dOp)).result.type) == kind
    for x in samples():
        ours, theirs = (Interpreter(found).run("main", [8 * x])[0] for found in (module, free))
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("precision", ["a8w8", "a16w8"])
def test_integers_are_near_the_floats(precision: str):
    """Values beyond the bounds, of channels of all sizes; a step of 8 bits at the end is 1/50."""
    text = network([1.5, 3.0, 0.5])
    floats, integers = parse_module(text), quantized(text, precision)
    for x in samples():
        want, have = (Interpreter(module).run("main", [x])[0] for module in (floats, integers))
        np.testing.assert_allclose(have, want, atol=0.1 if precision == "a8w8" else 0.05)


@pytest.mark.parametrize("asked", ["float", "bf16", "a16w8"])
def test_a_limit_of_another_precision(asked: str):
    """Observers were placed for integers: the layer's range is that of what the limit makes."""
    text = network([1.5, 3.0, 0.5], limit=MINIMUM.replace("%b :", f'%b {{quant.precision = "{asked}"}} :'))
    plain = calibrated(network([1.5, 3.0, 0.5]))
    for op in minima(plain):
        op.attributes.update(minima(parse_module(text))[0].attributes)
    Quantize().apply(make_context(), plain)
    verify_module(plain)
    want = Interpreter(parse_module(text)).run("main", [samples()[0]])[0]
    np.testing.assert_allclose(Interpreter(plain).run("main", [samples()[0]])[0], want, atol=0.1)


@pytest.mark.parametrize(
    "limit", [MINIMUM, MINIMUM.replace("%0, %b", "%b, %0").replace("(!x, tensor<3xf32>)", "(tensor<3xf32>, !x)")]
)
def test_what_is_limited(limit: str):
    module = parse_module(network([1.0, 2.0, 3.0], limit=limit))
    (op,) = minima(module)
    layer = next(op for op in module.walk() if isinstance(op, nn.Conv2dOp))
    assert limited_value(op) is layer.result and limit_of(layer.result) is op


@pytest.mark.parametrize(
    "text",
    [
        network([1.0, 2.0, 3.0], limit="nn.minimum %0, %0 : (!x, !x) -> !x"),
        network([1.0, 2.0, 3.0], limit="nn.minimum %0, %x : (!x, !x) -> !x"),
        network([1.0, 2.0, 3.0], end="%3 = nn.add %0, %2 : (!x, !x) -> !x\n  func.return %3 : !x"),
    ],
    ids=["itself", "no constant", "read elsewhere"],
)
def test_negative_what_has_a_range_of_its_own(text: str):
    module = parse_module(text)
    (op,) = minima(module)
    assert limited_value(op) is None
    assert len([entry for entry in calibrated(text).walk() if isinstance(entry, ObserveOp)]) >= 4

"""The list of what stays in float, and the remarks of `quantize` about it."""

from __future__ import annotations

import pytest

from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.quantization.coverage import functions_with_body
from intaglio.passes.quantization.float_operations import float_operations
from intaglio.passes.quantization.quantize import Quantize
from intaglio.remarks import collecting

OBSERVED = '{method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<2x2xf32>'

NETWORK = f"""
func.func @main(%x: tensor<4xf32>) -> tensor<2x2xf32> {{
  %0 = nn.reshape %x : (tensor<4xf32>) -> tensor<2x2xf32> loc("layout")
  %1 = quant.observe %0 {OBSERVED}
  %2 = nn.tanh %1 : (tensor<2x2xf32>) -> tensor<2x2xf32> loc("gate")
  %3 = quant.observe %2 {OBSERVED}
  OPERATION
  %5 = quant.observe %4 {OBSERVED}
  %6 = nn.relu %5 : (tensor<2x2xf32>) -> tensor<2x2xf32> loc("last")
  %7 = quant.observe %6 {OBSERVED}
  func.return %7 : tensor<2x2xf32>
}}
"""

KIND = "(tensor<2x2xf32>) -> tensor<2x2xf32>"
CASES = [
    ("%4 = nn.pow %3, %3 : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>", "nn.pow has no integer form"),
    (f'%4 = nn.sigmoid %3 {{quant.precision = "float"}} : {KIND}', "floats were asked for"),
    (
        "%w = nn.cast %3 : (tensor<2x2xf32>) -> tensor<2x2xf32>\n"
        "%4 = nn.dense %3, %w : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>",
        "its parameters are computed",
    ),
]


@pytest.mark.parametrize(("operation", "reason"), CASES)
def test_what_stays_in_float_and_why(operation, reason):
    module = parse_module(NETWORK.replace("OPERATION", operation))
    with collecting() as remarks:
        Quantize().apply(make_context(), module)
    (function,) = functions_with_body(module)
    found = float_operations(function)
    assert found[0][0].name == "nn.reshape"
    assert "moves elements" in found[0][1]
    assert reason in found[-1][1]
    messages = [remark.message for remark in remarks]
    assert any("stays in float" in message and reason in message for message in messages)
    assert not any("layout" in message for message in messages)


def test_negative_a_quantized_network_has_nothing_in_float_but_its_layout():
    module = parse_module(NETWORK.replace("OPERATION", f"%4 = nn.sigmoid %3 : {KIND}"))
    with collecting() as remarks:
        Quantize().apply(make_context(), module)
    (function,) = functions_with_body(module)
    assert [op.name for op, _ in float_operations(function)] == ["nn.reshape"]
    assert remarks == []

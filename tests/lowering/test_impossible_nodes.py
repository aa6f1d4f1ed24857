"""Nodes whose shapes contradict each other, which ONNX's inference lets pass, are refused on the host by name."""

from __future__ import annotations

import gc

import pytest

from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.ir.parsing import parse_module
from intaglio.lowering.host_to_relax import host_to_relax

RESHAPE = """
func.func @main(%x: tensor<2x3xi64>) -> tensor<7xi64> {
  %s = nn.constant dense<[7]> : tensor<1xi64>
  %y = onnx.Reshape(%x, %s) : (tensor<2x3xi64>, tensor<1xi64>) -> tensor<7xi64> loc("flat")
  func.return %y : tensor<7xi64>
}
"""
ADD = """
func.func @main(%x: tensor<2xi64>, %y: tensor<3xi64>) -> tensor<3xi64> {
  %z = onnx.Add(%x, %y) : (tensor<2xi64>, tensor<3xi64>) -> tensor<3xi64> loc("sum")
  func.return %z : tensor<3xi64>
}
"""


@pytest.mark.parametrize(("text", "node"), [(RESHAPE, 'onnx.Reshape "flat"'), (ADD, 'onnx.Add "sum"')])
def test_a_node_that_cannot_be_is_refused(text: str, node: str, capfd: pytest.CaptureFixture[str]):
    with pytest.raises(UserError) as caught:
        host_to_relax(main_function(parse_module(text, "model.mlir")), {})
    assert caught.value.what.startswith(f"TVM cannot compute {node} (model.mlir:")
    assert len(str(caught.value).splitlines()) == 1
    del caught
    gc.collect()
    assert "destroyed" not in capfd.readouterr().err

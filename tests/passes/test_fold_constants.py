"""`fold-constants` leaves what the interpreter would have computed, and respects its size limit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects import func

from intaglio.dialects import nn
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.graph.fold_constants import FoldConstants

FUNCTIONS = ["relu", "tanh", "sigmoid", "hard_swish"]
ARITHMETIC = ["add", "sub", "mul", "div"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(FUNCTIONS + ARITHMETIC), min_size=1, max_size=8), st.booleans())
def test_chains_of_constants_become_one(apply_checked, names, known):
    kind = "tensor<2x3xf32>"
    lines = ["%v = nn.constant dense<[[0.5, -1.0, 2.0], [3.0, -4.0, 0.25]]> : " + kind]
    last = "%v" if known else "%x"
    for index, name in enumerate(names):
        operands = last if name in FUNCTIONS else f"{last}, %v"
        types = kind if name in FUNCTIONS else f"{kind}, {kind}"
        lines.append(f"%r{index} = nn.{name} {operands} : ({types}) -> {kind}")
        last = f"%r{index}"
    body = "\n".join(lines)
    text = f"func.func @main(%x: {kind}) -> {kind} {{\n{body}\nfunc.return {last} : {kind}\n}}"
    after = apply_checked(text, FoldConstants())
    left = [op for op in after.walk() if isinstance(op, nn.ActivationOp | nn.ElementwiseOp)]
    assert bool(left) == (not known)


ONNX_SHAPE_ARITHMETIC = """
builtin.module attributes {onnx.opset_import = {"" = 17 : i64}} {
  func.func @main(%x: tensor<2x3x4xf32>) -> tensor<2x12xf32> {
    %s = onnx.initializer "shape" = dense<[2, 3, 4]> : tensor<3xi64>
    %zero = onnx.initializer "zero" = dense<0> : tensor<1xi64>
    %minus = onnx.Constant() {value_ints = [-1]} : () -> tensor<1xi64>
    %n = onnx.Gather(%s, %zero) {axis = 0} : (tensor<3xi64>, tensor<1xi64>) -> tensor<1xi64>
    %t = onnx.Concat(%n, %minus) {axis = 0} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
    %y = onnx.Reshape(%x, %t) : (tensor<2x3x4xf32>, tensor<2xi64>) -> tensor<2x12xf32>
    func.return %y : tensor<2x12xf32>
  }
}
"""


def test_shape_arithmetic_of_onnx(apply_checked):
    after = apply_checked(ONNX_SHAPE_ARITHMETIC, FoldConstants())
    names = {op.name for op in after.walk()}
    assert "onnx.Gather" not in names
    assert "onnx.Concat" not in names
    assert "onnx.Constant" not in names
    assert "onnx.Reshape" in names
    reshape = next(op for op in after.walk() if op.name == "onnx.Reshape")
    target = reshape.operands[1].owner
    assert isinstance(target, nn.ConstantOp)
    assert list(target.value.get_values()) == [2, -1]


@pytest.mark.parametrize(("limit", "folds"), [(11, False), (12, True)])
def test_the_limit_counts_elements(apply_checked, limit, folds):
    text = """
        func.func @main() -> tensor<3x4xf32> {
          %a = nn.constant dense<2.0> : tensor<3x1xf32>
          %b = nn.constant dense<3.0> : tensor<1x4xf32>
          %y = nn.mul %a, %b : (tensor<3x1xf32>, tensor<1x4xf32>) -> tensor<3x4xf32>
          func.return %y : tensor<3x4xf32>
        }
    """
    after = apply_checked(text, FoldConstants(max_elements=limit))
    assert any(isinstance(op, nn.MulOp) for op in after.walk()) != folds


def test_what_the_reference_cannot_run_stays():
    module = parse_module(
        """
        builtin.module attributes {onnx.opset_import = {"" = 17 : i64}} {
          func.func @main() -> tensor<2x2xf32> {
            %a = nn.constant dense<1.0> : tensor<2x3xf32>
            %b = nn.constant dense<1.0> : tensor<2x3xf32>
            %y = onnx.MatMul(%a, %b) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x2xf32>
            func.return %y : tensor<2x2xf32>
          }
        }
        """
    )
    FoldConstants().apply(make_context(), module)
    assert any(op.name == "onnx.MatMul" for op in module.walk())


def test_folding_does_not_need_the_function_to_run():
    module = parse_module(
        """
        func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
          %a = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
          %b = nn.add %a, %a : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
          %y = nn.mul %b, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
          func.return %y : tensor<2xf32>
        }
        """
    )
    FoldConstants().apply(make_context(), module)
    function = next(iter(module.ops))
    assert isinstance(function, func.FuncOp)
    assert [type(op) for op in function.body.block.ops] == [nn.ConstantOp, nn.MulOp, func.ReturnOp]
    (result,) = Interpreter(module).run("main", [np.ones(2, np.float32)])
    assert result.tolist() == [2.0, 4.0]

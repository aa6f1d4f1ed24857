"""Passes that recognise spelled-out operations or fold them: the function stays, on each FileCheck case."""

from __future__ import annotations

from pathlib import Path

import pytest

from intaglio.dialects import nn
from intaglio.ir.parsing import parse_module
from intaglio.passes.base import get_pass

CASES = Path(__file__).parents[2] / "filecheck" / "passes" / "graph"


@pytest.mark.parametrize(
    "name",
    [
        "fold-affine",
        "fuse-gelu",
        "fuse-layer-norm",
        "fuse-root-of-squares",
        "fuse-silu",
        "fuse-softmax",
        "reduce-to-pool",
    ],
)
def test_the_function_stays(apply_checked, name: str):
    text = (CASES / f"{name}.mlir").read_text(encoding="utf-8")
    # Quantized functions round differently, which is why they do not fire; layer norms are compared where they do.
    before = parse_module(text)
    apply_checked(before, get_pass(name)(), rtol=2e-5, atol=2e-5)


NETWORK = """
func.func @main(%x: tensor<1x4x6x3xf32>) -> (tensor<1x2x1x6xf32>, tensor<1x3x4x6xf32>, tensor<3x4x6xi1>) {
  %p = nn.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %zero = nn.constant dense<0.0> : tensor<f32>
  %t = nn.transpose %x permutation [0, 3, 1, 2] : (tensor<1x4x6x3xf32>) -> tensor<1x3x4x6xf32>
  %s = nn.slice %t starts [0, 2, 0, 0] steps [1, -2, 1, 1] : (tensor<1x3x4x6xf32>) -> tensor<1x2x4x6xf32>
  %r = nn.reduce_sum %s axes [2] : (tensor<1x2x4x6xf32>) -> tensor<1x2x1x6xf32>
  %n = nn.layer_norm %t scale %p offset %p axis 1 epsilon 1.0e-05 : f64
    : (tensor<1x3x4x6xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<1x3x4x6xf32>
  %c = nn.compare %t, %n predicate "less" : (tensor<1x3x4x6xf32>, tensor<1x3x4x6xf32>) -> tensor<1x3x4x6xi1>
  %k = nn.select %c, %n, %zero : (tensor<1x3x4x6xi1>, tensor<1x3x4x6xf32>, tensor<f32>) -> tensor<1x3x4x6xf32>
  %u = nn.reshape %c : (tensor<1x3x4x6xi1>) -> tensor<3x4x6xi1>
  func.return %r, %k, %u : tensor<1x2x1x6xf32>, tensor<1x3x4x6xf32>, tensor<3x4x6xi1>
}
"""


def test_transposes_sink_below_everything_that_has_no_layout(apply_checked):
    after = apply_checked(NETWORK, get_pass("fold-transposes")(), rtol=1e-6, atol=1e-6)
    computing = [op for op in after.walk() if op.name.partition(".")[2] not in ("transpose", "reshape", "return")]
    assert {"nn.slice", "nn.reduce_sum", "nn.layer_norm", "nn.compare", "nn.select"} <= {op.name for op in computing}
    assert not any(isinstance(operand.owner, nn.TransposeOp) for op in computing for operand in op.operands)


RESHAPES = """
func.func @main(%x: tensor<1x6x5xf32>) -> tensor<1x1x6x5xf32> {
  %c = nn.constant dense<[1.0, 2.0, 3.0, 4.0, 5.0]> : tensor<5xf32>
  %a = nn.reshape %x : (tensor<1x6x5xf32>) -> tensor<1x6x1x5xf32>
  %b = nn.mul %a, %c : (tensor<1x6x1x5xf32>, tensor<5xf32>) -> tensor<1x6x1x5xf32>
  %d = nn.relu %b : (tensor<1x6x1x5xf32>) -> tensor<1x6x1x5xf32>
  %y = nn.reshape %d : (tensor<1x6x1x5xf32>) -> tensor<1x1x6x5xf32>
  func.return %y : tensor<1x1x6x5xf32>
}
"""


def test_reshapes_sink_below_elementwise_operations_and_meet(apply_checked):
    after = apply_checked(RESHAPES, get_pass("fold-transposes")())
    assert [op.name for op in after.walk()].count("nn.reshape") == 1

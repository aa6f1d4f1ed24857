"""Tables of rules by operation class."""

from __future__ import annotations

import pytest

from intaglio.dialects import nn
from intaglio.interpreter.registry import find_rule
from intaglio.ir.parsing import parse_module
from intaglio.ir.rules import Rules, of_class
from intaglio.lowering.host_to_relax.registry import host_kinds, host_operators
from intaglio.lowering.onnx_node import lowered_operators


def relu() -> nn.ReluOp:
    text = "func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
    text += "  %y = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32>\n  func.return %y : tensor<2xf32>\n}"
    (op,) = (op for op in parse_module(text).walk() if isinstance(op, nn.ReluOp))
    return op


def test_the_nearest_class_decides():
    rules = Rules[type, str]()
    rules.add(nn.ActivationOp)("any")
    assert of_class(rules, relu()) == "any"
    rules.add(nn.ReluOp, nn.ClipOp)("own")
    assert of_class(rules, relu()) == "own"
    assert rules.keys() == (nn.ActivationOp, nn.ReluOp, nn.ClipOp)
    assert rules.get(nn.AddOp) is None


def test_a_key_has_one_rule():
    rules = Rules[str, int]()
    rules.add("a")(1)
    with pytest.raises(AssertionError, match="two rules for a"):
        rules.add("b", "a")(2)


def test_packages_are_imported_at_the_first_lookup():
    assert find_rule(relu()) is not None
    assert nn.ReluOp in host_kinds()
    assert ("", "Ceil") in host_operators()
    assert ("", "Conv") in lowered_operators()

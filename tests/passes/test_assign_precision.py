"""`assign-precision`: what is refused, and attributes written by hand."""

from __future__ import annotations

import re

import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects import nn
from intaglio.errors import UserError
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.pipeline import parse_pipeline
from intaglio.passes.quantization.assign_precision import AssignPrecision, requests_text
from intaglio.passes.quantization.node_settings import config_of
from intaglio.precision import NodeConfig, Precision

TEXT = """
    func.func @main(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
      %w = nn.constant dense<1.0> : tensor<2x2xf32>
      %0 = nn.dense %x, %w clamp <0.0, inf> : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32> loc(fused["fc/Gemm", "fc/Relu"])
      %1 = nn.tanh %0 : (tensor<1x2xf32>) -> tensor<1x2xf32> loc("head/Tanh")
      func.return %1 : tensor<1x2xf32>
    }
"""  # noqa: E501


def assigned(*nodes: str, text: str = TEXT, default: str | None = None) -> ModuleOp:
    module = parse_module(text)
    AssignPrecision(default=default, nodes=nodes).apply(make_context(), module)
    return module


def configs(module: ModuleOp) -> dict[str, NodeConfig]:
    return {op.name: config_of(op) for op in module.walk() if isinstance(op, nn.DenseOp | nn.TanhOp)}


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (["head/Tanh=output_int32"], 'nn.tanh "head/Tanh".* has no accumulator to hand on'),
        (["head/Than=a16w8"], "of the name 'head/Than'.*did you mean head/Tanh"),
        (["tail/*=a16w8"], "of the pattern 'tail/.*nodes that were folded away"),
        (["a16w8"], "expected name=settings, got 'a16w8'"),
        (["=a16w8"], "expected name=settings"),
        (["head/Tanh=a17w8"], "no precision a17w8"),
        (["fc/Gemm=a16w8", "fc/Relu=a8w8"], "'fc/Gemm' and 'fc/Relu' are one operation"),
    ],
)
def test_mistakes(nodes: list[str], message: str):
    with pytest.raises(UserError) as error:
        assigned(*nodes)
    assert re.search(message, str(error.value), re.DOTALL)


def test_two_names_of_one_operation_may_agree():
    found = configs(assigned("fc/Gemm=a16w8", "fc/Relu=a16w8", "fc/Relu=symmetric"))
    assert found["nn.dense"] == NodeConfig(Precision.INT16, asymmetric=False)


def test_a_pattern_asks_layers_only_for_their_accumulators():
    found = configs(assigned("*=output_int32", "*=a8w4"))
    assert found["nn.dense"] == NodeConfig(Precision.parse("a8w4"), output_int32=True)
    assert found["nn.tanh"] == NodeConfig(Precision.parse("a8w4"))


def test_names_with_any_sign_reach_the_pass():
    name = 'a b,c="x"/{é}'
    settings = {name: NodeConfig(Precision.BF16), "*": NodeConfig(output_int32=True)}
    (found,) = parse_pipeline(str(AssignPrecision(nodes=requests_text({"a b,c/{d}": NodeConfig(Precision.BF16)}))))
    assert isinstance(found, AssignPrecision) and found.nodes == ("a b,c/{d}=bf16",)
    assert requests_text(settings) == (f"{name}=bf16", "*=output_int32")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ('quant.precision = "a9w9"', 'nn.tanh "head/Tanh".*no precision a9w9'),
        ("quant.precision = 8", "quant.precision of nn.tanh .* must be a text such as a16w8"),
        ('quant.asymmetric = "no"', "quant.asymmetric of nn.tanh .* must be true or false"),
    ],
)
def test_attributes_written_by_hand_are_checked(attributes: str, message: str):
    text = TEXT.replace("nn.tanh %0 :", f"nn.tanh %0 {{{attributes}}} :")
    with pytest.raises(UserError, match=message):
        assigned(text=text, default="a8w8")

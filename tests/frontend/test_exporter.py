"""ONNX -> IR -> text -> IR -> ONNX is the identity, up to the documented normal form."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase

from intaglio.errors import UserError
from intaglio.frontend.exporter import export_model, normal_form
from intaglio.frontend.importer import import_model
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module

ZOO = Path(__file__).parents[2].parent / "shared" / "zoo" / "models"
FAST = ["blazeface_front", "fashion_resnet8", "mnist_cnn", "pulsevad_2k", "silero_vad"]


def assert_same(exported: ModelProto, original: ModelProto) -> None:
    left, right = normal_form(exported), normal_form(original)
    assert str(left) == str(right)
    assert left.SerializeToString(deterministic=True) == right.SerializeToString(deterministic=True)


def round_trip(source: Path | bytes) -> ModelProto:
    module = import_model(source)
    # Large values are not in the text; they are found as long as the module is there.
    exported = export_model(parse_module(print_module(module)))
    assert module.body.block.first_op is not None
    return exported


def node_cases() -> list[TestCase]:
    with warnings.catch_warnings():
        # Some cases overflow or divide by zero on purpose while they are made.
        warnings.simplefilter("ignore")
        return collect_testcases(None)


@pytest.mark.skipif(not ZOO.exists(), reason="needs the models of ../shared/zoo")
@pytest.mark.parametrize("name", FAST)
def test_zoo_models(name: str):
    path = ZOO / f"{name}.onnx"
    assert_same(round_trip(path), onnx.load(path))


def full_model() -> ModelProto:
    """A model that uses every part of the format that is carried."""
    then = helper.make_graph(
        [helper.make_node("Abs", ["x"], ["t"])], "then", [], [helper.make_tensor_value_info("t", 1, [2, 3])]
    )
    otherwise = helper.make_graph(
        [helper.make_node("Add", ["x", "inner"], ["e"])],
        "else",
        [],
        [helper.make_tensor_value_info("e", 1, [2, 3])],
        [numpy_helper.from_array(np.ones(3, np.float32), "inner")],
        doc_string="inside",
    )
    nodes = [
        helper.make_node("Clip", ["x", "", "high"], ["a/b:0"], name="clip/1", doc_string="a node"),
        helper.make_node("If", ["c"], ["f"], then_branch=then, else_branch=otherwise),
        helper.make_node("Constant", [], ["k"], value_strings=[b"a", b"\xff\x00"]),
        helper.make_node("Add", ["f", "w"], ["s"]),
        helper.make_node("Blur", ["s", "a/b:0"], ["y", "", "z"], domain="com.acme", radius=2.5, modes=[1, 2]),
    ]
    nodes[0].metadata_props.add(key="k", value="v")
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3], doc_string="an input"),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [3]),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", None, -1]),
        helper.make_tensor_value_info("z", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("s", TensorProto.FLOAT, [2, 3]),
    ]
    initializers = [
        helper.make_tensor("w", TensorProto.FLOAT, [3], [1.0, -0.0, float("inf")]),
        helper.make_tensor("high", TensorProto.FLOAT, [], [6.0]),
    ]
    graph = helper.make_graph(nodes, "full", inputs, outputs, initializers, doc_string="a graph")
    annotation = graph.quantization_annotation.add(tensor_name="w")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="high")
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("com.acme", 3), helper.make_opsetid("", 17)],
        producer_name="p",
        producer_version="1",
        domain="d",
        model_version=4,
        doc_string="a model",
        ir_version=8,
    )
    model.metadata_props.add(key="b", value="1")
    model.metadata_props.add(key="a", value="2")
    return model


def test_everything_a_model_says():
    model = full_model()
    assert_same(round_trip(model.SerializeToString()), model)


def test_a_difference_shows_in_the_normal_form():
    model, other = full_model(), full_model()
    other.graph.node[0].name = "other"
    assert normal_form(model) != normal_form(other)
    other = full_model()
    other.graph.initializer[0].float_data[1] = 0.0
    assert normal_form(model) != normal_form(other)


def test_the_normal_form_hides_how_things_are_written_down():
    model, other = full_model(), full_model()
    other.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32([1, -0.0, np.inf]), "w"))
    other.graph.node[0].input.append("")
    other.graph.node[1].domain = "ai.onnx"
    other.graph.value_info.append(helper.make_tensor_value_info("f", TensorProto.FLOAT, [2, 3]))
    assert normal_form(model) == normal_form(other)


def test_node_cases_of_onnx():
    """Every 25th of the cases that onnx tests backends with; all of them are for the full run."""
    checked, refused = 0, []
    for case in node_cases()[::25]:
        try:
            exported = round_trip(case.model.SerializeToString())
        except UserError as error:
            refused.append(error.what)
            continue
        assert_same(exported, case.model)
        checked += 1
    assert checked >= 60
    assert [message for message in refused if not message.endswith("which is not supported")] == []


def test_an_output_with_another_name_than_its_value():
    text = """
    builtin.module attributes {onnx.opset_import = {"" = 17 : i64}} {
      func.func @main(%x: tensor<2xf32> {onnx.name = "x"}) -> (tensor<2xf32> {onnx.name = "y"}, tensor<2xf32>) {
        %a = onnx.Relu(%x) as "a" : (tensor<2xf32>) -> tensor<2xf32>
        %b = onnx.Abs(%a) : (tensor<2xf32>) -> tensor<2xf32>
        func.return %a, %b : tensor<2xf32>, tensor<2xf32>
      }
    }"""
    model = export_model(parse_module(text))
    onnx.checker.check_model(model, full_check=True)
    assert [output.name for output in model.graph.output] == ["y", "b"]


def test_other_dialects_are_refused():
    text = """
    func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
      %y = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }"""
    with pytest.raises(UserError, match=r"nn\.relu cannot be exported to ONNX"):
        export_model(parse_module(text))


def test_a_module_without_main_is_refused():
    with pytest.raises(UserError, match="the module has no function @main"):
        export_model(parse_module("builtin.module {}"))

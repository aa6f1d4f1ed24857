"""ONNX -> IR -> text -> IR -> ONNX is the identity, up to the documented normal form."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from intaglio.errors import UserError
from intaglio.frontend.exporter import export_model, normal_form
from intaglio.frontend.importer import import_model
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module


def assert_same(exported: ModelProto, original: ModelProto) -> None:
    left, right = normal_form(exported), normal_form(original)
    assert str(left) == str(right)
    assert left.SerializeToString(deterministic=True) == right.SerializeToString(deterministic=True)


def round_trip(source: bytes) -> ModelProto:
    module = import_model(source, open_shapes=True)
    # Large values are not in the text; they are found as long as the module is there.
    exported = export_model(parse_module(print_module(module)))
    assert module.body.block.first_op is not None
    return exported


def sparse_tensor(name: str) -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.arange(150, dtype=np.float32), name)
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.arange(150) * 2), [20, 30])


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
        helper.make_node("StringConcat", ["words", "t"], ["text"]),
    ]
    nodes[0].metadata_props.add(key="k", value="v")
    nodes[0].device_configurations.add(configuration_id="two chips", pipeline_stage=1)
    kinds = nodes[4].attribute.add(name="kinds", type=onnx.AttributeProto.TYPE_PROTOS)
    kinds.type_protos.append(helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2])))
    tables = nodes[4].attribute.add(name="tables", type=onnx.AttributeProto.TENSORS)
    tables.tensors.append(numpy_helper.from_array(np.arange(300)))
    tables.tensors.append(numpy_helper.from_array(np.array([b"x"], object)))
    sparse = nodes[4].attribute.add(name="sparse", type=onnx.AttributeProto.SPARSE_TENSORS)
    sparse.sparse_tensors.append(sparse_tensor(""))
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3], doc_string="an input"),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [3]),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        helper.make_tensor_value_info("t", TensorProto.STRING, ["words", 2]),
        helper.make_tensor_sequence_value_info("q", TensorProto.COMPLEX64, [2, None]),
    ]
    inputs[0].metadata_props.add(key="unit", value="m")
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", None, -1]),
        helper.make_tensor_value_info("z", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("s", TensorProto.FLOAT, [2, 3]),
    ]
    initializers = [
        helper.make_tensor("w", TensorProto.FLOAT, [3], [1.0, -0.0, float("inf")]),
        helper.make_tensor("high", TensorProto.FLOAT, [], [6.0]),
        helper.make_tensor("words", TensorProto.STRING, [2], [b"a", "\u00e4".encode()]),
    ]
    initializers[0].doc_string = "a tensor"
    initializers[0].metadata_props.add(key="from", value="training")
    graph = helper.make_graph(nodes, "full", inputs, outputs, initializers, doc_string="a graph")
    graph.sparse_initializer.append(sparse_tensor("holes"))
    graph.metadata_props.add(key="g", value="h")
    otherwise.metadata_props.add(key="g", value="h")
    annotation = graph.quantization_annotation.add(tensor_name="w")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="high")
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("com.acme", 3), helper.make_opsetid("", 20)],
        producer_name="p",
        producer_version="1",
        domain="d",
        model_version=4,
        doc_string="a model",
        ir_version=8,
    )
    model.metadata_props.add(key="b", value="1")
    model.metadata_props.add(key="a", value="2")
    model.training_info.add().algorithm.name = "step"
    model.configuration.add(name="two chips", num_devices=2)
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
    other.graph.initializer[0].ClearField("float_data")
    other.graph.initializer[0].raw_data = np.float32([1, -0.0, np.inf]).tobytes()
    other.graph.node[0].input.append("")
    other.graph.node[1].domain = "ai.onnx"
    other.graph.value_info.append(helper.make_tensor_value_info("f", TensorProto.FLOAT, [2, 3]))
    assert normal_form(model) == normal_form(other)


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

"""Importing ONNX models: what the IR says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from intaglio.dialects.onnx import CustomOp, InitializerOp
from intaglio.dialects.weights import WeightsAttr, array_of
from intaglio.frontend.importer import import_model, operator_name, value_name
from intaglio.ir.locations import name_of
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.ir.verification import verify_module
from tests.frontend.models import imported, make_model, nodes_of, refused, relu

ZOO = Path(__file__).parents[2].parent / "shared" / "zoo" / "models"
FAST = ["fashion_resnet8", "ppocr_cls", "magika", "silero_vad"]


def test_names_with_slashes_and_colons_survive():
    model = make_model([relu("scope/a:b", "in:0", "out/1:0")], {"in:0": [2, 3]}, ["out/1:0"])
    module = imported(model)
    (node,) = nodes_of(module)
    assert name_of(node) == "scope/a:b"
    text = print_module(module)
    assert 'onnx.name = "in:0"' in text
    assert 'as "out/1:0"' in text
    assert 'loc("scope/a:b")' in text


def test_absent_optional_inputs_keep_their_places():
    nodes = [
        helper.make_node("Clip", ["x", "", "high"], ["a"]),
        helper.make_node("Clip", ["a", "high", ""], ["b"]),
        helper.make_node("Clip", ["b"], ["y"]),
    ]
    module = imported(make_model(nodes, {"x": [4]}, ["y"], initializers={"high": np.float32(6)}))
    first, second, third = nodes_of(module)
    assert [value is None for value in first.node_inputs()] == [False, True, False]
    assert [value is None for value in second.node_inputs()] == [False, False]
    assert len(third.node_inputs()) == 1


def test_absent_and_several_outputs():
    weights = {"w": np.zeros((1, 16, 3), np.float32), "r": np.zeros((1, 16, 4), np.float32)}
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=0),
        helper.make_node("LSTM", ["a", "w", "r"], ["", "last"], hidden_size=4),
        helper.make_node("LSTM", ["b", "w", "r"], ["all", "", "cell"], hidden_size=4),
    ]
    module = imported(make_model(nodes, {"x": [4, 1, 3]}, ["last", "all", "cell"], initializers=weights))
    split, first, second = nodes_of(module)
    assert [result.type.get_shape() for result in split.results] == [(2, 1, 3)] * 2
    assert [value is None for value in first.node_outputs()] == [True, False]
    assert [value is None for value in second.node_outputs()] == [False, True, False]
    assert second.result_names is not None
    assert [name.data for name in second.result_names] == ["all", "cell"]


def test_an_operator_means_what_it_means_in_the_models_opset():
    attribute_form = helper.make_node("Clip", ["x"], ["y"], min=0.0, max=6.0)
    (node,) = nodes_of(imported(make_model([attribute_form], {"x": [4]}, ["y"], opset=10)))
    assert sorted(node.node_attributes()) == ["max", "min"]
    message = refused(make_model([attribute_form], {"x": [4]}, ["y"], opset=11))
    assert message == "error: the node of \"y\" (Clip): operator Clip has no attribute 'max' in opset 11"


def test_large_constants_are_weights_and_small_ones_are_inline():
    values = {"big": np.arange(101, dtype=np.float32), "small": np.arange(101, dtype=np.float32)[:100]}
    nodes = [helper.make_node("Add", ["x", "big"], ["y"]), helper.make_node("Add", ["z", "small"], ["w"])]
    module = imported(make_model(nodes, {"x": [101], "z": [100]}, ["y", "w"], initializers=values))
    big, small = (op for op in module.walk() if isinstance(op, InitializerOp))
    assert isinstance(big.value, WeightsAttr)
    assert not isinstance(small.value, WeightsAttr)
    np.testing.assert_array_equal(array_of(big.value), values["big"])
    np.testing.assert_array_equal(array_of(small.value), values["small"])


@pytest.mark.parametrize(
    ("data_type", "text"),
    [
        (TensorProto.FLOAT16, "f16"),
        (TensorProto.BFLOAT16, "bf16"),
        (TensorProto.DOUBLE, "f64"),
        (TensorProto.INT4, "i4"),
        (TensorProto.UINT4, "ui4"),
        (TensorProto.UINT8, "ui8"),
        (TensorProto.INT32, "i32"),
        (TensorProto.BOOL, "i1"),
        (TensorProto.FLOAT8E4M3FN, "f8E4M3FN"),
    ],
)
def test_data_types_of_initializers(data_type: int, text: str):
    values = [1, 0, 1, 1, 0]
    model = make_model([helper.make_node("Identity", ["w"], ["y"])], {}, ["y"], opset=21)
    model.graph.initializer.append(helper.make_tensor("w", data_type, [5], values))
    module = imported(model)
    (initializer,) = (op for op in module.walk() if isinstance(op, InitializerOp))
    assert str(initializer.result.type) == f"tensor<5x{text}>"
    assert array_of(initializer.value).astype(np.int64).tolist() == values


def test_initializers_listed_as_inputs_are_constants():
    model = make_model([helper.make_node("Add", ["x", "w"], ["y"])], {"w": [2], "x": [2]}, ["y"])
    model.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), "w"))
    text = print_module(imported(model))
    assert '@main(%x: tensor<2xf32> {onnx.name = "x"})' in text
    assert 'onnx.initializer "w" input 0 = dense' in text


def test_unknown_domains_are_carried():
    node = helper.make_node("Blur", ["x", "", "k"], ["y"], domain="com.acme", radius=2, modes=["a", "b"])
    model = make_model([node, relu(source="y", result="z")], {"x": [4], "k": [2]}, ["z"], domains=("com.acme",))
    model.graph.value_info.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [4]))
    custom, after = nodes_of(imported(model))
    assert isinstance(custom, CustomOp)
    assert (custom.domain, custom.op_type) == ("com.acme", "Blur")
    assert [value is None for value in custom.node_inputs()] == [False, True, False]
    assert sorted(custom.node_attributes()) == ["modes", "radius"]
    assert str(after.results[0].type) == "tensor<4xf32>"


def test_what_cannot_be_inferred_is_not_guessed():
    node = helper.make_node("Blur", ["x"], ["y"], domain="com.acme")
    custom, after = nodes_of(
        imported(make_model([node, relu(source="y", result="z")], {"x": [4]}, ["z"], domains=("com.acme",)))
    )
    assert str(custom.results[0].type) == "tensor<*xnone>"
    assert str(after.results[0].type) == "tensor<*xnone>"


def test_graphs_inside_nodes_become_regions():
    def branch(op_type: str) -> object:
        output = helper.make_tensor_value_info("r", TensorProto.FLOAT, [2])
        return helper.make_graph([helper.make_node(op_type, ["x"], ["r"])], op_type, [], [output])

    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("Abs"), else_branch=branch("Neg"))
    model = make_model([node], {"x": [2]}, ["y"])
    model.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    conditional, negate, absolute = nodes_of(imported(model))
    assert [region.block.first_op for region in conditional.node_graphs().values()] == [negate, absolute]
    assert (negate.op_type, absolute.op_type) == ("Neg", "Abs")
    assert str(conditional.results[0].type) == "tensor<2xf32>"


def test_shapes_bind_dynamic_dimensions_and_symbols_shared_with_other_inputs():
    model = make_model([helper.make_node("Add", ["x", "z"], ["y"])], {"x": ["batch", 3], "z": ["batch", 1]}, ["y"])
    (node,) = nodes_of(imported(model, x=(5, 3)))
    assert [str(operand.type) for operand in node.operands] == ["tensor<5x3xf32>", "tensor<5x1xf32>"]
    assert str(node.results[0].type) == "tensor<5x3xf32>"


def test_shapes_that_follow_from_arithmetic_on_shapes():
    """Flatten as exporters spell it where they do not know the shape, and a constant made of a computed size."""
    constants = {"two": np.array([2]), "four": np.array([4]), "half": np.array([2]), "minus": np.array([-1])}
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "two", "four"], ["hw"]),
        helper.make_node("Div", ["hw", "half"], ["small"]),
        helper.make_node("ConstantOfShape", ["small"], ["zeros"]),
        helper.make_node("Shape", ["zeros"], ["zs"]),
        helper.make_node("ReduceProd", ["zs"], ["count"], keepdims=1),
        helper.make_node("Concat", ["count", "minus"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    model = make_model(nodes, {"x": ["n", 3, "h", "w"]}, ["y"], initializers=constants)
    module = imported(model, x=(2, 3, 8, 6))
    types = {node.op_type: str(node.results[0].type) for node in nodes_of(module)}
    assert types["ConstantOfShape"] == "tensor<4x3xf32>"
    assert types["Reshape"] == "tensor<12x24xf32>"


def test_shape_arithmetic_that_asks_for_too_much_is_left_alone():
    constants = {"size": np.array([1 << 20, 1 << 20])}
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["a"]), helper.make_node("NonZero", ["a"], ["y"])]
    node, _ = nodes_of(imported(make_model(nodes, {}, ["y"], initializers=constants)))
    assert str(node.results[0].type) == "tensor<1048576x1048576xf32>"


def test_declared_output_shapes_do_not_hide_inferred_ones():
    model = make_model([relu()], {"x": [1, 2]}, ["y"])
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [-1, 2]))
    text = print_module(imported(model))
    assert 'tensor<1x2xf32> {onnx.name = "y", onnx.declared_shape = [-1 : i64, 2 : i64]}' in text


def test_functions_of_the_model_are_inlined():
    model = make_model([helper.make_node("Twice", ["x"], ["y"], domain="local")], {"x": [2]}, ["y"], domains=("local",))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("local", "Twice", ["a"], ["b"], body, opsets))
    assert [node.op_type for node in nodes_of(imported(model))] == ["Add"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("input", "input"),
        ("/features/features.0/Conv_output_0", "Conv_output"),
        ("stem.0.weight", "weight"),
        ("x:0", None),
        ("123", None),
        ("a_1_2", "a"),
        ("Größe", "Gr__e"),
    ],
)
def test_ssa_names_of_tensors(name: str, expected: str | None):
    assert value_name(name) == expected


def test_ssa_names_of_operators():
    assert operator_name("BatchNormalization") == "batch_normalization"
    assert operator_name("LSTM") == "lstm"
    assert operator_name("QLinearConv") == "q_linear_conv"


@pytest.mark.skipif(not ZOO.exists(), reason="needs the models of ../shared/zoo")
@pytest.mark.parametrize("name", FAST)
def test_zoo_models_import_verify_print_and_parse_back(name: str):
    module = import_model(ZOO / f"{name}.onnx")
    verify_module(module)
    text = print_module(module)
    assert print_module(parse_module(text)) == text
    assert "?" not in text
    assert "tensor<*" not in text


def test_long_vectors_are_not_followed_element_by_element():
    """ONNX's propagation of values would take gigabytes for them."""
    nodes = [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Blur", ["y"], ["z"], domain="com.acme")]
    model = make_model(nodes, {"x": [2**40]}, ["z"], domains=("com.acme",))
    assert f"tensor<{2**40}xf32>" in print_module(imported(model))

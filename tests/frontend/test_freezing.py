"""Inputs that decide shapes are found through the nodes that compute with them, and become initializers."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from intaglio.frontend.freezing import deciding_inputs, freeze_inputs


def model(nodes: list[tuple[str, list[str], list[str]]], inputs: dict[str, int], outputs: list[str]) -> ModelProto:
    graph = helper.make_graph(
        [helper.make_node(kind, sources, results) for kind, sources, results in nodes],
        "graph",
        [helper.make_tensor_value_info(name, kind, None) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
    )
    return helper.make_model(graph)


def test_values_flow_to_a_shape_through_arithmetic():
    found = model(
        [("Mul", ["a", "b"], ["size"]), ("Reshape", ["x", "size"], ["y"])],
        {"x": TensorProto.FLOAT, "a": TensorProto.INT64, "b": TensorProto.INT64},
        ["y"],
    )
    assert deciding_inputs(found) == ["a", "b"]


def test_negative_a_shape_is_not_a_value():
    found = model(
        [("Shape", ["like"], ["size"]), ("Expand", ["x", "size"], ["y"])],
        {"x": TensorProto.FLOAT, "like": TensorProto.FLOAT},
        ["y"],
    )
    assert deciding_inputs(found) == []


def test_negative_operators_of_other_domains_decide_nothing():
    node = helper.make_node("Reshape", ["x", "size"], ["y"], domain="example")
    found = model([], {"x": TensorProto.FLOAT, "size": TensorProto.INT64}, ["y"])
    found.graph.node.append(node)
    assert deciding_inputs(found) == []


def test_frozen_inputs_are_initializers_of_a_copy():
    before = model([("Reshape", ["x", "size"], ["y"])], {"x": TensorProto.FLOAT, "size": TensorProto.INT64}, ["y"])
    after = freeze_inputs(before, {"size": np.asarray([2, 3])})
    assert [value.name for value in after.graph.input] == ["x"]
    assert numpy_helper.to_array(after.graph.initializer[0]).tolist() == [2, 3]
    assert [value.name for value in before.graph.input] == ["x", "size"]

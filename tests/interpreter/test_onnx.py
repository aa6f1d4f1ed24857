"""Nodes run by ONNX's reference evaluator: opsets, absent inputs, several outputs, and what cannot run."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from intaglio.errors import UserError
from intaglio.frontend.importer import import_model
from intaglio.interpreter import Interpreter

INFO = helper.make_tensor_value_info


def model_bytes(nodes, inputs, outputs, initializers=(), opset=17):
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializer=list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def run_both(data, *arguments):
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    expected = session.run(None, dict(zip(names, arguments, strict=True)))
    return Interpreter(import_model(data)).run("main", list(arguments)), expected


def test_several_outputs_and_initializers():
    data = model_bytes(
        [helper.make_node("Split", ["x", "sizes"], ["a", "b"], axis=1), helper.make_node("Neg", ["b"], ["c"])],
        [INFO("x", TensorProto.FLOAT, [2, 5])],
        [INFO("a", TensorProto.FLOAT, [2, 2]), INFO("c", TensorProto.FLOAT, [2, 3])],
        [numpy_helper.from_array(np.array([2, 3], np.int64), "sizes")],
    )
    actual, expected = run_both(data, np.arange(10, dtype=np.float32).reshape(2, 5))
    for have, want in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(have, want)


def test_absent_optional_inputs():
    data = model_bytes(
        [helper.make_node("Clip", ["x", "", "high"], ["y"])],
        [INFO("x", TensorProto.FLOAT, [4]), INFO("high", TensorProto.FLOAT, [])],
        [INFO("y", TensorProto.FLOAT, [4])],
    )
    actual, expected = run_both(data, np.array([-5, 0, 1, 9], np.float32), np.array(2, np.float32))
    np.testing.assert_array_equal(actual[0], expected[0])


@pytest.mark.parametrize("opset", [11, 12, 13])
def test_the_opset_is_the_models(opset):
    # Before opset 13 softmax flattens to two dimensions, from axis 1 on.
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    data = model_bytes(
        [helper.make_node("Softmax", ["x"], ["y"])],
        [INFO("x", TensorProto.FLOAT, [2, 3, 4])],
        [INFO("y", TensorProto.FLOAT, [2, 3, 4])],
        opset=opset,
    )
    actual, expected = run_both(data, x)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-5)


@pytest.mark.parametrize("opset", [9, 13, 17])
def test_batch_norm_of_inference(opset):
    rng = np.random.default_rng(0)
    names = ["scale", "bias", "mean", "variance"]
    values = [rng.uniform(0.5, 2, 3).astype(np.float32) for _ in names]
    data = model_bytes(
        [helper.make_node("BatchNormalization", ["x", *names], ["y"], epsilon=1e-3, momentum=0.9)],
        [INFO("x", TensorProto.FLOAT, [2, 3, 2, 2])],
        [INFO("y", TensorProto.FLOAT, [2, 3, 2, 2])],
        [numpy_helper.from_array(value, name) for name, value in zip(names, values, strict=True)],
        opset=opset,
    )
    actual, expected = run_both(data, rng.normal(size=(2, 3, 2, 2)).astype(np.float32))
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-5, atol=1e-6)


def test_attributes_of_every_kind():
    data = model_bytes(
        [
            helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT32),
            helper.make_node(
                "ConstantOfShape", ["shape"], ["c"], value=numpy_helper.from_array(np.array([7], np.int32))
            ),
            helper.make_node("Add", ["i", "c"], ["s"]),
            helper.make_node("Transpose", ["s"], ["t"], perm=[1, 0]),
            helper.make_node("Cast", ["t"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("LeakyRelu", ["f"], ["y"], alpha=0.25),
        ],
        [INFO("x", TensorProto.FLOAT, [2, 3])],
        [INFO("y", TensorProto.FLOAT, [3, 2])],
        [numpy_helper.from_array(np.array([2, 3], np.int64), "shape")],
    )
    actual, expected = run_both(data, np.arange(-12, 12, 4, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(actual[0], expected[0])


def test_a_node_with_graphs_is_refused_by_name():
    branch = helper.make_graph([helper.make_node("Neg", ["x"], ["n"])], "b", [], [INFO("n", TensorProto.FLOAT, [2])])
    data = model_bytes(
        [helper.make_node("If", ["condition"], ["y"], name="choose", then_branch=branch, else_branch=branch)],
        [INFO("condition", TensorProto.BOOL, []), INFO("x", TensorProto.FLOAT, [2])],
        [INFO("y", TensorProto.FLOAT, [2])],
    )
    with pytest.raises(UserError, match=r'does not run nodes that carry graphs: onnx\.If "choose"'):
        Interpreter(import_model(data)).run("main", [np.array(True), np.zeros(2, np.float32)])

"""What can be imported but not compiled is refused before the phase `graph`, with its name."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from intaglio.errors import UserError
from intaglio.frontend.importer import import_model
from intaglio.frontend.interface import check_compilable


def identity(value: object, *, initializer: TensorProto | None = None) -> ModelProto:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    outputs = [helper.make_empty_tensor_value_info("y")]
    if initializer is not None:
        graph = helper.make_graph(nodes, "g", [], outputs, [initializer])
    else:
        graph = helper.make_graph(nodes, "g", [value], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=10)


def refusal(model: ModelProto) -> str:
    module = import_model(model.SerializeToString(), open_shapes=True)
    with pytest.raises(UserError) as caught:
        check_compilable(module)
    return str(caught.value).splitlines()[0]


@pytest.mark.parametrize(
    ("data_type", "name"),
    [
        (TensorProto.STRING, "string"),
        (TensorProto.COMPLEX64, "complex64"),
        (TensorProto.COMPLEX128, "complex128"),
    ],
)
def test_data_types_that_are_only_carried(data_type: int, name: str):
    model = identity(helper.make_tensor_value_info("x", data_type, [2]))
    assert refusal(model) == f'error: input "x" has data type {name}, which is not supported'


def test_sequences_and_open_dimensions():
    assert refusal(identity(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [2]))) == (
        'error: input "x" is no tensor, which is not supported'
    )
    assert refusal(identity(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2]))) == (
        'error: input "x" has open dimensions: tensor<?x2xf32>'
    )


def test_constants_of_strings():
    words = numpy_helper.from_array(np.array([b"a", b"b"], object), "x")
    assert refusal(identity(None, initializer=words)) == (
        'error: output "y" has data type string, which is not supported'
    )
    model = identity(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]))
    words.name = "words"
    model.graph.initializer.append(words)
    assert refusal(model) == 'error: initializer "words" has data type string, which is not supported'
    model.graph.ClearField("initializer")
    model.graph.node.append(helper.make_node("Constant", [], ["c"], name="k", value=words))
    assert refusal(model) == 'error: the value of onnx.Constant "k" has data type string, which is not supported'


def test_tensors_of_too_many_elements():
    expected = 'error: input "x" has 4294967296 elements, more than 2147483647: tensor<65536x65536xf32>'
    assert refusal(identity(helper.make_tensor_value_info("x", TensorProto.FLOAT, [65536, 65536]))) == expected
    model = identity(helper.make_tensor_value_info("x", TensorProto.FLOAT, [65536, 1]))
    shape = numpy_helper.from_array(np.array([65536, 65536]), "shape")
    model.graph.initializer.append(shape)
    model.graph.node.add(op_type="Expand", input=["x", "shape"], output=["z"], name="e")
    expected = 'error: a result of onnx.Expand "e" has 4294967296 elements, more than 2147483647: '
    assert refusal(model).startswith(expected)


def test_what_can_be_compiled():
    model = identity(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]))
    module = import_model(model.SerializeToString())
    check_compilable(module)
    assert len(list(module.walk())) == 4

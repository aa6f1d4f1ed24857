"""Binding dimensions that the model leaves open: by batch size, or not at all."""

from __future__ import annotations

import pytest
from onnx import ModelProto, TensorProto, helper

from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.frontend.importer import import_model
from intaglio.ir.printing import print_module


def model_of(nodes: list, inputs: dict[str, list[int | str | None] | None], output: str) -> ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    graph = helper.make_graph(nodes, "g", values, [helper.make_empty_tensor_value_info(output)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def dynamic_model() -> ModelProto:
    """Two inputs that share the symbol of the batch, one with an open but unnamed batch, one with a fixed dimension."""
    nodes = [helper.make_node("Add", ["x", "y"], ["s"]), helper.make_node("Concat", ["s", "u", "v"], ["r"], axis=0)]
    return model_of(nodes, {"x": ["n", 3], "y": ["n", 3], "u": [None, 3], "v": [2, 3]}, "r")


def test_a_batch_size_decides_open_first_dimensions():
    module = import_model(dynamic_model().SerializeToString(), batch=4)
    kinds = [str(kind) for kind in main_function(module).function_type.inputs]
    assert kinds == ["tensor<4x3xf32>", "tensor<4x3xf32>", "tensor<4x3xf32>", "tensor<2x3xf32>"]
    assert [str(kind) for kind in main_function(module).function_type.outputs] == ["tensor<10x3xf32>"]
    module = import_model(dynamic_model().SerializeToString(), batch=4, shapes={"u": (7, 3)})
    assert str(main_function(module).function_type.inputs.data[2]) == "tensor<7x3xf32>"


@pytest.mark.parametrize(
    ("batch", "shapes", "expected"),
    [
        (0, {}, "error: the batch size 0 must be positive"),
        (
            2,
            {"x": (3, 3)},
            'error: the batch size 2 contradicts the shape given for input "x": "n" is 3 there',
        ),
    ],
)
def test_batch_sizes_that_are_wrong(batch: int, shapes: dict[str, tuple[int, ...]], expected: str):
    with pytest.raises(UserError) as caught:
        import_model(dynamic_model().SerializeToString(), batch=batch, shapes=shapes)
    assert str(caught.value) == expected


def test_the_batch_size_of_a_model_that_has_another():
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [1, 3]}, "y")
    assert str(main_function(import_model(model.SerializeToString(), batch=1)).function_type.inputs.data[0]) == (
        "tensor<1x3xf32>"
    )
    with pytest.raises(UserError, match=r'the batch size is 2, but the first dimension of input "x" is 1 in the model'):
        import_model(model.SerializeToString(), batch=2)


def test_open_dimensions_are_kept_when_asked_for():
    module = import_model(dynamic_model().SerializeToString(), open_shapes=True, shapes={"u": (7, 3)})
    kinds = [str(kind) for kind in main_function(module).function_type.inputs]
    assert kinds == ["tensor<?x3xf32>", "tensor<?x3xf32>", "tensor<7x3xf32>", "tensor<2x3xf32>"]
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": None}, "y")
    assert "%x: tensor<*xf32>" in print_module(import_model(model.SerializeToString(), open_shapes=True))

"""Functions of a model are inlined, if that ends."""

from __future__ import annotations

import itertools

import pytest
from onnx import ModelProto, TensorProto, helper

from intaglio.dialects.onnx import NodeOp
from intaglio.errors import UserError
from intaglio.frontend.importer import import_model


def calling_model(calls: int, depth: int, *, cyclic: bool = False) -> ModelProto:
    """A model with functions f0, f1, ... of which each calls the next several times; the last one, if cyclic, f0."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    functions = []
    for level in range(depth):
        last = "f0" if cyclic else "Relu"
        callee, domain = (f"f{level + 1}", "local") if level + 1 < depth else (last, "local" if cyclic else "")
        names = ["a", *(f"t{index}" for index in range(calls - 1)), "b"]
        body = [
            helper.make_node(callee, [source], [target], domain=domain) for source, target in itertools.pairwise(names)
        ]
        functions.append(helper.make_function("local", f"f{level}", ["a"], ["b"], body, opsets))
    graph = helper.make_graph(
        [helper.make_node("f0", ["x"], ["y"], domain="local")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_empty_tensor_value_info("y")],
    )
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=8)


def refused(model: ModelProto) -> str:
    with pytest.raises(UserError) as caught:
        import_model(model.SerializeToString())
    return str(caught.value)


def test_functions_that_call_functions():
    module = import_model(calling_model(2, 3).SerializeToString())
    assert [op.op_type for op in module.walk() if isinstance(op, NodeOp)] == ["Relu"] * 8


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (calling_model(1, 2, cyclic=True), 'error: the function "f0" calls itself'),
        (calling_model(2, 60), "error: the model has more than 1000000 nodes when its functions are inlined"),
        (calling_model(1, 200), "error: functions call each other more than 100 deep"),
    ],
)
def test_functions_that_do_not_end(model: ModelProto, expected: str):
    assert refused(model) == expected


def test_a_function_defined_twice():
    model = calling_model(1, 1)
    model.functions.append(model.functions[0])
    assert refused(model) == "error: the model defines a function twice"

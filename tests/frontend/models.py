"""Small ONNX models, and importing them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from intaglio.dialects.onnx import NodeOp
from intaglio.errors import UserError
from intaglio.frontend.importer import import_model
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.ir.verification import verify_module


def make_model(
    nodes: list[NodeProto],
    inputs: dict[str, list[int | str | None] | None],
    outputs: list[str],
    *,
    initializers: dict[str, np.ndarray] | None = None,
    opset: int = 17,
    domains: tuple[str, ...] = (),
    dtype: int = TensorProto.FLOAT,
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (initializers or {}).items()],
    )
    for output in graph.output:
        output.ClearField("type")
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="test")


def imported(model: ModelProto, **shapes: tuple[int, ...]):
    module = import_model(model.SerializeToString(), shapes=shapes or None)
    verify_module(module)
    text = print_module(module)
    assert print_module(parse_module(text)) == text
    return module


def nodes_of(module) -> list[NodeOp]:
    return [op for op in module.walk() if isinstance(op, NodeOp)]


def refused(model: ModelProto | bytes | Path, **shapes: tuple[int, ...]) -> str:
    source = model.SerializeToString() if isinstance(model, ModelProto) else model
    with pytest.raises(UserError) as caught:
        import_model(source, shapes=shapes or None)
    return str(caught.value)


def relu(name: str = "", source: str = "x", result: str = "y") -> NodeProto:
    return helper.make_node("Relu", [source], [result], name=name)

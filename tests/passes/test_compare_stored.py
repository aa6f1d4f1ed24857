"""Where the largest element is, found among stored values: the same place, in interpreter and host code."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import intaglio
from intaglio.dialects.quant import DequantizeCastOp
from intaglio.network import QuantizedNetwork


def network(op_type: str, path: str, *, scores: bool = False) -> QuantizedNetwork:
    """A dense layer and the index of its extreme element, quantized."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.normal(size=(4, 6)).astype(np.float32), "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node(op_type, ["h"], ["y"], axis=1, keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.INT64, [30])]
    if scores:
        outputs.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [30, 6]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [30, 4])]
    graph = helper.make_graph(nodes, "extreme", inputs, outputs, [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    samples = [{"x": rng.normal(size=(30, 4)).astype(np.float32)} for _ in range(4)]
    return intaglio.load(path).quantize(samples)


def casts(model: QuantizedNetwork) -> int:
    return sum(isinstance(op, DequantizeCastOp) for op in model.module.walk())


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
def test_indices_of_stored_values(tmp_path, op_type):
    model = network(op_type, str(tmp_path / "model.onnx"))
    both = network(op_type, str(tmp_path / "scores.onnx"), scores=True)
    x = {"x": np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)}
    scores = both.run(x)["h"]
    expected = scores.argmax(1) if op_type == "ArgMax" else scores.argmin(1)
    np.testing.assert_array_equal(model.run(x)["y"], expected)
    model.compile(tmp_path / "model.igpkg", target="host")
    np.testing.assert_array_equal(intaglio.Session(tmp_path / "model.igpkg").run(x)["y"], expected)
    assert (casts(model), casts(both)) == (0, 1)

"""onnxruntime's operators on quantized tensors: import, shapes and the interpreter, against onnxruntime itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import IntegerType, Signedness, TensorType

from intaglio.dialects.onnx import OnnxOp
from intaglio.frontend.importer import import_model
from intaglio.interpreter import Interpreter

f, u = np.float32, np.uint8
RNG = np.random.default_rng(0)


class Fed(tuple):
    """The shape of an input that is fed, uint8."""


PAIR = [Fed((2, 3)), f(0.1), u(3), Fed((3,)), f(0.2), u(100)]
UNARY = [Fed((1, 3, 4, 4)), f(0.05), u(128)]
CASES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "QLinearAdd": ([*PAIR, f(0.25), u(50)], {}),
    "QLinearMul": ([*PAIR, f(2), u(50)], {}),
    "QLinearSigmoid": ([*UNARY, f(1 / 256), u(0)], {}),
    "QLinearLeakyRelu": ([*UNARY, f(0.03), u(30)], {"alpha": 0.2}),
    "QLinearConcat": ([f(0.1), u(5), Fed((2, 3)), f(0.1), u(3), Fed((2, 4)), f(0.2), u(100)], {"axis": 1}),
    "QLinearGlobalAveragePool": ([*UNARY, f(0.03), u(30)], {}),
    "QLinearAveragePool": ([*UNARY, f(0.03), u(30)], {"kernel_shape": [2, 2], "strides": [2, 1]}),
    "QLinearWhere": ([np.arange(6).reshape(2, 3) % 2 == 0, *PAIR, f(0.25), u(50)], {}),
    "QLinearSoftmax": ([*UNARY, f(1 / 256), u(0)], {"axis": -1, "opset": 17}),
    "QGemm": (
        [
            *(Fed((2, 6)), f(0.1), u(3), RNG.integers(0, 256, (4, 6)).astype(u), f(0.02), u(128)),
            *(RNG.integers(-99, 99, 4).astype(np.int32), f(0.25), u(50)),
        ],
        {"transB": 1},
    ),
}


@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize("name", CASES)
def test_operators_compute_what_onnxruntime_does(name: str, opset: int):
    values, attributes = CASES[name]
    names = [f"input_{index}" for index in range(len(values))]
    fed = {key: value for key, value in zip(names, values, strict=True) if isinstance(value, Fed)}
    graph = helper.make_graph(
        [helper.make_node(name, names, ["y"], domain="com.microsoft", name="node", **attributes)],
        "graph",
        [helper.make_tensor_value_info(key, TensorProto.UINT8, shape) for key, shape in fed.items()],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [numpy_helper.from_array(value, key) for key, value in zip(names, values, strict=True) if key not in fed],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    feeds = {key: RNG.integers(0, 256, shape).astype(u) for key, shape in fed.items()}
    (expected,) = onnxruntime.InferenceSession(model).run(None, feeds)
    module = import_model(model)
    (node,) = (op for op in module.walk() if isinstance(op, OnnxOp))
    assert node.name == f"onnx.microsoft.{name}"
    assert node.results[0].type == TensorType(IntegerType(8, Signedness.UNSIGNED), expected.shape)
    (actual,) = Interpreter(module).run("main", list(feeds.values()))
    # onnxruntime sums and divides averages in another order, and computes tables in single precision.
    assert np.abs(actual.astype(int) - expected.astype(int)).max() <= 1
    assert np.mean(actual == expected) > 0.9


def test_means_that_onnxruntime_has_no_kernel_for():
    constants = {"xs": f(0.05), "xz": u(128), "ys": f(0.03), "yz": u(30)}
    node = helper.make_node(
        "QLinearReduceMean", ["x", "xs", "xz", "ys", "yz"], ["y"], domain="com.microsoft", axes=[2, 3], keepdims=1
    )
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 3, 4, 4])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    module = import_model(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    x = RNG.integers(0, 256, (1, 3, 4, 4)).astype(u)
    (actual,) = Interpreter(module).run("main", [x])
    mean = ((x.astype(np.float64) - 128) * 0.05).mean(axis=(2, 3), keepdims=True)
    assert actual.dtype == u and np.abs(actual - (mean / 0.03 + 30)).max() <= 0.51

"""Operators that quantize while they run, against onnxruntime: shapes, the interpreter and compiled host code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from xdsl.dialects.builtin import ModuleOp

import intaglio as ig
from intaglio.compiler import run_phase
from intaglio.dialects.onnx import OnnxOp
from intaglio.errors import UserError
from intaglio.frontend.importer import import_model
from intaglio.interpreter import Interpreter
from intaglio.phases import PHASES

Array = np.ndarray[Any, np.dtype[Any]]

MICROSOFT = "com.microsoft"
RNG = np.random.default_rng(0)
CONSTANTS: dict[str, Array] = {
    "w": RNG.integers(-128, 128, (6, 5)).astype(np.int8),
    "w4": RNG.integers(0, 256, (4, 3, 3, 3)).astype(np.uint8),
    "ws": RNG.uniform(0.01, 0.02, 5).astype(np.float32),
    "wz": RNG.integers(-3, 4, 5).astype(np.int8),
    "one": np.array(3, np.int8),
    "half": np.array(120, np.uint8),
    "b": RNG.normal(size=5).astype(np.float32),
}
QUANTIZE = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="quantize")


def model_of(
    nodes: list[NodeProto], shape: tuple[int, ...], outputs: list[str], dtype: int = TensorProto.FLOAT
) -> bytes:
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in CONSTANTS.items() if name in used],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def product(op_type: str, inputs: list[str]) -> NodeProto:
    return helper.make_node(op_type, inputs, ["y"], name="product", domain=MICROSOFT)


FORMS: dict[str, tuple[bytes, int]] = {
    "DynamicQuantizeLinear": (model_of([QUANTIZE], (3, 6), ["q", "s", "z"]), 1),
    "DynamicQuantizeMatMul": (model_of([product("DynamicQuantizeMatMul", ["x", "w", "ws"])], (3, 6), ["y"]), 1),
    "DynamicQuantizeMatMul with zero points and bias": (
        model_of([product("DynamicQuantizeMatMul", ["x", "w", "ws", "wz", "b"])], (2, 3, 6), ["y"]),
        1,
    ),
    "MatMulIntegerToFloat": (
        model_of([QUANTIZE, product("MatMulIntegerToFloat", ["q", "w", "s", "ws", "z", "wz"])], (3, 6), ["y"]),
        2,
    ),
    "MatMulInteger": (
        model_of([QUANTIZE, helper.make_node("MatMulInteger", ["q", "w", "z", "one"], ["y"])], (3, 6), ["y"]),
        2,
    ),
    "ConvInteger": (
        model_of(
            [QUANTIZE, helper.make_node("ConvInteger", ["q", "w4", "z", "half"], ["y"], pads=[1, 1, 1, 1])],
            (1, 3, 6, 6),
            ["y"],
        ),
        2,
    ),
}
"""Models, and how many nodes they have."""


def single_threaded(model: bytes) -> onnxruntime.InferenceSession:
    """A session that quantizes the state of all samples of a batch together; threads take samples apart."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options)


def check(model: bytes, nodes: int, folder: Path, tolerance: float = 1e-6) -> list[Array]:
    """Compare interpreter and compiled host code with onnxruntime; return the results."""
    session = single_threaded(model)
    (value,) = session.get_inputs()
    x = RNG.normal(size=value.shape).astype(np.float32)
    expected = session.run(None, {"x": x})
    module = import_model(model)
    assert sum(isinstance(op, OnnxOp) for op in module.walk()) == nodes
    types = [tuple(result.type.get_shape()) for result in module.body.block.first_op.body.block.last_op.operands]
    assert types == [result.shape for result in expected]
    interpreted = Interpreter(module).run("main", [x])
    (folder / "m.onnx").write_bytes(model)
    ig.compile_model(folder / "m.onnx", folder / "m.igpkg", ig.CompileOptions(target="host"))
    compiled = list(ig.Session(folder / "m.igpkg").run({"x": x}).values())
    for results in (interpreted, compiled):
        for result, reference in zip(results, expected, strict=True):
            assert result.dtype == reference.dtype
            np.testing.assert_allclose(result, reference, rtol=tolerance, atol=tolerance)
    return compiled


@pytest.mark.parametrize("name", FORMS)
def test_operators_compute_what_onnxruntime_does(name: str, tmp_path: Path):
    check(*FORMS[name], tmp_path)


def test_zeros_have_a_scale_of_one():
    model, _ = FORMS["DynamicQuantizeLinear"]
    for name, x in (("zeros", np.zeros((3, 6), np.float32)), ("positive", np.full((3, 6), 2, np.float32))):
        expected = single_threaded(model).run(None, {"x": x})
        results = ig.Network(compiled_graph(model)).run({"x": x})
        for result, reference in zip(results.values(), expected, strict=True):
            np.testing.assert_array_equal(result, reference, err_msg=name)


def compiled_graph(model: bytes) -> ModuleOp:
    module = import_model(model)
    run_phase(module, PHASES[1], ig.CompileOptions(target="host"))
    return module


def lstm(folder: Path, direction: str, *, per_channel: bool = False, initial: bool = False, **attributes: Any) -> bytes:
    """A layer of 6 inputs and 5 states as onnxruntime's own quantizer writes it."""
    count, hidden, size = 2 if direction == "bidirectional" else 1, 5, 6
    constants = {
        "W": RNG.normal(size=(count, 4 * hidden, size)),
        "R": RNG.normal(size=(count, 4 * hidden, hidden)),
        "B": RNG.normal(size=(count, 8 * hidden)),
        "h": RNG.normal(size=(count, 2, hidden)),
        "c": RNG.normal(size=(count, 2, hidden)),
    }
    inputs = ["x", "W", "R", "B", *(["", "h", "c"] if initial else [])]
    node = helper.make_node(
        "LSTM", inputs, ["y", "", "last"], name="lstm", hidden_size=hidden, direction=direction, **attributes
    )
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 2, size])],
        [helper.make_empty_tensor_value_info(name) for name in ("y", "last")],
        [
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in constants.items()
            if name in inputs
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "f.onnx")
    quantize_dynamic(folder / "f.onnx", folder / "q.onnx", op_types_to_quantize=["LSTM"], per_channel=per_channel)
    return (folder / "q.onnx").read_bytes()


@pytest.mark.parametrize(
    ("direction", "options"),
    [("forward", {}), ("reverse", {"initial": True}), ("bidirectional", {"per_channel": True})],
)
def test_lstm(direction: str, options: dict[str, bool], tmp_path: Path):
    model = lstm(tmp_path, direction, **options)
    assert [node.op_type for node in ModelProto.FromString(model).graph.node] == ["DynamicQuantizeLSTM"]
    states, cells = check(model, 1, tmp_path, 2e-6)
    assert np.ptp(states) > 0.5 and np.ptp(cells) > 0.5


def test_lstm_with_another_cell_is_refused_by_name(tmp_path: Path):
    (tmp_path / "m.onnx").write_bytes(lstm(tmp_path, "forward", clip=1.0))
    with pytest.raises(UserError, match=r'DynamicQuantizeLSTM "lstm_quant"'):
        ig.compile_model(tmp_path / "m.onnx", tmp_path / "m.igpkg", ig.CompileOptions(target="host"))


@pytest.mark.parametrize("weights", [QuantType.QInt8, QuantType.QUInt8])
def test_networks_that_the_quantizer_makes(weights: QuantType, tmp_path: Path):
    """A perceptron with biases, as `quantize_dynamic` writes it: float between the layers."""
    constants = {"w1": (6, 8), "b1": (8,), "w2": (8, 4)}
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["g"]),
        helper.make_node("Relu", ["g"], ["r"]),
        helper.make_node("MatMul", ["r", "w2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 6])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(RNG.normal(size=shape).astype(np.float32), k) for k, shape in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "f.onnx")
    quantize_dynamic(tmp_path / "f.onnx", tmp_path / "q.onnx", weight_type=weights)
    model = onnx.load(tmp_path / "q.onnx")
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("MatMulInteger") == operators.count("DynamicQuantizeLinear") == 2
    check(model.SerializeToString(), len(operators), tmp_path, 1e-5)
    with pytest.raises(UserError, match="calibration data is needed"):
        ig.compile_model(tmp_path / "q.onnx", tmp_path / "q.igpkg")

"""Operators that `onnx-to-nn` lowers: interpreter, model written back and host library, each against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, helper, numpy_helper
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects.onnx import OnnxOp
from intaglio.frontend.exporter import main_function
from intaglio.frontend.importer import import_model
from intaglio.frontend.nn_exporter import export_float
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.verification import verify_module
from intaglio.lowering.host_to_relax import host_to_relax
from intaglio.lowering.onnx_to_nn import OnnxToNn
from intaglio.lowering.tvm import compile_executable
from intaglio.runtime.host_library import HostLibrary


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    return np.abs(normal(*shape, seed=seed)) + np.float32(0.1)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


class Node:
    """A model of one node: inputs that are fed, and inputs that are constants after them or where named."""

    def __init__(
        self,
        op_type: str,
        *inputs: np.ndarray,
        constants: dict[int, np.ndarray | None] | None = None,
        opset: int = 17,
        outputs: int = 1,
        **attributes: object,
    ) -> None:
        self.op_type, self.inputs, self.opset, self.outputs = op_type, inputs, opset, outputs
        self.constants = constants or {}
        self.attributes = attributes

    def __repr__(self) -> str:
        parts = [f"{key}={value}" for key, value in self.attributes.items()]
        return "-".join([f"{self.op_type}{self.opset}", *parts]).replace(" ", "")

    def model(self) -> tuple[ModelProto, dict[str, np.ndarray]]:
        total = len(self.inputs) + len(self.constants)
        places = [index for index in range(total) if index not in self.constants]
        feeds = {f"in{index}": np.asarray(value) for index, value in zip(places, self.inputs, strict=True)}
        known = {f"in{index}": np.asarray(value) for index, value in self.constants.items() if value is not None}
        names = [f"in{index}" if f"in{index}" in feeds or f"in{index}" in known else "" for index in range(total)]
        results = [f"out{index}" for index in range(self.outputs)]
        node = helper.make_node(self.op_type, names, results, **self.attributes)
        graph = helper.make_graph(
            [node],
            "one",
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
                for name, value in feeds.items()
            ],
            [helper.make_empty_tensor_value_info(name) for name in results],
            [numpy_helper.from_array(value, name) for name, value in known.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8), feeds


X, IMAGE = normal(2, 3, 4), normal(1, 4, 5, 6)
LSTM = {1: normal(1, 20, 3, seed=1), 2: normal(1, 20, 5, seed=2), 3: normal(1, 40, seed=3)}
GRU = {1: normal(2, 15, 3, seed=1), 2: normal(2, 15, 5, seed=2), 3: normal(2, 30, seed=3)}
SCALES = {1: None, 2: np.array([1, 1, 2, 1.5], np.float32)}


def sizes(*extents: int) -> dict[int, np.ndarray | None]:
    return {1: None, 2: None, 3: ints(1, 4, *extents)}


NODES = [
    *(
        Node(name, X)
        for name in ("Abs", "Erf", "Exp", "Neg", "Softplus", "Softsign", "Selu", "Celu", "ThresholdedRelu")
    ),
    *(Node(name, positive(2, 3, 4)) for name in ("Log", "Sqrt", "Reciprocal")),
    *(Node("Gelu", X, opset=20, approximate=kind) for kind in ("none", "tanh")),
    Node("Mish", X, opset=18),
    Node("Elu", X, alpha=0.7),
    Node("Celu", X, alpha=0.7),
    Node("LeakyRelu", X, alpha=0.2),
    Node("PRelu", X, constants={1: np.float32([0.3])}),
    Node("PRelu", X, constants={1: normal(3, 1, seed=1)}),
    *(Node("Pow", positive(2, 3), constants={1: np.float32(value)}) for value in (1, 2, 3, 0.5, -1, -0.5, 1.7)),
    Node("Pow", positive(2, 3), constants={1: ints(2)}),
    Node("Pow", positive(2, 3), normal(3)),
    *(Node(name, X, constants={1: np.float32(0.2)}) for name in ("Max", "Min")),
    *(Node(name, X, normal(3, 1, seed=1), normal(4, seed=2)) for name in ("Max", "Min", "Mean", "Sum")),
    *(Node(name, X, normal(3, 1, seed=1)) for name in ("Less", "Greater", "LessOrEqual", "GreaterOrEqual")),
    Node("Equal", ints(1, 2, 3), ints(1, 0, 3)),
    Node("Where", np.array([[True], [False]]), normal(2, 3), normal(3, seed=1)),
    *(Node("Cast", normal(2, 3) * 9, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind))) for kind in ("i4", "f8", "?")),
    Node("Cast", np.array([True, False]), to=1),
    *(Node(f"Reduce{name}", positive(2, 3, 4), axes=[1], keepdims=0) for name in ("Mean", "Max", "Min", "Prod")),
    *(Node(f"Reduce{name}", X, axes=[-1, 0]) for name in ("L1", "L2", "LogSumExp", "SumSquare")),
    Node("ReduceLogSum", positive(2, 3, 4), axes=[2]),
    Node("ReduceSum", X, constants={1: ints(0, 2)}, keepdims=0),
    Node("ReduceSum", X, noop_with_empty_axes=1),
    Node("ReduceMean", X, constants={1: ints(1)}, opset=18),
    Node("Slice", X, constants={1: ints(-1, 1), 2: ints(-5, 9), 3: ints(1, 2), 4: ints(-2, 2)}),
    Node("Slice", X, starts=[1], ends=[3], axes=[1], opset=9),
    Node("Split", X, outputs=2, axis=2),
    Node("Split", X, constants={1: ints(1, 3)}, outputs=2, axis=-1),
    Node("Gather", X, constants={1: ints(-1)}, axis=1),
    Node("Gather", X, constants={1: ints(2, 0)}, axis=1),
    Node("Gather", X, constants={1: ints(0, 0, 2)}, axis=1),
    Node("Gather", X, np.array([[0, -1], [2, 1]]), axis=1),
    Node("Expand", normal(3, 1), constants={1: ints(2, 1, 4)}),
    Node("Tile", X, constants={1: ints(1, 2, 3)}),
    *(Node("DepthToSpace", normal(1, 8, 2, 3), blocksize=2, mode=mode) for mode in ("DCR", "CRD")),
    Node("SpaceToDepth", normal(1, 2, 4, 6), blocksize=2),
    *(Node("Pad", X, constants={1: ints(0, 1, 2, 1, 2, 3)}, mode=mode) for mode in ("edge",)),
    Node("Pad", X, constants={1: ints(1, 0, 3, 0, 2, 2)}, mode="reflect"),
    Node("Pad", X, constants={1: ints(2, 0, 3, 0, 2, 2)}, mode="wrap", opset=19),
    Node("Pad", X, constants={1: ints(0, -1, 2, 0, 0, -1)}),
    *(Node("Resize", IMAGE, constants=SCALES, mode=mode) for mode in ("nearest", "linear", "cubic")),
    *(
        Node("Resize", IMAGE, constants=sizes(7, 4), mode="linear", coordinate_transformation_mode=mode)
        for mode in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
    ),
    *(
        Node("Resize", IMAGE, constants=SCALES, coordinate_transformation_mode="asymmetric", nearest_mode=mode)
        for mode in ("floor", "ceil", "round_prefer_ceil")
    ),
    Node("Resize", IMAGE, constants=sizes(3, 9), mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5),
    Node("Upsample", IMAGE, constants={1: np.float32([1, 1, 2, 3])}, opset=9),
    Node("ConvTranspose", IMAGE, constants={1: normal(4, 3, 2, 3, seed=1)}, strides=[2, 3]),
    Node("ConvTranspose", IMAGE, constants={1: normal(4, 3, 3, 3, seed=1), 2: normal(6)}, group=2, pads=[1, 0, 0, 2]),
    Node("ConvTranspose", IMAGE, constants={1: normal(4, 3, 3, 2, seed=1)}, strides=[3, 2], output_padding=[2, 1]),
    Node("ConvTranspose", IMAGE, constants={1: normal(4, 3, 3, 3, seed=1)}, strides=[2, 2], auto_pad="SAME_UPPER"),
    Node("ConvTranspose", IMAGE, constants={1: normal(4, 3, 2, 2, seed=1)}, dilations=[2, 3]),
    Node("ConvTranspose", normal(1, 4, 6), constants={1: normal(4, 3, 3, seed=1)}, strides=[2]),
    Node("ConvTranspose", IMAGE, normal(4, 3, 2, 2, seed=1)),
    Node("LayerNormalization", X, constants={1: normal(4, seed=1), 2: normal(4, seed=2)}),
    Node("LayerNormalization", X, constants={1: normal(3, 4, seed=1)}, axis=1, epsilon=1e-3),
    Node("InstanceNormalization", IMAGE, constants={1: normal(4, seed=1), 2: normal(4, seed=2)}),
    Node("LRN", normal(2, 7, 3, 2), size=5, alpha=0.3, beta=0.6, bias=1.2),
    *(Node("LogSoftmax", X, axis=1, opset=opset) for opset in (11, 13)),
    *(
        Node("LSTM", normal(4, 2, 3), constants=LSTM, outputs=3, hidden_size=5, direction=way)
        for way in ("forward", "reverse")
    ),
    Node(
        "LSTM",
        normal(1, 2, 3),
        normal(1, 2, 5, seed=7),
        normal(1, 2, 5, seed=8),
        constants=LSTM | {4: None},
        hidden_size=5,
    ),
    Node(
        "LSTM",
        normal(2, 2, 3),
        constants=LSTM | {4: None, 5: None, 6: None, 7: normal(1, 15)},
        outputs=3,
        hidden_size=5,
    ),
    *(
        Node(
            "GRU",
            normal(3, 2, 3),
            constants=GRU,
            outputs=2,
            hidden_size=5,
            direction="bidirectional",
            linear_before_reset=after,
        )
        for after in (0, 1)
    ),
    Node(
        "RNN",
        normal(3, 2, 3),
        normal(1, 5, 3, seed=1),
        normal(1, 5, 5, seed=2),
        outputs=2,
        hidden_size=5,
        activations=["Relu"],
    ),
    *(
        Node("Einsum", normal(2, 3, 4), normal(2, 5, 4, seed=1), equation=text)
        for text in ("bij,bkj->bik", "bij,bkj->kb", "aij,bkj")
    ),
    Node("Einsum", X, equation="ijk->ki"),
    Node("MatMul", normal(2, 1, 3, 4), normal(5, 4, 2, seed=1)),
]


def lowered(model: ModelProto) -> ModuleOp:
    module = import_model(model.SerializeToString())
    OnnxToNn().apply(make_context(), module)
    verify_module(module)
    assert not any(isinstance(op, OnnxOp) for op in module.walk())
    return module


def session(model: ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def no_regions(region: int, inputs: list[np.ndarray]) -> list[np.ndarray]:
    raise AssertionError("there is no accelerator region")


@pytest.mark.parametrize("node", NODES, ids=repr)
def test_interpreter_export_and_host_agree_with_onnxruntime(node: Node) -> None:
    model, feeds = node.model()
    expected = session(model).run(None, feeds)
    module = lowered(model)
    host = HostLibrary.in_memory(compile_executable(host_to_relax(main_function(module), {})), no_regions)
    arguments = list(feeds.values())
    for results in (
        Interpreter(module).run("main", arguments),
        session(export_float(module)[0]).run(None, feeds),
        host.run(arguments),
    ):
        for actual, want in zip(results, expected, strict=True):
            assert (actual.shape, actual.dtype) == (want.shape, want.dtype)
            np.testing.assert_allclose(actual, want, rtol=2e-5, atol=2e-5)

"""`onnx-to-nn` against ONNX: the interpreter on the lowered module, onnxruntime on the model."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects.onnx import OnnxOp
from intaglio.frontend.freezing import deciding_inputs, freeze_inputs
from intaglio.frontend.importer import import_model
from intaglio.frontend.nn_exporter import export_float
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.locations import name_of
from intaglio.ir.verification import verify_module
from intaglio.lowering.onnx_node import lowered_operators
from intaglio.lowering.onnx_to_nn import OnnxToNn

ZOO = Path(__file__).parents[2].parent / "shared" / "zoo" / "models"


def one_node(
    op_type: str,
    inputs: list[np.ndarray | None],
    constants: dict[int, np.ndarray] | None = None,
    *,
    opset: int = 17,
    outputs: int = 1,
    **attributes: object,
) -> tuple[ModelProto, dict[str, np.ndarray]]:
    """A model of one node; inputs by position, those in `constants` as initializers."""
    arrays = dict(enumerate(inputs)) | (constants or {})
    names = ["" if arrays[index] is None else f"in{index}" for index in range(len(arrays))]
    feeds = {f"in{index}": value for index, value in enumerate(inputs) if value is not None}
    node = helper.make_node(op_type, names, [f"out{index}" for index in range(outputs)], name="node", **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in feeds.items()
        ],
        [helper.make_tensor_value_info("out0", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, f"in{index}") for index, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), feeds


def lowered(model: ModelProto) -> ModuleOp:
    module = import_model(model.SerializeToString())
    OnnxToNn().apply(make_context(), module)
    verify_module(module)
    return module


def is_lowered(module: ModuleOp) -> bool:
    return not any(isinstance(op, OnnxOp) for op in module.walk())


def check(model: ModelProto, feeds: dict[str, np.ndarray]) -> None:
    """Lower a model wholly, and compare the interpreter and the model written back with onnxruntime."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    expected = ort.InferenceSession(model.SerializeToString(), options).run(None, feeds)
    module = lowered(model)
    assert is_lowered(module)
    for actual in (
        Interpreter(module).run("main", list(feeds.values())),
        ort.InferenceSession(export_float(module)[0].SerializeToString(), options).run(None, feeds),
    ):
        for one, other in zip(actual, expected, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def node_cases() -> list[TestCase]:
    with warnings.catch_warnings():
        # Some cases overflow or divide by zero on purpose while they are made.
        warnings.simplefilter("ignore")
        return collect_testcases(None)


def values(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


SPATIAL = st.integers(1, 2)


@st.composite
def windows(draw: st.DrawFn, rank: int) -> dict[str, object]:
    """Kernel, strides, dilations and padding, explicit or automatic, padding below the kernel as onnxruntime asks."""
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    mode = draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    # onnxruntime refuses automatic padding where windows leave gaps.
    strides = [draw(st.integers(1, size if mode.startswith("SAME") else 3)) for size in kernel]
    attributes: dict[str, object] = {"kernel_shape": kernel, "strides": strides}
    if mode == "NOTSET":
        attributes["pads"] = [draw(st.integers(0, kernel[index % rank] - 1)) for index in range(2 * rank)]
    else:
        attributes["auto_pad"] = mode
    return attributes


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_conv(data: st.DataObject):
    rank = data.draw(SPATIAL)
    attributes = data.draw(windows(rank))
    if attributes.get("auto_pad", "VALID") == "VALID":
        attributes["dilations"] = [data.draw(st.integers(1, 2)) for _ in range(rank)]
    groups = data.draw(st.integers(1, 3))
    channels, outputs = groups * data.draw(st.integers(1, 2)), groups * data.draw(st.integers(1, 2))
    size = tuple(data.draw(st.integers(5, 8)) for _ in range(rank))
    weight = values((outputs, channels // groups, *attributes["kernel_shape"]), 1)
    constants = {1: weight}
    if data.draw(st.booleans()):
        constants[2] = values((outputs,), 2)
    check(*one_node("Conv", [values((2, channels, *size))], constants, group=groups, **attributes))


def test_conv_with_a_weight_known_at_run_time():
    check(*one_node("Conv", [values((1, 3, 5, 5)), values((4, 3, 3, 3)), values((4,))]))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_pooling(data: st.DataObject):
    rank = data.draw(SPATIAL)
    attributes = data.draw(windows(rank))
    op_type = data.draw(st.sampled_from(["MaxPool", "AveragePool"]))
    if "auto_pad" not in attributes:
        attributes["ceil_mode"] = data.draw(st.integers(0, 1))
    if op_type == "AveragePool":
        attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    size = tuple(data.draw(st.integers(4, 7)) for _ in range(rank))
    model, feeds = one_node(op_type, [values((1, 2, *size))], **attributes)
    assume(is_lowered(lowered(model)))
    check(model, feeds)


def test_padding_that_is_counted_and_ceil_mode_together():
    check(
        *one_node(
            "AveragePool",
            [values((1, 2, 6, 6))],
            opset=19,
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1, 1, 0, 0],
            ceil_mode=1,
            count_include_pad=1,
        )
    )


@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5)])
def test_global_pooling(op_type: str, shape: tuple[int, ...]):
    check(*one_node(op_type, [values(shape)]))


@pytest.mark.parametrize("keepdims", [0, 1])
def test_mean_over_the_spatial_dimensions(keepdims: int):
    check(*one_node("ReduceMean", [values((2, 3, 4, 5))], axes=[-1, 2], keepdims=keepdims))
    axes = {1: np.array([2, 3])}
    check(*one_node("ReduceMean", [values((2, 3, 4, 5))], axes, opset=18, keepdims=keepdims))


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("addend", [None, (), (1,), (4,), (1, 4), (3, 1), (3, 4)])
def test_gemm(trans_a: int, trans_b: int, constant: bool, addend: tuple[int, ...] | None):
    lhs = values((5, 3) if trans_a else (3, 5))
    operands = {1: values((4, 5) if trans_b else (5, 4), 1)}
    if addend is not None:
        operands[2] = values(addend, 2)
    attributes = {"alpha": 0.5, "beta": 2.0, "transA": trans_a, "transB": trans_b}
    if constant:
        check(*one_node("Gemm", [lhs], operands, **attributes))
    else:
        check(*one_node("Gemm", [lhs, *operands.values()], **attributes))


@pytest.mark.parametrize(
    ("left", "right", "constant"),
    [
        ((3, 4), (4, 5), True),
        ((4,), (4, 5), True),
        ((2, 3, 4), (4, 5), True),
        ((3, 4), (4,), True),
        ((3, 4), (4, 5), False),
        ((4,), (4,), False),
        ((2, 3, 4), (4, 5), False),
        ((2, 3, 4), (2, 4, 5), False),
        ((1, 3, 4), (4, 5), True),
        ((2, 3, 4), (2, 4, 5), True),
        ((1, 2, 3, 4), (2, 4, 5), False),
    ],
)
def test_matmul(left: tuple[int, ...], right: tuple[int, ...], constant: bool):
    if constant:
        check(*one_node("MatMul", [values(left)], {1: values(right, 1)}))
    else:
        check(*one_node("MatMul", [values(left), values(right, 1)]))


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div"])
def test_arithmetic(op_type: str):
    check(*one_node(op_type, [values((2, 1, 4)), values((3, 1), 1) + 3]))


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("op_type", ["Relu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Identity"])
def test_functions(op_type: str, opset: int):
    if op_type == "HardSwish" and opset < 14:
        pytest.skip("the operator does not exist yet")
    check(*one_node(op_type, [4 * values((2, 5))], opset=opset))


def test_hard_sigmoid_with_parameters():
    check(*one_node("HardSigmoid", [4 * values((2, 5))], alpha=0.1666667, beta=0.4))


@pytest.mark.parametrize("low", [None, -0.5])
@pytest.mark.parametrize("high", [None, 0.75])
def test_clip(low: float | None, high: float | None):
    bounds = {1: None if low is None else np.float32(low), 2: None if high is None else np.float32(high)}
    given_bounds = {index: np.asarray(bound) for index, bound in bounds.items() if bound is not None}
    names = ["in0", *("" if bounds[index] is None else f"in{index}" for index in (1, 2))]
    model, feeds = one_node("Clip", [values((2, 5))], {1: np.float32(0), 2: np.float32(0)})
    model.graph.node[0].ClearField("input")
    model.graph.node[0].input.extend(names)
    model.graph.ClearField("initializer")
    model.graph.initializer.extend(numpy_helper.from_array(value, f"in{i}") for i, value in given_bounds.items())
    check(model, feeds)
    attributes = {name: bound for name, bound in (("min", low), ("max", high)) if bound is not None}
    check(*one_node("Clip", [values((2, 5))], opset=10, **attributes))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (1, 3, 4, 5), (1, 3, 2, 2, 2)])
def test_batch_normalization(shape: tuple[int, ...]):
    parameters = {index: values((3,), index) for index in (1, 2, 3)} | {4: np.abs(values((3,), 4)) + 0.1}
    check(*one_node("BatchNormalization", [values(shape)], parameters, epsilon=1e-3))


@pytest.mark.parametrize("opset", [9, 11, 13])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1])
def test_softmax(opset: int, axis: int | None):
    attributes = {} if axis is None else {"axis": axis}
    check(*one_node("Softmax", [values((2, 3, 4))], opset=opset, **attributes))


@pytest.mark.parametrize(
    ("op_type", "constants", "opset", "attributes"),
    [
        ("Reshape", {1: np.array([0, -1])}, 17, {}),
        ("Flatten", {}, 17, {"axis": 2}),
        ("Squeeze", {1: np.array([1])}, 17, {}),
        ("Squeeze", {}, 11, {"axes": [1]}),
        ("Unsqueeze", {1: np.array([0, 4])}, 17, {}),
        ("Unsqueeze", {}, 11, {"axes": [0, 4]}),
        ("Transpose", {}, 17, {}),
        ("Transpose", {}, 17, {"perm": [2, 0, 1]}),
        ("Concat", {1: values((2, 1, 2), 1)}, 17, {"axis": -1}),
        ("Pad", {1: np.array([0, 1, 2, 0, 0, 3])}, 17, {}),
        ("Pad", {1: np.array([0, 1, 2, 0, 0, 3]), 2: np.float32(1.5)}, 17, {}),
        ("Pad", {1: np.array([1, 2]), 2: np.float32(1.5), 3: np.array([-1])}, 18, {}),
        ("Pad", {}, 9, {"pads": [0, 1, 2, 0, 0, 3], "value": 1.5}),
        ("Dropout", {}, 17, {}),
        ("Dropout", {}, 10, {"ratio": 0.5}),
        ("Sum", {1: values((2, 1, 4), 1), 2: values((2, 1, 4), 2)}, 17, {}),
    ],
)
def test_movement(op_type: str, constants: dict[int, np.ndarray], opset: int, attributes: dict[str, object]):
    constants = {index: np.asarray(value) for index, value in constants.items()}
    check(*one_node(op_type, [values((2, 1, 4))], constants, opset=opset, **attributes))


def test_locations_are_those_of_the_nodes():
    model, _ = one_node("Conv", [values((1, 2, 5, 5))], {1: values((2, 2, 3, 3)), 2: values((2,))})
    names = {op.name: name_of(op) for op in lowered(model).walk()}
    assert names["nn.conv2d"] == names["nn.transpose"] == "node"
    assert names["nn.constant"] in ("in1", "in2")
    model.graph.node[0].name = ""
    assert {name_of(op) for op in lowered(model).walk() if op.name == "nn.conv2d"} == {"out0"}


def test_node_cases_of_onnx_that_are_lowered_wholly():
    """The cases with which onnx tests backends, for the operators that have a rule."""
    operators = {name for _, name in lowered_operators()}
    passed = 0
    for case in node_cases():
        (inputs, outputs), *_ = case.data_sets
        arrays = all(isinstance(value, np.ndarray | np.generic) for value in (*inputs, *outputs))
        if not arrays or not {node.op_type for node in case.model.graph.node} <= operators:
            continue
        feeds = {value.name: np.asarray(array) for value, array in zip(case.model.graph.input, inputs, strict=True)}
        frozen = deciding_inputs(case.model)
        module = lowered(freeze_inputs(case.model, {name: feeds.pop(name) for name in frozen}))
        if not feeds or not is_lowered(module):
            continue
        results = Interpreter(module).run("main", list(feeds.values()))
        for actual, expected in zip(results, outputs, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=max(case.rtol, 1e-3), atol=1e-6, err_msg=case.name)
        passed += 1
    assert passed >= 480


@pytest.mark.skipif(not ZOO.exists(), reason="needs the models of ../shared/zoo")
@pytest.mark.parametrize("name", ["fashion_resnet8", "ppocr_cls", "mnist_mobilenet"])
def test_zoo_models_are_lowered_wholly(name: str):
    path = ZOO / f"{name}.onnx"
    session = ort.InferenceSession(path)
    feeds = {value.name: values(tuple(value.shape)) for value in session.get_inputs()}
    module = import_model(path)
    OnnxToNn().apply(make_context(), module)
    assert is_lowered(module)
    (actual,) = Interpreter(module).run("main", list(feeds.values()))
    (expected,) = session.run(None, feeds)
    np.testing.assert_allclose(actual, expected, atol=1e-5 * float(np.abs(expected).max()))

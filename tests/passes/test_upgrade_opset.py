"""Upgraded models compute in onnxruntime what the old ones do, and no version of an operator is forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from intaglio.dialects.onnx.schema import operators
from intaglio.errors import UserError
from intaglio.frontend.exporter import export_model
from intaglio.frontend.importer import import_model
from intaglio.ir.context import make_context
from intaglio.ir.verification import verify_module
from intaglio.passes.graph.opset_adapters import ADAPTERS
from intaglio.passes.graph.upgrade_opset import CURRENT, OLDEST, UpgradeOpset, needs_adapter

Arrays = dict[str, np.ndarray]

X = np.random.default_rng(5).standard_normal((2, 3, 4, 5)).astype(np.float32)
EACH = np.random.default_rng(6).uniform(0.5, 2, 3).astype(np.float32)
FLOAT64 = X.astype(np.float64)


def model_of(
    node: NodeProto, opset: int, inputs: Arrays, constants: Arrays, kinds: dict[str, int] | None = None
) -> bytes:
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in inputs.items()
        ],
        [
            helper.make_tensor_value_info(name, (kinds or {}).get(name, TensorProto.FLOAT), None)
            for name in node.output
            if name
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model.SerializeToString()


def upgraded(model: bytes) -> bytes:
    module = import_model(model)
    UpgradeOpset().apply(make_context(), module)
    verify_module(module)
    exported = export_model(module)
    assert [entry.version for entry in exported.opset_import] == [CURRENT]
    return exported.SerializeToString()


def run(model: bytes, inputs: Arrays) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def node(op_type: str, *inputs: str, outputs: tuple[str, ...] = ("y",), **attributes: Any) -> NodeProto:
    return helper.make_node(op_type, list(inputs), list(outputs), **attributes)


REDUCTIONS = ["L1", "L2", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]
REDUCED = [(f"Reduce{name}", opset) for name in REDUCTIONS for opset in (9, 11, 13)]
REDUCED = [(op_type, opset) for op_type, opset in REDUCED if (op_type, opset) != ("ReduceSum", 13)]

CASES: dict[str, tuple[int, NodeProto, Arrays, Arrays]] = {
    **{
        f"{op_type}-{opset}": (opset, node(op_type, "x", axes=[1, -1], keepdims=0), {"x": X}, {})
        for op_type, opset in REDUCED
    },
    "ReduceMean of all": (11, node("ReduceMean", "x"), {"x": X}, {}),
    "Squeeze": (11, node("Squeeze", "x", axes=[0, -1]), {"x": X[:1, :, :, :1]}, {}),
    "Squeeze of all": (11, node("Squeeze", "x"), {"x": X[:1, :, :, :1]}, {}),
    "Unsqueeze": (9, node("Unsqueeze", "x", axes=[0, 5]), {"x": X}, {}),
    "Split": (7, node("Split", "x", outputs=("a", "b"), axis=2, split=[1, 3]), {"x": X}, {}),
    "Split in equal parts": (7, node("Split", "x", outputs=("a", "b"), axis=2), {"x": X}, {}),
    "Split-13": (13, node("Split", "x", outputs=("a", "b"), axis=2), {"x": X}, {}),
    "Slice": (9, node("Slice", "x", starts=[1, -3], ends=[2, 100], axes=[1, 3]), {"x": X}, {}),
    "Slice of the first axes": (7, node("Slice", "x", starts=[1, 0], ends=[2, 2]), {"x": X}, {}),
    "TopK": (9, node("TopK", "x", outputs=("y", "i"), k=2, axis=1), {"x": X}, {}),
    "Clip": (7, node("Clip", "x", min=-0.5, max=0.25), {"x": X}, {}),
    "Clip below": (9, node("Clip", "x", min=-0.5), {"x": X}, {}),
    "Clip above": (10, node("Clip", "x", max=0.25), {"x": X}, {}),
    "Clip of nothing": (10, node("Clip", "x"), {"x": X}, {}),
    "Pad": (9, node("Pad", "x", pads=[0, 1, 2, 0, 1, 0, 0, 3], value=1.5), {"x": X}, {}),
    "Pad by reflection": (10, node("Pad", "x", pads=[0, 0, 2, 0, 0, 0, 0, 3], mode="reflect"), {"x": X}, {}),
    "Dropout": (7, node("Dropout", "x", ratio=0.3), {"x": X}, {}),
    "Dropout-10": (10, node("Dropout", "x", ratio=0.3), {"x": X}, {}),
    "BatchNormalization": (
        7,
        node("BatchNormalization", "x", "s", "s", "s", "s", spatial=1, epsilon=0.1),
        {"x": X},
        {"s": EACH},
    ),
    "BatchNormalization-9": (9, node("BatchNormalization", "x", "s", "s", "s", "s"), {"x": X}, {"s": EACH}),
    **{
        f"{op_type} from {axis}": (11, node(op_type, "x", axis=axis), {"x": X}, {})
        for op_type in ("Softmax", "LogSoftmax", "Hardmax")
        for axis in (0, 1, 2, 3, -1, -2)
    },
    "Softmax by default": (9, node("Softmax", "x"), {"x": X}, {}),
    "Softmax of ones behind": (9, node("Softmax", "x", axis=1), {"x": X[:, :, :1, :1]}, {}),
    "Upsample": (7, node("Upsample", "x", scales=[1.0, 1.0, 2.0, 3.0]), {"x": X}, {}),
    "Upsample linearly": (7, node("Upsample", "x", scales=[1.0, 1.0, 2.0, 3.0], mode="linear"), {"x": X}, {}),
    "Upsample-9": (9, node("Upsample", "x", "s"), {"x": X}, {"s": np.float32([1, 1, 1.5, 2])}),
    "Resize": (10, node("Resize", "x", "s"), {"x": X}, {"s": np.float32([1, 1, 2, 1.5])}),
    "Resize to smaller": (10, node("Resize", "x", "s"), {"x": X}, {"s": np.float32([1, 1, 0.5, 0.6])}),
    "Resize linearly": (10, node("Resize", "x", "s", mode="linear"), {"x": X}, {"s": np.float32([1, 1, 0.5, 1.5])}),
    "Scatter": (
        9,
        node("Scatter", "x", "i", "u", axis=2),
        {"x": X, "u": X[:, :, :2] + 1},
        {"i": np.tile(np.int64([[3], [1]]), (2, 3, 1, 5))},
    ),
    "RoiAlign": (
        10,
        node("RoiAlign", "x", "r", "b", output_height=2, output_width=3, sampling_ratio=2),
        {"x": X},
        {"r": np.float32([[0, 0, 3, 3], [1, 1, 4, 2]]), "b": np.int64([0, 1])},
    ),
    "DFT": (17, node("DFT", "x"), {"x": X[..., None][0]}, {}),
    "GridSample": (
        16,
        node("GridSample", "x", "g", mode="bicubic"),
        {"x": X, "g": X[:, 0, :, :2, None].repeat(2, -1)},
        {},
    ),
    "GridSample by default": (16, node("GridSample", "x", "g"), {"x": X, "g": X[:, 0, :, :2, None].repeat(2, -1)}, {}),
    "GroupNormalization": (
        18,
        node("GroupNormalization", "x", "s", "o", num_groups=2),
        {"x": np.concatenate([X, X[:, :1] * 2], 1)},
        {"s": np.float32([2, 3]), "o": np.float32([-1, 1])},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_upgraded_node_computes_the_same(name: str):
    opset, made, inputs, constants = CASES[name]
    model = model_of(made, opset, inputs, constants, {"i": TensorProto.INT64})
    new = upgraded(model)
    results, expected = run(new, inputs), run(model, inputs)
    for result, reference in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, reference, rtol=1e-5, atol=1e-6)


def test_the_mask_of_a_dropout_keeps_its_type():
    made = node("Dropout", "x", outputs=("y", "m"))
    model = model_of(made, 7, {"x": X}, {})
    values, mask = run(upgraded(model), {"x": X})
    np.testing.assert_array_equal(values, X)
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, np.ones_like(X))


def test_a_clip_of_doubles_has_limits_that_are_doubles():
    model = model_of(node("Clip", "x", min=-0.5), 10, {"x": FLOAT64}, {}, {"y": TensorProto.DOUBLE})
    (result,) = run(upgraded(model), {"x": FLOAT64})
    np.testing.assert_array_equal(result, np.maximum(FLOAT64, -0.5))


def test_nodes_of_graphs_inside_nodes_are_upgraded():
    then = helper.make_graph(
        [helper.make_node("Clip", ["x"], ["t"], max=0.0)], "then", [], [helper.make_empty_tensor_value_info("t")]
    )
    otherwise = helper.make_graph(
        [helper.make_node("Softmax", ["x"], ["e"], axis=2)], "else", [], [helper.make_empty_tensor_value_info("e")]
    )
    made = node("If", "c", then_branch=then, else_branch=otherwise)
    inputs = {"x": X, "c": np.array(False)}
    model = model_of(made, 10, inputs, {})
    for condition in (True, False):
        inputs["c"] = np.array(condition)
        (result,) = run(upgraded(model), inputs)
        (expected,) = run(model, inputs)
        np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("opset", "made", "inputs", "reason"),
    [
        (
            7,
            node("BatchNormalization", "x", "s", "s", "s", "s", spatial=0),
            {"x": X, "s": X[0]},
            "statistics of every position (spatial = 0) are not in newer opsets",
        ),
        (
            11,
            node("Resize", "x", "r", "s", coordinate_transformation_mode="tf_half_pixel_for_nn"),
            {"x": X, "r": np.zeros(0, np.float32), "s": np.ones(4, np.float32)},
            "coordinates tf_half_pixel_for_nn are not in newer opsets",
        ),
    ],
    ids=["BatchNormalization", "Resize"],
)
def test_what_newer_opsets_cannot_say_is_refused(opset: int, made: NodeProto, inputs: Arrays, reason: str):
    with pytest.raises(UserError) as caught:
        upgraded(model_of(made, opset, inputs, {}))
    assert caught.value.what == f"onnx.{made.op_type} cannot be upgraded to opset {CURRENT}: {reason}"


def test_every_version_that_does_not_only_add_has_an_adapter():
    """Read from the schemas of the installed onnx package; after the current opset nothing of the kind follows."""
    broken = {
        (name, after.since)
        for (domain, name), operator in operators().items()
        for before, after in zip(operator.versions, operator.versions[1:], strict=False)
        if not domain and after.since > OLDEST and needs_adapter(before, after)
    }
    assert broken <= set(ADAPTERS)
    assert {since for _, since in broken} <= set(range(OLDEST + 1, CURRENT + 1))
    # What these changed, their signatures do not show.
    assert set(ADAPTERS) - broken == {
        ("Dropout", 10),
        ("GroupNormalization", 21),
        ("Resize", 13),
        ("RoiAlign", 16),
        ("Split", 18),
    }


@pytest.mark.parametrize("opset", [6, 21, 23])
def test_other_opsets_stay(opset: int):
    module = import_model(model_of(node("Relu", "x"), opset, {"x": X}, {}))
    before = str(module)
    UpgradeOpset().apply(make_context(), module)
    assert str(module) == before

"""Rounded weights give results nearer to the float ones, and quantize keeps them."""

from __future__ import annotations

import itertools

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects import nn
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.executor import Executor
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.quantization.layer_inputs import windows
from intaglio.passes.quantization.quantize import Quantize
from intaglio.passes.quantization.quantized_copy import quantized_copy
from intaglio.passes.quantization.round_weights import round_weights
from intaglio.passes.quantization.rounding import best_scales, result_error, round_rows
from intaglio.remarks import collecting


def moments(rng: np.random.Generator, groups: int, length: int) -> np.ndarray:
    """Of inputs that have much in common."""
    mixing = rng.normal(size=(groups, length, 3))
    rows = rng.normal(size=(groups, 200, 3)) @ mixing.transpose(0, 2, 1) + 0.1 * rng.normal(size=(groups, 200, length))
    return rows.transpose(0, 2, 1) @ rows / 200


@pytest.mark.parametrize("groups", [1, 3])
def test_results_are_nearer_than_by_nearest_integers(groups: int):
    rng = np.random.default_rng(groups)
    weights, squares = rng.normal(size=(groups, 5, 8)), moments(rng, groups, 8)
    scales = np.abs(weights).max(axis=2) / 7
    rounded = round_rows(weights, squares, scales, 7, kept=np.ones(scales.shape, np.bool_))
    assert np.array_equal(rounded, np.rint(rounded)) and np.abs(rounded).max() == 7
    assert np.all(np.abs(rounded).max(axis=2) == 7)
    nearest = np.rint(weights / scales[:, :, None]) * scales[:, :, None]
    assert result_error(weights, rounded * scales[:, :, None], squares) < 0.5 * result_error(weights, nearest, squares)


def test_two_weights_as_all_roundings_tried():
    """Up and down of each weight: nothing is better than what is found, apart from the damping."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        weights, squares = rng.uniform(-1.5, 1.5, (1, 1, 2)), moments(rng, 1, 2)
        scales = np.full((1, 1), 0.3)
        found = round_rows(weights, squares, scales, 7, kept=np.zeros((1, 1), np.bool_)) * 0.3
        steps = np.floor(weights / 0.3)
        tried = [
            result_error(weights, (steps + np.array(up)) * 0.3, squares) for up in itertools.product((0, 1), repeat=2)
        ]
        assert result_error(weights, found, squares) <= 1.5 * min(tried) + 1e-3


def test_outliers_are_limited_where_that_is_better():
    weights = np.concatenate([np.linspace(-1, 1, 63), [1.9]])[None, None]
    squares = np.eye(64)[None]
    assert best_scales(weights, squares, 7)[0, 0] < 0.95 * 1.9 / 7
    assert best_scales(np.zeros((1, 1, 4)), np.eye(4)[None], 7)[0, 0] == 1.0


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_windows_are_what_a_convolution_multiplies(groups: int):
    """By the convolution of onnxruntime, of the same input and weight, position by position."""
    rng = np.random.default_rng(groups)
    x = rng.normal(size=(1, 7, 6, 4)).astype(np.float32)
    w = rng.normal(size=(8, 3, 2, 4 // groups)).astype(np.float32)
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], strides=[2, 1], pads=[1, 0, 2, 1], dilations=[1, 2], group=groups
    )
    graph = helper.make_graph(
        [node],
        "conv",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "w")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (want,) = session.run(None, {"x": x.transpose(0, 3, 1, 2), "w": w.transpose(0, 3, 1, 2)})
    _, channels, height, width = want.shape
    text = (
        f"!w = tensor<8x3x2x{4 // groups}xf32>\n!y = tensor<1x{height}x{width}x8xf32>\n"
        "func.func @main(%x: tensor<1x7x6x4xf32>, %w: !w) -> !y {\n"
        f"  %y = nn.conv2d %x, %w strides [2, 1] pads [1, 0, 2, 1] dilations [1, 2] groups {groups} : "
        "(tensor<1x7x6x4xf32>, !w) -> !y\n  func.return %y : !y\n}"
    )
    layer = next(op for op in parse_module(text).walk() if isinstance(op, nn.Conv2dOp))
    rows = windows(layer, x)
    have = rows @ w.reshape(groups, 8 // groups, -1).transpose(0, 2, 1)
    by_channel = have.transpose(0, 2, 1).reshape(channels, height, width)
    np.testing.assert_allclose(by_channel, want[0], rtol=1e-4, atol=1e-5)


def network() -> str:
    rng = np.random.default_rng(0)
    w, v = (
        f"dense<{rng.normal(size=shape).round(4).tolist()}> : tensor<{'x'.join(map(str, shape))}xf32>"
        for shape in ((6, 3, 3, 1), (10, 6))
    )
    return f"""
func.func @main(%x: tensor<1x6x6x6xf32> {{onnx.name = "x"}}) -> (tensor<1x6x6x10xf32> {{onnx.name = "y"}}) {{
  %w = nn.constant {w}
  %v = nn.constant {v}
  %0 = nn.conv2d %x, %w strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] groups 6
    : (tensor<1x6x6x6xf32>, tensor<6x3x3x1xf32>) -> tensor<1x6x6x6xf32>
  %1 = nn.dense %0, %v : (tensor<1x6x6x6xf32>, tensor<10x6xf32>) -> tensor<1x6x6x10xf32>
  func.return %1 : tensor<1x6x6x10xf32>
}}"""


def samples() -> list[dict[str, np.ndarray]]:
    """Smooth images with channels that have much in common."""
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(2, 6))
    fields = rng.normal(size=(16, 1, 6, 6, 2)).cumsum(axis=2).cumsum(axis=3)
    return [{"x": (field @ mixing + 0.1 * rng.normal(size=(1, 6, 6, 6))).astype(np.float32)} for field in fields]


def calibrated() -> ModuleOp:
    module = parse_module(network())
    InsertObservers().apply(make_context(), module)
    record_ranges(module, samples())
    return module


@pytest.mark.parametrize(("per_tensor", "gain"), [(False, 0.6), (True, 0.8)])
def test_quantized_network_is_nearer(per_tensor: bool, gain: float):
    errors: list[float] = []
    want = np.stack([Interpreter(parse_module(network())).run("main", [s["x"]])[0] for s in samples()])
    for rounds in (False, True):
        module = calibrated()
        quantize = Quantize(precision="a8w4", weight_per_tensor=per_tensor)
        if rounds:
            round_weights(module, quantize, samples())
            _, layers = quantized_copy(module, quantize)
            for entry in layers:
                np.testing.assert_allclose(entry.rounded, entry.weight, rtol=1e-5, atol=1e-6)
        quantize.apply(make_context(), module)
        (have,) = Executor(module).run_batch(samples()).values()
        errors.append(float(np.mean((have - want) ** 2)))
    assert errors[1] < gain * errors[0]


def test_says_when_there_is_nothing_to_do():
    module = calibrated()
    with collecting() as remarks:
        round_weights(module, Quantize(precision="float"), samples())
    assert "no layer has integer weights" in str(remarks[0])
    kept = [array_of(op.value) for op in module.walk() if isinstance(op, nn.ConstantOp)]
    assert len(kept) == 2


def test_negative_no_samples():
    with pytest.raises(UserError, match="there are no samples"):
        round_weights(calibrated(), Quantize(), [])

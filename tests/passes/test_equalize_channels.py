"""Equalization keeps the float function and makes ranges alike, whatever the network's shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp

from intaglio.compiler import import_phase, run_phase
from intaglio.dialects import nn
from intaglio.dialects.weights import array_of
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.ir.verification import verify_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.float_graph import FloatGraph
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.quantization.channel_groups import channel_groups
from intaglio.passes.quantization.equalize_channels import EqualizeChannels
from intaglio.phases import PHASES, CompileOptions
from intaglio.remarks import collecting

BENCH = Path(__file__).parents[3] / "shared" / "bench"

needs_bench = pytest.mark.skipif(not BENCH.is_dir(), reason="needs ../shared/bench")


def dense(values: np.ndarray) -> str:
    return f"dense<{values.tolist()}> : tensor<{'x'.join(map(str, values.shape))}xf32>"


def network(rng: np.random.Generator, *, residual: bool, cap: float, depthwise: bool) -> str:
    """Three or four layers of six channels with unlike ranges, between them what equalization has to look through."""

    def weight(*shape: int) -> str:
        factors = 10.0 ** rng.uniform(-1.5, 1.5, (shape[0], *[1] * (len(shape) - 1)))
        return dense((rng.normal(size=shape) * factors).round(4))

    lines = [
        f"%w0 = nn.constant {weight(6, 1, 1, 6)}",
        f"%b0 = nn.constant {weight(6)}",
        f"%w1 = nn.constant {weight(6, 3, 3, 1 if depthwise else 6)}",
        f"%w2 = nn.constant {weight(3, 6)}",
        f"%k = nn.constant {weight(6)}",
        "%0 = nn.conv2d %x, %w0 bias %b0 strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 "
        f"clamp <0.0, {cap}> : (!x, tensor<6x1x1x6xf32>, tensor<6xf32>) -> !x",
        f"%1 = nn.conv2d %0, %w1 strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] groups {6 if depthwise else 1} : "
        f"(!x, tensor<6x3x3x{1 if depthwise else 6}xf32>) -> !x",
        f"%2 = nn.add %1, {'%0' if residual else '%k'} clamp <0.0, {2 * cap}> : "
        f"(!x, {'!x' if residual else 'tensor<6xf32>'}) -> !x",
        "%3 = nn.max_pool2d %2 kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : "
        "(!x) -> tensor<1x2x2x6xf32>",
        "%4 = nn.reduce_mean %3 axes [1, 2] : (tensor<1x2x2x6xf32>) -> tensor<1x1x1x6xf32>",
        "%5 = nn.dense %4, %w2 : (tensor<1x1x1x6xf32>, tensor<3x6xf32>) -> tensor<1x1x1x3xf32>",
        "func.return %5 : tensor<1x1x1x3xf32>",
    ]
    body = "\n  ".join(lines)
    return (
        "!x = tensor<1x4x4x6xf32>\n"
        f'func.func @main(%x: !x {{onnx.name = "x"}}) -> (tensor<1x1x1x3xf32> {{onnx.name = "y"}}) {{\n  {body}\n}}'
    )


def run(module: ModuleOp, x: np.ndarray) -> np.ndarray:
    return Interpreter(module).run("main", [x])[0]


def spread(module: ModuleOp) -> float:
    """How unlike the channels of the first layer's weight are: the ratio of the largest to the smallest range."""
    first = next(op for op in module.walk() if isinstance(op, nn.Conv2dOp))
    constant = first.weight.owner
    assert isinstance(constant, nn.ConstantOp)
    ranges = np.abs(array_of(constant.value)).max(axis=(1, 2, 3))
    return float(ranges.max() / ranges.min())


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 10**6),
    st.booleans(),
    st.sampled_from(["inf", "6.0"]),
    st.booleans(),
    st.booleans(),
)
def test_function_is_the_same(seed: int, residual: bool, cap: str, depthwise: bool, observed: bool):
    rng = np.random.default_rng(seed)
    text = network(rng, residual=residual, cap=float(cap), depthwise=depthwise)
    module = parse_module(text)
    samples = [rng.normal(size=(1, 4, 4, 6)).astype(np.float32) for _ in range(4)]
    if observed:
        InsertObservers(channels=True).apply(make_context(), module)
        record_ranges(module, [{"x": x} for x in samples], channels=True)
    EqualizeChannels().apply(make_context(), module)
    verify_module(module)
    unchanged = parse_module(text)
    # The same everywhere, not only where calibration has looked.
    for x in [*samples, *(10 * x for x in samples)]:
        want = run(unchanged, x)
        np.testing.assert_allclose(run(module, x), want, rtol=2e-4, atol=2e-5 * max(1.0, float(np.abs(want).max())))


def test_unlike_channels_become_alike():
    module = parse_module(network(np.random.default_rng(5), residual=False, cap=float("inf"), depthwise=True))
    before = spread(module)
    EqualizeChannels().apply(make_context(), module)
    assert before > 200 and spread(module) < 20


def test_residual_connections_join_groups():
    module = parse_module(network(np.random.default_rng(5), residual=True, cap=float("inf"), depthwise=False))
    (function,) = (op for op in module.ops if isinstance(op, func.FuncOp))
    (group,) = channel_groups(function)
    assert [op.name for op in group.sources] == ["nn.conv2d", "nn.conv2d"]
    assert [op.name for op in group.consumers] == ["nn.conv2d", "nn.dense"]


def test_says_when_there_is_nothing_to_do():
    module = parse_module(
        "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
        "  %0 = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32>\n  func.return %0 : tensor<2xf32>\n}"
    )
    with collecting() as remarks:
        EqualizeChannels().apply(make_context(), module)
    assert "no channels lie between two layers" in str(remarks[0])


def test_second_time_changes_nothing():
    module = parse_module(network(np.random.default_rng(6), residual=True, cap=float("inf"), depthwise=True))
    EqualizeChannels().apply(make_context(), module)
    text = print_module(module)
    with collecting() as remarks:
        EqualizeChannels().apply(make_context(), module)
    assert print_module(module) == text
    assert "are alike" in str(remarks[0])


def graph_of(name: str) -> ModuleOp:
    options = CompileOptions(shapes={"input": (64, 1, 16, 16)})
    module = import_phase(BENCH / name, options)
    run_phase(module, PHASES[1], options)
    return module


@needs_bench
@pytest.mark.parametrize("name", ["mbv2_hard", "mbv2_mid"])
def test_bench_networks_are_alike_raw_and_folded(name: str):
    """ReLU6 networks: the same weights from both exports, and the same function on images not calibrated on."""
    with np.load(BENCH / "digits16.npz") as data:
        samples = [{"input": data["x_calib"][start : start + 64]} for start in range(0, 256, 64)]
        images = data["x_eval"][:64]
    found: list[list[np.ndarray]] = []
    for file in (f"{name}.onnx", f"raw/{name}.onnx"):
        module = graph_of(file)
        (want,), _ = FloatGraph(module).run({"input": images})
        InsertObservers(channels=True).apply(make_context(), module)
        record_ranges(module, samples, channels=True)
        EqualizeChannels().apply(make_context(), module)
        (have,), _ = FloatGraph(module).run({"input": images})
        np.testing.assert_allclose(have, want, atol=1e-4)
        found.append([array_of(op.value) for op in module.walk() if isinstance(op, nn.ConstantOp)])
    for folded, raw in zip(*found, strict=True):
        np.testing.assert_array_equal(folded, raw)

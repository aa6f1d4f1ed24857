"""Corrected biases bring the means of a quantized network's results back to those of the float one."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.errors import UserError
from intaglio.executor import Executor
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.quantization.correct_bias import CorrectBias, correct_biases
from intaglio.passes.quantization.quantize import Quantize
from intaglio.remarks import collecting


def network(seed: int) -> str:
    """Depthwise, then pointwise: nine weights a channel in 4 bits, so that means move."""
    rng = np.random.default_rng(seed)
    depthwise, pointwise = (
        f"dense<{rng.normal(0.3, 1, shape).round(4).tolist()}> : tensor<{'x'.join(map(str, shape))}xf32>"
        for shape in ((6, 3, 3, 1), (4, 1, 1, 6))
    )
    kind = "tensor<1x8x8x6xf32>"
    return f"""
func.func @main(%x: {kind} {{onnx.name = "x"}}) -> (tensor<1x8x8x4xf32> {{onnx.name = "y"}}) {{
  %w = nn.constant {depthwise}
  %v = nn.constant {pointwise}
  %0 = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 6 clamp <0.0, inf>
    : ({kind}, tensor<6x3x3x1xf32>) -> tensor<1x6x6x6xf32>
  %1 = nn.pad %0 low [0, 1, 1, 0] high [0, 1, 1, 0] value 0.0 : f64 : (tensor<1x6x6x6xf32>) -> {kind}
  %2 = nn.conv2d %1, %v strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1
    : ({kind}, tensor<4x1x1x6xf32>) -> tensor<1x8x8x4xf32>
  func.return %2 : tensor<1x8x8x4xf32>
}}"""


def shifts(correction: str | None, seed: int) -> np.ndarray:
    """How far the means of the results are from those in floats, in standard deviations of the result."""
    rng = np.random.default_rng(seed)
    samples = [{"x": rng.gamma(2.0, 1.0, (1, 8, 8, 6)).astype(np.float32)} for _ in range(24)]
    module = parse_module(network(seed))
    want = np.stack([Interpreter(module).run("main", [sample["x"]])[0] for sample in samples])
    InsertObservers(channels=True).apply(make_context(), module)
    record_ranges(module, samples, channels=True)
    quantize = Quantize(precision="a8w4")
    if correction is not None:
        correct_biases(module, quantize, samples if correction == "iterative" else None)
    quantize.apply(make_context(), module)
    (have,) = Executor(module).run_batch(samples).values()
    axes = (0, 1, 2, 3)
    return np.abs(have.mean(axis=axes) - want.mean(axis=axes)) / want.std(axis=axes)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_means_come_back(seed: int):
    uncorrected, regular, iterative = (shifts(correction, seed).max() for correction in (None, "regular", "iterative"))
    assert regular < 0.5 * uncorrected
    assert iterative < 0.3 * uncorrected


def calibrated() -> ModuleOp:
    module = parse_module(network(0))
    InsertObservers().apply(make_context(), module)
    record_ranges(module, [{"x": np.ones((1, 8, 8, 6), np.float32)}])
    return module


def test_says_when_there_is_nothing_to_do():
    with collecting() as remarks:
        CorrectBias().apply(make_context(), calibrated())
    assert [str(remark) for remark in remarks] == [
        "correct-bias: remark: no bias to correct: no quantized layer reads a tensor whose channels were observed"
    ]
    with collecting() as remarks:
        CorrectBias(precision="float").apply(make_context(), calibrated())
    assert "no layer is quantized" in str(remarks[0])


def test_negative_iterative_without_data():
    with pytest.raises(UserError, match="needs data"):
        CorrectBias(iterative=True).apply(make_context(), calibrated())

"""Smoothing keeps the float function, and the searched factors round better than none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp

from intaglio.errors import UserError
from intaglio.executor import Executor
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.ir.verification import verify_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.quantization.quantize import Quantize
from intaglio.passes.quantization.smooth_quant import SmoothQuant
from intaglio.remarks import collecting

KIND = "tensor<1x5x8xf32>"


def network(rng: np.random.Generator, operation: str = "layer_norm", outlier: float = 30.0) -> str:
    """A normalization with one large channel, read by two dense layers whose sum is the result."""

    def constant(values: np.ndarray) -> str:
        return f"dense<{values.round(4).tolist()}> : tensor<{'x'.join(map(str, values.shape))}xf32>"

    scale = rng.uniform(0.5, 1.5, 8)
    scale[rng.integers(8)] *= outlier
    parameters = "scale %s offset %o" if operation == "layer_norm" else "scale %s"
    types = "tensor<8xf32>, tensor<8xf32>" if operation == "layer_norm" else "tensor<8xf32>"
    return f"""
func.func @main(%x: {KIND} {{onnx.name = "x"}}) -> ({KIND} {{onnx.name = "y"}}) {{
  %s = nn.constant {constant(scale)}
  %o = nn.constant {constant(rng.normal(size=8))}
  %w = nn.constant {constant(rng.normal(size=(8, 8)))}
  %v = nn.constant {constant(rng.normal(size=(8, 8)))}
  %0 = nn.{operation} %x {parameters} axis 2 epsilon 1.0e-05 : f64 : ({KIND}, {types}) -> {KIND}
  %1 = nn.dense %0, %w : ({KIND}, tensor<8x8xf32>) -> {KIND}
  %2 = nn.dense %0, %v : ({KIND}, tensor<8x8xf32>) -> {KIND}
  %3 = nn.add %1, %2 : ({KIND}, {KIND}) -> {KIND}
  func.return %3 : {KIND}
}}"""


def observed(text: str, samples: list[dict[str, np.ndarray]]) -> ModuleOp:
    module = parse_module(text)
    InsertObservers(channels=True).apply(make_context(), module)
    record_ranges(module, samples, channels=True)
    return module


def data(seed: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [{"x": rng.normal(size=(1, 5, 8)).astype(np.float32)} for _ in range(8)]


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from(["layer_norm", "rms_norm"]), st.sampled_from([None, 0.3, 1.0]))
def test_function_is_the_same(seed: int, operation: str, alpha: float | None):
    text, samples = network(np.random.default_rng(seed), operation), data(seed)
    module = observed(text, samples)
    SmoothQuant(alpha).apply(make_context(), module)
    verify_module(module)
    for sample in samples:
        (want,), (have,) = (Interpreter(m).run("main", [3 * sample["x"]]) for m in (parse_module(text), module))
        np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-4 * float(np.abs(want).max()))


def test_searched_factors_round_better():
    """Not by the estimate that chose them, but in the integers."""
    errors: dict[bool, float] = {}
    for smoothed in (False, True):
        total = 0.0
        for seed in range(4):
            text, samples = network(np.random.default_rng(seed)), data(seed)
            module = observed(text, samples)
            if smoothed:
                SmoothQuant().apply(make_context(), module)
                record_ranges(module, samples)
            Quantize().apply(make_context(), module)
            (have,) = Executor(module).run_batch(samples).values()
            want = np.stack([Interpreter(parse_module(text)).run("main", [sample["x"]])[0] for sample in samples])
            total += float(np.mean((have - want) ** 2) / np.var(want))
        errors[smoothed] = total
    assert errors[True] < 0.8 * errors[False]


def test_says_when_there_is_nothing_to_do():
    with collecting() as remarks:
        SmoothQuant().apply(make_context(), parse_module(network(np.random.default_rng(0))))
    assert "no normalization is read by layers only, with its channels observed" in str(remarks[0])


def test_negative_alpha_out_of_range():
    with pytest.raises(UserError, match="out of range"):
        SmoothQuant(1.5).apply(make_context(), parse_module(network(np.random.default_rng(0))))

"""`calibrate` records exactly the ranges that the values have on the data, reading it once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects.quant import ObserveOp
from intaglio.errors import UserError
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.params import MinMaxMethod
from intaglio.passes.calibration.calibrate import Calibrate, record_ranges

NETWORK = """
!map = tensor<1x4x4x2xf32>
func.func @main(%x: tensor<1x2x4x4xf32> {onnx.name = "image"}, %k: tensor<2xf32> {onnx.name = "gain"}) -> !map {
  %t = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x2x4x4xf32>) -> !map
  %o = quant.observe %t {method = "min_max"} : !map
  %w = nn.constant dense<[[[[0.5, -0.25]]], [[[1.5, 2.0]]]]> : tensor<2x1x1x2xf32>
  %a = nn.conv2d %o, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 clamp <-1.0, 1.5>
    : (!map, tensor<2x1x1x2xf32>) -> !map
  %p = quant.observe %a {method = "min_max"} : !map
  %b = nn.mul %p, %k : (!map, tensor<2xf32>) -> !map
  %q = quant.observe %b {method = "min_max"} : !map loc("product")
  func.return %q : !map
}
"""


def samples(count: int) -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(7)
    for _ in range(count):
        image = rng.normal(size=(1, 2, 4, 4)).astype(np.float32)
        yield {"image": image, "gain": rng.uniform(1, 2, 2).astype(np.float32)}


def ranges_of(module: ModuleOp) -> list[tuple[float, float] | None]:
    return [op.calibrated_range for op in module.walk() if isinstance(op, ObserveOp)]


def interpreted_ranges(text: str, count: int) -> list[tuple[float, float]]:
    """The same from the interpreter, all values kept."""
    module = parse_module(text)
    seen: dict[ObserveOp, list[np.ndarray]] = {op: [] for op in module.walk() if isinstance(op, ObserveOp)}

    def listener(op, results):
        if op in seen:
            seen[op].append(results[0])

    interpreter = Interpreter(module, listeners=[listener])
    for sample in samples(count):
        interpreter.run("main", [sample["image"], sample["gain"]])
    return [(float(np.min(values)), float(np.max(values))) for values in seen.values()]


def test_ranges_are_those_of_the_interpreter():
    module = parse_module(NETWORK)
    done: list[int] = []
    record_ranges(module, samples(20), progress=done.append)
    assert done == list(range(1, 21))
    found = ranges_of(module)
    np.testing.assert_allclose(np.array(found, np.float64), interpreted_ranges(NETWORK, 20), rtol=1e-6)
    assert found[1] == (-1.0, 1.5)


def test_file_and_iterable_agree(tmp_path: Path):
    stacked = {name: np.stack([sample[name] for sample in samples(5)]) for name in ("image", "gain")}
    np.savez(tmp_path / "data.npz", **stacked)
    from_file, from_iterable = parse_module(NETWORK), parse_module(NETWORK)
    Calibrate(data=str(tmp_path / "data.npz")).apply(make_context(), from_file)
    record_ranges(from_iterable, samples(5))
    assert ranges_of(from_file) == ranges_of(from_iterable)


def test_new_data_replace_old_ranges():
    module = parse_module(NETWORK)
    record_ranges(module, samples(20))
    record_ranges(module, samples(1))
    alone = parse_module(NETWORK)
    record_ranges(alone, samples(1), method=MinMaxMethod())
    assert ranges_of(module) == ranges_of(alone)


def test_a_method_given_goes_to_all_observers():
    module = parse_module(NETWORK.replace("min_max", "mine"))
    with pytest.raises(UserError, match="no calibration method 'mine'"):
        record_ranges(module, samples(1))
    record_ranges(module, samples(1), method=MinMaxMethod())
    assert {op.method.data for op in module.walk() if isinstance(op, ObserveOp)} == {"min_max"}


def test_nothing_to_calibrate():
    with pytest.raises(UserError, match="no observers"):
        record_ranges(parse_module("func.func @main() { func.return }"), [])


def test_nothing_to_calibrate_names_the_type_that_is_not_quantized():
    text = """
func.func @main(%x: tensor<4xf16>) -> tensor<4xf16> {
  %0 = nn.relu %x : (tensor<4xf16>) -> tensor<4xf16> loc("act")
  func.return %0 : tensor<4xf16>
}
"""
    with pytest.raises(UserError, match=r'nn\.relu "act" .* computes in f16'):
        record_ranges(parse_module(text), [])


def test_no_samples():
    module = parse_module(NETWORK)
    with pytest.raises(UserError, match="no samples"):
        record_ranges(module, [])
    assert ranges_of(module) == [None, None, None]


def test_a_sample_that_does_not_fit():
    with pytest.raises(UserError, match=r"'gain' has shape \[3\], but the input has shape \[2\]"):
        record_ranges(parse_module(NETWORK), [{**next(samples(1)), "gain": np.zeros(3, np.float32)}])


def test_values_that_overflow_name_sample_and_operation():
    huge = [next(samples(1)), {**next(samples(1)), "gain": np.full(2, 3e38, np.float32)}]
    with pytest.raises(UserError, match="sample 1 makes values of 'product' infinite"):
        record_ranges(parse_module(NETWORK), huge)

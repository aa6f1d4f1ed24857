"""The executor as a whole: batches, values inside, starting inside, errors, and the shipped networks."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import intaglio as ig
from intaglio.compiler import run_phase
from intaglio.data import load_samples
from intaglio.errors import UserError
from intaglio.executor import Executor
from intaglio.interpreter import Interpreter
from intaglio.ir.parsing import parse_module
from intaglio.phases import PHASE_NAMES, PHASES, CompileOptions

EXAMPLES = Path(__file__).parents[2] / "examples"

TEXT = """
!in = tensor<1x4x!quant.uniform<i8:f32, 0.5:1>>
!first = tensor<1x4x!quant.uniform<i8:f32, 0.25>>
!second = tensor<1x4x!quant.uniform<i8:f32, 1.0>>
func.func @main(%x: !in {onnx.name = "x"}, %y: !in {onnx.name = "y"}) -> (tensor<1x4xf32> {onnx.name = "sum"}) {
  %a = nn.relu %x : (!in) -> !first loc("first")
  %b = nn.add %a, %y : (!first, !in) -> !second loc("second")
  %c = quant.dcast %b : !second to tensor<1x4xf32> loc("third")
  func.return %c : tensor<1x4xf32>
}
"""


def digits(count: int) -> list[dict[str, np.ndarray]]:
    """The first calibration samples of an example."""
    path = EXAMPLES / "fashion_resnet8" / "calibration.npz"
    return list(islice(load_samples(path, {"input": (1, 1, 28, 28)}), count))


@pytest.fixture
def executor() -> Executor:
    return Executor(parse_module(TEXT))


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.integers(-128, 128, (5, 1, 4)).astype(np.int8) for name in "xy"}


def test_batches_samples_and_single_runs_agree(executor, batch):
    (together,) = executor.run_batch(batch).values()
    samples = [{name: array[k] for name, array in batch.items()} for k in range(5)]
    (one_by_one,) = executor.run_batch(iter(samples)).values()
    assert together.shape == (5, 1, 4)
    np.testing.assert_array_equal(together, one_by_one)
    for k, sample in enumerate(samples):
        np.testing.assert_array_equal(executor.run(sample)["sum"], together[k])
        (expected,) = Interpreter(parse_module(TEXT)).run("main", list(sample.values()))
        np.testing.assert_array_equal(expected, together[k])


def test_values_inside_are_returned_as_stored_and_as_reals(executor, batch):
    result = executor.watch_batch(batch, ["first", "second", "x"])
    # Relu of 0.5 * (x - 1), in units of 0.25.
    expected = np.clip(2 * np.maximum(batch["x"].astype(int) - 1, 0), -128, 127)
    np.testing.assert_array_equal(result.stored["first"], expected)
    np.testing.assert_array_equal(result.stored["x"], batch["x"])
    real = executor.real(executor.value("x"), result.stored["x"])
    np.testing.assert_array_equal(real, 0.5 * (batch["x"].astype(np.float32) - 1))
    np.testing.assert_array_equal(
        executor.real(executor.value("second"), result.stored["second"]), result.outputs["sum"]
    )


def test_running_from_values_inside_computes_only_what_is_missing(executor, batch):
    result = executor.watch_batch(batch, ["first"])
    again = executor.run_from({"first": result.stored["first"], "y": batch["y"]}, watched=["second"])
    np.testing.assert_array_equal(again.outputs["sum"], result.outputs["sum"])
    other = executor.run_from({"first": np.zeros((5, 1, 4), np.int8), "y": batch["y"]})
    expected = np.rint((batch["y"].astype(float) - 1) / 2 + 1e-9)
    np.testing.assert_array_equal(other.outputs["sum"], expected)
    assert list(executor.run_from({"third": np.ones((2, 1, 4), np.float32)}).outputs["sum"].flat) == [1.0] * 8


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"x": np.zeros((2, 1, 4), np.int8)}, "no array for input 'y'"),
        ({"x": np.zeros((2, 1, 4), np.int8), "z": np.zeros((2, 1, 4), np.int8)}, "no array for input 'y'"),
        ({"x": np.zeros((2, 1, 4), np.int8), "y": np.zeros((2, 4), np.int8)}, r"has shape \[4\]"),
        ({"x": np.zeros((2, 1, 4), np.int8), "y": np.zeros((2, 1, 4), np.float32)}, "has type float32"),
        ({"x": np.zeros((2, 1, 4), np.int8), "y": np.zeros((3, 1, 4), np.int8)}, "number of samples"),
        ({"x": np.zeros((0, 1, 4), np.int8), "y": np.zeros((0, 1, 4), np.int8)}, "no samples"),
        ([], "no samples"),
    ],
)
def test_feeds_that_do_not_fit_are_refused(executor, feeds, message):
    with pytest.raises(UserError, match=message):
        executor.run_batch(feeds)


def test_what_is_needed_must_be_given(executor, batch):
    with pytest.raises(UserError, match="'y' is needed and not given"):
        executor.run_from({"first": batch["x"]})
    with pytest.raises(UserError, match="no value called 'fourth'"):
        executor.watch_batch(batch, ["fourth"])
    with pytest.raises(UserError, match="cannot be float32"):
        executor.run_from({"first": np.zeros((5, 1, 4), np.float32)})


def test_operations_without_kernels_and_checks_run_by_their_rules():
    module = parse_module("""
func.func @main(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %y = nn.softmax %x axis 1 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  check.expect_close %y, %y tolerance 0.0 : tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}""")
    x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    (batch,) = Executor(module).run_batch({"input_0": x}).values()
    expected = [Interpreter(module).run("main", [sample])[0] for sample in x]
    assert batch.tobytes() == np.stack(expected).tobytes()


def test_results_that_do_not_depend_on_the_input():
    module = parse_module("""
func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
  func.return %y : tensor<2xf32>
}""")
    (batch,) = Executor(module).run_batch({"input_0": np.zeros((3, 2), np.float32)}).values()
    np.testing.assert_array_equal(batch, [[1, 2]] * 3)


@pytest.mark.parametrize("phase", ["partition", "npu"])
def test_functions_that_are_called_run_by_their_rules(phase):
    module = ig.load(EXAMPLES / "fashion_resnet8" / "model.onnx").quantize(digits(8)).module
    expected = Executor(module).run_batch(digits(2))
    for current in PHASES[PHASE_NAMES.index("partition") : PHASE_NAMES.index(phase) + 1]:
        run_phase(module, current, CompileOptions(target="gen1"))
    actual = Executor(module).run_batch(digits(2))
    assert {name: array.tobytes() for name, array in actual.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


def test_values_that_are_no_tensors():
    module = parse_module("""
func.func @main(%x: tensor<2xf32>, %y: tensor<2xf32>) -> tensor<4xf32> {
  %s = onnx.SequenceConstruct(%x, %y) : (tensor<2xf32>, tensor<2xf32>) -> !onnx.sequence<tensor<*xf32>>
  %z = onnx.ConcatFromSequence(%s) {axis = 0 : i64} : (!onnx.sequence<tensor<*xf32>>) -> tensor<4xf32>
  func.return %z : tensor<4xf32>
}""")
    x, y = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    (result,) = Executor(module).run_batch({"input_0": x, "input_1": y}).values()
    np.testing.assert_array_equal(result, np.concatenate([x, y], axis=1))


@pytest.mark.parametrize("name", ["fashion_resnet8", "ppocr_cls"])
def test_the_examples_give_the_bits_of_the_interpreter(name):
    network = ig.load(EXAMPLES / name / "model.onnx")
    shapes = {tensor.name: tensor.shape for tensor in network.inputs}
    calibration = list(islice(load_samples(EXAMPLES / name / "calibration.npz", shapes), 8))
    samples = list(islice(load_samples(EXAMPLES / name / "evaluation.npz", shapes), 3))
    module = network.quantize(calibration).module
    batch = Executor(module).run_batch(samples)
    for k, sample in enumerate(samples):
        expected = Interpreter(module).run("main", list(sample.values()))
        assert [batch[name][k].tobytes() for name in batch] == [array.tobytes() for array in expected]

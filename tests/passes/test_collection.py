"""Statistics of a whole network: files, resuming, merging, and data in batches."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from intaglio.errors import UserError
from intaglio.ir.parsing import parse_module
from intaglio.params import (
    AverageMinMaxMethod,
    CalibrationMethod,
    HistogramEntropyMethod,
    HistogramMSEMethod,
    MinMaxMethod,
    MovingAverageMinMaxMethod,
)
from intaglio.passes.calibration import calibrate
from intaglio.passes.calibration.calibrate import Calibration, record_ranges, set_method
from intaglio.passes.calibration.collection import NetworkStatistics
from intaglio.passes.calibration.observers import observers_of
from intaglio.passes.calibration.statistics import Grid

Array = np.ndarray[Any, np.dtype[Any]]

NETWORK = """
!map = tensor<1x4x4x2xf32>
func.func @main(%x: tensor<1x2x4x4xf32> {onnx.name = "image"}) -> !map {
  %t = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x2x4x4xf32>) -> !map
  %o = quant.observe %t {method = "min_max"} : !map
  %b = nn.mul %o, %o : (!map, !map) -> !map loc("square")
  %p = quant.observe %b {method = "min_max"} : !map loc("square")
  %c = nn.add %p, %p : (!map, !map) -> !map loc(fused["square", "sum"])
  %q = quant.observe %c {method = "min_max"} : !map loc(fused["square", "sum"])
  %d = nn.relu %q : (!map) -> !map loc("sum")
  %r = quant.observe %d {method = "min_max"} : !map loc("sum")
  func.return %r : !map
}
"""

NAMES = ["image", "square", "sum", "sum#2"]


def images(count: int, seed: int = 11) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 1, 2, 4, 4)).astype(np.float32)


def singles(stack: Array) -> Iterator[dict[str, Array]]:
    return ({"image": image} for image in stack)


def ranges(samples: Any, method: CalibrationMethod, **options: Any) -> dict[str, tuple[float, float] | None]:
    module = parse_module(NETWORK)
    record_ranges(module, samples, method=method, **options)
    return {name: op.calibrated_range for name, op in observers_of(module).items()}


def collected(stack: Array, method: CalibrationMethod) -> NetworkStatistics:
    module = parse_module(NETWORK)
    set_method(module, method)
    calibration = Calibration(module)
    calibration.add(singles(stack))
    return calibration.statistics


def test_tensors_are_called_after_inputs_and_nodes():
    assert list(observers_of(parse_module(NETWORK))) == NAMES


@pytest.mark.parametrize(
    "method", [AverageMinMaxMethod(), MovingAverageMinMaxMethod(0.3), HistogramMSEMethod(64)], ids=str
)
@pytest.mark.parametrize("sizes", [[12], [5, 5, 2], [1] * 12, [3, 1, 8]])
@pytest.mark.parametrize("new_axis", [False, True])
def test_batches_of_any_size_are_the_same_as_samples(method: CalibrationMethod, sizes: list[int], new_axis: bool):
    stack = images(12)
    parts = np.split(stack, np.cumsum(sizes)[:-1])
    batches = (
        {"image": part if new_axis else part.reshape(-1, 2, 4, 4), "label": np.zeros(len(part))} for part in parts
    )
    assert ranges(batches, method) == ranges(singles(stack), method)


def test_networks_with_a_batch_dimension_count_its_samples():
    wide = parse_module(NETWORK.replace("tensor<1x", "tensor<3x"))
    record_ranges(wide, [{"image": images(12).reshape(12, 2, 4, 4)}], method=MovingAverageMinMaxMethod(0.3))
    found = [op.calibrated_range for op in observers_of(wide).values()]
    assert found == list(ranges(singles(images(12)), MovingAverageMinMaxMethod(0.3)).values())


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"image": np.zeros((1, 2, 4, 5), np.float32)}, r"array 'image' has shape \[1, 2, 4, 5\]"),
        ({"picture": np.zeros((1, 2, 4, 4), np.float32)}, "the sample has the arrays picture"),
        ({"image": np.zeros((7, 2, 4, 4), np.int64)}, "'image' is int64"),
    ],
)
def test_samples_that_do_not_fit_are_refused(sample: dict[str, Array], message: str):
    with pytest.raises(UserError, match=message):
        ranges([sample], MinMaxMethod())


def test_inputs_that_differ_in_their_number_of_samples_are_refused():
    text = """
    func.func @main(%x: tensor<1x2xf32> {onnx.name = "a"}, %y: tensor<1x2xf32> {onnx.name = "b"}) -> tensor<1x2xf32> {
      %z = nn.add %x, %y : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x2xf32>
      %o = quant.observe %z {method = "min_max"} : tensor<1x2xf32>
      func.return %o : tensor<1x2xf32>
    }
    """
    batch = {"a": np.zeros((4, 2), np.float32), "b": np.zeros((3, 2), np.float32)}
    with pytest.raises(UserError, match="a has 4, b has 3"):
        record_ranges(parse_module(text), [batch])


@pytest.mark.parametrize(
    "method", [HistogramEntropyMethod(64), AverageMinMaxMethod(), MovingAverageMinMaxMethod()], ids=str
)
def test_an_interrupted_calibration_goes_on_from_its_file(
    method: CalibrationMethod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(calibrate, "CHECKPOINT_SECONDS", 0.0)
    stack, file = images(20), tmp_path / "statistics.safetensors"

    def failing() -> Iterator[dict[str, Array]]:
        yield from singles(stack[:9])
        raise ConnectionError("the data's source went away")

    with pytest.raises(ConnectionError):
        ranges(failing(), method, statistics=file)
    done = NetworkStatistics.load(file).samples
    assert 0 < done < 20
    seen: list[int] = []
    resumed = ranges(singles(stack), method, statistics=file, progress=seen.append)
    assert seen == list(range(done + 1, 21))
    assert resumed == ranges(singles(stack), method)
    assert NetworkStatistics.load(file).samples == 20


def test_a_file_of_another_calibration_is_refused(tmp_path: Path):
    file = tmp_path / "statistics.safetensors"
    collected(images(2), MinMaxMethod()).save(file)
    with pytest.raises(UserError, match="other methods"):
        ranges(singles(images(2)), AverageMinMaxMethod(), statistics=file)
    other = parse_module(NETWORK.replace('"image"', '"picture"'))
    with pytest.raises(UserError, match="other tensors"):
        Calibration(other, file)


@pytest.mark.parametrize("method", [MinMaxMethod(), AverageMinMaxMethod(), HistogramMSEMethod(64)], ids=str)
def test_parts_of_many_machines_add_up(method: CalibrationMethod, tmp_path: Path):
    for index, part in enumerate(np.split(images(24), [3, 10])):
        collected(part, method).save(tmp_path / str(index))
    merged = NetworkStatistics.load(tmp_path / "2")
    for index in (0, 1):
        merged.merge(NetworkStatistics.load(tmp_path / str(index)))
    assert merged.samples == 24
    for grid in (Grid(), Grid(4, True)):
        assert merged.ranges(grid) == collected(images(24), method).ranges(grid)


def test_a_refused_merge_changes_nothing():
    moving = collected(images(3), MovingAverageMinMaxMethod())
    before = moving.ranges()
    with pytest.raises(UserError, match="cannot be merged"):
        moving.merge(collected(images(3, seed=2), MovingAverageMinMaxMethod()))
    assert moving.ranges() == before
    assert moving.samples == 3
    with pytest.raises(UserError, match="different networks: only one has the tensor 'image'"):
        moving.merge(NetworkStatistics({"other": MinMaxMethod()}))


def test_there_must_be_samples():
    with pytest.raises(UserError, match="there are no samples"):
        ranges([], MinMaxMethod())


@pytest.mark.parametrize("damage", ["text", "format", "samples", "method", "missing", "shape"])
def test_damaged_files_are_refused(damage: str, tmp_path: Path):
    file = tmp_path / "statistics.safetensors"
    collected(images(2), HistogramMSEMethod(64)).save(file)
    with safetensors.safe_open(file, framework="numpy") as opened:
        metadata = dict(opened.metadata())
    arrays = safetensors.numpy.load_file(file)
    if damage == "text":
        file.write_text("{}")
    else:
        if damage == "format":
            metadata["format"] = "other"
        if damage == "samples":
            metadata["samples"] = "many"
        if damage == "method":
            metadata["tensors"] = metadata["tensors"].replace("mse", "min_max")
        if damage == "missing":
            del arrays["1.counts"]
        if damage == "shape":
            arrays["1.counts"] = arrays["1.counts"][:-1].copy()
        safetensors.numpy.save_file(arrays, file, metadata=metadata)
    with pytest.raises(UserError, match=r"no file of calibration statistics|statistics are damaged"):
        NetworkStatistics.load(file)


def test_a_missing_file_is_reported():
    with pytest.raises(UserError, match="cannot read the file"):
        NetworkStatistics.load("/nonexistent/statistics")


def test_memory_does_not_grow_with_the_number_of_samples():
    module = parse_module(NETWORK)
    set_method(module, HistogramEntropyMethod())
    calibration = Calibration(module)
    stack = images(64)
    peaks: list[int] = []
    for count in (64, 64, 640):
        tracemalloc.start()
        calibration.add(singles(stack[index % 64] for index in range(calibration.statistics.samples + count)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert calibration.statistics.samples == 768
    assert peaks[2] < 1.2 * peaks[1]

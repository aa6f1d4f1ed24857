"""The command `intaglio calibrate`, and `compile --ranges`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from intaglio.tools.cli import run_cli

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    weight = np.random.default_rng(0).normal(size=(4, 2, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["conv_tensor"], name="stem/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv_tensor"], ["relu_tensor"], name="stem/Relu"),
        helper.make_node("GlobalAveragePool", ["relu_tensor"], ["mean_tensor"], name="pool"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 2, 6, 6))],
        [helper.make_tensor_value_info("mean_tensor", TensorProto.FLOAT, (1, 4, 1, 1))],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "net.onnx"
    )
    np.savez(tmp_path / "data.npz", input=images())
    np.savez(tmp_path / "first.npz", input=images()[:4])
    np.savez(tmp_path / "rest.npz", input=images()[4:])
    return tmp_path


def images() -> Array:
    return np.random.default_rng(1).normal(size=(12, 1, 2, 6, 6)).astype(np.float32)


def run(folder: Path, *arguments: str) -> int:
    """Run a command on the files of a folder: an argument `@name` is the file of that name."""
    return run_cli([str(folder / text[1:]) if text.startswith("@") else text for text in arguments])


def calibrate(folder: Path, output: str, *options: str) -> dict[str, Any]:
    assert run(folder, "calibrate", "@net.onnx", "-o", f"@{output}", *options) == 0
    return json.loads((folder / output).read_text())


def test_ranges_are_those_that_onnxruntime_shows(folder: Path):
    found = calibrate(folder, "ranges.json", "--calibration", "@data.npz", "--method", "min_max")
    by_default = calibrate(folder, "default.json", "--calibration", "@data.npz")
    model = onnx.load(folder / "net.onnx")
    model.graph.output.append(helper.make_tensor_value_info("relu_tensor", TensorProto.FLOAT, (1, 4, 6, 6)))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    runs = [session.run(["relu_tensor", "mean_tensor"], {"input": image}) for image in images()]
    expected = {"input": images(), "stem/Relu": np.stack([r[0] for r in runs]), "pool": np.stack([r[1] for r in runs])}
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name]["method"] == "min_max"
        assert found[name]["min"] == pytest.approx(values.min(), rel=1e-6)
        assert found[name]["max"] == pytest.approx(values.max(), rel=1e-6)
        assert by_default[name]["method"] == "mse"
        assert by_default[name]["extrema"] == [found[name]["min"], found[name]["max"]]


@pytest.mark.parametrize("method", ["min_max", "mse", "entropy", "percentile{percentile_value=99}", "average"])
def test_parts_merge_into_the_whole(folder: Path, method: str):
    whole = calibrate(folder, "whole.json", "--calibration", "@data.npz", "--method", method)
    assert {entry["method"] for entry in whole.values()} == {method.replace("=99}", "=99.0}")}
    calibrate(folder, "a.json", "--calibration", "@first.npz", "--method", method, "--statistics", "@first.stats")
    calibrate(folder, "b.json", "--calibration", "@rest.npz", "--method", method, "--statistics", "@rest.stats")
    merged = calibrate(folder, "merged.json", "--merge", "@first.stats", "--merge", "@rest.stats")
    assert merged == whole
    beside_data = calibrate(
        folder, "c.json", "--calibration", "@rest.npz", "--method", method, "--merge", "@first.stats"
    )
    assert beside_data == whole


def test_an_interrupted_run_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]):
    options = ("--method", "moving_average", "--statistics", "@run.stats")
    calibrate(folder, "part.json", "--calibration", "@first.npz", *options)
    resumed = calibrate(folder, "all.json", "--calibration", "@data.npz", *options)
    assert resumed == calibrate(folder, "once.json", "--calibration", "@data.npz", "--method", "moving_average")
    assert resumed != calibrate(folder, "none.json", "--calibration", "@first.npz", "--method", "moving_average")


def test_moving_averages_are_not_merged(folder: Path, capsys: pytest.CaptureFixture[str]):
    options = ("--calibration", "@first.npz", "--method", "moving_average")
    calibrate(folder, "a.json", *options, "--statistics", "@a.stats")
    assert run(folder, "calibrate", "@net.onnx", "-o", "@b.json", *options, "--merge", "@a.stats") == 2
    assert "moving_average cannot be merged" in capsys.readouterr().err
    assert not (folder / "b.json").exists()


def test_edited_ranges_are_compiled(folder: Path):
    found = calibrate(folder, "ranges.json", "--calibration", "@data.npz")
    found["stem/Relu"]["max"] = 2.25
    (folder / "ranges.json").write_text(json.dumps(found))
    stop = ("--compile-to", "calibrate")
    assert run(folder, "compile", "@net.onnx", "-o", "@net.mlir", "--ranges", "@ranges.json", *stop) == 0
    assert "range = array<f64: 0.000000e+00, 2.250000e+00>" in (folder / "net.mlir").read_text()


def test_ranges_override_those_of_the_data(folder: Path):
    (folder / "ranges.json").write_text('{"relu_tensor": {"min": 0, "max": 2.25}}')
    options = ("--calibration", "@data.npz", "--compile-to", "calibrate")
    assert run(folder, "compile", "@net.onnx", "-o", "@net.mlir", "--ranges", "@ranges.json", *options) == 0
    text = (folder / "net.mlir").read_text()
    assert text.count("range = array<f64:") == 3
    assert text.count("2.250000e+00>") == 1


@pytest.mark.parametrize("version", ["aimet", "aimet-0.6.1"])
def test_encodings_go_out_and_come_back(folder: Path, version: str):
    calibrate(folder, "ranges.json", "--calibration", "@data.npz")
    encodings = calibrate(folder, "encodings.json", "--ranges", "@ranges.json", "--format", version)
    entries = encodings["activation_encodings"]
    names = [entry["name"] for entry in entries] if version == "aimet" else list(entries)
    assert names == ["input", "relu_tensor", "mean_tensor"]
    back = calibrate(folder, "back.json", "--ranges", "@encodings.json")
    original = json.loads((folder / "ranges.json").read_text())
    for name, entry in original.items():
        step = (entry["max"] - entry["min"]) / 255
        assert back[name]["min"] == pytest.approx(min(entry["min"], 0), abs=step)
        assert back[name]["max"] == pytest.approx(entry["max"], abs=step)
    assert run(folder, "compile", "@net.onnx", "-o", "@net.igpkg", "--ranges", "@encodings.json") == 0


def test_json_report(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(folder, "calibrate", "@net.onnx", "-o", "@r.json", "--calibration", "@data.npz", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["samples"] == 12
    assert report["tensors"] == 3
    assert report["ranges"] == json.loads((folder / "r.json").read_text())


MISTAKES = [
    ((), "nothing to calibrate with"),
    (("--calibration", "@data.npz", "--ranges", "@data.npz"), "--ranges takes the place of --calibration"),
    (("--merge", "@none", "--statistics", "@x"), "--statistics keeps what --calibration collects"),
    (("--merge", "@none"), "cannot read the file"),
    (("--merge", "@data.npz"), "no file of calibration statistics"),
    (("--calibration", "@data.npz", "--method", "mze"), "did you mean mse?"),
    (("--calibration", "@none.npz"), "none.npz"),
    (("--ranges", "@net.onnx"), "net.onnx"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_mistakes(folder: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]):
    assert run(folder, "calibrate", "@net.onnx", "-o", "@r.json", *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 6
    assert not (folder / "r.json").exists()


def test_statistics_of_another_model(folder: Path, capsys: pytest.CaptureFixture[str]):
    calibrate(folder, "a.json", "--calibration", "@first.npz", "--statistics", "@a.stats")
    model = onnx.load(folder / "net.onnx")
    model.graph.node[1].name = "renamed"
    onnx.save(model, folder / "net.onnx")
    assert run(folder, "calibrate", "@net.onnx", "-o", "@b.json", "--merge", "@a.stats") == 2
    assert "of another model" in capsys.readouterr().err

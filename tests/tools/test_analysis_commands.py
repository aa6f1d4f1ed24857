"""The commands `intaglio quantize`, `analyze` and `evaluate`, and what `compile` takes to quantize by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from intaglio.tools.cli import run_cli

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fashion_resnet8"
SAMPLES = 40


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network, and the first samples of the example's data."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copy(EXAMPLE / "model.onnx", folder / "model.onnx")
    for name, count in (("calibration", 16), ("evaluation", SAMPLES)):
        with np.load(EXAMPLE / f"{name}.npz") as archive:
            np.savez(folder / f"{name}.npz", **{key: archive[key][:count] for key in archive.files})
    (folder / "nodes.toml").write_text('unquantized_nodes = ["/stem/stem.9/Relu"]\n')
    (folder / "nodes.json").write_text('{"nodes": {"/stem/stem.9/Relu": "a16w8"}}\n')
    assert run_cli(["quantize", *at(folder, "@model.onnx", "-o", "@q.mlir", "--float", "@f.mlir", *CALIBRATION)]) == 0
    return folder


CALIBRATION = ("--calibration", "@calibration.npz")
DATA = ("--data", "@evaluation.npz")


def at(folder: Path, *arguments: str) -> list[str]:
    """An argument `@name` is the file of that name in the folder."""
    return [str(folder / text[1:]) if text.startswith("@") else text for text in arguments]


def run(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run_cli(at(folder, *arguments))
    out, err = capsys.readouterr()
    return code, out, err


def report(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    actual, out, err = run(folder, capsys, *arguments, "--json")
    assert actual == code, err
    return json.loads(out)


def labels(folder: Path) -> np.ndarray:
    with np.load(folder / "evaluation.npz") as archive:
        return archive["label"]


def float_accuracy(folder: Path) -> float:
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    with np.load(folder / "evaluation.npz") as archive:
        answers = [session.run(None, {"input": image})[0].argmax() for image in archive["input"]]
    return float(np.mean(np.array(answers) == labels(folder)))


def test_quantize_writes_text_that_compile_goes_on_from(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(source, capsys, "quantize", "@model.onnx", "-o", "@q2.mlir", *CALIBRATION)
    assert found["operations"]["i8"] >= 16
    assert (source / "q2.mlir").read_text() == (source / "q.mlir").read_text().replace('"q.saf', '"q2.saf')
    assert run(source, capsys, "compile", "@q2.mlir", "--compile-from", "quantize", "-o", "@a.igpkg")[0] == 0
    assert run(source, capsys, "compile", "@model.onnx", "-o", "@b.igpkg", *CALIBRATION)[0] == 0
    assert (source / "a.igpkg").read_bytes() == (source / "b.igpkg").read_bytes()


def test_quantize_says_what_it_did(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(source, capsys, "quantize", "@f.mlir", "-o", "@q3.mlir")
    assert (code, err) == (0, "")
    assert "operations by what they store" in out
    assert (source / "q3.mlir").read_text() == (source / "q.mlir").read_text().replace('"q.saf', '"q3.saf')


def test_evaluate_a_model_in_float_and_quantized(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(source, capsys, "evaluate", "@model.onnx", *DATA)
    assert found["float"]["figures"]["top1"] == pytest.approx(float_accuracy(source))
    assert "quantized" not in found
    metrics = ("--metric", "top1", "--metric", "agreement", "--metric", "snr")
    both = report(source, capsys, "evaluate", "@model.onnx", *DATA, *CALIBRATION, *metrics)
    assert both["samples"] == SAMPLES
    assert both["float"]["figures"] == {"top1": pytest.approx(float_accuracy(source)), "agreement": 1.0, "snr": None}
    assert both["quantized"]["figures"]["snr"] > 25
    text = report(source, capsys, "evaluate", "@q.mlir", "--float", "@f.mlir", *DATA, *metrics)
    assert text["quantized"]["figures"] == both["quantized"]["figures"]
    run(source, capsys, "compile", "@q.mlir", "--compile-from", "quantize", "-o", "@c.igpkg")
    package = report(source, capsys, "evaluate", "@c.igpkg", *DATA)
    assert package["simulator"]["figures"]["top1"] == both["quantized"]["figures"]["top1"]
    fast = report(source, capsys, "evaluate", "@q.mlir", *DATA, "--fast")
    assert fast["quantized"]["figures"]["top1"] == pytest.approx(package["simulator"]["figures"]["top1"], abs=0.05)
    few = report(source, capsys, "evaluate", "@q.mlir", *DATA, "--samples", "5")
    assert few["samples"] == 5


def test_evaluate_by_a_metric_of_the_user(
    source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "own_metric.py").write_text("def wrong(outputs, truth):\n    return outputs[0].argmax() != truth.label\n")
    monkeypatch.syspath_prepend(str(source))
    found = report(source, capsys, "evaluate", "@model.onnx", *DATA, "--metric", "own_metric:wrong")
    assert found["float"]["figures"]["own_metric:wrong"] == pytest.approx(1 - float_accuracy(source))


def test_a_check_that_fails_ends_with_one(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(source, capsys, "evaluate", "@q.mlir", *DATA, "--fail-below", "0.999", code=1)
    assert found["check_failed"].startswith("top1 of quantized is 0.")
    code, out, err = run(source, capsys, "evaluate", "@q.mlir", *DATA, "--fail-below", "0.999")
    assert (code, err.count("error:")) == (1, 1)
    assert "top1" in out
    assert run(source, capsys, "evaluate", "@q.mlir", *DATA, "--fail-below", "0.5")[0] == 0
    failed = report(source, capsys, "analyze", "@q.mlir", "--float", "@f.mlir", *DATA, "--fail-below", "90", code=1)
    assert "below 90 dB" in failed["check_failed"]


def test_analyze_prints_a_table_json_and_a_page(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--samples", "6", "--html", "@report.html", "--simulate", "1")
    found = report(source, capsys, "analyze", "@model.onnx", *DATA, *CALIBRATION, *options)
    assert (found["samples"], found["simulator"]["first_divergence"]) == (6, None)
    assert found["first_divergence"] is None
    assert found["outputs"]["logits"]["sqnr_db"] > 25
    assert (source / "report.html").read_text().startswith("<!DOCTYPE html>")
    text = report(source, capsys, "analyze", "@q.mlir", "--float", "@f.mlir", *DATA, "--samples", "6")
    assert text["layers"] == found["layers"]
    code, out, err = run(source, capsys, "analyze", "@q.mlir", "--float", "@f.mlir", *DATA, "--most", "2", "--no-local")
    assert (code, err) == (0, "")
    assert "14 layers with less damage are not shown" in out
    strict = report(source, capsys, "analyze", "@q.mlir", "--float", "@f.mlir", *DATA, "--threshold", "99")
    assert strict["first_divergence"]["name"] == "/stem/stem.2/Relu"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("analyze", "@model.onnx", *DATA), "calibration data is needed"),
        (("analyze", "@q.mlir", *DATA), "the float model is needed to compare with"),
        (("analyze", "@f.mlir", "--float", "@f.mlir", *DATA), "MODEL is a float model itself"),
        (("analyze", "@q.mlir", "--float", "@q.mlir", *DATA), "this is no float model"),
        (("analyze", "@q.mlir", "--float", "@f.mlir", *DATA, "--method", "min_max"), "parameters come too late"),
        (("analyze", "@q.mlir", "--float", "@f.mlir", *DATA, "--html", "@no/r.html"), "the folder does not exist"),
        (("analyze", "@q.mlir", "--float", "@model.onnx", *DATA), "have other units than those of this float network"),
        (("quantize", "@model.onnx", "-o", "@x.mlir"), "calibration data is needed"),
        (("quantize", "@model.onnx", "-o", "@x.mlir", *CALIBRATION, "--params", "@nodes.toml"), "nodes.toml: "),
        (("quantize", "@model.onnx", "-o", "@x.mlir", *CALIBRATION, "--assignment", "@nodes.json"), "nodes.json: "),
        (("quantize", "@model.onnx", "-o", "@x.mlir", *CALIBRATION, "--precision", "int7"), "no precision 'int7'"),
        (("quantize", "@model.onnx", "-o", "@x.mlir", *CALIBRATION, "--params", "@no.toml"), "cannot read the file"),
        (("quantize", "@model.onnx", "-o", "@x.mlir", *CALIBRATION, "--method", "msse"), "did you mean mse?"),
        (("evaluate", "@q.mlir", *DATA, "--metric", "top"), "there is no metric 'top'"),
        (("evaluate", "@q.mlir", *DATA, "--metric", "snr"), "--float FILE gives it"),
        (("evaluate", "@q.mlir", *DATA, "--metric", "no_such_module:f"), "is the module on PYTHONPATH?"),
        (("evaluate", "@q.mlir", *DATA, "--metric", "json:no"), "after the colon stands a function"),
        (("evaluate", "@q.mlir", *DATA, "--metric", "math:sqrt"), "called with the outputs of a sample"),
        (("evaluate", "@q.mlir", *DATA, "--precision", "int16"), "parameters come too late"),
        (("evaluate", "@q.mlir", *DATA, *CALIBRATION), "calibration data, ranges and parameters come too late"),
        (("evaluate", "@q.mlir", *DATA, "--metric", "auc"), "one or two values, not 10"),
        (("evaluate", "@q.mlir", "--data", "@calibration.npz"), "needs labels"),
        (("evaluate", "@no.onnx", *DATA), "no such file"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else None,
)
def test_mistakes(source: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    before = sorted(source.iterdir())
    code, out, err = run(source, capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("error:") == 1
    assert len(err.splitlines()) <= 6
    assert sorted(source.iterdir()) == before


def test_compile_takes_parameters_from_files(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "params.toml").write_text('calibration_method = "percentile"\n')
    stop = ("--compile-to", "calibrate", *CALIBRATION, "--params", "@params.toml")
    assert run(source, capsys, "compile", "@model.onnx", "-o", "@c.mlir", *stop)[0] == 0
    assert 'method = "percentile"' in (source / "c.mlir").read_text()
    assert run(source, capsys, "compile", "@model.onnx", "-o", "@c.mlir", *stop, "--method", "mse")[0] == 0
    assert 'method = "mse"' in (source / "c.mlir").read_text()


def test_labels_of_two_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weight = np.array([[1.0], [0.5]], np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="score")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1))],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    data = np.array([[1, 0], [0, 1], [2, 0], [0, 0]], np.float32)[:, None]
    np.savez(tmp_path / "d.npz", x=data, label=np.array([1, 0, 0, -1]))
    found = report(tmp_path, capsys, "evaluate", "@m.onnx", "--data", "@d.npz", "--metric", "auc")
    assert found["float"]["figures"] == {"auc": 0.5}

"""`intaglio search`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from intaglio.tools.cli import run_cli

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fashion_resnet8"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A few of the example's samples."""
    folder = tmp_path_factory.mktemp("search")
    for name, count in (("calibration", 16), ("evaluation", 40)):
        with np.load(EXAMPLE / f"{name}.npz") as file:
            np.savez(folder / f"{name}.npz", **{key: file[key][:count] for key in file.files})
    return str(folder / "calibration.npz"), str(folder / "evaluation.npz")


def arguments(data: tuple[str, str], *more: str) -> list[str]:
    return ["search", str(EXAMPLE / "model.onnx"), "--calibration", data[0], "--data", data[1], *more]


def test_the_assignment_is_what_compile_takes(
    data: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assignment, results = tmp_path / "assignment.json", tmp_path / "results"
    more = ["--drop", "0.5", "--candidates", "a16w8", "-o", str(assignment), "--results-dir", str(results)]
    assert run_cli([*arguments(data, *more), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["best"]["groups_by_precision"]) == {"a16w8"}
    assert {Path(path).name for path in report["files"]} >= {"assignment.json", "report.html"}
    text = tmp_path / "quantized.mlir"
    quantize = ["quantize", str(EXAMPLE / "model.onnx"), "--calibration", data[0], "-o", str(text)]
    assert run_cli([*quantize, "--assignment", str(assignment)]) == 0
    assert "!quant.uniform<i16:f32" in text.read_text()


def test_results_are_printed_as_a_table(data: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(arguments(data, "--drop", "0.5")) == 0
    out = capsys.readouterr().out
    assert "float score" in out and "precision of each layer" in out
    assert "score " in out and "of all-16-bit operations" in out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--drop", "-2"], "cannot be reached"),
        (["--drop", "0.1", "--target-score", "0.5"], "both --drop and --target-score"),
        (["--drop", "0.1", "--candidates", ""], "no candidates to choose from"),
        (["--drop", "0.1", "--candidates", "a8w8,a9w8"], "a9w8"),
        (["--drop", "0.1", "--cost", "cycles"], "--target gen1"),
        (["--drop", "0.1", "--metric", "nosuch"], "there is no metric 'nosuch'"),
        (["--drop", "0.1", "--executor", "threads"], "there is no executor 'threads'"),
    ],
)
def test_wrong_options_are_one_message(
    more: list[str], message: str, data: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(arguments(data, *more)) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_nothing_found_in_time_is_exit_code_one(
    data: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "a.json"
    assert run_cli(arguments(data, "--drop", "0.1", "--time-budget", "0", "-o", str(output))) == 1
    assert "no choice that is good enough" in capsys.readouterr().err
    assert not output.exists()

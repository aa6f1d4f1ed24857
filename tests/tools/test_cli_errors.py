"""Mistakes on the command line: each is one message, exit code 2 and no file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from intaglio.compiler import compile_model
from intaglio.phases import CompileOptions
from tests.tools.command_files import Array, Files, images, make_model

MISTAKES: list[tuple[str, Callable[[Files], tuple[str, ...]], str]] = [
    ("no model", lambda f: ("compile", f.path("no.onnx"), "-o", f.package, "--calibration", f.data), "no such file"),
    ("a folder", lambda f: ("compile", str(f.folder), "-o", f.package, "--calibration", f.data), "Is a directory"),
    ("not ONNX", lambda f: ("compile", f.data, "-o", f.package, "--calibration", f.data), "not an ONNX model"),
    ("no output", lambda f: ("compile", f.model), "Missing option '-o'"),
    ("no data", lambda f: ("compile", f.model, "-o", f.package), "calibration data is needed"),
    (
        "missing data",
        lambda f: ("compile", f.model, "-o", f.package, "--calibration", f.path("no.npz")),
        "there is no such file",
    ),
    (
        "data is no archive",
        lambda f: ("compile", f.model, "-o", f.package, "--calibration", f.model),
        "no sound .npz archive",
    ),
    (
        "unknown target",
        lambda f: ("compile", f.model, "-o", f.package, "--calibration", f.data, "--target", "gen9"),
        "there is no target 'gen9'",
    ),
    (
        "missing target file",
        lambda f: ("compile", f.model, "-o", f.package, "--calibration", f.data, "--target", "no.toml"),
        "cannot read the file",
    ),
    (
        "unknown phase",
        lambda f: ("compile", f.model, "-o", f.package, "--calibration", f.data, "--compile-to", "grap"),
        "there is no phase 'grap'",
    ),
    (
        "phases in the wrong order",
        lambda f: ("compile", f.model, "-o", f.package, "--compile-from", "npu", "--compile-to", "graph"),
        "there is nothing to do from npu to graph",
    ),
    (
        "unknown method",
        lambda f: ("compile", f.model, "-o", f.package, "--calibration", f.data, "--method", "guess"),
        "there is no calibration method 'guess'",
    ),
    ("unknown option", lambda f: ("compile", f.model, "-o", f.package, "--calibrate", f.data), "No such option"),
    ("unknown command", lambda f: ("compil", f.model), "No such command 'compil'"),
    (
        "shape that is none",
        lambda f: ("compile", f.model, "-o", f.package, "--calibration", f.data, "--shape", "input=1,x"),
        "expected NAME=1,3,224,224, got 'input=1,x'",
    ),
    (
        "shape given twice",
        lambda f: ("compile", f.model, "-o", f.package, "--shape", "a=1", "--shape", "a=2"),
        "the shape of 'a' is given twice",
    ),
    (
        "shape of no input",
        lambda f: ("compile", f.model, "-o", f.package, "--calibration", f.data, "--shape", "image=1,2,6,6"),
        "image",
    ),
    (
        "shape against the model",
        lambda f: ("compile", f.model, "-o", f.package, "--calibration", f.data, "--shape", "input=1,2,7,6"),
        "contradicts the model",
    ),
    (
        "no folder for the output",
        lambda f: ("compile", f.model, "-o", f.path("no/net.igpkg"), "--calibration", f.data),
        "the folder does not exist",
    ),
    (
        "output is a folder",
        lambda f: ("compile", f.model, "-o", str(f.folder), "--calibration", f.data),
        "this is a folder",
    ),
    (
        "dump folder is a file",
        lambda f: ("compile", f.model, "-o", f.package, "--calibration", f.data, "--dump-phases-to", f.model),
        "cannot create the folder",
    ),
    (
        "resuming from no text",
        lambda f: ("compile", f.model, "-o", f.package, "--compile-from", "isa"),
        "not a text file",
    ),
    (
        "running no package",
        lambda f: ("run", f.model, "--inputs", f.data, "--outputs", f.path("y.npz")),
        "not a package",
    ),
    ("profiling samples", lambda f: ("profile", f.data), "it has no manifest.json"),
    ("inspecting nothing", lambda f: ("inspect",), "name a file, or ask for --phases"),
    ("placement of samples", lambda f: ("inspect", f.data, "--placement"), "has no placement"),
    ("a target without --placement", lambda f: ("inspect", f.model, "--target", "host"), "go with --placement"),
    ("instructions of samples", lambda f: ("inspect", f.data, "--disassemble"), "has no instructions"),
]


@pytest.mark.parametrize(("arguments", "message"), [mistake[1:] for mistake in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_mistakes(files: Files, arguments: Callable[[Files], tuple[str, ...]], message: str) -> None:
    assert message in files.fail(*arguments(files))


def test_a_dynamic_shape_without_a_shape(files: Files) -> None:
    make_model(Path(files.model), shape=("N", 2, "H", "W"))
    message = files.fail("compile", files.model, "-o", files.package, "--calibration", files.data)
    assert "dynamic dimension" in message
    assert "--shape input=" in message


@pytest.mark.parametrize(
    ("dtype", "named"),
    [(TensorProto.COMPLEX64, "complex64"), (TensorProto.DOUBLE, "f64"), (TensorProto.FLOAT16, "f16")],
)
def test_an_unsupported_dtype(files: Files, dtype: int, named: str) -> None:
    make_model(Path(files.model), dtype=dtype)
    message = files.fail("compile", files.model, "-o", files.package, "--calibration", files.data)
    assert "stem/Conv" in message
    assert named in message


def test_a_truncated_model(files: Files) -> None:
    content = Path(files.model).read_bytes()
    Path(files.model).write_bytes(content[: len(content) // 2])
    files.fail("compile", files.model, "-o", files.package, "--calibration", files.data)


BAD_DATA: list[tuple[dict[str, Array], str]] = [
    ({"image": images()}, "there is no array 'input'"),
    ({"input": images(), "extra": images()}, "array 'extra' is no input of the model"),
    ({"input": images()[:, :, :, :5]}, "has shape [4, 1, 2, 5, 6]"),
    ({"input": images()[:0]}, "no samples"),
    ({"input": np.full((2, 1, 2, 6, 6), np.nan, np.float32)}, "has NaN values"),
    ({"input": np.full((2, 1, 2, 6, 6), np.inf, np.float32)}, "has infinite values"),
    ({"input": np.zeros((2, 1, 2, 6, 6), np.uint8)}, "is uint8, but the input is float32"),
    ({"input": np.array([{}], object)}, "Python objects"),
]


@pytest.mark.parametrize(("arrays", "message"), BAD_DATA)
def test_calibration_data_that_does_not_fit(files: Files, arrays: dict[str, Array], message: str) -> None:
    np.savez(files.data, **arrays, allow_pickle=True)
    assert message in files.fail("compile", files.model, "-o", files.package, "--calibration", files.data)


@pytest.fixture(scope="module")
def host_package(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A package that the tests only read."""
    folder = tmp_path_factory.mktemp("host")
    make_model(folder / "net.onnx")
    compile_model(folder / "net.onnx", folder / "net.igpkg", CompileOptions(target="host"))
    return str(folder / "net.igpkg")


@pytest.mark.parametrize(("arrays", "message"), BAD_DATA)
def test_inputs_that_do_not_fit(files: Files, host_package: str, arrays: dict[str, Array], message: str) -> None:
    np.savez(files.path("x.npz"), **arrays, allow_pickle=True)
    outputs = files.path("y.npz")
    assert message in files.fail("run", host_package, "--inputs", files.path("x.npz"), "--outputs", outputs)


def test_a_package_that_exists_survives_a_failure(files: Files) -> None:
    Path(files.package).write_bytes(b"precious")
    files.fail("compile", files.model, "-o", files.package)
    assert Path(files.package).read_bytes() == b"precious"


def test_a_damaged_package(files: Files) -> None:
    files.compile()
    content = bytearray(Path(files.package).read_bytes())
    content[len(content) // 2] ^= 0xFF
    Path(files.package).write_bytes(content)
    assert "damaged" in files.fail("profile", files.package)


def test_text_of_another_phase_or_target(files: Files) -> None:
    text = files.path("isa.mlir")
    files.succeed("compile", files.model, "-o", text, "--calibration", files.data, "--compile-to", "isa")
    assert "of the phase isa, not of graph" in files.fail("compile", text, "-o", files.package, "--compile-from=graph")
    arguments = ("compile", text, "-o", files.package, "--compile-from=isa", "--target", "gen1-d16")
    assert "partitioned for gen1, not for gen1-d16" in files.fail(*arguments)
    assert "--compile-from" in files.fail("compile", text, "-o", files.package)


def test_a_wait_that_was_edited_away_is_no_package(files: Files) -> None:
    text = files.path("isa.mlir")
    files.succeed("compile", files.model, "-o", text, "--calibration", files.data, "--compile-to", "isa")
    edited, count = re.subn(r" wait \[[\d, ]+\]", "", Path(text).read_text(), count=1)
    assert count == 1
    Path(text).write_text(edited)
    message = files.fail("compile", text, "-o", files.package, "--compile-from", "isa")
    assert message.startswith("instruction ")
    assert "stem/Conv" in message


def test_text_with_a_syntax_error_names_the_place(files: Files) -> None:
    text = files.path("graph.mlir")
    files.succeed("compile", files.model, "-o", text, "--compile-to", "graph")
    broken = Path(text).read_text().replace("nn.softmax", "nn.sofmax")
    Path(text).write_text(broken)
    line = next(number for number, content in enumerate(broken.splitlines(), 1) if "nn.sofmax" in content)
    message = files.fail("compile", text, "-o", files.package, "--calibration", files.data, "--compile-from", "graph")
    assert f"graph.mlir:{line}:" in message


def test_debug_shows_the_traceback(files: Files) -> None:
    code, _, err = files.run("inspect", files.path("no"), "--debug")
    assert code == 2
    assert "Traceback" in err
    assert "no such file" in err


def test_a_mistake_of_ours_is_no_traceback_either(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr("intaglio.compiler.import_phase", broken)
    message = files.fail("compile", files.model, "-o", files.package, "--calibration", files.data, code=3)
    assert "the compiler failed: RuntimeError: oops" in message
    assert "--debug" in message

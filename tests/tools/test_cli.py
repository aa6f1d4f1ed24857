"""The command `intaglio`: what it writes, and that each mistake is one message, exit code 2 and no file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from intaglio.tools.cli import run_cli

Array = np.ndarray[Any, np.dtype[Any]]
Capture = pytest.CaptureFixture[str]


def make_model(
    path: Path, *, shape: tuple[Any, ...] = (1, 2, 6, 6), dtype: int = TensorProto.FLOAT, softmax: bool = True
) -> Path:
    """A convolution, a global mean and a softmax, which stays on the host."""
    weight = np.random.default_rng(0).normal(size=(4, 2, 3, 3)).astype(helper.tensor_dtype_to_np_dtype(dtype))
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["c"], name="stem/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="stem/Relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["m"], name="pool"),
        helper.make_node("Flatten", ["m"], ["f"], name="flat"),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["f"], ["scores"], name="head/Softmax"))
    output = "scores" if softmax else "f"
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", dtype, shape)],
        [helper.make_tensor_value_info(output, dtype, (shape[0], 4))],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def images(count: int = 4, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 1, 2, 6, 6)).astype(np.float32)


@dataclass
class Files:
    """A model and its data in a folder of their own."""

    folder: Path
    capture: Capture

    @property
    def model(self) -> str:
        return str(self.folder / "net.onnx")

    @property
    def data(self) -> str:
        return str(self.folder / "data.npz")

    @property
    def package(self) -> str:
        return str(self.folder / "net.igpkg")

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command line."""
        self.capture.readouterr()
        code = run_cli(arguments)
        out, err = self.capture.readouterr()
        return code, out, err

    def succeed(self, *arguments: str) -> str:
        code, out, err = self.run(*arguments)
        assert code == 0, err
        assert err == ""
        return out

    def compile(self, *options: str) -> str:
        return self.succeed("compile", self.model, "-o", self.package, "--calibration", self.data, *options)

    def fail(self, *arguments: str, code: int = 2) -> str:
        """The one message of a command that fails and leaves no file behind."""
        before = sorted(self.folder.rglob("*"))
        actual, out, err = self.run(*arguments)
        assert actual == code, err
        assert out == ""
        assert err.count("error:") == 1
        assert 1 <= len(err.splitlines()) <= 6
        assert "Traceback" not in err
        assert sorted(self.folder.rglob("*")) == before
        return err


@pytest.fixture
def files(tmp_path: Path, capsys: Capture) -> Files:
    make_model(tmp_path / "net.onnx")
    np.savez(tmp_path / "data.npz", input=images())
    return Files(tmp_path, capsys)


def test_compile_run_profile_and_inspect(files: Files) -> None:
    out = files.compile()
    assert "gen1" in out
    assert "nn.softmax" in out
    np.savez(files.path("x.npz"), input=images(3, seed=2), label=np.arange(3))
    files.succeed("run", files.package, "--inputs", files.path("x.npz"), "--outputs", files.path("y.npz"))
    with np.load(files.path("y.npz")) as archive:
        assert archive.files == ["scores"]
        scores = archive["scores"]
    assert scores.shape == (3, 1, 4)
    assert scores.dtype == np.float32
    # Four results of an 8-bit softmax, each at most half a step of 1/255 from its value.
    np.testing.assert_allclose(scores.sum(axis=-1), 1, atol=4 * 0.5 / 255)
    assert "stem/Conv" in files.succeed("profile", files.package)
    shown = files.succeed("inspect", files.package, "--placement", "--disassemble")
    for expected in ("region_0", "head/Softmax", "matrix.multiply", "; stem/Conv", "x86-64-v3"):
        assert expected in shown


def test_results_are_close_to_the_float_model(files: Files) -> None:
    import onnxruntime

    files.compile()
    np.savez(files.path("x.npz"), input=images())
    files.succeed("run", files.package, "--inputs", files.path("x.npz"), "--outputs", files.path("y.npz"))
    session = onnxruntime.InferenceSession(files.model, providers=["CPUExecutionProvider"])
    expected = np.stack([session.run(None, {"input": image})[0] for image in images()])
    with np.load(files.path("y.npz")) as archive:
        np.testing.assert_allclose(archive["scores"], expected, atol=0.02)


def test_json_is_one_object_and_nothing_else(files: Files) -> None:
    report = json.loads(files.compile("--json"))
    assert report["regions"] == 1
    assert report["host_operations"]["nn.softmax"] == 1
    profile = json.loads(files.succeed("profile", files.package, "--json"))
    for key, kind in (
        ("cycles", int),
        ("mac_utilization", float),
        ("dram_bytes", int),
        ("instructions", int),
        ("regions", int),
        ("layers", list),
    ):
        assert isinstance(profile[key], kind), key
    assert profile["instructions"] == report["instructions"]
    assert profile["cycles"] == sum(layer["cycles"] for layer in profile["layers"])
    shown = json.loads(files.succeed("inspect", files.package, "--json", "--placement"))
    assert shown["cycles"] == profile["cycles"]
    assert {"name": "head/Softmax", "device": "host"}.items() <= next(
        place.items() for place in shown["placement"] if place["operation"] == "nn.softmax"
    )
    np.savez(files.path("x.npz"), input=images(2))
    arguments = ("run", files.package, "--inputs", files.path("x.npz"), "--outputs", files.path("y.npz"), "--json")
    assert json.loads(files.succeed(*arguments))["samples"] == 2


def test_json_of_an_error(files: Files) -> None:
    code, out, err = files.run("inspect", files.path("no.onnx"), "--json")
    assert code == 2
    assert json.loads(out)["error"]["message"] == "no such file"
    assert "no such file" in err


def test_stop_after_a_phase_and_resume(files: Files) -> None:
    files.compile()
    straight = Path(files.package).read_bytes()
    text = files.path("quantized.mlir")
    files.succeed("compile", files.model, "-o", text, "--calibration", files.data, "--compile-to", "quantize")
    assert 'intaglio.phase = "quantize"' in Path(text).read_text()
    files.succeed("compile", text, "-o", files.path("resumed.igpkg"), "--compile-from=quantize")
    assert Path(files.path("resumed.igpkg")).read_bytes() == straight


def test_phases_are_dumped(files: Files) -> None:
    files.compile("--dump-phases-to", files.path("phases"))
    names = sorted(path.name for path in Path(files.path("phases")).iterdir())
    assert names == [
        "01_import.mlir",
        "02_graph.mlir",
        "03_calibrate.mlir",
        "04_quantize.mlir",
        "05_partition.mlir",
        "06_npu.mlir",
        "07_isa.mlir",
        "weights.safetensors",
    ]
    shown = files.succeed("inspect", files.path("phases/05_partition.mlir"), "--placement")
    assert "head/Softmax" in shown
    assert "partition" in shown


def test_the_host_alone(files: Files) -> None:
    files.compile("--target", "gen1")
    np.savez(files.path("x.npz"), input=images())
    files.succeed("run", files.package, "--inputs", files.path("x.npz"), "--outputs", files.path("a.npz"))
    files.compile("--target", "host")
    files.succeed("run", files.package, "--inputs", files.path("x.npz"), "--outputs", files.path("b.npz"))
    with np.load(files.path("a.npz")) as a, np.load(files.path("b.npz")) as b:
        np.testing.assert_array_equal(a["scores"], b["scores"])
    assert json.loads(files.succeed("inspect", files.package, "--json"))["regions"] == 0


def test_a_target_file_and_a_shape(files: Files) -> None:
    from intaglio.targets.target import load_target

    make_model(Path(files.model), shape=("N", 2, "H", "W"))
    target = load_target("gen1-d16").to_toml().replace('name = "gen1-d16"', 'name = "chip"')
    Path(files.path("chip.toml")).write_text(target)
    out = files.compile("--target", files.path("chip.toml"), "--shape", "input=1,2,6,6")
    assert "chip" in out
    shown = json.loads(files.succeed("inspect", files.package, "--json"))
    assert shown["target"] == "chip"
    assert str(files.folder).encode() not in Path(files.package).read_bytes()
    Path(files.path("chip.toml")).unlink()
    assert json.loads(files.succeed("profile", files.package, "--json"))["target"] == "chip"


def test_a_batch_size_for_model_calibration_and_samples(files: Files) -> None:
    """Batches of two give what single images give, and data files hold whole batches."""
    make_model(Path(files.model), shape=("N", 2, 6, 6))
    np.savez(files.data, input=images(8)[:, 0])
    results: list[Array] = []
    for batch in ("1", "2"):
        files.compile("--batch", batch)
        shown = json.loads(files.succeed("inspect", files.package, "--json"))
        assert shown["inputs"][0]["shape"] == [int(batch), 2, 6, 6]
        files.succeed("run", files.package, "--inputs", files.data, "--outputs", files.path("y.npz"))
        with np.load(files.path("y.npz")) as outputs:
            assert outputs["scores"].shape == (8 // int(batch), int(batch), 4)
            results.append(outputs["scores"].reshape(8, 4))
    np.testing.assert_array_equal(results[0], results[1])
    np.savez(files.data, input=images(7)[:, 0])
    message = files.fail("compile", files.model, "-o", files.package, "--calibration", files.data, "--batch", "2")
    assert "7 entries, which do not make whole batches of 2" in message


def test_shapes_cannot_be_given_to_text(files: Files) -> None:
    files.succeed("compile", files.model, "-o", files.path("net.mlir"), "--compile-to", "import")
    for option in (("--batch", "2"), ("--shape", "input=1,2,6,6")):
        arguments = ("compile", files.path("net.mlir"), "-o", files.package, "--compile-from", "import", *option)
        assert "the shapes of a module at the end of import are fixed" in files.fail(*arguments)


def test_inspect_the_other_kinds(files: Files) -> None:
    shown = files.succeed("inspect", files.model)
    assert "Softmax" in shown
    assert "[1, 2, 6, 6]" in shown
    assert "[4, 1, 2, 6, 6]" in files.succeed("inspect", files.data)
    phases = json.loads(files.succeed("inspect", "--phases", "--json"))["phases"]
    assert [phase["name"] for phase in phases][:3] == ["import", "graph", "calibrate"]
    assert "fold-batch-norm" in phases[1]["passes"]


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
        "cannot read the target",
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


@pytest.mark.parametrize(("arrays", "message"), BAD_DATA)
def test_inputs_that_do_not_fit(files: Files, arrays: dict[str, Array], message: str) -> None:
    files.compile("--target", "host")
    np.savez(files.path("x.npz"), **arrays, allow_pickle=True)
    outputs = files.path("y.npz")
    assert message in files.fail("run", files.package, "--inputs", files.path("x.npz"), "--outputs", outputs)


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


def test_fail_on_host_is_a_check_that_fails(files: Files) -> None:
    arguments = ("compile", files.model, "-o", files.package, "--calibration", files.data, "--fail-on-host")
    message = files.fail(*arguments, code=1)
    assert "head/Softmax" in message
    make_model(Path(files.model), softmax=False)
    files.succeed(*arguments)


def test_fail_on_host_also_holds_when_resuming(files: Files) -> None:
    text = files.path("isa.mlir")
    files.succeed("compile", files.model, "-o", text, "--calibration", files.data, "--compile-to", "isa")
    files.fail("compile", text, "-o", files.package, "--compile-from", "isa", "--fail-on-host", code=1)


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


def test_help_of_every_command(files: Files) -> None:
    for command in (
        [],
        ["compile"],
        ["run"],
        ["profile"],
        ["inspect"],
        ["calibrate"],
        ["quantize"],
        ["analyze"],
        ["evaluate"],
    ):
        out = files.succeed(*command, "--help")
        assert out.startswith("Usage: intaglio")
        assert not re.search(r"^  \w.*\.\.\.$", out, re.MULTILINE), "a summary is too long for its line"
    assert files.run()[0] == 2


@pytest.mark.parametrize("command", ["compile", "calibrate"])
def test_help_names_the_calibration_methods(files: Files, command: str) -> None:
    out = files.succeed(command, "--help")
    message = files.fail("compile", files.model, "-o", files.package, "--method", "guess")
    names = message.rpartition("supported methods: ")[2].strip().split(", ")
    assert len(names) > 1
    assert all(re.search(rf"\b{name}\b", out) for name in names)


def test_the_command_as_a_process(files: Files) -> None:
    command = [sys.executable, "-m", "intaglio.tools.cli", "inspect", files.path("no.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"{files.path('no.onnx')}: error: no such file"]


def test_help_does_not_import_what_commands_need() -> None:
    code = (
        "import sys\n"
        "from intaglio.tools.cli import run_cli\n"
        "run_cli(['compile', '--help'])\n"
        "heavy = {'onnx', 'onnxruntime', 'tvm', 'numpy', 'xdsl.ir', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

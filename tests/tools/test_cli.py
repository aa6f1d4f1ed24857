"""The command `intaglio`: what it writes and prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.tools.command_files import Array, Files, images, make_model


def test_compile_run_profile_and_inspect(files: Files) -> None:
    out = files.compile()
    assert "gen1" in out
    assert "onnx.LpNormalization" in out
    np.savez(files.path("x.npz"), input=images(3, seed=2), label=np.arange(3))
    files.succeed("run", files.package, "--inputs", files.path("x.npz"), "--outputs", files.path("y.npz"))
    with np.load(files.path("y.npz")) as archive:
        assert archive.files == ["scores"]
        scores = archive["scores"]
    assert scores.shape == (3, 1, 4)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=-1), 1, rtol=1e-6)
    shown = files.succeed("profile", files.package)
    assert "stem/Conv" in shown and "above the lower bound" in shown
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
    assert report["host_operations"]["onnx.LpNormalization"] == 1
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
    (scratchpad,) = profile["scratchpad"].values()
    assert profile["scratchpad"] == report["scratchpad"]
    assert 0 < scratchpad["live_bytes"] <= scratchpad["bytes"] <= 1.05 * scratchpad["live_bytes"]
    assert profile["cycles"] == sum(layer["cycles"] for layer in profile["layers"])
    shown = json.loads(files.succeed("inspect", files.package, "--json", "--placement"))
    assert shown["cycles"] == profile["cycles"]
    assert {"name": "head/Normalize", "device": "host"}.items() <= next(
        place.items() for place in shown["placement"] if place["operation"] == "onnx.LpNormalization"
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


def test_fail_on_host_is_a_check_that_fails(files: Files) -> None:
    arguments = ("compile", files.model, "-o", files.package, "--calibration", files.data, "--fail-on-host")
    message = files.fail(*arguments, code=1)
    assert "head/Normalize" in message
    make_model(Path(files.model), head=False)
    files.succeed(*arguments)


def test_fail_on_host_also_holds_when_resuming(files: Files) -> None:
    text = files.path("isa.mlir")
    files.succeed("compile", files.model, "-o", text, "--calibration", files.data, "--compile-to", "isa")
    files.fail("compile", text, "-o", files.package, "--compile-from", "isa", "--fail-on-host", code=1)


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

"""`intaglio inspect --placement`: where the nodes of a file run, without data, and why not on the accelerator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from intaglio.compiler import compile_model
from intaglio.errors import CheckFailedError, UserError
from intaglio.phases import CompileOptions
from intaglio.tools.cli import run_cli
from intaglio.tools.inspection import report_of
from intaglio.tools.placing import NOWHERE, Expectation, PlacedNode, expected_placement

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GEN1 = CompileOptions()


def model_of(folder: Path, nodes: list[NodeProto], shape: tuple[int | str, ...], *, custom: bool = False) -> Path:
    rng = np.random.default_rng(0)
    constants = {"w": rng.normal(size=(4, 2, 3, 3)).astype(np.float32), "three": np.float32(3), "six": np.float32(6)}
    constants |= {"zero": np.float32(0), "v": rng.normal(size=(3, 4, 1, 1)).astype(np.float32)}
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid("com.acme", 1)] if custom else [])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "m.onnx")
    return folder / "m.onnx"


def nodes_of(expectation: Expectation) -> dict[str, PlacedNode]:
    return {node.name: node for node in expectation.nodes}


def test_every_node_has_a_place(tmp_path: Path) -> None:
    """A convolution, an activation spelt out in four nodes, an average with padding, an identity."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "three"], ["c3"], name="plus"),
        helper.make_node("Clip", ["c3", "zero", "six"], ["k"], name="clip"),
        helper.make_node("Mul", ["c", "k"], ["m"], name="times"),
        helper.make_node("Div", ["m", "six"], ["h"], name="swish"),
        helper.make_node("AveragePool", ["h"], ["p"], name="pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Identity", ["p"], ["y"], name="same"),
    ]
    placed = nodes_of(expected_placement(model_of(tmp_path, nodes, (1, 2, 8, 8)), GEN1))
    assert list(placed) == [node.name for node in nodes]
    assert placed["conv"] == PlacedNode("conv", "Conv", ("nn.conv2d",), None, ("accelerator",), ())
    for name in ("plus", "clip", "times"):
        assert placed[name] == PlacedNode(name, placed[name].operator, (), "swish", ("accelerator",), ())
    assert placed["swish"].operations == ("nn.hard_swish",)
    assert placed["pool"].devices == ("host",)
    (reason,) = placed["pool"].reasons
    assert reason == (
        "All windows of an average have the same number of elements: there is no padding, or it is counted, "
        "got pads [1, 1, 1, 1], not counted"
    )
    assert placed["same"] == PlacedNode("same", "Identity", (), None, (), ())


def test_what_no_device_can_run_is_said_so(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("Blur", ["r"], ["y"], name="blur", domain="com.acme"),
    ]
    path = model_of(tmp_path, nodes, (1, 2, 8, 8), custom=True)
    blur = nodes_of(expected_placement(path, GEN1))["blur"]
    assert (blur.operator, blur.devices) == ("com.acme.Blur", (NOWHERE,))
    assert 'onnx.custom "blur" cannot run on the host' in blur.reasons[0]
    with pytest.raises(CheckFailedError, match=r'the host has to execute 1 operations: onnx.custom "blur"'):
        report_of(path, CompileOptions(fail_on_host=True))
    with pytest.raises(UserError, match=r'onnx.custom "blur" cannot run on the host'):
        compile_model(path, tmp_path / "m.igpkg", CompileOptions(target="host"))


@pytest.mark.parametrize("example", ["fashion_resnet8", "ppocr_cls"])
def test_stand_in_ranges_place_operations_as_calibration_does(example: str, tmp_path: Path) -> None:
    path, phases = EXAMPLES / example / "model.onnx", tmp_path / "phases"
    options = CompileOptions(calibration=EXAMPLES / example / "calibration.npz")
    compile_model(path, tmp_path / "a.mlir", options, compile_to="partition", dump_phases_to=phases)
    compiled = expected_placement(phases / "05_partition.mlir", GEN1)
    assert compiled.basis == "the devices that the text names"
    expected = expected_placement(path, GEN1)
    assert "stand-in" in expected.basis
    order = sorted(expected.places, key=lambda place: place.device == "accelerator")
    assert sorted(map(str, order)) == sorted(map(str, compiled.places))
    for phase in ("01_import", "02_graph", "03_calibrate", "04_quantize"):
        found = expected_placement(phases / f"{phase}.mlir", GEN1)
        assert sorted(map(str, found.places)) == sorted(map(str, compiled.places)), phase
        assert ("stand-in" in found.basis) == (phase < "03")


def test_stand_in_ranges_leave_out_what_is_not_asked_for(tmp_path: Path) -> None:
    """Layers with bounds between them, of which `equalize-channels` would make other operations."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["c", "zero", "six"], ["k"], name="clip"),
        helper.make_node("Conv", ["k", "v"], ["y"], name="again"),
    ]
    path = model_of(tmp_path, nodes, (1, 2, 8, 8))
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(4, 2, 8, 8)).astype(np.float32))
    compile_model(path, tmp_path / "a.mlir", CompileOptions(calibration=tmp_path / "data.npz"), compile_to="partition")
    compiled, expected = expected_placement(tmp_path / "a.mlir", GEN1), expected_placement(path, GEN1)
    assert sorted(map(str, expected.places)) == sorted(map(str, compiled.places))
    assert "nn.minimum" not in {place.kind for place in expected.places}


def test_a_package_says_the_same_of_the_host(tmp_path: Path) -> None:
    example = EXAMPLES / "ppocr_cls"
    compile_model(example / "model.onnx", tmp_path / "a.igpkg", CompileOptions(calibration=example / "calibration.npz"))
    packed, expected = expected_placement(tmp_path / "a.igpkg", GEN1), expected_placement(example / "model.onnx", GEN1)
    for device in ("host", "accelerator"):
        names = [{place.name for place in found.places if place.device == device} for found in (packed, expected)]
        assert names[0] == names[1] if device == "host" else names[0] <= names[1]
    assert {place.reason for place in packed.places} == {place.reason for place in expected.places}


def test_targets_and_shapes_are_options(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1, 1, 1, 1])]
    path = model_of(tmp_path, nodes, ("n", 2, 8, "width"))
    with pytest.raises(UserError, match="dynamic dimension"):
        expected_placement(path, GEN1)
    small = nodes_of(expected_placement(path, CompileOptions(shapes={"x": (1, 2, 8, 8)})))["conv"]
    assert small.devices == ("accelerator",)
    on_host = expected_placement(path, CompileOptions(shapes={"x": (1, 2, 8, 8)}, target="host"))
    assert on_host.basis == "floats, as compiled without calibration data"
    assert nodes_of(on_host)["conv"].reasons == ("The target is the host",)
    wide = nodes_of(expected_placement(path, CompileOptions(shapes={"x": (1, 2, 8, 700_000)})))["conv"]
    assert wide.devices == ("host",) and "shape [1, 8, 700000, 2]" in wide.reasons[0]


def test_text_that_fits_no_longer(tmp_path: Path) -> None:
    example = EXAMPLES / "fashion_resnet8"
    options = CompileOptions(calibration=example / "calibration.npz")
    compile_model(example / "model.onnx", tmp_path / "a.mlir", options, compile_to="npu")
    compile_model(example / "model.onnx", tmp_path / "b.mlir", options, compile_to="partition")
    assert expected_placement(tmp_path / "a.mlir", GEN1).places
    with pytest.raises(UserError, match="the target of a partitioned module is fixed"):
        expected_placement(tmp_path / "b.mlir", CompileOptions(target="gen1-d16"))
    with pytest.raises(UserError, match="the shapes of a partitioned module are fixed"):
        expected_placement(tmp_path / "b.mlir", CompileOptions(batch=2))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Sin", ["c"], ["y"], name="sine"),
    ]
    path = str(model_of(tmp_path, nodes, (1, 2, 8, 8)))
    assert run_cli(["inspect", path, "--placement"]) == 0
    out = capsys.readouterr().out
    assert "Placement, by quantization with stand-in ranges" in out
    assert "got onnx.Sin" in " ".join(out.split())
    assert run_cli(["inspect", path, "--placement", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(node["name"], node["devices"]) for node in report["nodes"]] == [
        ("conv", ["accelerator"]),
        ("sine", ["host"]),
    ]
    assert run_cli(["inspect", path, "--placement", "--fail-on-host"]) == 1
    assert 'onnx.Sin "sine" (Operations are of the kinds' in capsys.readouterr().err


def test_instructions_of_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = EXAMPLES / "fashion_resnet8"
    options = CompileOptions(calibration=example / "calibration.npz")
    compile_model(example / "model.onnx", tmp_path / "a.mlir", options, compile_to="isa")
    compile_model(example / "model.onnx", tmp_path / "a.igpkg", options)
    shown: list[str] = []
    for file in ("a.mlir", "a.igpkg"):
        assert run_cli(["inspect", str(tmp_path / file), "--disassemble", "--json"]) == 0
        shown.append(json.loads(capsys.readouterr().out)["disassembly"]["region_0"])
    assert shown[0] == shown[1] and len(shown[0]) > 100

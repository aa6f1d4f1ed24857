"""The command `intaglio export`, on an example network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.compiler import compile_model, import_phase, run_phase
from intaglio.dialects import nn
from intaglio.dialects.nn.types import element
from intaglio.dialects.quant import UniformQuantizedType, is_quantized
from intaglio.errors import UserError
from intaglio.frontend.encodings_exporter import export_encodings
from intaglio.frontend.exporter import main_function
from intaglio.ir.parsing import parse_module
from intaglio.passes.calibration.tensor_names import read_tensor_names
from intaglio.phases import PHASES, CompileOptions
from intaglio.tools.cli import run_cli

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "fashion_resnet8"


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text of the example after the phase `quantize`."""
    path = tmp_path_factory.mktemp("export") / "quantized.mlir"
    options = CompileOptions(calibration=EXAMPLE / "calibration.npz")
    compile_model(EXAMPLE / "model.onnx", path, options, compile_to="quantize")
    return path


def test_tosa(quantized: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    output = tmp_path / "model.tosa.mlir"
    assert run_cli(["export", str(quantized), "-o", str(output), "--format", "tosa", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (source,), (result,) = report["inputs"], report["outputs"]
    assert (source["name"], source["shape"], source["type"]) == ("input", [1, 28, 28, 1], "i8")
    assert (result["name"], result["shape"]) == ("logits", [1, 10])
    assert set(report["outside"]) == {"quant.qcast", "nn.reshape", "quant.dcast"}
    text = output.read_text()
    assert text.count("tosa.conv2d") == 10
    assert f"// argument 'input': real value = {source['scale']!r} * (stored value - {source['zero_point']})" in text


def test_qdq(quantized: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    output = tmp_path / "model.onnx"
    assert run_cli(["export", str(quantized), "-o", str(output), "--format", "qdq"]) == 0
    assert capsys.readouterr().out == f"{output}: the module as qdq\n"
    onnx.checker.check_model(onnx.load(output), full_check=True)
    with np.load(EXAMPLE / "evaluation.npz") as data:
        images = data["input"][:200]
    floats, integers = (
        [session.run(None, {"input": image})[0].argmax() for image in images]
        for session in map(onnxruntime.InferenceSession, (EXAMPLE / "model.onnx", output))
    )
    assert len(set(floats)) == 10
    assert np.mean(np.array(floats) == np.array(integers)) > 0.97


def network(ranges: Path | None) -> ModuleOp:
    """The example after the phase `quantize`, calibrated or with ranges from a file."""
    options = (
        CompileOptions(calibration=EXAMPLE / "calibration.npz")
        if ranges is None
        else CompileOptions(ranges=ranges, tensor_names=read_tensor_names(EXAMPLE / "model.onnx"))
    )
    module = import_phase(EXAMPLE / "model.onnx", options)
    for phase in PHASES[1:4]:
        run_phase(module, phase, options)
    return module


def parameters(module: ModuleOp) -> list[tuple[float, int]]:
    """Scale and zero point of each activation, in order."""
    found: list[tuple[float, int]] = []
    for op in main_function(module).body.block.ops:
        if op.results and not isinstance(op, nn.ConstantOp) and is_quantized(op.results[0].type):
            kind = element(op.results[0])
            assert isinstance(kind, UniformQuantizedType)
            found.append((kind.scale, kind.zero_point))
    return found


def test_encodings_are_read_back(quantized: Path, tmp_path: Path):
    output = tmp_path / "model.encodings"
    model = str(EXAMPLE / "model.onnx")
    assert run_cli(["export", str(quantized), "-o", str(output), "--format", "aimet", "--model", model]) == 0
    content = json.loads(output.read_text())
    graph = onnx.load(model).graph
    tensors = {name for node in graph.node for name in node.output} | {info.name for info in graph.input}
    names = [entry["name"] for entry in content["activation_encodings"]]
    assert set(names) <= tensors
    assert {"input", "logits"} <= set(names)
    assert len(content["param_encodings"]) == 10
    weight = content["param_encodings"][0]
    assert (weight["enc_type"], weight["bw"], weight["is_sym"]) == ("PER_CHANNEL", 8, True)
    assert set(weight["offset"]) == {-128}
    original, again = parameters(network(None)), parameters(network(output))
    assert len(original) == len(again) > 10
    assert [zero_point for _, zero_point in again] == [zero_point for _, zero_point in original]
    np.testing.assert_allclose([scale for scale, _ in again], [scale for scale, _ in original], rtol=1e-6)


TEXT = """
!in = !quant.uniform<u8:f32, 0.5:3>
!out = !quant.uniform<i16:f32, 0.25>
func.func @main(%x: tensor<1x4xf32> {onnx.name = "image"}) -> (tensor<1x4xf32> {onnx.name = "scores"}) {
  %q = quant.qcast %x : tensor<1x4xf32> to tensor<1x4x!in>
  %y = nn.relu %q : (tensor<1x4x!in>) -> tensor<1x4x!out> loc("act")
  %d = quant.dcast %y : tensor<1x4x!out> to tensor<1x4xf32>
  func.return %d : tensor<1x4xf32>
}
"""


def test_offsets_of_encodings_count_from_zero():
    image, scores = export_encodings(parse_module(TEXT)).activations
    # Stored 3 is real zero; of 16 bits, 0 is, 32768 steps above the lowest.
    assert (image["name"], image["bw"], image["scale"], image["offset"], image["is_sym"]) == (
        "image",
        8,
        [0.5],
        [-3],
        False,
    )
    assert (scores["name"], scores["bw"], scores["offset"], scores["is_sym"]) == ("scores", 16, [-32768], True)


def test_a_module_without_quantized_tensors_has_no_encodings():
    text = "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n  func.return %x : tensor<4xf32>\n}"
    with pytest.raises(UserError, match="no quantized tensors"):
        export_encodings(parse_module(text))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(EXAMPLE / "model.onnx"), "--format", "qdq"], "not the text of a quantized module"),
        (["MODULE", "--format", "qdq", "--model", "m.onnx"], "--model gives the names"),
        (["MODULE", "--format", "aimet", "--cuts"], "--cuts is for TOSA"),
        (["nowhere.mlir", "--format", "tosa"], "cannot read the file"),
        (["MODULE", "--format", "unknown"], "'unknown' is not one of"),
    ],
)
def test_mistakes(
    quantized: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    given = [str(quantized) if argument == "MODULE" else argument for argument in arguments]
    assert run_cli(["export", *given, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 6
    assert not (tmp_path / "out").exists()

"""The same bytes in every process, whatever its hash seed and folder, for networks in pieces and those of the zoo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

# Layers, branches and activations between softmaxes, which are the host's: regions of all sizes, some of which are
# cheaper on the host.
SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, TensorType, f32
from xdsl.ir import Region
from intaglio.compiler import run_phase
from intaglio.dialects import nn, quant
from intaglio.ir.printing import print_module
from intaglio.phases import PHASES, CompileOptions, phase_index
from intaglio.runtime.package import package_bytes
from intaglio.runtime.packaging import package_of
from tests.conftest import RegionBuilder

b = RegionBuilder.seeded(11)
value = b.input(2, 12, 12, 24)
for depth in (40, 24, 8):
    left = b.conv2d(value, depth, kernel=(3, 3), pads=(1, 1, 1, 1), strides=(1, 1), dilations=(1, 1))
    right = b.unary(b.conv2d(value, depth, kernel=(1, 1), pads=(0, 0, 0, 0), strides=(1, 1)))
    value = b.binary(nn.AddOp, left, right)
    shape, kind = value.type.get_shape(), value.type.element_type
    real = b.add(quant.DequantizeCastOp(value, TensorType(f32, shape)))
    real = b.add(nn.SoftmaxOp(real, 3, real.type))
    value = b.unary(b.add(quant.QuantizeCastOp(real, TensorType(kind, shape))))
b.block.add_op(func.ReturnOp(value))
module = ModuleOp([func.FuncOp("main", (list(b.block.arg_types), [value.type]), Region(b.block))])
module.attributes["intaglio.batch"] = IntegerAttr(2, 64)
texts = []
for name in ("partition", "npu", "isa"):
    run_phase(module, PHASES[phase_index(name, where="the test")], CompileOptions())
    texts.append(print_module(module))
Path(sys.argv[1]).write_bytes(package_bytes(package_of(module)))
Path(sys.argv[2]).write_text("".join(texts))
"""


# From ONNX to the package: importing, calibration and quantization are as repeatable as what follows.
ZOO_SCRIPT = """
import sys
from itertools import islice
sys.path.insert(0, sys.argv[1])
import zoo
from intaglio.compiler import compile_model
from intaglio.params import default_quantization
from intaglio.phases import CompileOptions
entry = zoo.load(sys.argv[2])
params = default_quantization.with_precision(sys.argv[3])
options = CompileOptions(calibration=list(islice(entry.samples("calib"), 4)), params=params)
compile_model(entry.model, "made.igpkg", options)
"""
ZOO = ROOT.parent / "shared" / "zoo"


def made_by(script: str, folder: Path, seed: str, *arguments: str) -> Path:
    """Run a script in a process with some hash seed; returns the folder, in which it leaves what it makes."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *arguments]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What two processes made of the same network, each in a folder of its own."""
    return [
        made_by(SCRIPT, tmp_path_factory.mktemp(f"seed{seed}"), seed, "made.igpkg", "made.mlir")
        for seed in ("0", "4242")
    ]


def test_networks_in_pieces_are_the_same_bytes(made: list[Path]) -> None:
    one, other = ((folder / "made.mlir").read_text() for folder in made)
    assert one == other
    # There is something to decide: several regions, and operations that cost decided about.
    assert one.count("npu.launch") > 3 and "What the accelerator saves" in one
    assert (made[0] / "made.igpkg").read_bytes() == (made[1] / "made.igpkg").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not ZOO.exists(), reason="needs the models of ../shared/zoo")
@pytest.mark.parametrize(("name", "precision"), [("silero_vad", "int8"), ("fashion_vit", "int16"), ("magika", "int8")])
def test_networks_of_the_zoo_are_the_same_bytes(name: str, precision: str, tmp_path_factory: Any) -> None:
    folders = [
        made_by(ZOO_SCRIPT, tmp_path_factory.mktemp(f"seed{seed}"), seed, str(ZOO), name, precision)
        for seed in ("0", "4242")
    ]
    one, other = ((folder / "made.igpkg").read_bytes() for folder in folders)
    assert one == other
    with zipfile.ZipFile(folders[0] / "made.igpkg") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        contents = [archive.read(member) for member in archive.namelist()]
    # The host has a part in it, whose machine code must not say where it was made either.
    assert manifest["regions"] and any(place["device"] == "host" for place in manifest["placement"])
    for place in (*folders, ROOT, ZOO):
        assert all(str(place).encode() not in content for content in contents)


def test_a_package_names_its_processors_and_no_place(made: list[Path]) -> None:
    with zipfile.ZipFile(made[0] / "made.igpkg") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        contents = [archive.read(name) for name in archive.namelist()]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert "x86-64-v3" in manifest["host_baseline"] or "aarch64" in manifest["host_baseline"]
    for place in (made[0], ROOT, Path.home(), Path(sys.prefix)):
        assert len(str(place)) < 6 or all(str(place).encode() not in content for content in contents)

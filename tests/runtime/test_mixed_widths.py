"""Packages of networks that compute partly in 16 bits, on the accelerator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import intaglio as ig
from intaglio.executor import Executor
from intaglio.params import QuantizationParams, default_quantization
from intaglio.tools.cli import run_cli

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fashion_resnet8"
LAYERS = {"*/c1/Conv": "a16w8", "/stem/stem.0/Conv": "a16w16", "/fc/Gemm": "a16w16"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few of the example's samples."""
    path = tmp_path_factory.mktemp("mixed") / "calibration.npz"
    with np.load(EXAMPLE / "calibration.npz") as file:
        np.savez(path, **{key: file[key][:12] for key in file.files})
    return path


def check_package(package: Path, params: QuantizationParams, data: Path) -> ig.Session:
    """Hold what a package gives to what the executor makes of the quantized network."""
    network = ig.load(EXAMPLE / "model.onnx").quantize(str(data), params)
    session = ig.Session(package)
    with np.load(data) as file:
        samples = {tensor.name: file[tensor.name] for tensor in session.inputs}
    expected = Executor(network.module).run_batch(samples)
    for name, found in session.run_batch(samples).items():
        np.testing.assert_array_equal(found, expected[name])
    return session


def test_an_assignment_of_widths_runs_on_the_accelerator(data: Path, tmp_path: Path) -> None:
    assignment, package = tmp_path / "assignment.json", tmp_path / "mixed.igpkg"
    assignment.write_text(json.dumps({"default": "a8w8", "nodes": LAYERS}))
    more = ["--assignment", str(assignment), "--target", "gen1", "--fail-on-host", "-o", str(package)]
    assert run_cli(["compile", str(EXAMPLE / "model.onnx"), "--calibration", str(data), *more]) == 0
    configs = {name: {"precision": precision} for name, precision in LAYERS.items()}
    session = check_package(package, default_quantization.with_custom_quantization_configs(configs), data)
    (region,) = session.package.regions
    assert region.element_bytes == (2, 2)


@pytest.mark.parametrize(("precision", "rate"), [("a16w8", 2), ("a16w16", 4)])
def test_networks_of_16_bits(precision: str, rate: int, data: Path, tmp_path: Path) -> None:
    params, package = default_quantization.with_precision(precision), tmp_path / "wide.igpkg"
    network = ig.load(EXAMPLE / "model.onnx").quantize(str(data), params)
    network.compile(package, target="gen1", fail_on_host=True)
    session = check_package(package, params, data)
    profile = session.profile()
    assert profile.macs * rate / 32**2 < profile.cycles

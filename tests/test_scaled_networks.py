"""Whole networks whose channels were given other units: the float function stays what it was, on data."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.compiler import import_phase, run_phase, run_steps
from intaglio.dialects import nn
from intaglio.dialects.weights import array_of
from intaglio.ir.context import make_context
from intaglio.params import default_quantization
from intaglio.passes.calibration.float_graph import FloatGraph
from intaglio.passes.quantization.equalize_channels import EqualizeChannels
from intaglio.phases import PHASES, CompileOptions

Sample = dict[str, np.ndarray[Any, np.dtype[Any]]]

SHARED = Path(__file__).parents[1].parent / "shared"
SLOW = {"ppocrv4_det", "mobilenet_v2", "magika", "blazeface_front", "fashion_vit"}
BENCH = [
    f"{folder}{name}" for name in ("cnn", "mbv2", "mbv2_hard", "mbv2_mid", "vit", "vit_hard") for folder in ("", "raw/")
]
ZOO = [
    "pulsevad_2k",
    "silero_vad",
    "mnist_cnn",
    "fashion_resnet8",
    "mnist_mobilenet",
    "mnist_mobilenet_hard",
    "fashion_vit",
    "ppocr_cls",
    "blazeface_front",
    "crepe_tiny",
    "mobilenet_v2",
    "magika",
    "ppocrv4_det",
]

BOUNDED = ["mbv2", "mbv2_hard", "raw/mbv2_mid", "mnist_mobilenet", "mnist_mobilenet_hard", "mobilenet_v2"]
"""Networks of ReLU6."""

CALIBRATE = PHASES[2]

LARGEST_ERROR = 2e-5
"""Of the largest magnitude of an output; the order of roundings is another."""

DEEP = {"ppocrv4_det": 5e-4}
"""Networks in which differences of roundings grow through 180 layers."""


def bench(name: str) -> tuple[Path, list[Sample], list[Sample], dict[str, tuple[int, ...]]]:
    with np.load(SHARED / "bench" / "digits16.npz") as archive:
        calibration, evaluation = (archive[key].reshape(-1, 1, 1, 16, 16) for key in ("x_calib", "x_eval"))
    parts = ([{"input": image} for image in images] for images in (calibration, evaluation[:64]))
    return SHARED / "bench" / f"{name}.onnx", *parts, {"input": (1, 1, 16, 16)}


def zoo(name: str) -> tuple[Path, list[Sample], list[Sample], dict[str, tuple[int, ...]]]:
    spec = importlib.util.spec_from_file_location("zoo", SHARED / "zoo" / "zoo.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["zoo"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    entry = module.load(name)
    counts = {"calib": 16, "eval": 8} if name in SLOW else {"calib": 256, "eval": 64}
    return Path(entry.model), *(list(islice(entry.samples(part), count)) for part, count in counts.items()), {}


def loaded(name: str) -> tuple[ModuleOp, list[Sample], list[Sample]]:
    """The float module, and samples to calibrate and to compare with."""
    path, calibration, evaluation, shapes = (zoo if name in ZOO else bench)(name)
    options = CompileOptions(shapes=shapes)
    module = import_phase(path, options)
    run_phase(module, PHASES[1], options)
    return module, calibration, evaluation


def error(module: ModuleOp, scaled: ModuleOp, samples: Iterable[Sample]) -> float:
    """The largest difference of outputs, as a share of the largest magnitude."""
    before, after = FloatGraph(module), FloatGraph(scaled)
    return max(
        float(np.abs(actual - expected).max() / np.abs(expected).max())
        for sample in samples
        for expected, actual in zip(before.run(sample)[0], after.run(sample)[0], strict=True)
    )


needs_models = pytest.mark.skipif(not SHARED.exists(), reason="needs the models of ../shared")


def marks(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if name in SLOW else []


def equalized(module: ModuleOp, calibration: list[Sample]) -> ModuleOp:
    """What the passes of a compilation make of a float module before it is calibrated."""
    options = CompileOptions(calibration=calibration, params=default_quantization)
    last = max(index for index, step in enumerate(CALIBRATE.steps) if step.name == "insert-observers")
    scaled = module.clone()
    run_steps(scaled, replace(CALIBRATE, steps=CALIBRATE.steps[:last]), options)
    return scaled


@needs_models
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in BENCH + ZOO])
def test_units_by_statistics_keep_the_function_on_data(name: str):
    """On samples that were not calibrated with."""
    module, calibration, evaluation = loaded(name)
    scaled = equalized(module, calibration)
    assert constants_of(scaled) != constants_of(module)
    assert error(module, scaled, evaluation) < DEEP.get(name, LARGEST_ERROR)


@needs_models
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in BOUNDED])
@pytest.mark.parametrize("observed", [True, False])
def test_bounds_are_kept_everywhere(name: str, observed: bool):
    """Networks of ReLU6, on inputs four times as large, which reach the bounds."""
    module, calibration, evaluation = loaded(name)
    if observed:
        scaled = equalized(module, calibration)
    else:
        scaled = module.clone()
        EqualizeChannels().apply(make_context(), scaled)
    assert any(isinstance(op, nn.MinimumOp) for op in scaled.walk())
    large = [{key: array * 4 for key, array in sample.items()} for sample in evaluation[:8]]
    assert error(module, scaled, large) < LARGEST_ERROR


@needs_models
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in BOUNDED])
def test_integers_need_no_minimum(name: str):
    """They saturate where the smallest bound is, or before."""
    module, calibration, _ = loaded(name)
    options = CompileOptions(calibration=calibration, params=default_quantization)
    for phase in PHASES[2:4]:
        run_phase(module, phase, options)
    assert not any(isinstance(op, nn.MinimumOp) for op in module.walk())


def constants_of(module: ModuleOp) -> list[bytes]:
    return [array_of(op.value).tobytes() for op in module.walk() if isinstance(op, nn.ConstantOp)]

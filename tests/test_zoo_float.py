"""Float models with the accelerator disabled: the interpreter and the host library give onnxruntime's outputs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, numpy_helper

from intaglio.compiler import run_phase
from intaglio.dialects.onnx import OnnxOp
from intaglio.frontend.exporter import main_function
from intaglio.frontend.importer import import_model
from intaglio.frontend.nn_exporter import export_float
from intaglio.interpreter import Interpreter
from intaglio.lowering.host_to_relax import host_to_relax
from intaglio.lowering.tvm import compile_executable
from intaglio.phases import PHASES, CompileOptions
from intaglio.runtime.host_library import HostLibrary

ZOO = Path(__file__).parents[1].parent / "shared" / "zoo"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

LARGEST_ERROR = 1e-3
"""Of the largest magnitude of an output."""

SLOW = {"ppocrv4_det", "mobilenet_v2", "magika", "ppocr_cls", "blazeface_front"}

needs_zoo = pytest.mark.skipif(not ZOO.exists(), reason="needs the models of ../shared/zoo")


@cache
def zoo() -> dict[str, dict[str, Any]]:
    if not ZOO.exists():
        return {}
    return {entry["name"]: entry for entry in json.loads((ZOO / "zoo.json").read_text())["models"]}


def sample(name: str) -> dict[str, np.ndarray]:
    """The first evaluation sample of a model, as its record says it is prepared."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("zoo", ZOO / "zoo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return next(iter(module.load(name).samples("eval")))


def no_regions(region: int, inputs: list[np.ndarray]) -> list[np.ndarray]:
    raise AssertionError("there is no accelerator region")


def session(model: ModelProto | Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def hold(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    for one, other in zip(actual, expected, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert np.abs(one - other).max() <= LARGEST_ERROR * np.abs(other).max()


def check(
    model: ModelProto | Path,
    feeds: dict[str, np.ndarray],
    *,
    interpret: bool,
    shapes: dict[str, tuple[int, ...]] | None = None,
) -> None:
    """Lower a model wholly to `nn`, and hold everything that runs it to onnxruntime on the model as it came."""
    reference = session(model)
    expected = reference.run(None, feeds)
    assert all(np.ptp(output) > 0 for output in expected if output.size > 1), "a constant answer would test nothing"
    module = import_model(model if isinstance(model, Path) else model.SerializeToString(), shapes=shapes)
    run_phase(module, PHASES[1], CompileOptions())
    assert Counter(op.name for op in module.walk() if isinstance(op, OnnxOp)) == {}
    arguments = [feeds[value.name] for value in reference.get_inputs()]
    hold(session(export_float(module)[0]).run(None, feeds), expected)
    host = HostLibrary.in_memory(compile_executable(host_to_relax(main_function(module), {})), no_regions)
    hold(host.run(arguments), expected)
    if interpret:
        hold(Interpreter(module).run("main", arguments), expected)


@needs_zoo
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in zoo()]
)
def test_zoo_models(name: str) -> None:
    check(ZOO / zoo()[name]["file"], sample(name), interpret=True)


@needs_zoo
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, entry in zoo().items()
        if "raw" in entry
    ],
)
def test_models_as_exported(name: str) -> None:
    """With dimensions left open and shape arithmetic, which all folds away."""
    raw = zoo()[name]["raw"]
    feeds = {raw["inputs"][key]: value for key, value in sample(name).items()}
    shapes = {key: tuple(value.shape) for key, value in feeds.items()}
    check(ZOO / raw["file"], feeds, interpret=name not in SLOW, shapes=shapes)


# The light models of onnx have ConstantOfShape in place of weights.


def redrawn(model: ModelProto, seed: int = 0) -> ModelProto:
    """A light model with Gaussian weights that keep the scale of activations from layer to layer.

    Weights have variance 1 / (number of inputs), vectors 0.01; scales of batch norms are 0.3
    and more, variances 1 and more.
    """
    rng = np.random.default_rng(seed)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    positive = {
        node.input[index] for node in model.graph.node if node.op_type == "BatchNormalization" for index in (1, 4)
    }
    # Smaller scales than variances keep residual sums small, so that softmax does not saturate.
    scales = {node.input[1] for node in model.graph.node if node.op_type == "BatchNormalization"}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = tuple(int(size) for size in shapes[node.input[0]])
        values = rng.standard_normal(shape, np.float32)
        values *= np.float32(1.5 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1)
        if node.output[0] in positive:
            values = np.abs(values) + np.float32(0.3 if node.output[0] in scales else 1.0)
        model.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem, marks=[] if path.stem == "light_squeezenet" else [pytest.mark.slow])
        for path in sorted(LIGHT.glob("light_*.onnx"))
    ],
)
def test_light_models(name: str) -> None:
    model = redrawn(onnx.load(LIGHT / f"{name}.onnx"))
    (value,) = session(model).get_inputs()
    feeds = {value.name: np.random.default_rng(1).standard_normal(value.shape).astype(np.float32)}
    check(model, feeds, interpret=name == "light_squeezenet")

"""Networks of the zoo in every precision: the executor gives the bits of the interpreter."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import intaglio as ig
from intaglio.executor import Executor
from intaglio.interpreter import Interpreter
from intaglio.params import default_quantization

ZOO = Path(__file__).parents[2].parent / "shared" / "zoo"
SLOW = {"ppocrv4_det", "mobilenet_v2", "magika", "ppocr_cls", "blazeface_front", "crepe_tiny"}


@cache
def zoo() -> Any:
    spec = importlib.util.spec_from_file_location("zoo", ZOO / "zoo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names() -> list[Any]:
    if not ZOO.exists():
        return []
    models = [entry["name"] for entry in json.loads((ZOO / "zoo.json").read_text())["models"]]
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in models]


SETTINGS = {
    "a8w8": default_quantization,
    "tflite": default_quantization.with_requantization_mode("tflite"),
    "a16w8": default_quantization.with_precision("a16w8"),
    "a16w16": default_quantization.with_precision("a16w16"),
    "a8w4": default_quantization.with_precision("a8w4"),
    "bf16": default_quantization.with_precision("bf16"),
}


@pytest.mark.skipif(not ZOO.exists(), reason="needs the models of ../shared/zoo")
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", names())
def test_the_executor_gives_the_bits_of_the_interpreter(name: str, setting: str) -> None:
    entry = zoo().load(name)
    calibration = list(islice(entry.samples("calib"), 4))
    samples = list(islice(entry.samples("eval"), 2))
    module = ig.load(entry.model).quantize(calibration, SETTINGS[setting]).module
    executor = Executor(module)
    batch = executor.run_batch(samples)
    for k, sample in enumerate(samples):
        expected = Interpreter(module).run("main", [np.asarray(sample[name]) for name in executor.inputs])
        assert [array[k].tobytes() for array in batch.values()] == [array.tobytes() for array in expected]

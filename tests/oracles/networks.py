"""Quantized networks for the oracles: the examples of the repository, and the model zoo beside it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.compiler import import_phase, run_phase
from intaglio.params import default_quantization
from intaglio.phases import PHASES, CompileOptions

ROOT = Path(__file__).parent.parent.parent
ZOO = ROOT.parent / "shared" / "zoo"
EXAMPLES = ROOT / "examples"

Array = np.ndarray[Any, np.dtype[Any]]


def quantized(model: Path, calibration: list[dict[str, Array]], precision: str = "a8w8") -> ModuleOp:
    """The module of a model after the phase `quantize`."""
    options = CompileOptions(calibration=calibration, params=default_quantization.with_precision(precision))
    module = import_phase(model, options)
    for phase in PHASES[1:4]:
        run_phase(module, phase, options)
    return module


def load_zoo() -> ModuleType:
    """The zoo's module; skips the test when there is no zoo."""
    if not ZOO.exists():
        pytest.skip("the model zoo is not there")
    specification = importlib.util.spec_from_file_location("zoo", ZOO / "zoo.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def samples_of(path: Path, count: int) -> list[dict[str, Array]]:
    """The first samples of a file of data."""
    with np.load(path) as archive:
        arrays = {name: archive[name][:count] for name in archive.files if name != "label"}
    return [{name: array[index] for name, array in arrays.items()} for index in range(count)]

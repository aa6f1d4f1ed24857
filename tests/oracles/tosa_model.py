"""The TOSA reference model, fed with text."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, np.dtype[Any]]


def tosa_opt() -> str:
    """The program that reads the text; skips the test when `tosa-tools` is not installed."""
    pytest.importorskip("tosa_reference_model", reason="tosa-tools is not installed")
    found = shutil.which("tosa-opt", path=f"{Path(sys.executable).parent}") or shutil.which("tosa-opt")
    if found is None:
        pytest.skip("tosa-opt is not installed")
    return found


def serialized(text: str, *, validate: bool = False) -> bytes:
    """The flatbuffer that `tosa-opt` makes of a module; it must accept it."""
    program = tosa_opt()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "module.mlir", Path(folder) / "module.tosa"
        source.write_text(text)
        passes = ["--tosa-validate=strict-op-spec-alignment"] if validate else []
        serialize = f"--tosa-serialize=tosa-flatbuffer-filename={target} retain-graph-input-output-names=1"
        done = subprocess.run([program, *passes, serialize, source], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:4000]
        return target.read_bytes()


def run(flatbuffer: bytes, inputs: Sequence[Array]) -> tuple[list[Array], str]:
    """Results, and the status: TOSA_VALID, TOSA_UNPREDICTABLE or TOSA_ERROR."""
    reference = pytest.importorskip("tosa_reference_model", reason="tosa-tools is not installed")
    outputs, status = reference.run(flatbuffer, [np.ascontiguousarray(array) for array in inputs])
    return outputs, status.name

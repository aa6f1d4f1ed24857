"""What the benchmarks share: folders of models, times, and rows that are measured in processes of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnxruntime


def zoo(folder: Path) -> Any:
    """The module `zoo.py` of a folder laid out like the model zoo."""
    spec = importlib.util.spec_from_file_location("zoo", folder / "zoo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def models_of(folder: Path) -> dict[str, Path]:
    """The models of a folder laid out like the model zoo, by name."""
    names = [entry["name"] for entry in json.loads((folder / "zoo.json").read_text())["models"]]
    return {name: folder / "models" / f"{name}.onnx" for name in names}


def float_session(model: str) -> onnxruntime.InferenceSession:
    """The float model in onnxruntime, with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def in_process(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What the running benchmark prints, as JSON, when it is called with some arguments.

    Args:
        name: of the row, for messages.
        arguments: of the command line.
        environment: variables to set.
    """
    command = [sys.executable, sys.argv[0], *arguments]
    variables = os.environ | dict(environment or {})
    result = subprocess.run(command, check=False, capture_output=True, text=True, env=variables)
    if result.returncode:
        raise SystemExit(f"{name}: {result.stderr.strip().splitlines()[-1]}")
    return json.loads(result.stdout)

"""What accuracy is measured on: networks with calibration data, evaluation data and metrics."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from intaglio.passes.calibration.float_graph import FloatGraph

Arrays = dict[str, np.ndarray]
Scores = dict[str, float]

MANY_VALUES = 1 << 22
"""Outputs of more values than that are scored on fewer resamplings."""


@dataclass
class Task:
    """A model with its data and its metrics.

    Attributes:
        name: of the model.
        group: `zoo` or `bench`.
        model: its file.
        shapes: of inputs with open dimensions.
        calibration: one mapping for each sample.
        evaluation: arrays `[N, *shape]` by input.
        score: all metrics of outputs `[N, *shape]` in order, for the samples at some indices.
        metric: name of the main metric.
        reference: the float model's outputs; empty where they are to be computed.
        known: the main metric's figures that are known: onnxruntime's static int8 ones.
    """

    name: str
    group: str
    model: str
    shapes: dict[str, tuple[int, ...]]
    calibration: list[Arrays]
    evaluation: Arrays
    score: Callable[[Sequence[np.ndarray], np.ndarray], Scores]
    metric: str
    reference: list[np.ndarray] = field(default_factory=list)
    known: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Evaluation samples."""
        return len(next(iter(self.evaluation.values())))

    @property
    def resamplings(self) -> int:
        """For the bootstrap: fewer where scoring takes long."""
        return 100 if sum(array.size for array in self.reference) > MANY_VALUES else 1000

    @cached_property
    def digest(self) -> str:
        """What identifies the model and its data."""
        found = hashlib.blake2b(Path(self.model).read_bytes(), digest_size=16)
        for arrays in (*self.calibration, self.evaluation):
            for name, array in sorted(arrays.items()):
                found.update(f"{name} {array.dtype} {array.shape}".encode())
                found.update(np.ascontiguousarray(array))
        return found.hexdigest()


def zoo_tasks(folder: Path) -> dict[str, Callable[[], Task]]:
    """The models of a folder laid out like the zoo, each made when it is asked for."""
    spec = importlib.util.spec_from_file_location("zoo", folder / "zoo.py")
    assert spec is not None and spec.loader is not None
    zoo = importlib.util.module_from_spec(spec)
    sys.modules["zoo"] = zoo
    spec.loader.exec_module(zoo)
    return {name: lambda name=name: _zoo_task(zoo, name) for name in zoo.names()}


def _zoo_task(zoo: Any, name: str) -> Task:
    entry = zoo.load(name)
    reference = list(entry.ref.values())
    measure = zoo.METRICS[entry.info["task"]]

    def score(outputs: Sequence[np.ndarray], indices: np.ndarray) -> Scores:
        chosen = [np.asarray(array, np.float32)[indices] for array in outputs]
        labels = None if entry.labels is None else entry.labels[indices]
        return measure(entry, chosen, [array[indices] for array in reference], labels)

    known = {
        f"ort {column.replace('_', ' ')}": {key: value for key, value in figures.items() if isinstance(value, float)}
        for column, figures in entry.info.get("ort_int8", {}).items()
    }
    calibration = list(entry.samples("calib"))
    return Task(name, "zoo", entry.model, {}, calibration, entry.eval, score, entry.info["metric"], reference, known)


def bench_tasks(folder: Path) -> dict[str, Callable[[], Task]]:
    """The bench networks, each made when it is asked for; `raw/` are the same as their exporter wrote them."""
    paths = sorted(folder.glob("*.onnx")) + sorted((folder / "raw").glob("*.onnx"))
    names = {path.stem if path.parent == folder else f"raw/{path.stem}": path for path in paths}
    return {name: lambda name=name, path=path: _bench_task(folder, name, path) for name, path in names.items()}


def _bench_task(folder: Path, name: str, path: Path) -> Task:
    with np.load(folder / "digits16.npz") as archive:
        calibration = [{"input": image[None]} for image in archive["x_calib"]]
        images, labels = archive["x_eval"][:, None], archive["y_eval"]

    def score(outputs: Sequence[np.ndarray], indices: np.ndarray) -> Scores:
        answers = outputs[0].reshape(len(outputs[0]), -1)[indices].argmax(1)
        return {"acc": float((answers == labels[indices]).mean())}

    shapes = {"input": (1, 1, 16, 16)}
    return Task(name, "bench", str(path), shapes, calibration, {"input": images}, score, "acc")


def run_float(graph: FloatGraph, evaluation: Arrays) -> list[np.ndarray]:
    """The outputs of a float module for all samples, `[N, *shape]` each."""
    count = len(next(iter(evaluation.values())))
    runs = [graph.run({name: array[index] for name, array in evaluation.items()})[0] for index in range(count)]
    return [np.stack(arrays) for arrays in zip(*runs, strict=True)]

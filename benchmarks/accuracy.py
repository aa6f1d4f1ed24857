"""Accuracy of quantization: the model zoo and the bench networks under every setting, held to bounds.

python benchmarks/accuracy.py [--json] [--models DIR] [--bench DIR] [--only NAME] [--columns A,B] [--methods A,B]
                              [--markdown FILE]

--models takes a folder laid out like the zoo (`zoo.json`, `zoo.py`, `models/`, `data/`), whose own calibration and
evaluation arrays and metrics are used. Networks run in integers, exactly as the accelerator computes them. A column is
a set of parameters; the two columns of onnxruntime's static quantization are those stored in `zoo.json`. Standard
errors are those of the difference to the float model, by paired bootstrap over the samples. Models of the zoo run from
small to large; rows are printed as they are done.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_bounds import Bound, bench_bounds, zoo_bounds
from bfloat16_reference import reference_graph

import intaglio as ig
from intaglio.dialects import nn
from intaglio.errors import UserError
from intaglio.executor import Executor
from intaglio.network import Network, QuantizedNetwork
from intaglio.params import CalibrationMethod, QuantizationParams
from intaglio.params_file import params_text
from intaglio.passes.calibration.float_graph import FloatGraph

Arrays = dict[str, np.ndarray]

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
METHODS = ("min_max", "mse", "moving_average", "entropy", "percentile", "average")
RESAMPLINGS = 1000

_DEFAULT = ig.default_quantization
_PER_TENSOR = _DEFAULT.with_weight_quantization(ig.quantization_scheme(asymmetric=False, per_channel=False))

COLUMNS: dict[str, QuantizationParams] = {
    "default": _DEFAULT,
    **{method: _DEFAULT.with_calibration(CalibrationMethod.from_str(method)) for method in METHODS},
    "not equalized": _DEFAULT.with_channel_equalization(False),
    "per tensor": _PER_TENSOR.with_channel_equalization(False),
    "per tensor equalized": _PER_TENSOR.with_channel_equalization(),
    "smooth": _DEFAULT.with_smooth_quant(),
    "bias": _DEFAULT.with_bias_correction("regular"),
    "bias iterative": _DEFAULT.with_bias_correction("iterative"),
    "a16w8": _DEFAULT.with_precision("a16w8"),
    "a16w16": _DEFAULT.with_precision("a16w16"),
    "bf16": _DEFAULT.with_precision("bf16"),
}
"""The settings by name. What equals another one is not run again."""


@dataclass
class Task:
    """A model with its data and its metric.

    Attributes:
        name: of the model.
        group: `zoo` or `bench`.
        model: its file.
        shapes: of inputs with open dimensions.
        calibration: one mapping for each sample.
        evaluation: arrays `[N, *shape]` by input.
        score: the main metric, and others, of outputs `[N, *shape]` in order, for the samples at some indices.
        metric: name of the main metric.
        known: figures that are known: float, and those of onnxruntime.
    """

    name: str
    group: str
    model: str
    shapes: dict[str, tuple[int, ...]]
    calibration: list[Arrays]
    evaluation: Arrays
    score: Callable[[list[np.ndarray], np.ndarray], dict[str, float]]
    metric: str
    reference: list[np.ndarray] = field(default_factory=list)
    known: dict[str, float] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Evaluation samples."""
        return len(next(iter(self.evaluation.values())))


@dataclass
class Cell:
    """A model under one setting.

    Attributes:
        value: the main metric, None when it failed.
        standard_error: of the difference to the float model.
        scores: all metrics.
        in_float: operations that stay float.
        seconds: for quantization and evaluation.
        error: why it failed.
    """

    value: float | None
    standard_error: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    in_float: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None


def zoo_tasks(folder: Path) -> list[Callable[[], Task]]:
    spec = importlib.util.spec_from_file_location("zoo", folder / "zoo.py")
    assert spec is not None and spec.loader is not None
    zoo = importlib.util.module_from_spec(spec)
    sys.modules["zoo"] = zoo
    spec.loader.exec_module(zoo)
    return [lambda name=name: _zoo_task(zoo, name) for name in zoo.names()]


def _zoo_task(zoo: Any, name: str) -> Task:
    entry = zoo.load(name)
    reference = list(entry.ref.values())
    names = [tensor["name"] for tensor in entry.info["outputs"]]
    measure = zoo.METRICS[entry.info["task"]]

    def score(outputs: list[np.ndarray], indices: np.ndarray) -> dict[str, float]:
        chosen = [np.asarray(array, np.float32)[indices] for array in outputs]
        labels = None if entry.labels is None else entry.labels[indices]
        return measure(entry, chosen, [array[indices] for array in reference], labels)

    metric, known = entry.info["metric"], {"float": entry.info["float_score"][entry.info["metric"]]}
    for column, figures in entry.info.get("ort_int8", {}).items():
        known[f"ort {column.replace('_', ' ')}"] = figures[metric]
    known["outputs"] = len(names)
    return Task(name, "zoo", entry.model, {}, list(entry.samples("calib")), entry.eval, score, metric, reference, known)


def bench_tasks(folder: Path) -> list[Callable[[], Task]]:
    paths = sorted(folder.glob("*.onnx")) + sorted((folder / "raw").glob("*.onnx"))
    return [lambda path=path: _bench_task(folder, path) for path in paths]


def _bench_task(folder: Path, path: Path) -> Task:
    with np.load(folder / "digits16.npz") as archive:
        calibration = [{"input": image[None]} for image in archive["x_calib"]]
        images, labels = archive["x_eval"][:, None], archive["y_eval"]

    def score(outputs: list[np.ndarray], indices: np.ndarray) -> dict[str, float]:
        answers = outputs[0].reshape(len(outputs[0]), -1)[indices].argmax(1)
        return {"acc": float((answers == labels[indices]).mean())}

    name = path.stem if path.parent == folder else f"raw/{path.stem}"
    shapes = {"input": (1, 1, 16, 16)}
    return Task(name, "bench", str(path), shapes, calibration, {"input": images}, score, "acc")


def run_float(graph: FloatGraph, task: Task) -> list[np.ndarray]:
    runs = [
        graph.run({name: array[index] for name, array in task.evaluation.items()})[0] for index in range(task.count)
    ]
    return [np.stack(arrays) for arrays in zip(*runs, strict=True)]


def measured(task: Task, outputs: list[np.ndarray], reference: list[np.ndarray]) -> Cell:
    """The cell of a model's outputs; the standard error is that of its difference to `reference`."""
    everything = np.arange(task.count)
    scores = {name: float(value) for name, value in task.score(outputs, everything).items()}
    rng = np.random.default_rng(0)
    differences: list[float] = []
    for _ in range(RESAMPLINGS):
        chosen = rng.integers(0, task.count, task.count)
        differences.append(task.score(outputs, chosen)[task.metric] - task.score(reference, chosen)[task.metric])
    return Cell(scores[task.metric], float(np.nanstd(differences)), scores)


def float_operations(model: QuantizedNetwork) -> list[str]:
    """Operations on floats between quantized ones; changes of layout at the edges do not count."""
    moving = (nn.ReshapeOp, nn.TransposeOp, nn.CastOp)
    return sorted(
        op.name
        for op in model
        if not isinstance(op, moving)
        and op.dialect_name() != "quant"
        and any(str(result.type).endswith("xf32>") for result in op.results)
    )


def run_column(
    task: Task, network: Network, params: QuantizationParams, reference: list[np.ndarray]
) -> dict[str, Cell]:
    """The cells of one setting: the network's, and for bfloat16 that of onnxruntime with the same roundings."""
    start = time.perf_counter()
    try:
        model = network.quantize(task.calibration, params)
        outputs = Executor(model.module).run_batch(task.evaluation)
        cell = measured(task, list(outputs.values()), reference)
    except UserError as error:
        return {"": Cell(None, error=str(error))}
    cell.in_float = float_operations(model)
    cell.seconds = time.perf_counter() - start
    if not params.precision.is_bfloat16:
        return {"": cell}
    try:
        rounded = run_float(reference_graph(model.module), task)
    except UserError as error:
        return {"": cell, " in onnxruntime": Cell(None, error=str(error))}
    return {"": cell, " in onnxruntime": measured(task, rounded, reference)}


def run_task(task: Task, columns: Sequence[str], report: Callable[[str, str, Cell], None]) -> dict[str, Cell]:
    network = ig.load(task.model, shapes=task.shapes)
    reference = task.reference or run_float(FloatGraph(network.module), task)
    cells = {"float": measured(task, reference, reference)}
    report(task.name, "float", cells["float"])
    for label in columns:
        params = COLUMNS[label]
        twin = next((known for known in cells if known in COLUMNS and _same(COLUMNS[known], params)), None)
        found = {"": cells[twin]} if twin is not None else run_column(task, network, params, reference)
        for suffix, cell in found.items():
            cells[label + suffix] = cell
            report(task.name, label + suffix, cell)
    return cells


def _same(first: QuantizationParams, second: QuantizationParams) -> bool:
    return params_text(first) == params_text(second)


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy of quantization under every setting.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--models", type=Path, help="a folder laid out like the zoo")
    parser.add_argument("--bench", type=Path, help="a folder of bench networks with digits16.npz")
    parser.add_argument("--only", default="", help="only models whose name contains this text; several with commas")
    parser.add_argument("--methods", default=",".join(METHODS), help="calibration methods, with commas between them")
    parser.add_argument("--columns", help="only these settings, with commas between them")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to a file")
    options = parser.parse_args()
    methods = options.methods.split(",") if options.methods else []
    columns = [name for name in COLUMNS if name not in METHODS or name in methods]
    if options.columns is not None:
        columns = options.columns.split(",")
    if unknown := [name for name in [*columns, *methods] if name not in COLUMNS]:
        parser.error(f"there is no setting {unknown[0]!r}; there are: {', '.join(COLUMNS)}")
    given = options.models is not None or options.bench is not None
    zoo = options.models or (None if given else SHARED / "zoo")
    bench = options.bench or (None if given else SHARED / "bench")
    makers = [*(zoo_tasks(zoo) if zoo else ()), *(bench_tasks(bench) if bench else ())]

    def report(model: str, column: str, cell: Cell) -> None:
        if not options.json:
            value = f"{cell.value:.4f} (se {cell.standard_error:.4f})" if cell.value is not None else cell.error
            floats = f", {len(cell.in_float)} in float" if cell.in_float else ""
            print(f"{model:22} {column:24} {value}, {cell.seconds:.0f} s{floats}", flush=True)

    rows: list[dict[str, Any]] = []
    for make in makers:
        task = make()
        if not any(name in task.name for name in options.only.split(",")):
            continue
        cells = run_task(task, columns, report)
        bounds = (zoo_bounds if task.group == "zoo" else bench_bounds)(
            task.name, task.count, task.known, {name: asdict(cell) for name, cell in cells.items()}
        )
        rows.append(
            {
                "model": task.name,
                "group": task.group,
                "metric": task.metric,
                "samples": task.count,
                "known": {name: value for name, value in task.known.items() if name != "outputs"},
                "cells": {name: asdict(cell) for name, cell in cells.items()},
                "bounds": [asdict(bound) | {"holds": bound.holds} for bound in bounds],
            }
        )
        if not options.json:
            for bound in bounds:
                print(f"{task.name:22} {bound}", flush=True)
    if options.json:
        print(json.dumps({"rows": rows}, indent=2))
    if options.markdown:
        options.markdown.write_text(markdown(rows), encoding="utf-8")


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The tables as Markdown: a row for each model, and the bounds with whether they hold."""
    parts: list[str] = []
    for group in ("zoo", "bench"):
        chosen = [row for row in rows if row["group"] == group]
        if not chosen:
            continue
        known = list(dict.fromkeys(name for row in chosen for name in row["known"] if name != "float"))
        labels = list(dict.fromkeys(name for row in chosen for name in row["cells"]))
        labels = [labels[0], *known, *labels[1:]] if labels else known
        parts.append(f"| model | metric | samples | {' | '.join(labels)} |")
        parts.append(f"|---|---|---|{'---|' * len(labels)}")
        for row in chosen:
            shown = [_shown(row, label) for label in labels]
            parts.append(f"| {row['model']} | {row['metric']} | {row['samples']} | {' | '.join(shown)} |")
        parts.append("")
    parts += ["| model | bound | required | found | holds |", "|---|---|---|---|---|"]
    for row in rows:
        for entry in row["bounds"]:
            bound = Bound(**{key: entry[key] for key in ("what", "found", "required", "sense")})
            found = "-" if bound.found is None else f"{bound.found:.4f}"
            required = f"{'at most' if bound.sense == 'most' else 'at least'} {bound.required:.4f}"
            parts.append(
                f"| {row['model']} | {bound.what} | {required} | {found} | {'yes' if bound.holds else '**no**'} |"
            )
    return "\n".join(parts) + "\n"


def _shown(row: Mapping[str, Any], label: str) -> str:
    if label in row["known"] and label != "float":
        return f"{row['known'][label]:.4f}"
    cell = row["cells"].get(label)
    if cell is None or cell["value"] is None:
        return "-" if cell is None else "fails"
    return f"{cell['value']:.4f}" + (f" ({len(cell['in_float'])} float)" if cell["in_float"] else "")


if __name__ == "__main__":
    main()

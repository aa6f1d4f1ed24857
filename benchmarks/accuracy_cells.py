"""A network under a setting: quantized, run in exact integers, and scored."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from accuracy_settings import SETTINGS
from accuracy_tasks import Arrays, Scores, Task, run_float
from bfloat16_reference import reference_graph
from xdsl.dialects.builtin import ModuleOp

import intaglio as ig
from intaglio.compiler import run_phase, run_steps
from intaglio.dialects import nn
from intaglio.errors import UserError
from intaglio.executor import Executor
from intaglio.files import write_atomically
from intaglio.network import Network
from intaglio.params import QuantizationParams
from intaglio.params_file import params_text
from intaglio.passes.calibration.float_graph import FloatGraph
from intaglio.phases import PHASES, CompileOptions
from intaglio.runnable import Runnable

_CALIBRATE, _QUANTIZE = (next(phase for phase in PHASES if phase.name == name) for name in ("calibrate", "quantize"))

IN_ONNXRUNTIME = " in onnxruntime"
"""Appended to a setting's name: the same roundings carried out by onnxruntime."""


@dataclass
class Cell:
    """A model under one setting.

    Attributes:
        scores: all metrics; none where it failed.
        errors: standard errors of the differences to the float model.
        snr_db: of all outputs, against the float model's.
        digest: of the outputs.
        in_float: operations that stay float.
        seconds: for quantization, evaluation and scores.
        error: why it failed.
    """

    scores: Scores = field(default_factory=dict)
    errors: Scores = field(default_factory=dict)
    snr_db: float = 0.0
    digest: str = ""
    in_float: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None


class Store:
    """Cells that are kept in a folder, so that a measurement that was interrupted goes on.

    A cell is found by model, data and parameters. The code that made it is not part of that: a folder belongs to one
    version of it.

    Args:
        folder: where they are kept, None for nowhere.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def get(self, task: Task, params: QuantizationParams) -> dict[str, Cell] | None:
        """The cells of a setting, if they are kept."""
        path = self._path(task, params)
        if path is None or not path.exists():
            return None
        return {suffix: Cell(**entry) for suffix, entry in json.loads(path.read_text()).items()}

    def put(self, task: Task, params: QuantizationParams, cells: dict[str, Cell]) -> None:
        """Keep the cells of a setting."""
        if (path := self._path(task, params)) is not None:
            entries = {suffix: asdict(cell) for suffix, cell in cells.items()}
            write_atomically(path, json.dumps(entries, indent=1).encode())

    def _path(self, task: Task, params: QuantizationParams) -> Path | None:
        if self._folder is None:
            return None
        key = hashlib.blake2b(f"{task.digest}\n{params_text(params)}".encode(), digest_size=16).hexdigest()
        return self._folder / f"{task.name.replace('/', '_')}-{params.precision}-{key}.json"


class Measurement:
    """A network under many settings; what they have in common is computed once.

    Calibration depends on the method and on what is done to channels before, so that settings with the same passes
    share it.

    Args:
        task: the network and its data.
        store: where cells are kept.
    """

    def __init__(self, task: Task, store: Store) -> None:
        self._task, self._store = task, store
        self._modules: dict[str, ModuleOp] = {}
        if not task.reference:
            task.reference = run_float(FloatGraph(self._network.module), task.evaluation)
        self._done: dict[str, dict[str, Cell]] = {}

    @cached_property
    def _network(self) -> Network:
        return ig.load(self._task.model, shapes=self._task.shapes)

    def float_cell(self) -> Cell:
        """The float model's figures."""
        return Cell(self._scores(self._task.reference, np.arange(self._task.count)))

    @cached_property
    def _resamplings(self) -> list[tuple[np.ndarray, Scores]]:
        """Samples drawn with replacement, and what the float model scores on them."""
        rng = np.random.default_rng(0)
        drawn = [rng.integers(0, self._task.count, self._task.count) for _ in range(self._task.resamplings)]
        return [(chosen, self._scores(self._task.reference, chosen)) for chosen in drawn]

    def cells(self, setting: str, *, kept_only: bool = False) -> dict[str, Cell]:
        """The cells of a setting: the network's (""), and for bfloat16 that of onnxruntime with the same roundings.

        Args:
            setting: its name.
            kept_only: measure nothing: none where the store has none.
        """
        params = SETTINGS[setting]
        text = params_text(params)
        found = self._done.get(text) or self._store.get(self._task, params)
        if found is None and kept_only:
            return {}
        if found is None:
            found = self._measured(params)
            self._store.put(self._task, params, found)
        self._done[text] = found
        return found

    def _measured(self, params: QuantizationParams) -> dict[str, Cell]:
        start = time.perf_counter()
        try:
            module = self._quantized(params)
            cell = self._cell(list(Executor(module).run_batch(self._task.evaluation).values()))
        except UserError as error:
            return {"": Cell(error=str(error))}
        cell = replace(cell, in_float=float_operations(Runnable(module)), seconds=time.perf_counter() - start)
        if not params.precision.is_bfloat16:
            return {"": cell}
        try:
            rounded = self._cell(run_float(reference_graph(module), self._task.evaluation))
        except UserError as error:
            rounded = Cell(error=str(error))
        return {"": cell, IN_ONNXRUNTIME: rounded}

    def _quantized(self, params: QuantizationParams) -> ModuleOp:
        """The module that `Network.quantize` makes."""
        options = CompileOptions(calibration=self._task.calibration, params=params)
        last = max(index for index, step in enumerate(_CALIBRATE.steps) if step.name == "insert-observers")
        parts = replace(_CALIBRATE, steps=_CALIBRATE.steps[:last]), replace(_CALIBRATE, steps=_CALIBRATE.steps[last:])
        module, done = self._network.module, ""
        for part in parts:
            done += part.pipeline(options) + ";"
            if done not in self._modules:
                self._modules[done] = module.clone()
                run_steps(self._modules[done], part, options)
            module = self._modules[done]
        module = module.clone()
        run_phase(module, _QUANTIZE, options)
        return module

    def _scores(self, outputs: list[np.ndarray], chosen: np.ndarray) -> Scores:
        return {name: float(value) for name, value in self._task.score(outputs, chosen).items()}

    def _cell(self, outputs: list[np.ndarray]) -> Cell:
        differences: dict[str, list[float]] = {}
        for chosen, reference in self._resamplings:
            for name, value in self._scores(outputs, chosen).items():
                differences.setdefault(name, []).append(value - reference[name])
        digest = hashlib.blake2b(digest_size=16)
        for array in outputs:
            digest.update(np.ascontiguousarray(array))
        return Cell(
            self._scores(outputs, np.arange(self._task.count)),
            {name: float(np.nanstd(values)) for name, values in differences.items()},
            signal_to_noise(outputs, self._task.reference),
            digest.hexdigest(),
        )


def signal_to_noise(outputs: list[np.ndarray], reference: list[np.ndarray]) -> float:
    """`10 log10(sum x^2 / sum (y - x)^2)` over all outputs, at most 200 dB."""
    exact = [np.asarray(array, np.float64).ravel() for array in reference]
    noise = sum(
        float(np.sum((np.asarray(y, np.float64).ravel() - x) ** 2)) for y, x in zip(outputs, exact, strict=True)
    )
    signal = sum(float(np.sum(x**2)) for x in exact)
    return 200.0 if noise <= signal * 1e-20 else float(10 * np.log10(signal / noise))


def float_operations(model: Runnable) -> list[str]:
    """Operations on floats between quantized ones; changes of layout at the edges do not count."""
    moving = (nn.ReshapeOp, nn.TransposeOp, nn.CastOp)
    return sorted(
        op.name
        for op in model
        if not isinstance(op, moving)
        and op.dialect_name() != "quant"
        and any(str(result.type).endswith("xf32>") for result in op.results)
    )


__all__ = ["IN_ONNXRUNTIME", "Arrays", "Cell", "Measurement", "Store"]

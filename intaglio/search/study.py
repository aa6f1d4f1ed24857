"""A network, its data and its metric, put together so that it can be evaluated in many precisions, here or elsewhere.

A study is described by what its results depend on: the calibrated module with its weights, the parameters, candidates,
data and metric. The description's fingerprint keys the journal, so that a change of any of them starts a new one.

`StoredStudy` is the same on disk. Workers in other processes or on other machines, which see the same folder, build
their evaluator from it once and carry tasks out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr

from intaglio.analysis.evaluation import Item, labelled_samples
from intaglio.analysis.metrics import Criterion, metric
from intaglio.compiler import run_steps
from intaglio.data import LABEL, reading_archive
from intaglio.errors import UserError
from intaglio.files import replacing
from intaglio.ir.parsing import read_module
from intaglio.ir.printing import WEIGHTS_FILE, print_module, write_module
from intaglio.params import QuantizationParams
from intaglio.params_file import params_text
from intaglio.phases import PHASES, CompileOptions, phase_index
from intaglio.precision import Precision
from intaglio.runtime.package import TensorSpec
from intaglio.search.evaluations import Outcome, Task
from intaglio.search.network import EvaluationData, NetworkEvaluator

Array = np.ndarray[Any, np.dtype[Any]]

_FEWEST_SAMPLES, _MOST_SAMPLES = 4, 64
_EVALUATIONS_OF_PHASE_ONE = 4


def analysis_samples(groups: int, candidates: int, evaluation: int) -> int:
    """How many calibration samples the noise is measured on when no analysis data is given: 4 to 64.

    As many as leave phase 1 about the work of four full evaluations, half of which is known from earlier ones.

    Args:
        groups: how many there are.
        candidates: likewise.
        evaluation: samples for scores.
    """
    measured = max(groups * (candidates - 1), 1)
    return min(max(2 * _EVALUATIONS_OF_PHASE_ONE * evaluation // measured, _FEWEST_SAMPLES), _MOST_SAMPLES)


@dataclass(frozen=True, eq=False)
class Study:
    """What is evaluated, and on what.

    Attributes:
        module: at the end of the phase `calibrate`.
        params: how to quantize; a precision set there for a node stands above those that are searched.
        precisions: the candidates.
        data: for scores.
        analysis_data: for noise.
        criterion: makes scores.
        metric_name: what stands for the metric in the fingerprint: `metric` can read it for workers elsewhere.
    """

    module: ModuleOp
    params: QuantizationParams
    precisions: tuple[Precision, ...]
    data: EvaluationData
    analysis_data: EvaluationData
    criterion: Criterion
    metric_name: str

    def evaluator(self) -> NetworkEvaluator:
        """What carries out its evaluations in this process."""
        feeds = self.analysis_data.feeds
        samples = [{name: array[k] for name, array in feeds.items()} for k in range(len(self.analysis_data))]
        return NetworkEvaluator(
            self.module,
            lambda module: quantize_as(module, self.params, samples),
            self.precisions,
            self.data,
            self.analysis_data,
            self.criterion,
        )

    def about(self) -> dict[str, Any]:
        """What its results depend on, as JSON."""
        return {
            "module": _digest([print_module(self.module).encode()]),
            "params": params_text(self.params),
            "candidates": [str(precision) for precision in self.precisions],
            "data": _data_digest(self.data),
            "analysis_data": _data_digest(self.analysis_data),
            "metric": self.metric_name,
        }

    def store(self, folder: str | Path, fingerprint: str) -> StoredStudy:
        """Write it where workers can read it.

        Args:
            folder: the results folder.
            fingerprint: of its description.

        Raises:
            UserError: a file cannot be written, or the metric has no name that workers could look up.
        """
        try:
            metric(self.metric_name)
        except UserError as error:
            raise UserError(
                f"workers cannot look the metric {self.metric_name!r} up",
                hint="give it as module:function, or search without workers",
            ) from error
        stem = f"study-{fingerprint}"
        path = Path(folder) / f"{stem}.mlir"
        module = self.module.clone()
        module.attributes[WEIGHTS_FILE] = StringAttr(f"{stem}.safetensors")
        write_module(module, path)
        for data, suffix in ((self.data, "data"), (self.analysis_data, "analysis")):
            arrays = {f"inputs/{name}": array for name, array in data.feeds.items()}
            if data.labels is not None:
                arrays[LABEL] = data.labels
            with replacing(path.with_name(f"{stem}-{suffix}.npz")) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]  # names of arrays, not options
        names = tuple(map(str, self.precisions))
        return StoredStudy(str(Path(folder).absolute()), stem, self.params, names, self.metric_name)


def quantize_as(
    module: ModuleOp, params: QuantizationParams, samples: Sequence[Mapping[str, Array]] | None = None
) -> None:
    """Run the passes of the phase `quantize` on a calibrated module.

    What they leave is not verified, unlike by the phase: verification would be a third of the time of a search.

    Args:
        module: the module.
        params: how to quantize.
        samples: for the passes that run the network, which round weights or correct biases layer by layer.

    Raises:
        UserError: a pass that the parameters ask for needs samples, and there are none.
    """
    options = CompileOptions(params=params, calibration=samples)
    run_steps(module, PHASES[phase_index("quantize", where="phase")], options)


@dataclass(frozen=True)
class StoredStudy:
    """A study on disk, which carries out tasks in whatever process it is called in.

    Attributes:
        folder: where its files are.
        stem: what their names begin with.
        params: as in `Study`.
        precisions: the candidates' names.
        metric_name: as in `Study`.
    """

    folder: str
    stem: str
    params: QuantizationParams
    precisions: tuple[str, ...]
    metric_name: str

    def __call__(self, task: Task) -> Outcome:
        """Carry a task out.

        Raises:
            UserError: the files cannot be read, or the evaluation fails.
        """
        return _evaluator_of(self.folder, self.stem, self.precisions, self.metric_name, _Key(self))(task)

    def evaluator(self) -> NetworkEvaluator:
        """Read it and build what carries out its evaluations."""
        path = Path(self.folder) / f"{self.stem}.mlir"
        module = read_module(path)
        module.attributes.pop(WEIGHTS_FILE, None)
        criterion = metric(self.metric_name)
        precisions = tuple(map(Precision.parse, self.precisions))
        data, analysis = (_read_data(path.with_name(f"{self.stem}-{suffix}.npz")) for suffix in ("data", "analysis"))
        return Study(module, self.params, precisions, data, analysis, criterion, self.metric_name).evaluator()


class _Key:
    """Hands a study through the cache without taking part in the comparison: its stem holds its fingerprint."""

    def __init__(self, study: StoredStudy) -> None:
        self.study = study

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=2)
def _evaluator_of(folder: str, stem: str, precisions: tuple[str, ...], metric_name: str, key: _Key) -> NetworkEvaluator:
    return key.study.evaluator()


def _read_data(path: Path) -> EvaluationData:
    try:
        # A file that is no archive is left open by NumPy when it opens it itself.
        with reading_archive(path), path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
    except ValueError as error:
        raise UserError(f"cannot read the data of the search: {error}", where=str(path)) from error
    labels = arrays.pop(LABEL, None)
    return EvaluationData({name.removeprefix("inputs/"): array for name, array in arrays.items()}, labels)


def gathered(
    data: str | Path | Iterable[Item], inputs: Sequence[TensorSpec], *, most: int | None = None
) -> EvaluationData:
    """Samples in memory, since a search runs them again and again.

    Args:
        data: an `.npz` file or samples, as `intaglio.analysis.evaluation` takes them.
        inputs: of the network.
        most: how many to keep at most, evenly spaced over the data; None for all.

    Raises:
        UserError: there are none, or one does not fit.
    """
    rows: list[Mapping[str, Array]] = []
    labels: list[Any] = []
    for feeds, truth in labelled_samples(data, inputs):
        rows.append(feeds)
        labels.append(truth.label)
    if not rows:
        raise UserError("there are no samples to evaluate on")
    if most is not None and len(rows) > most:
        places = np.linspace(0, len(rows) - 1, most).round().astype(np.int64).tolist()
        rows, labels = [rows[k] for k in places], [labels[k] for k in places]
    feeds = {tensor.name: np.stack([row[tensor.name] for row in rows]) for tensor in inputs}
    known = [label for label in labels if label is not None]
    if known and len(known) < len(labels):
        raise UserError("some samples have a label and others have none")
    return EvaluationData(feeds, np.stack([np.asarray(label) for label in known]) if known else None)


def _digest(parts: Iterable[bytes | memoryview]) -> str:
    state = blake2b(digest_size=16)
    for part in parts:
        state.update(part)
    return state.hexdigest()


def _data_digest(data: EvaluationData) -> str:
    arrays = dict(data.feeds) | ({} if data.labels is None else {LABEL: data.labels})
    parts: list[bytes | memoryview] = []
    for name, array in sorted(arrays.items()):
        parts += [f"{name} {array.dtype} {array.shape}".encode(), np.ascontiguousarray(array).tobytes()]
    return _digest(parts)

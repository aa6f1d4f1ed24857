"""Running a model on labelled data and summing its answers up in figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intaglio.analysis.execution import Runner
from intaglio.analysis.metrics import Criterion, GroundTruth, Statistic
from intaglio.data import LABEL, Samples, checked_samples, load_samples
from intaglio.errors import UserError
from intaglio.runtime.package import TensorSpec

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[int], None]

Item = Mapping[str, Any] | tuple[Mapping[str, Any], Any]
"""A sample: its inputs, with `label` among them perhaps, or its inputs and the ground truth."""

Model = Callable[[Mapping[str, Array]], list[Array]]
"""Answers a sample: one array per input by name, one per output in order."""


@dataclass(frozen=True)
class Evaluation:
    """The figures of a model on a data set.

    Attributes:
        figures: by the metrics' names.
        samples: how many were run.
        seconds: how long that took.
    """

    figures: dict[str, float]
    samples: int
    seconds: float


def model_of(runner: Runner, inputs: Sequence[TensorSpec]) -> Model:
    """What answers samples by name, of what runs arrays in the order of the inputs.

    Args:
        runner: runs `@main`.
        inputs: of the network.
    """
    return lambda sample: runner([sample[tensor.name] for tensor in inputs])


def labelled_samples(
    data: str | Path | Iterable[Item], inputs: Sequence[TensorSpec]
) -> Iterator[tuple[dict[str, Array], GroundTruth]]:
    """Yield samples with their ground truth, checked against the inputs of a network.

    Args:
        data: an `.npz` file with the array `label` beside the inputs, or samples: mappings with `label` among them, or
            pairs of inputs and a `GroundTruth` (anything else in its place is taken for the label).
        inputs: of the network.

    Raises:
        UserError: the file cannot be read, or a sample does not fit.
    """
    shapes = {tensor.name: tensor.shape for tensor in inputs}
    dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in inputs}
    if isinstance(data, str | Path):
        samples = load_samples(data, shapes, dtypes)
        yield from zip(samples, _labels(samples), strict=True)
        return
    for index, item in enumerate(data):
        feeds, truth = item if isinstance(item, tuple) else (item, GroundTruth(item.get(LABEL)))
        try:
            (sample,) = checked_samples([feeds], shapes, dtypes)
        except UserError as error:
            raise UserError(error.what, where=f"sample {index}", hint=error.hint) from error
        yield sample, truth if isinstance(truth, GroundTruth) else GroundTruth(truth)


def _labels(samples: Samples) -> Iterator[GroundTruth]:
    """The label of each sample: the entries of its part of the first axis, a single one as itself."""
    labels = samples.labels
    if labels is None:
        yield from (GroundTruth() for _ in range(len(samples)))
        return
    each = len(labels) // len(samples)
    for index in range(len(samples)):
        own = labels[index * each : (index + 1) * each]
        yield GroundTruth(own[0] if each == 1 else own)


def evaluate(
    model: Model,
    samples: Iterable[tuple[Mapping[str, Array], GroundTruth]],
    criteria: Sequence[Criterion],
    *,
    reference: Model | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Run a model once on every sample and fold its answers into several figures at once.

    Args:
        model: what is evaluated.
        samples: inputs and ground truth; read once.
        criteria: what to compute.
        reference: the float model, run beside it when a criterion asks for its answers.
        progress: called after each sample with the number done.

    Raises:
        UserError: there are no samples, one lacks what a criterion needs, or a metric refuses one.
    """
    states = [criterion.start() for criterion in criteria]
    asked = reference if any(criterion.needs_reference for criterion in criteria) else None
    done, start = 0, time.perf_counter()
    for feeds, given in samples:
        truth = _with_reference(given, feeds, asked)
        outputs = model(feeds)
        for index, criterion in enumerate(criteria):
            criterion.check(truth, done)
            states[index] = criterion.update(states[index], outputs, truth)
        done += 1
        if progress is not None:
            progress(done)
    if not done:
        raise UserError("there are no samples to evaluate")
    figures = {
        criterion.name: float(criterion.finish(state)) for criterion, state in zip(criteria, states, strict=True)
    }
    return Evaluation(figures, done, time.perf_counter() - start)


def aggregate(
    model: Model,
    samples: Iterable[tuple[Mapping[str, Array], GroundTruth]],
    criterion: Statistic[Any, Any],
    *,
    reference: Model | None = None,
) -> Any:
    """The result of one statistic of any type, as AFE's `evaluation` gives it.

    Args:
        model: what is evaluated.
        samples: inputs and ground truth; read once.
        criterion: what to compute.
        reference: the float model, run beside it when the criterion asks for its answers.

    Raises:
        UserError: see `evaluate`.
    """
    asked = reference if criterion.needs_reference else None
    return criterion.of((model(feeds), _with_reference(truth, feeds, asked)) for feeds, truth in samples)


def _with_reference(truth: GroundTruth, feeds: Mapping[str, Array], reference: Model | None) -> GroundTruth:
    if reference is None or truth.reference is not None:
        return truth
    return GroundTruth(truth.label, reference(feeds))

"""Figures that sum up a model's answers on a data set, in memory that does not grow with it.

A `Statistic` folds samples into a state, one at a time, and makes a figure of the state at the end. It is what AFE
calls a criterion of evaluation: `evaluation(criterion)` runs a model and hands each sample's outputs, and what is
known about the sample, to `update`.

```python
accuracy = mean(lambda outputs, truth: float(outputs[0].argmax() == truth.label), "accuracy")
```

Metrics named in text are `top1`, `auc`, `agreement`, `mse`, `snr`, or `module:function`: a function that is imported
and called. Nothing is evaluated as code.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np

from intaglio.errors import UserError, suggestion

Array = np.ndarray[Any, np.dtype[Any]]
State = TypeVar("State")
Result = TypeVar("Result")


@dataclass(frozen=True)
class GroundTruth:
    """What is known about a sample besides its inputs.

    Attributes:
        label: its entry of the array `label`, or None where there are no labels.
        reference: what the float model answers, one array per output; only for metrics that need it.
    """

    label: Any = None
    reference: Sequence[Array] | None = None


@dataclass(frozen=True)
class Statistic(Generic[State, Result]):
    """A figure computed from samples one after another.

    Attributes:
        name: what reports call it.
        start: makes the state before the first sample.
        update: the state after a sample; takes the state, the outputs in the model's order, and the ground truth. It
            may change the state that it is given.
        finish: makes the figure of the last state.
        needs_label: whether samples must have labels.
        needs_reference: whether samples must come with the float model's answers.
        highest: the largest figure that a state can still lead to, given how many samples are to come; None where there
            is no bound. It lets an evaluation end as soon as a target is out of reach.
        margin: how far a sample is from scoring worse, judged by the float model's answers in place of the outputs, or
            None. Where it is given, the order of samples must not matter: those with the smallest margins may come
            first, so that a target is out of reach the sooner.
    """

    name: str
    start: Callable[[], State]
    update: Callable[[State, Sequence[Array], GroundTruth], State]
    finish: Callable[[State], Result]
    needs_label: bool = False
    needs_reference: bool = False
    highest: Callable[[State, int], Result] | None = None
    margin: Callable[[Sequence[Array], GroundTruth], float] | None = None

    def of(self, samples: Iterable[tuple[Sequence[Array], GroundTruth]]) -> Result:
        """The figure of some samples.

        Args:
            samples: outputs and ground truth of each.

        Raises:
            UserError: there are none, or one lacks what is needed.
        """
        state = self.start()
        count = 0
        for count, (outputs, truth) in enumerate(samples, start=1):
            self.check(truth, count - 1)
            state = self.update(state, outputs, truth)
        if not count:
            raise UserError("there are no samples to evaluate")
        return self.finish(state)

    def check(self, truth: GroundTruth, index: int) -> None:
        """Refuse a sample that lacks what is needed.

        Raises:
            UserError: it has no label or no reference.
        """
        if self.needs_label and truth.label is None:
            raise UserError(
                f"metric {self.name} needs labels, and the data has none",
                where=f"sample {index}",
                hint="put an array `label` beside the inputs, with one entry a sample",
            )
        if self.needs_reference and truth.reference is None:
            raise UserError(
                f"metric {self.name} compares with the float model, which is not known",
                where=f"sample {index}",
                hint="--float FILE gives it; in Python, evaluate the network that was quantized here",
            )


Criterion = Statistic[Any, float]
"""A statistic whose figure is one number, the higher the better unless its name says otherwise."""


def mean(
    score: Callable[[Sequence[Array], GroundTruth], float | None],
    name: str = "mean",
    *,
    needs_label: bool = False,
    needs_reference: bool = False,
    largest: float | None = None,
    margin: Callable[[Sequence[Array], GroundTruth], float] | None = None,
) -> Criterion:
    """The mean of a score over the samples.

    Args:
        score: the score of a sample, or None to leave it out.
        name: what reports call it.
        needs_label: see `Statistic`.
        needs_reference: see `Statistic`.
        largest: the largest score that a sample can have, if there is one.
        margin: see `Statistic`.
    """

    def update(state: tuple[float, int], outputs: Sequence[Array], truth: GroundTruth) -> tuple[float, int]:
        value = score(outputs, truth)
        return state if value is None else (state[0] + float(value), state[1] + 1)

    def finish(state: tuple[float, int]) -> float:
        return state[0] / state[1] if state[1] else math.nan

    def highest(state: tuple[float, int], remaining: int) -> float:
        # The mean so far is at most `largest`, so that samples left out later could only lower this.
        assert largest is not None
        count = state[1] + remaining
        return (state[0] + largest * remaining) / count if count else largest

    bound = None if largest is None else highest
    return Statistic(name, lambda: (0.0, 0), update, finish, needs_label, needs_reference, bound, margin)


def _is_known(label: Any) -> bool:
    """Whether a sample counts: a negative label means that its class is not known."""
    return bool(np.all(np.asarray(label) >= 0))


def _top1(outputs: Sequence[Array], truth: GroundTruth) -> float | None:
    return float(outputs[0].argmax() == int(np.asarray(truth.label).reshape(()))) if _is_known(truth.label) else None


def _lead(values: Array, place: int) -> float:
    """By how much the value at a place exceeds the largest of the others; negative where it does not."""
    flat = values.reshape(-1).astype(np.float64)
    others = np.delete(flat, place)
    return float(flat[place] - others.max()) if others.size else math.inf


def _label_leads(outputs: Sequence[Array], truth: GroundTruth) -> float:
    label = int(np.asarray(truth.label).reshape(()))
    # A sample that is not counted decides nothing, and neither does one whose label is no place of the output.
    return _lead(outputs[0], label) if 0 <= label < outputs[0].size else math.inf


def _largest_leads(outputs: Sequence[Array], truth: GroundTruth) -> float:
    return _lead(outputs[0], int(outputs[0].argmax()))


def _agreement(outputs: Sequence[Array], truth: GroundTruth) -> float:
    assert truth.reference is not None
    return float(outputs[0].argmax() == truth.reference[0].argmax())


def top1() -> Criterion:
    """The share of samples whose largest value of the first output is at the place that the label names.

    Samples with a negative label are left out.
    """
    return mean(_top1, "top1", needs_label=True, largest=1.0, margin=_label_leads)


def agreement() -> Criterion:
    """The share of samples with the largest value of the first output at the float model's place."""
    return mean(_agreement, "agreement", needs_reference=True, largest=1.0, margin=_largest_leads)


_SCORE_LIMIT = 10_000_000
"""Samples that an exact area under a curve is computed of; two numbers are kept of each."""


def auc() -> Criterion:
    """The area under the ROC curve of two classes; ties count half.

    The score of a sample is its only value, or the second less the first of two. Labels are 1 and 0; samples with a
    negative label are left out. The score and label of every sample are kept: 16 bytes each.
    """

    def update(state: list[tuple[float, int]], outputs: Sequence[Array], truth: GroundTruth) -> list[tuple[float, int]]:
        values = outputs[0].reshape(-1)
        if values.size not in (1, 2):
            raise UserError(f"metric auc takes outputs of one or two values, not {values.size}")
        if len(state) >= _SCORE_LIMIT:
            raise UserError(f"metric auc takes at most {_SCORE_LIMIT:,} samples")
        if _is_known(truth.label):
            score = float(values[0]) if values.size == 1 else float(values[1]) - float(values[0])
            state.append((score, int(np.asarray(truth.label).reshape(()))))
        return state

    def finish(state: list[tuple[float, int]]) -> float:
        scores, labels = np.array([s for s, _ in state], np.float64), np.array([c for _, c in state], np.int64)
        return area_under_curve(scores, labels)

    return Statistic("auc", list[tuple[float, int]], update, finish, needs_label=True)


def area_under_curve(scores: Array, labels: Array) -> float:
    """The probability that a sample of class 1 scores above one of class 0; ties count half.

    Args:
        scores: one number a sample.
        labels: 1 or 0 for each.

    Returns:
        The area, NaN when a class is empty.
    """
    positive, negative = int((labels == 1).sum()), int((labels == 0).sum())
    if not positive or not negative:
        return math.nan
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((rank[labels == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _powers(outputs: Sequence[Array], truth: GroundTruth) -> tuple[float, float, int]:
    """Sum of squares of the float model's values and of the differences to them, and their number."""
    assert truth.reference is not None
    signal = noise = 0.0
    count = 0
    for output, reference in zip(outputs, truth.reference, strict=True):
        exact = reference.astype(np.float64)
        signal += float(np.square(exact).sum())
        noise += float(np.square(output.astype(np.float64) - exact).sum())
        count += exact.size
    return signal, noise, count


def _add_powers(
    state: tuple[float, float, int], outputs: Sequence[Array], truth: GroundTruth
) -> tuple[float, float, int]:
    signal, noise, count = _powers(outputs, truth)
    return state[0] + signal, state[1] + noise, state[2] + count


def mse() -> Criterion:
    """The mean squared difference of all outputs to the float model's; the lower the better."""
    return Statistic(
        "mse",
        lambda: (0.0, 0.0, 0),
        _add_powers,
        lambda state: state[1] / state[2] if state[2] else math.nan,
        needs_reference=True,
    )


def snr() -> Criterion:
    """The signal-to-noise ratio of all outputs against the float model's, in dB; infinite when they are equal."""
    return Statistic(
        "snr", lambda: (0.0, 0.0, 0), _add_powers, lambda state: decibels(state[0], state[1]), needs_reference=True
    )


def decibels(signal: float, noise: float) -> float:
    """`10 log10(signal / noise)`: infinite without noise, minus infinity with noise and no signal."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 and math.isfinite(noise) else -math.inf


METRICS: dict[str, Callable[[], Criterion]] = {
    "top1": top1,
    "auc": auc,
    "agreement": agreement,
    "mse": mse,
    "snr": snr,
}
"""The metrics with a name of their own."""


def metric(text: str) -> Criterion:
    """The metric that a text names.

    `module:function` is imported. A function of two arguments, outputs and ground truth, is a score whose mean over
    the samples is taken; a function without arguments returns a `Statistic`, and a `Statistic` is taken as it is.

    Args:
        text: a name of `METRICS`, or `module:function`.

    Raises:
        UserError: there is no such metric, or the module cannot be imported or has no such function.
    """
    if text in METRICS:
        return METRICS[text]()
    module_name, colon, attribute = text.partition(":")
    if not colon:
        hint = suggestion(text, METRICS) or f"metrics: {', '.join(METRICS)}, or module:function"
        raise UserError(f"there is no metric {text!r}", where="--metric", hint=hint)
    try:
        found: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, ValueError, AttributeError) as error:
        is_missing = isinstance(error, ImportError)
        hint = "is the module on PYTHONPATH?" if is_missing else "after the colon stands a function of the module"
        raise UserError(f"cannot import {text!r}: {error}", where="--metric", hint=hint) from error
    if isinstance(found, Statistic):
        return cast(Criterion, found)
    if not callable(found):
        raise UserError(f"{text!r} is no function", where="--metric")
    return _of_function(found, text)


def _of_function(function: Callable[..., object], text: str) -> Criterion:
    code = getattr(function, "__code__", None)
    if code is not None and code.co_argcount == 0:
        made = function()
        if not isinstance(made, Statistic):
            raise UserError(f"{text!r} returns {type(made).__name__}, not a Statistic", where="--metric")
        return cast(Criterion, made)

    def score(outputs: Sequence[Array], truth: GroundTruth) -> float | None:
        try:
            value = function(outputs, truth)
            return None if value is None else float(cast(float, value))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{text} failed: {error}",
                where="--metric",
                hint="it is called with the outputs of a sample, a list of arrays, and its ground truth",
            ) from error

    return mean(score, text)

"""Metrics and evaluation against scikit-learn-like definitions typed independently, and user metrics by name."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intaglio.analysis.evaluation import Model, evaluate, labelled_samples
from intaglio.analysis.metrics import METRICS, GroundTruth, Statistic, area_under_curve, mean, metric
from intaglio.errors import UserError
from intaglio.runtime.package import TensorSpec

Array = np.ndarray[Any, np.dtype[Any]]

INPUTS = (TensorSpec("x", (1, 3), "float32"),)


def truth(label: Any = None, *reference: Any) -> GroundTruth:
    return GroundTruth(label, [np.asarray(array, np.float32) for array in reference] or None)


def answers(*rows: Any) -> list[Array]:
    return [np.asarray(row, np.float32) for row in rows]


def test_top1_counts_labelled_samples() -> None:
    samples = [
        (answers([0.1, 0.9]), truth(1)),
        (answers([[0.7, 0.3]]), truth(np.array([1]))),
        (answers([0.7, 0.3]), truth(-1)),
        (answers([0.2, 0.1]), truth(0)),
    ]
    assert metric("top1").of(samples) == pytest.approx(2 / 3)


def test_margins_say_how_far_a_sample_is_from_scoring_worse() -> None:
    top1, agreement = metric("top1").margin, metric("agreement").margin
    assert top1 is not None and agreement is not None
    floats = answers([[0.5, 0.75, -1.0]])
    assert top1(floats, truth(1)) == 0.25
    assert top1(floats, truth(np.array([2]))) == -1.75
    # A sample that is not counted, or whose label no answer is, decides nothing.
    assert top1(floats, truth(-1)) == top1(floats, truth(3)) == math.inf
    assert agreement(floats, truth(None, floats[0])) == 0.25
    assert agreement(answers([7.0]), truth(None, [7.0])) == math.inf


def test_auc_is_the_share_of_ordered_pairs() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 12, 80) / 4
    labels = rng.integers(0, 2, 80)
    pairs = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in scores[labels == 1]
        for low in scores[labels == 0]
    ]
    assert area_under_curve(scores, labels) == pytest.approx(np.mean(pairs))
    samples = [(answers([score]), truth(label)) for score, label in zip(scores, labels, strict=True)]
    assert metric("auc").of([*samples, (answers([9.0]), truth(-1))]) == pytest.approx(np.mean(pairs))
    logits = [(answers([[0.5, 0.5 + score]]), truth(label)) for score, label in zip(scores, labels, strict=True)]
    assert metric("auc").of(logits) == pytest.approx(np.mean(pairs))
    assert math.isnan(area_under_curve(scores, np.ones(80)))
    with pytest.raises(UserError, match="one or two values, not 3"):
        metric("auc").of([(answers([1, 2, 3]), truth(1))])


def test_noise_against_the_float_model() -> None:
    samples = [(answers([1.0, 2.5]), truth(None, [1.0, 2.0])), (answers([0.0, 0.0]), truth(None, [0.5, 0.0]))]
    assert metric("mse").of(samples) == pytest.approx(0.5 / 4)
    assert metric("snr").of(samples) == pytest.approx(10 * math.log10(5.25 / 0.5))
    assert metric("agreement").of(samples) == 1.0
    equal = [(answers([1.0]), truth(None, [1.0]))]
    assert metric("snr").of(equal) == math.inf


def test_what_a_metric_needs_must_be_there() -> None:
    with pytest.raises(UserError, match="sample 1: error: metric top1 needs labels"):
        metric("top1").of([(answers([1.0]), truth(0)), (answers([1.0]), truth())])
    with pytest.raises(UserError, match="compares with the float model"):
        metric("snr").of([(answers([1.0]), truth(0))])
    with pytest.raises(UserError, match="no samples"):
        metric("mse").of([])


def test_metrics_of_the_user_are_imported_and_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_metrics.py").write_text(
        textwrap.dedent(
            """
            from intaglio.analysis.metrics import mean

            def second(outputs, truth):
                return outputs[0][1] * truth.label

            def largest():
                return mean(lambda outputs, truth: float(outputs[0].max()), "largest")

            made = largest()
            number = 3

            def wrong(outputs, truth):
                return "much"

            def empty():
                return 1
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    samples = [(answers([1.0, 2.0]), truth(3)), (answers([5.0, 4.0]), truth(1))]
    assert metric("my_metrics:second").of(samples) == pytest.approx((6 + 4) / 2)
    assert metric("my_metrics:largest").of(samples) == pytest.approx(3.5)
    assert metric("my_metrics:made").of(samples) == pytest.approx(3.5)
    with pytest.raises(UserError, match="failed: could not convert"):
        metric("my_metrics:wrong").of(samples)
    for text, message in (
        ("my_metrics:third", "cannot import"),
        ("no_such_module:f", "cannot import"),
        ("my_metrics:number", "is no function"),
        ("my_metrics:empty", "returns int, not a Statistic"),
        ("top", "there is no metric 'top'"),
        ("__import__('os')", "there is no metric"),
    ):
        with pytest.raises(UserError, match=message):
            metric(text)


def test_a_statistic_of_any_state() -> None:
    names: Statistic[set[int], list[int]] = Statistic(
        "classes", set[int], lambda state, outputs, truth: state | {int(outputs[0].argmax())}, sorted
    )
    assert names.of([(answers([0, 1]), truth()), (answers([1, 0]), truth()), (answers([3, 4]), truth())]) == [0, 1]
    assert math.isnan(mean(lambda outputs, truth: None).of([(answers([0]), truth())]))


def model() -> Model:
    return lambda sample: [sample["x"] * 2]


def test_several_figures_in_one_pass(tmp_path: Path) -> None:
    data = np.arange(12, dtype=np.float32).reshape(4, 1, 3) % 5
    np.savez(tmp_path / "data.npz", x=data, label=np.array([2, 2, 1, 1]))
    seen: list[int] = []
    criteria = [metric("top1"), metric("mse")]
    found = evaluate(
        model(),
        labelled_samples(tmp_path / "data.npz", INPUTS),
        criteria,
        reference=lambda sample: [sample["x"]],
        progress=seen.append,
    )
    assert found.figures["top1"] == np.mean(data.argmax(axis=2)[:, 0] == [2, 2, 1, 1])
    assert found.figures["mse"] == pytest.approx(np.mean(np.square(data)))
    assert (found.samples, seen) == (4, [1, 2, 3, 4])


def test_labels_come_from_a_file_from_mappings_and_from_pairs(tmp_path: Path) -> None:
    data = np.eye(3, dtype=np.float32)[:, None]
    np.savez(tmp_path / "data.npz", x=data, label=np.arange(3))
    mappings = [{"x": row, "label": np.int64(k)} for k, row in enumerate(data)]
    pairs = [({"x": row}, k) for k, row in enumerate(data)]
    truths = [({"x": row}, GroundTruth(k)) for k, row in enumerate(data)]
    for source in (tmp_path / "data.npz", mappings, pairs, truths):
        assert evaluate(model(), labelled_samples(source, INPUTS), [metric("top1")]).figures == {"top1": 1.0}
    batched = (TensorSpec("x", (3, 3), "float32"),)
    np.savez(tmp_path / "batch.npz", x=np.concatenate([data[:, 0]] * 2), label=np.arange(6))
    labels = [truth.label.tolist() for _, truth in labelled_samples(tmp_path / "batch.npz", batched)]
    assert labels == [[0, 1, 2], [3, 4, 5]]


def test_every_named_metric_names_itself() -> None:
    assert [metric(name).name for name in METRICS] == list(METRICS)

"""Problems that are small enough to be solved by trying everything, and a network that int8 hurts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from intaglio.precision import Precision
from intaglio.search.evaluations import Evaluate, Evaluations, Outcome, Task
from intaglio.search.groups import Group, Groups
from intaglio.search.journal import Journal
from intaglio.search.problem import Choice, Problem

WIDE, NARROW = Precision.parse("a16w16"), Precision.parse("a8w8")


def _groups(macs: list[int], edges: tuple[tuple[int, int, int], ...] = ()) -> Groups:
    return Groups(tuple(Group((f"layer{k}",), ("nn.conv2d",), count, 10) for k, count in enumerate(macs)), edges)


def _problem(
    costs: list[list[float]],
    precisions: tuple[Precision, ...] = (WIDE, NARROW),
    edges: tuple[tuple[int, int, int], ...] = (),
    conversions: list[float] | None = None,
) -> Problem:
    table = np.array(costs, np.float64)
    return Problem(
        _groups([int(row[-1]) for row in costs], edges),
        precisions,
        np.ones(table.shape, np.bool_),
        table,
        np.array(conversions if conversions is not None else [0.0] * len(edges)),
    )


def _every_choice(problem: Problem) -> Iterator[Choice]:
    return itertools.product(range(len(problem.precisions)), repeat=len(problem.groups))


@dataclass
class _Additive:
    """A network whose noise is the sum of its groups' and whose score falls with it, by steps if `step` is given."""

    noise: np.ndarray
    step: float = 0.0
    asked: list[Task] = field(default_factory=list)

    def noise_of(self, choice: Choice) -> float:
        return float(self.noise[np.arange(len(choice)), choice].sum())

    def score_of(self, choice: Choice) -> float:
        score = 1.0 - self.noise_of(choice)
        return float(np.floor(score / self.step) * self.step) if self.step else score

    def __call__(self, task: Task) -> Outcome:
        self.asked.append(task)
        return Outcome(self.noise_of(task.choice) if task.kind == "noise" else self.score_of(task.choice), macs=1)


@pytest.fixture
def make_problem() -> Callable[..., Problem]:
    """A problem of costs, precisions, edges and costs of conversions."""
    return _problem


@pytest.fixture
def every_choice() -> Callable[[Problem], Iterator[Choice]]:
    return _every_choice


@pytest.fixture
def additive() -> Callable[..., _Additive]:
    """An evaluator of noise `[groups, precisions]`."""
    return _Additive


@pytest.fixture
def evaluations(tmp_path: Path) -> Iterator[Callable[..., Evaluations]]:
    """Evaluations by a function, recorded in a journal; a journal of the same description is read again."""
    journals: list[Journal] = []

    def make(network: Evaluate, about: dict[str, Any] | None = None, **options: Any) -> Evaluations:
        for journal in journals:
            journal.close()
        journals.append(Journal(tmp_path, {"test": about}))
        return Evaluations(network, journals[-1], **options)

    yield make
    for journal in journals:
        journal.close()


@dataclass(frozen=True)
class Tiny:
    """A network of five layers with channels of very different ranges, and its data."""

    model: Path
    calibration: Path
    evaluation: Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The network's classes are those that it answers in float itself, so that its score is 1."""
    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(7)
    scales = 2.0 ** np.arange(-4, 4)

    def weight(name: str, array: np.ndarray) -> onnx.TensorProto:
        return onnx.numpy_helper.from_array(array.astype(np.float32), name)

    def conv(name: str, source: str, result: str, **attributes: int | list[int]) -> onnx.NodeProto:
        return onnx.helper.make_node("Conv", [source, f"{name}.w"], [result], name=name, **attributes)

    nodes = [
        conv("stem", "input", "a", pads=[1, 1, 1, 1]),
        onnx.helper.make_node("Relu", ["a"], ["b"], name="relu"),
        conv("depthwise", "b", "c", group=8, pads=[1, 1, 1, 1]),
        conv("mix", "c", "d"),
        onnx.helper.make_node("Relu", ["d"], ["e"], name="relu2"),
        onnx.helper.make_node("Flatten", ["e"], ["f"], name="flatten"),
        onnx.helper.make_node("Gemm", ["f", "head.w"], ["logits"], name="head", transB=1),
    ]
    weights = [
        weight("stem.w", rng.normal(size=(8, 1, 3, 3)) * scales[:, None, None, None]),
        weight("depthwise.w", rng.normal(size=(8, 1, 3, 3))),
        weight("mix.w", rng.normal(size=(6, 8, 1, 1)) / scales[None, :, None, None]),
        weight("head.w", rng.normal(size=(5, 6 * 36))),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "tiny",
        [value("input", onnx.TensorProto.FLOAT, [1, 1, 6, 6])],
        [value("logits", onnx.TensorProto.FLOAT, [1, 5])],
        weights,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "tiny.onnx")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    samples = rng.normal(size=(120, 1, 1, 6, 6)).astype(np.float32)
    labels = np.array([session.run(None, {"input": sample})[0].argmax() for sample in samples])
    np.savez(folder / "calibration.npz", input=samples[:40, 0])
    np.savez(folder / "evaluation.npz", input=samples[40:, 0], label=labels[40:])
    return Tiny(folder / "tiny.onnx", folder / "calibration.npz", folder / "evaluation.npz")

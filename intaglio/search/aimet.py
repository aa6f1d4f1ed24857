"""AIMET's automatic mixed precision: `choose_mixed_precision` with its parameters, phases and files.

```python
front = choose_mixed_precision(
    network, calibration_data, [((16, "int"), (16, "int")), ((8, "int"), (8, "int"))],
    CallbackFunc(lambda model, count: accuracy(model, count), 500), CallbackFunc(accuracy_on_all),
    allowed_accuracy_drop=0.01, results_dir="amp", clean_start=False,
)
```

Callbacks get a quantized network, whose `run` takes one array per input by name, and return an accuracy, the higher the
better. What AIMET's `forward_pass_callback` does, which is to calibrate, is done with the calibration data.

Sources: AIMET's mixed precision API for names, phases and defaults. Unlike there, the cache in the results folder is
keyed by model, parameters, candidates and callbacks, so that nothing stale is used without `clean_start`; depthwise
convolutions and bounds of clips are no groups of their own; and the exact search and refinement of
`intaglio.search.engine` can be asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from intaglio.errors import UserError
from intaglio.files import write_atomically
from intaglio.ir.printing import print_module
from intaglio.network import Network, QuantizedNetwork
from intaglio.params import QuantizationParams, default_quantization
from intaglio.params_file import params_text
from intaglio.phases import Samples
from intaglio.precision import NodeConfig, Precision
from intaglio.search.costs import make_problem, relative_bit_operations
from intaglio.search.engine import Algorithm, SearchOptions, SearchResult, search
from intaglio.search.evaluations import Evaluations, Outcome, Task, Watch
from intaglio.search.groups import Group, quantizer_groups
from intaglio.search.journal import Journal
from intaglio.search.mixed_precision import calibrated
from intaglio.search.network import with_precisions
from intaglio.search.problem import Choice, Problem
from intaglio.search.sensitivity import Proxy
from intaglio.search.study import quantize_as

Candidate = tuple[tuple[int, str], tuple[int, str]]
"""Bits and kind (`int` or `float`) of activations, then of parameters."""


class AMPSearchAlgo(StrEnum):
    """How phase 2 looks along the path, by AIMET's names; `Exact` is this compiler's own."""

    Binary = "binary"
    Interpolation = "interpolation"
    BruteForce = "brute-force"
    Exact = "exact"


@dataclass(frozen=True)
class CallbackFunc:
    """A function with its second argument.

    Attributes:
        func: takes a quantized network and the argument, and returns an accuracy.
        func_callback_args: the argument.
    """

    func: Callable[[QuantizedNetwork, Any], float]
    func_callback_args: Any = None

    def __call__(self, model: QuantizedNetwork) -> float:
        """The accuracy of a network.

        Raises:
            UserError: the function failed, or what it returned is not a number.
        """
        name = getattr(self.func, "__name__", type(self.func).__name__)
        try:
            found: Any = self.func(model, self.func_callback_args)
        except UserError:
            raise
        except Exception as error:
            message = f"evaluation callback {name!r} failed: {type(error).__name__}: {error}"
            raise UserError(message, hint="what was evaluated before is kept in the results folder") from error
        try:
            return float(found)
        except (TypeError, ValueError) as error:
            raise UserError(f"evaluation callback {name!r} returned {found!r}, not a number") from error

    @property
    def description(self) -> str:
        """What stands for it in the journal's key: the name of the function, and the argument as text."""
        name = f"{getattr(self.func, '__module__', '')}:{getattr(self.func, '__qualname__', type(self.func).__name__)}"
        return f"{name}({self.func_callback_args!r})"


@dataclass(frozen=True)
class ParetoPoint:
    """A point of the Pareto front.

    Attributes:
        relative_bitops: relative to 16-bit activations and parameters throughout.
        eval_score: the accuracy of phase 2.
        groups: the group that differs from the point before, all of them for the first point.
        candidates: what those groups have.
        choice: the candidate of every group, by its index.
    """

    relative_bitops: float
    eval_score: float
    groups: tuple[Group, ...]
    candidates: tuple[Precision, ...]
    choice: Choice


def choose_mixed_precision(
    network: Network,
    calibration_data: str | Path | Samples,
    candidates: Sequence[Candidate],
    eval_callback_for_phase1: CallbackFunc,
    eval_callback_for_phase2: CallbackFunc,
    allowed_accuracy_drop: float | None,
    results_dir: str | Path,
    clean_start: bool,
    *,
    params: QuantizationParams = default_quantization,
    target: str | None = None,
    use_all_amp_candidates: bool = False,
    phase2_reverse: bool = False,
    phase1_optimize: bool = True,
    amp_search_algo: AMPSearchAlgo = AMPSearchAlgo.Binary,
    phase3: bool = True,
    watch: Watch | None = None,
) -> list[ParetoPoint] | None:
    """Choose a candidate for each quantizer group, so that accuracy drops no more than is allowed.

    The network changes: the precisions found are recorded on its nodes, so that `network.quantize(calibration_data)`
    gives the network found. In the results folder `accuracy_list.json` has the sensitivities, and `pareto_list.json`
    the front.

    Args:
        network: a float network.
        calibration_data: samples for ranges.
        candidates: what there is to choose from.
        eval_callback_for_phase1: measures the sensitivity of a group; a small part of the data is enough.
        eval_callback_for_phase2: measures what counts in the end.
        allowed_accuracy_drop: from the float network's accuracy by the second callback; None for the whole curve, after
            which the network is left as it was.
        results_dir: where results and what is known are kept.
        clean_start: forget what is known.
        params: how to quantize.
        target: the accelerator whose support counts; None where everything is supported.
        use_all_amp_candidates: ignore what the target supports.
        phase2_reverse: start from the narrowest candidates, and widen one group after another until the target is met.
        phase1_optimize: calibrate once rather than once for each group and candidate. Ranges do not depend on
            precisions here, so that both are the same.
        amp_search_algo: how phase 2 searches.
        phase3: whether conversions are made fewer in the end, for any candidates.
        watch: is told what happens.

    Returns:
        The front, the cheapest point first; None when the most exact candidate misses the target.

    Raises:
        UserError: candidates or data are wrong, or a callback's result is not a number.
    """
    if not candidates:
        raise UserError("there are no candidates to choose from", where="candidates")
    precisions = tuple(map(Precision.of_candidate, candidates))
    module = calibrated(network, calibration_data, params)
    groups = quantizer_groups(module)
    problem = make_problem(module, groups, precisions, "bitops", target, use_all_amp_candidates)
    evaluate = _Callbacks(module, params, precisions, eval_callback_for_phase1, eval_callback_for_phase2)
    about = {
        "module": print_module(module),
        "params": params_text(params),
        "candidates": list(map(str, precisions)),
        "phase 1": eval_callback_for_phase1.description,
        "phase 2": eval_callback_for_phase2.description,
    }
    journal = Journal(results_dir, about, clean_start=clean_start)
    try:
        evaluations = Evaluations(evaluate, journal, watch=watch, stops_early=False)
        goal: float | None = None
        if allowed_accuracy_drop is not None:
            known = journal.find("float", "") or journal.record(
                "float", "", value=eval_callback_for_phase2(QuantizedNetwork(module))
            )
            goal = float(known["value"]) - allowed_accuracy_drop
        algorithm: Algorithm = "reverse" if phase2_reverse else amp_search_algo.value
        options = SearchOptions(
            target=goal,
            algorithm=algorithm,
            proxy="proxy",
            refine=algorithm == "exact",
            reduce_conversions=phase3,
            full_curve=goal is None,
        )
        if goal is not None and evaluations.score(problem.widest()) < goal:
            return None
        result = search(problem, evaluations, options)
    finally:
        journal.close()
    _write_lists(Path(results_dir), problem, result, options.proxy)
    if goal is not None and result.best is not None:
        configs = {
            name: NodeConfig(precision=precisions[index])
            for group, index in zip(groups.groups, result.best.choice, strict=True)
            for name in group.names
        }
        network.record_params(
            params.with_custom_quantization_configs({**params.custom_quantization_configs, **configs})
        )
    return _front(problem, result)


@dataclass(frozen=True, eq=False)
class _Callbacks:
    """Evaluates choices by the user's functions."""

    module: ModuleOp
    params: QuantizationParams
    precisions: tuple[Precision, ...]
    phase1: CallbackFunc
    phase2: CallbackFunc

    def __call__(self, task: Task) -> Outcome:
        module = with_precisions(self.module, [self.precisions[index] for index in task.choice])
        quantize_as(module, self.params)
        callback = self.phase2 if task.kind == "score" else self.phase1
        return Outcome(callback(QuantizedNetwork(module)))


def _front(problem: Problem, result: SearchResult) -> list[ParetoPoint]:
    points: list[ParetoPoint] = []
    before: Choice | None = None
    for point in result.front:
        changed = [k for k in range(len(point.choice)) if before is None or before[k] != point.choice[k]]
        points.append(
            ParetoPoint(
                relative_bit_operations(problem, point.choice),
                point.score,
                tuple(problem.groups.groups[k] for k in changed),
                tuple(problem.precisions[point.choice[k]] for k in changed),
                point.choice,
            )
        )
        before = point.choice
    return points


def _write_lists(folder: Path, problem: Problem, result: SearchResult, proxy: Proxy) -> None:
    names = [group.name for group in problem.groups.groups]
    if result.noise is not None:
        accuracies = [
            {"group": names[g], "candidate": str(problem.precisions[k]), proxy: float(result.noise[g, k])}
            for g in range(len(names))
            for k in range(len(problem.precisions))
            if problem.allowed[g, k]
        ]
        write_atomically(folder / "accuracy_list.json", json.dumps(accuracies, indent=2) + "\n")
    front = [
        {
            "relative_bitops": relative_bit_operations(problem, point.choice),
            "eval_score": point.score,
            "groups": {name: str(problem.precisions[k]) for name, k in zip(names, point.choice, strict=True)},
        }
        for point in result.front
    ]
    write_atomically(folder / "pareto_list.json", json.dumps(front, indent=2) + "\n")

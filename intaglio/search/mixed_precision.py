"""Choosing the precision of every layer of a network: the Python interface of the search.

```python
from intaglio.search.mixed_precision import SearchSettings, choose_precisions

settings = SearchSettings(allowed_drop=0.01, results_dir="search")
found = choose_precisions(network, calibration_data, evaluation_data, "top1", settings=settings)
write_assignment("assignment.json", found.assignment())     # what `intaglio compile --assignment` takes
```

`intaglio.search.aimet` and `intaglio.search.afe` have the functions that users of those systems know.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from intaglio.analysis.evaluation import Item
from intaglio.analysis.metrics import Criterion, metric
from intaglio.assignment import Assignment
from intaglio.compiler import run_phase
from intaglio.errors import UserError
from intaglio.network import Network, QuantizedNetwork
from intaglio.params import QuantizationParams, default_quantization
from intaglio.phases import PHASES, CompileOptions, Samples, phase_index
from intaglio.precision import NodeConfig, Precision
from intaglio.search.conversions import converted_elements
from intaglio.search.costs import CostKind, make_problem, relative_bit_operations
from intaglio.search.engine import Point, SearchOptions, SearchResult, search
from intaglio.search.evaluations import Evaluate, Evaluations, Watch
from intaglio.search.gradients import fisher_sensitivities, read_gradients
from intaglio.search.groups import quantizer_groups
from intaglio.search.journal import Journal
from intaglio.search.network import NetworkEvaluator
from intaglio.search.problem import Choice, Float64Array, Problem
from intaglio.search.study import Study, analysis_samples, gathered
from intaglio.search.workers import workers

DEFAULT_CANDIDATES = (Precision("int", 16, 16), Precision("int", 16, 8), Precision("int", 8, 8))
"""What there is to choose from when nothing else is asked for."""


@dataclass(frozen=True)
class SearchSettings:
    """Everything about a search besides network, data and metric.

    Attributes:
        candidates: the precisions to choose from.
        options: how to search; its target is filled in from `allowed_drop`.
        allowed_drop: how far the score may fall below the float network's, in its own units; None to take the target of
            the options, or the whole curve if that is None too.
        cost: what to minimise: `bitops`, or `cycles` or `dram` of the target.
        target: the accelerator whose support and costs count; None where everything is supported.
        use_all_candidates: consider candidates that the target does not support, too.
        results_dir: folder of the journal, so that a search that was ended resumes; None keeps nothing.
        clean_start: forget what is known of this study.
        executor: where evaluations are carried out, see `intaglio.search.workers`.
        time_budget: seconds after which no evaluation is begun.
        gradients: mean squared gradients of the tensors, as `intaglio.search.gradients` describes them; sensitivity is
            then taken from them, without an evaluation.
        watch: is told what happens.
    """

    candidates: Sequence[Precision] = DEFAULT_CANDIDATES
    options: SearchOptions = field(default_factory=SearchOptions)
    allowed_drop: float | None = None
    cost: CostKind = "bitops"
    target: str | None = None
    use_all_candidates: bool = False
    results_dir: str | Path | None = None
    clean_start: bool = False
    executor: str | Executor | None = None
    time_budget: float | None = None
    gradients: str | Path | Mapping[str, Any] | None = None
    watch: Watch | None = None


@dataclass(frozen=True)
class LayerChoice:
    """What was chosen for a group.

    Attributes:
        names: its ONNX names.
        kinds: its operations.
        precision: what it has.
        cost: what it costs, in the unit of the search.
        noise: what its precision adds to the noise, or None if that was not measured.
        macs: multiplications with accumulation.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    precision: Precision
    cost: float
    noise: float | None
    macs: int


@dataclass(frozen=True, eq=False)
class MixedPrecision:
    """What a search has found.

    Attributes:
        problem: groups, candidates and costs.
        result: choices and scores.
        float_score: the float network's.
        target: the score asked for, or None.
        evaluations: how many were carried out, by kind; those taken from the journal are not among them.
        full_evaluations: multiplications carried out, relative to a run of the network over all evaluation data.
        resumed: how many evaluations the journal had before.
        network: quantized with the best choice; None if there is none.
    """

    problem: Problem
    result: SearchResult
    float_score: float
    target: float | None
    evaluations: dict[str, int]
    full_evaluations: float
    resumed: int
    network: QuantizedNetwork | None

    @property
    def best(self) -> Point:
        """The point that the search has ended with.

        Raises:
            UserError: there is none.
        """
        if self.result.best is None:
            raise UserError(
                f"no choice that is good enough was found before the search ended ({self.result.stopped or 'done'})",
                hint="give it more time, or lower the target; what is known is kept in the results folder",
            )
        return self.result.best

    def layers(self, point: Point | None = None) -> list[LayerChoice]:
        """What a point has chosen for each group, in the order of the graph; by default the best point."""
        choice = (point or self.best).choice
        noise = self.result.noise
        return [
            LayerChoice(
                group.names,
                group.kinds,
                self.problem.precisions[index],
                float(self.problem.costs[number, index]),
                None if noise is None else float(noise[number, index]),
                group.macs,
            )
            for number, (group, index) in enumerate(zip(self.problem.groups.groups, choice, strict=True))
        ]

    def assignment(self, point: Point | None = None) -> Assignment:
        """A point as the assignment file has it; by default the best one."""
        return assignment_of(self.problem, (point or self.best).choice)

    def relative_bitops(self, point: Point | None = None) -> float:
        """Bit operations of a point relative to 16-bit activations and weights throughout."""
        return relative_bit_operations(self.problem, (point or self.best).choice)

    def conversions(self, point: Point | None = None) -> int:
        """Elements that a point requantizes between groups."""
        return converted_elements(self.problem, (point or self.best).choice)


def assignment_of(problem: Problem, choice: Choice) -> Assignment:
    """A choice as the assignment file has it: the most frequent precision as the default, and the others by name."""
    default = max(range(len(problem.precisions)), key=lambda index: (choice.count(index), -index))
    nodes = {
        name: NodeConfig(precision=problem.precisions[index])
        for group, index in zip(problem.groups.groups, choice, strict=True)
        for name in group.names
        if index != default
    }
    return Assignment(nodes, problem.precisions[default])


def choose_precisions(
    network: Network,
    calibration_data: str | Path | Samples,
    evaluation_data: str | Path | Iterable[Item],
    criterion: Criterion | str,
    *,
    params: QuantizationParams = default_quantization,
    analysis_data: str | Path | Iterable[Item] | None = None,
    settings: SearchSettings | None = None,
) -> MixedPrecision:
    """Find the cheapest precisions of all layers at which the network is good enough.

    Args:
        network: a float network; it does not change.
        calibration_data: samples for ranges.
        evaluation_data: samples, with labels where the metric needs them, for scores.
        criterion: the metric, the higher the better; a name or `module:function`.
        params: how to quantize; its own precision is not used.
        analysis_data: samples for noise; by default 4 to 64 of the calibration samples.
        settings: everything else.

    Raises:
        UserError: data or settings are wrong, the metric fails, or the target is out of reach. What has been evaluated
            is kept in the results folder.
    """
    settings = settings or SearchSettings()
    module = calibrated(network, calibration_data, params)
    name = criterion if isinstance(criterion, str) else criterion.name
    evaluation = gathered(evaluation_data, network.inputs)
    samples = analysis_samples(len(quantizer_groups(module)), len(settings.candidates), len(evaluation))
    study = Study(
        module,
        params,
        tuple(settings.candidates),
        evaluation,
        gathered(calibration_data, network.inputs, most=samples)
        if analysis_data is None
        else gathered(analysis_data, network.inputs),
        metric(criterion) if isinstance(criterion, str) else criterion,
        name,
    )
    evaluator = study.evaluator()
    with TemporaryDirectory() if settings.results_dir is None else nullcontext(settings.results_dir) as folder:
        return run_search(study, evaluator, Path(folder), settings)


def calibrated(network: Network, data: str | Path | Samples, params: QuantizationParams) -> ModuleOp:
    """A network's module at the end of the phase `calibrate`.

    Raises:
        UserError: the network came quantized, or the data does not fit.
    """
    if network.is_quantized:
        raise UserError("the model came quantized, so that there are no precisions to choose")
    module = network.module.clone()
    options = CompileOptions(calibration=data, params=params)
    run_phase(module, PHASES[phase_index("calibrate", where="phase")], options)
    return module


def run_search(study: Study, evaluator: NetworkEvaluator, folder: Path, settings: SearchSettings) -> MixedPrecision:
    """Search in a study.

    Args:
        study: what is evaluated.
        evaluator: of the study, in this process.
        folder: of the journal.
        settings: how to search.
    """
    groups = quantizer_groups(study.module)
    problem = make_problem(
        study.module, groups, study.precisions, settings.cost, settings.target, settings.use_all_candidates
    )
    journal = Journal(folder, study.about(), clean_start=settings.clean_start)
    try:
        with workers(settings.executor) as executor:
            evaluate: Evaluate = evaluator if executor is None else study.store(folder, journal.fingerprint)
            evaluations = Evaluations(
                evaluate,
                journal,
                executor,
                settings.watch,
                settings.time_budget,
                stops_early=study.criterion.highest is not None,
            )
            float_score = _float_score(evaluator, journal)
            options = settings.options
            if settings.allowed_drop is not None:
                if not math.isfinite(float_score):
                    raise UserError(
                        f"the float network scores {float_score}, so that a drop means nothing",
                        hint="give the score to reach instead: --target-score",
                    )
                options = replace(options, target=float_score - settings.allowed_drop)
            result = search(problem, evaluations, options, _known_sensitivities(study, problem, settings))
    finally:
        journal.close()
    best = None if result.best is None else QuantizedNetwork(evaluator.quantized(result.best.choice))
    whole = max(groups.macs * len(study.data), 1)
    return MixedPrecision(
        problem,
        result,
        float_score,
        options.target,
        {str(kind): count for kind, count in evaluations.carried_out.items()},
        evaluations.macs / whole,
        journal.resumed,
        best,
    )


def _known_sensitivities(study: Study, problem: Problem, settings: SearchSettings) -> Float64Array | None:
    if settings.gradients is None:
        return None
    gradients = read_gradients(settings.gradients)
    per_channel = study.params.weight_quantization_scheme.per_channel
    return fisher_sensitivities(study.module, problem, study.analysis_data, gradients, per_channel)


def _float_score(evaluator: NetworkEvaluator, journal: Journal) -> float:
    found = journal.find("float", "")
    if found is None:
        found = journal.record("float", "", value=evaluator.float_score())
    return float(found["value"])

"""What the mixed-precision search finds, and what it costs to find it.

python benchmarks/search.py [--json] [--models DIR] [--only TEXT] [--executor WHERE]

The bench networks (`../shared/bench`), repairs switched off, the same 900 images for choosing and reporting; beside
each figure its bound. Then the networks of a zoo (`--models`, by default `../shared/zoo`) with min-max int8 and
weights per tensor: for a drop of half of the int8 loss and of a tenth, the exact search against AIMET's binary search
along one order of the groups, at the same target.

Every row runs in a process of its own. CPU is its processor time after imports, machine code cached before.
"Evaluations" are multiplications carried out, in runs of the network over all evaluation data, phase 1 included.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import itertools
import json
import math
import pkgutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from intaglio.analysis.metrics import Criterion, GroundTruth, Statistic, metric
from intaglio.network import Network, load
from intaglio.params import CalibrationMethod, QuantizationParams, default_quantization, quantization_scheme
from intaglio.precision import Precision
from intaglio.search.along_path import ALGORITHMS, Algorithm
from intaglio.search.costs import bit_operation_problem, relative_bit_operations
from intaglio.search.engine import SearchOptions
from intaglio.search.evaluations import Evaluations, Outcome, Task
from intaglio.search.groups import quantizer_groups
from intaglio.search.journal import Journal
from intaglio.search.mixed_precision import (
    DEFAULT_CANDIDATES,
    MixedPrecision,
    SearchSettings,
    calibrated,
    choose_precisions,
    run_search,
)
from intaglio.search.network import NetworkEvaluator
from intaglio.search.problem import Problem, key_of
from intaglio.search.sensitivity import Proxy, sensitivities
from intaglio.search.study import Study, analysis_samples, gathered

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
ZOO = ("mnist_mobilenet_hard", "mobilenet_v2", "silero_vad", "ppocrv4_det", "fashion_vit")
EXHAUSTIVE = "mnist_mobilenet_hard"
"""The network whose most sensitive groups are searched by trying every choice, too."""

MOST_EXHAUSTIVE = 8


@dataclass(frozen=True)
class Bench:
    """A bench network and what its search has to keep to.

    Attributes:
        name: of the model.
        per_channel: whether weights have a scale for each output channel.
        target: the accuracy to reach.
        wide: the largest number of 16-bit operators with multiplications.
        bitops: the largest share of all-16-bit operations.
        evaluations: the largest number of full evaluations, if it is bounded.
        seconds: of CPU, likewise.
        candidates: what there is to choose from.
    """

    name: str
    per_channel: bool
    target: float
    wide: int
    bitops: float
    evaluations: float | None = None
    seconds: float | None = None
    candidates: tuple[str, ...] = ("a16w16", "a16w8", "a8w8")


BENCHES = (
    Bench("mbv2_mid", True, 0.9722, 7, 0.53, 15, 10),
    Bench("mbv2_hard", False, 0.9722, 13, 0.636, 15, candidates=("a16w16", "a8w8")),
    Bench("vit_hard", True, 0.875, 3, 0.42, 15, candidates=("a16w16", "a8w8")),
)


def plain(per_channel: bool) -> QuantizationParams:
    """Min-max int8 without any repair."""
    params = default_quantization.with_calibration(CalibrationMethod.from_str("min_max"))
    params = params.with_channel_equalization(False).with_smooth_quant(False).with_bias_correction(False)
    params = params.with_split_tensors(False).with_round_weights(False)
    return params.with_weight_quantization(quantization_scheme(False, per_channel))


def wide_operators(found: MixedPrecision) -> int:
    """Operators with multiplications that have 16 bits on a side."""
    linear = ("nn.conv2d", "nn.conv_transpose2d", "nn.dense", "nn.matmul")
    return sum(
        sum(kind in linear for kind in layer.kinds)
        for layer in found.layers()
        if layer.macs and max(layer.precision.activation_bits, layer.precision.weight_bits) > 8
    )


def import_rules() -> None:
    """Import what is otherwise imported at its first use, which is no part of a search."""
    for name in ("intaglio.interpreter", "intaglio.executor"):
        for module in pkgutil.iter_modules(importlib.import_module(name).__path__):
            importlib.import_module(f"{name}.{module.name}")


def bench_row(bench: Bench, executor: str | None) -> dict[str, Any]:
    """Search on a bench network."""
    with np.load(SHARED / "bench" / "digits16.npz") as data:
        calibration = [{"input": image[None]} for image in data["x_calib"]]
        evaluation = [
            ({"input": image[None]}, int(label)) for image, label in zip(data["x_eval"], data["y_eval"], strict=True)
        ]
        clean = [
            ({"input": image[None]}, int(label))
            for image, label in zip(data["x_eval_clean"], data["y_eval"], strict=True)
        ]
    network = load(SHARED / "bench" / f"{bench.name}.onnx", batch=1)
    candidates = tuple(map(Precision.parse, bench.candidates))
    settings = SearchSettings(candidates=candidates, options=SearchOptions(target=bench.target), executor=executor)
    import_rules()
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = choose_precisions(
            network,
            calibration,
            evaluation,
            "top1",
            params=plain(bench.per_channel),
            settings=replace(settings, results_dir=folder),
        )
    seconds = time.process_time() - start
    assert found.network is not None
    row: dict[str, Any] = {
        "model": bench.name,
        "candidates": list(bench.candidates),
        "weights": "per channel" if bench.per_channel else "per tensor",
        "float": found.float_score,
        "target": bench.target,
        "score": found.best.score,
        "score_clean": float(found.network.evaluate(clean, "top1")),
        "wide_operators": wide_operators(found),
        "wide_bound": bench.wide,
        "relative_bitops": found.relative_bitops(),
        "bitops_bound": bench.bitops,
        "evaluations": found.full_evaluations,
        "evaluations_bound": bench.evaluations,
        "cpu_seconds": seconds,
        "cpu_bound": bench.seconds,
    }
    repaired = network.quantize(calibration, default_quantization.with_channel_equalization(True))
    row["repaired_int8"] = float(repaired.evaluate(evaluation, "top1"))
    return row


def zoo_module(folder: Path) -> Any:
    """The reader that comes with a zoo."""
    spec = importlib.util.spec_from_file_location("zoo", folder / "zoo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mask_iou() -> Criterion:
    """Intersection over union of the masks of values above 0.3 and those of the float model."""

    def update(state: tuple[int, int], outputs: Sequence[np.ndarray], truth: GroundTruth) -> tuple[int, int]:
        assert truth.reference is not None
        mask, wanted = (array > 0.3 for array in (outputs[0], truth.reference[0]))
        return state[0] + int((mask & wanted).sum()), state[1] + int((mask | wanted).sum())

    def finish(state: tuple[int, int]) -> float:
        return state[0] / max(state[1], 1)

    return Statistic("mask_iou_vs_float", lambda: (0, 0), update, finish, needs_reference=True)


def zoo_criterion(entry: Any) -> Criterion:
    """The zoo's own metric; for fashion_vit the signal-to-noise ratio, for ppocrv4_det the agreement of the masks."""
    if entry.name == "fashion_vit":
        return metric("snr")
    if entry.info["metric"] == "mask_f1":
        return mask_iou()
    return metric({"acc": "top1", "top1_agree": "agreement"}.get(entry.info["metric"], entry.info["metric"]))


def target_of(criterion: Criterion, floats: float, narrow: float, part: float) -> float:
    """The score that keeps a part of the int8 loss; of a signal-to-noise ratio, a part of the power of the noise."""
    return narrow - 10 * math.log10(part) if criterion.name == "snr" else floats - part * (floats - narrow)


class Remembering:
    """An evaluator whose outcomes are kept on disk, so that searches along several orders share them.

    Args:
        evaluator: carries evaluations out.
        journal: where outcomes are kept.
    """

    def __init__(self, evaluator: NetworkEvaluator, journal: Journal) -> None:
        self.quantized, self.float_score = evaluator.quantized, evaluator.float_score
        self._evaluate, self._journal = evaluator, journal

    def __call__(self, task: Task) -> Outcome:
        """Carry a task out, or remember what came of it."""
        key = key_of(task.choice)
        found = self._journal.find(task.kind, key)
        if found is not None and (not found["is_bound"] or (task.at_least or -math.inf) > found["value"]):
            return Outcome(found["value"], found["is_bound"], found["macs"])
        outcome = self._evaluate(task)
        self._journal.record(task.kind, key, value=outcome.value, is_bound=outcome.is_bound, macs=outcome.macs)
        return outcome


@dataclass(frozen=True)
class ZooSearch:
    """A network of a zoo, ready to be searched.

    Attributes:
        study: network, data and metric.
        evaluator: of the study.
        folder: where evaluations are kept.
    """

    study: Study
    evaluator: Any
    folder: Path

    def found(self, name: str, options: SearchOptions) -> dict[str, Any]:
        """A row of what a search finds, and what it takes."""
        start = time.process_time()
        with tempfile.TemporaryDirectory() as journal:
            settings = SearchSettings(candidates=self.study.precisions, options=options)
            found = run_search(self.study, self.evaluator, Path(journal), settings)
        assert found.network is not None
        return {
            "search": name,
            "score": found.best.score,
            "relative_bitops": found.relative_bitops(),
            "wide_operators": wide_operators(found),
            "evaluations": found.full_evaluations,
            "cpu_seconds": time.process_time() - start,
            "choice": key_of(found.best.choice),
        }


def exhaustive(
    evaluator: Any, problem: Problem, target: float, most: float, report: Callable[[str], None]
) -> dict[str, Any]:
    """The cheapest good choice of all where only the 8 most sensitive groups may be other than narrow.

    Choices are tried from the fewest bit operations up to those of what the search has found.

    Args:
        evaluator: carries evaluations out.
        problem: groups and costs.
        target: the score to reach.
        most: relative bit operations of what the search has found.
        report: takes messages about progress.
    """
    with tempfile.TemporaryDirectory() as folder, closing(Journal(Path(folder), {})) as journal:
        noise = sensitivities(problem, Evaluations(evaluator, journal))
    free = np.argsort(-noise.max(1), kind="stable")[:MOST_EXHAUSTIVE].tolist()
    choices = [problem.cheapest()]
    for group in free:
        indices = np.flatnonzero(problem.allowed[group]).tolist()
        choices = [problem.with_group(choice, group, index) for choice in choices for index in indices]
    waiting = sorted(
        (bitops, choice) for choice in choices if (bitops := relative_bit_operations(problem, choice)) <= most
    )
    best: float | None = None
    for count, (bitops, choice) in enumerate(waiting):
        if count % 50 == 0:
            report(f"exhaustive, target {target:.4f}: {count} of {len(waiting)} choices tried, up to {bitops:.4f}")
        if evaluator(Task("score", choice, target)).value >= target:
            best = bitops
            break
    return {
        "groups": [problem.groups.groups[group].name for group in free],
        "optimum": best,
        "choices": len(waiting),
    }


def zoo_rows(
    folder: Path,
    name: str,
    keep: Path | None,
    singles: Sequence[tuple[Algorithm, Proxy]],
    report: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Search on a network of a zoo, at half and at a tenth of the int8 loss."""
    entry = zoo_module(folder).load(name)
    network: Network = load(entry.model)
    criterion = zoo_criterion(entry)
    params = plain(per_channel=False)
    labels = entry.labels if criterion.needs_label else itertools.repeat(None)
    pairs = ((feeds, label) for feeds, label in zip(entry.samples("eval"), labels, strict=False))
    module = calibrated(network, list(entry.samples("calib")), params)
    groups = quantizer_groups(module)
    evaluation = gathered(pairs, network.inputs)
    samples = analysis_samples(len(groups), len(DEFAULT_CANDIDATES), len(evaluation))
    study = Study(
        module,
        params,
        DEFAULT_CANDIDATES,
        evaluation,
        gathered(entry.samples("calib"), network.inputs, most=samples),
        criterion,
        criterion.name,
    )
    with tempfile.TemporaryDirectory() as temporary:
        results = keep or Path(temporary)
        journal = Journal(results, study.about())
        evaluator = Remembering(study.evaluator(), journal)
        searched = ZooSearch(study, evaluator, results)
        problem = bit_operation_problem(groups, study.precisions)
        narrow = evaluator(Task("score", problem.cheapest())).value
        floats = evaluator.float_score()
        report(f"{name}: {len(groups)} groups, float {floats:.4f}, int8 {narrow:.4f}")
        rows: list[dict[str, Any]] = []
        for part in (0.5, 0.1):
            row: dict[str, Any] = {"model": name, "metric": criterion.name, "float": floats, "int8": narrow}
            rows.append(row | {"part": part})
            if floats <= narrow:
                rows[-1]["skipped"] = "int8 loses nothing"
                continue
            target = rows[-1]["target"] = target_of(criterion, floats, narrow, part)
            rows[-1]["exact"] = searched.found("exact", SearchOptions(target=target))
            if name == EXHAUSTIVE:
                options = SearchOptions(target=target, exhaustive=MOST_EXHAUSTIVE)
                rows[-1]["thorough"] = searched.found("exact, exhaustive", options)
            report(f"{name}: target {target:.4f}: {rows[-1]['exact']}")
            rows[-1]["single"] = []
            for algorithm, proxy in singles:
                options = SearchOptions(
                    target=target, algorithm=algorithm, proxy=proxy, refine=False, reduce_conversions=False
                )
                rows[-1]["single"].append(searched.found(f"{algorithm} by {proxy}", options))
                report(f"{name}: target {target:.4f}: {rows[-1]['single'][-1]}")
            if name == EXHAUSTIVE:
                rows[-1]["exhaustive"] = exhaustive(
                    evaluator, problem, target, rows[-1]["exact"]["relative_bitops"], report
                )
                report(f"{name}: target {target:.4f}: {rows[-1]['exhaustive']}")
        journal.close()
    return rows


def in_process(arguments: Sequence[str]) -> Any:
    """What a run of this script in a process of its own prints."""
    command = [sys.executable, __file__, *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def print_bench(row: dict[str, Any]) -> None:
    bounded = row["evaluations_bound"] is not None
    print(
        f"{row['model']:10} {row['weights']:12} {row['score']:.4f} (>= {row['target']:.4f}), clean "
        f"{row['score_clean']:.4f}, repaired int8 {row['repaired_int8']:.4f}, {row['wide_operators']} wide (<= "
        f"{row['wide_bound']}), BitOps {row['relative_bitops']:.3f} (<= {row['bitops_bound']}), "
        f"{row['evaluations']:.1f} evaluations" + (f" (<= {row['evaluations_bound']})" if bounded else "") + ", "
        f"{row['cpu_seconds']:.1f} s CPU" + (f" (<= {row['cpu_bound']})" if bounded else "")
    )


def print_zoo(row: dict[str, Any]) -> None:
    head = f"{row['model']:22} {row['metric']:18} float {row['float']:.4f} int8 {row['int8']:.4f}"
    if "skipped" in row:
        print(f"{head}: {row['skipped']}")
        return
    parts = [
        f"{part['search']} {part['score']:.4f} at BitOps {part['relative_bitops']:.4f} "
        f"({part['wide_operators']} wide, {part['cpu_seconds']:.0f} s)"
        for part in (row["exact"], min(row["single"], key=lambda part: part["relative_bitops"]))
    ]
    print(f"{head}, {row['part']:.0%} of the loss, target {row['target']:.4f}: {'; '.join(parts)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--models", type=Path, default=SHARED / "zoo", help="a folder laid out like ../shared/zoo")
    parser.add_argument("--only", default="", help="rows whose model has this in its name")
    parser.add_argument(
        "--keep", type=Path, help="a folder for the zoo's evaluations, so that a run that ended goes on"
    )
    parser.add_argument("--executor", help="where evaluations are carried out")
    parser.add_argument(
        "--singles",
        default=",".join(f"{algorithm}/{proxy}" for proxy in ("noise", "score") for algorithm in ALGORITHMS),
        metavar="LIST",
        help="searches along a single order of the groups to compare with on the zoo, ALGORITHM/ORDER (by default all)",
    )
    parser.add_argument("--bench-row", help=argparse.SUPPRESS)
    parser.add_argument("--zoo-row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    singles: list[Any] = [tuple(text.split("/")) for text in options.singles.split(",")]
    if options.bench_row:
        bench = next(bench for bench in BENCHES if bench.name == options.bench_row)
        print(json.dumps(bench_row(bench, options.executor)))
        return
    if options.zoo_row:
        report = partial(print, file=sys.stderr)
        print(json.dumps(zoo_rows(options.models, options.zoo_row, options.keep, singles, report)))
        return
    executor = ["--executor", options.executor] if options.executor else []
    keep = ["--singles", options.singles, *(["--keep", str(options.keep)] if options.keep else [])]
    found: dict[str, list[Any]] = {"bench": [], "zoo": []}
    for bench in BENCHES:
        if options.only in bench.name and (SHARED / "bench" / f"{bench.name}.onnx").exists():
            found["bench"].append(row := in_process(["--bench-row", bench.name, *executor]))
            if not options.json:
                print_bench(row)
    for name in ZOO:
        if options.only in name and (options.models / "models" / f"{name}.onnx").exists():
            rows = in_process(["--zoo-row", name, "--models", str(options.models), *keep])
            found["zoo"] += rows
            if not options.json:
                for row in rows:
                    print_zoo(row)
    if options.json:
        print(json.dumps({**found, "bounds": [asdict(bench) for bench in BENCHES]}, indent=2))


if __name__ == "__main__":
    main()

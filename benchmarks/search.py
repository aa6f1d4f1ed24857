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
import importlib.util
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from intaglio.analysis.metrics import Criterion, Statistic, metric
from intaglio.network import Network, load
from intaglio.params import CalibrationMethod, QuantizationParams, default_quantization, quantization_scheme
from intaglio.precision import Precision
from intaglio.search.along_path import ALGORITHMS
from intaglio.search.engine import SearchOptions
from intaglio.search.mixed_precision import DEFAULT_CANDIDATES, MixedPrecision, SearchSettings, choose_precisions

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
ZOO = ("mnist_mobilenet_hard", "mobilenet_v2", "silero_vad", "ppocrv4_det", "fashion_vit")


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
    Bench("mbv2_hard", False, 0.9722, 13, 0.636, candidates=("a16w16", "a8w8")),
    Bench("vit_hard", True, 0.875, 3, 0.42, candidates=("a16w16", "a8w8")),
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


def zoo_criterion(zoo: Any, name: str) -> Criterion:
    """The zoo's own metric; for fashion_vit the signal-to-noise ratio, for ppocrv4_det the agreement of the masks."""
    if name == "fashion_vit":
        return metric("snr")
    own = "mask_iou_vs_float" if name == "ppocrv4_det" else None

    def finish(rows: list[list[np.ndarray]]) -> float:
        outputs = [np.stack(column) for column in zip(*rows, strict=True)]
        if own is not None:
            return float(zoo.fidelity(name, outputs)[own])
        return float(zoo.score(name, outputs))

    def update(rows: list[list[np.ndarray]], outputs: Sequence[np.ndarray], truth: Any) -> list[list[np.ndarray]]:
        rows.append(list(outputs))
        return rows

    return Statistic(own or "zoo", list, update, finish)


def zoo_rows(folder: Path, name: str, samples: int | None, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Search on a network of a zoo, at half and at a tenth of the int8 loss."""
    zoo = zoo_module(folder)
    entry = zoo.load(name)
    network: Network = load(entry.model)
    calibration = list(itertools.islice(entry.samples("calib"), 64))
    evaluation = list(itertools.islice(entry.samples("eval"), samples))
    criterion = zoo_criterion(zoo, name)
    params = plain(per_channel=False)
    narrow = float(network.quantize(calibration, params).evaluate(evaluation, criterion))
    floats = 60.0 if criterion.name == "snr" else float(network.evaluate(evaluation, criterion))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as results:
        for part in (0.5, 0.1):
            target = floats - part * (floats - narrow)
            row: dict[str, Any] = {"model": name, "metric": criterion.name, "float": floats, "int8": narrow}
            rows.append(row | {"part": part})
            if floats <= narrow:
                rows[-1]["skipped"] = "int8 loses nothing"
                continue
            rows[-1] |= {"target": target}
            for algorithm in ("exact", *ALGORITHMS[:1]):
                report(f"{name}: {algorithm}, target {target:.4f}")
                options = SearchOptions(target=target, algorithm=algorithm, refine=algorithm == "exact")
                start = time.process_time()
                found = choose_precisions(
                    network,
                    calibration,
                    evaluation,
                    criterion,
                    params=params,
                    settings=SearchSettings(
                        candidates=DEFAULT_CANDIDATES, options=options, results_dir=Path(results) / algorithm
                    ),
                )
                rows[-1][algorithm] = {
                    "score": found.best.score,
                    "relative_bitops": found.relative_bitops(),
                    "wide_operators": wide_operators(found),
                    "evaluations": found.full_evaluations,
                    "cpu_seconds": time.process_time() - start,
                }
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
        f"{name} {row[name]['score']:.4f} at BitOps {row[name]['relative_bitops']:.3f} "
        f"({row[name]['wide_operators']} wide, {row[name]['cpu_seconds']:.0f} s)"
        for name in ("exact", "binary")
    ]
    print(f"{head}, {row['part']:.0%} of the loss, target {row['target']:.4f}: {'; '.join(parts)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--models", type=Path, default=SHARED / "zoo", help="a folder laid out like ../shared/zoo")
    parser.add_argument("--only", default="", help="rows whose model has this in its name")
    parser.add_argument("--samples", type=int, help="evaluation samples of the zoo's models at most")
    parser.add_argument("--executor", help="where evaluations are carried out")
    parser.add_argument("--bench-row", help=argparse.SUPPRESS)
    parser.add_argument("--zoo-row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bench_row:
        bench = next(bench for bench in BENCHES if bench.name == options.bench_row)
        print(json.dumps(bench_row(bench, options.executor)))
        return
    if options.zoo_row:
        report = lambda text: print(text, file=sys.stderr)  # noqa: E731  # one line, used once
        print(json.dumps(zoo_rows(options.models, options.zoo_row, options.samples, report)))
        return
    executor = ["--executor", options.executor] if options.executor else []
    samples = ["--samples", str(options.samples)] if options.samples else []
    found: dict[str, list[Any]] = {"bench": [], "zoo": []}
    for bench in BENCHES:
        if options.only in bench.name and (SHARED / "bench" / f"{bench.name}.onnx").exists():
            found["bench"].append(row := in_process(["--bench-row", bench.name, *executor]))
            if not options.json:
                print_bench(row)
    for name in ZOO:
        if options.only in name and (options.models / "models" / f"{name}.onnx").exists():
            rows = in_process(["--zoo-row", name, "--models", str(options.models), *samples])
            found["zoo"] += rows
            if not options.json:
                for row in rows:
                    print_zoo(row)
    if options.json:
        print(json.dumps({**found, "bounds": [asdict(bench) for bench in BENCHES]}, indent=2))


if __name__ == "__main__":
    main()

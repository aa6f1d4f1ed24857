"""What calibration costs: time against bare onnxruntime inference of the same samples, and memory.

python benchmarks/calibrate.py [--json] [--models DIR] [--only TEXT] [--repeat N]

Without --models, the rows that have bounds are measured: mobilenet_v2 of the model zoo by `mse`, and the bench networks
by `entropy` with 4,096 samples; and, without a bound of time, the whole phase `calibrate` of mobilenet_v2 by `default`
settings, which chooses units of channels as well, and makes its sessions while it runs. With --models, all models of a
folder laid out like the zoo (`zoo.json`, `zoo.py`, `models/`, `data/`), by `mse` and without bounds: in a network of
microseconds, bookkeeping outweighs inference.

Every row runs in processes of its own. Time: inference in a plain session of the model, and calibration without
creating its session, in turns, each with one thread for onnxruntime; the ratio is of the fastest of each (statistics
are taken in a second thread, so that the ratio of processor time is higher). Memory: the most that the process held,
above what it held after its imports.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring import float_session, in_process, models_of, timed, zoo

from intaglio.compiler import import_phase, run_phase
from intaglio.ir.context import make_context
from intaglio.passes.calibration.calibrate import Calibration
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.phases import PHASES, CompileOptions

Sample = Mapping[str, np.ndarray]

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
REPEATED = 4096
"""Samples for the bench networks, by repeating the 256 that there are."""

WHOLE_PHASE = "default"
"""In the place of a method: everything that the phase `calibrate` does by default."""

RATIO_BOUND = 2.5
ZOO_MEMORY_BOUND = 300
BENCH_MEMORY_BOUND = 200


@dataclass(frozen=True)
class Row:
    """What is measured.

    Attributes:
        name: of the model.
        model: its file.
        folder: where its data is: laid out like the zoo, or the bench networks.
        method: calibration method.
        ratio_bound: of the time, if there is one.
        memory_bound: in MB, if there is one.
    """

    name: str
    model: str
    folder: str
    method: str
    ratio_bound: float | None
    memory_bound: float | None

    @property
    def is_bench(self) -> bool:
        """Whether this is one of the bench networks, which take any number of 16x16 images."""
        return (Path(self.folder) / "digits16.npz").exists()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of inputs with open dimensions."""
        return {"input": (1, 1, 16, 16)} if self.is_bench else {}

    def samples(self) -> Iterable[Sample]:
        """The calibration samples."""
        if not self.is_bench:
            return list(zoo(Path(self.folder)).load(self.name).samples("calib"))
        with np.load(Path(self.folder) / "digits16.npz") as archive:
            images = archive["x_calib"][:, None]
        return [{"input": image} for image in images]

    def repeated(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """All samples, those of the bench networks again and again."""
        return itertools.islice(itertools.cycle(samples), REPEATED) if self.is_bench else iter(samples)


def rows(models: Path | None) -> list[Row]:
    if models is not None:
        found = models_of(models).items()
        return [Row(name, str(model), str(models), "mse", None, None) for name, model in found]
    published, bench = SHARED / "zoo", SHARED / "bench"
    model = published / "models" / "mobilenet_v2.onnx"
    size = model.stat().st_size / 1e6
    found = [
        Row("mobilenet_v2", str(model), str(published), method, bound, ZOO_MEMORY_BOUND + size)
        for method, bound in (("mse", RATIO_BOUND), (WHOLE_PHASE, None))
    ]
    return found + [
        Row(path.stem, str(path), str(bench), "entropy", None, BENCH_MEMORY_BOUND)
        for path in sorted(bench.glob("*.onnx"))
    ]


def prepare(row: Row) -> Callable[[Iterable[Sample]], None]:
    """What calibrates a model, with everything that does not depend on samples done."""
    options = CompileOptions(shapes=row.shapes)
    module = import_phase(row.model, options)
    graph, calibrate = (next(phase for phase in PHASES if phase.name == name) for name in ("graph", "calibrate"))
    run_phase(module, graph, options)
    if row.method == WHOLE_PHASE:
        return lambda samples: run_phase(module, calibrate, replace(options, calibration=samples))
    InsertObservers(method=row.method).apply(make_context(), module)
    calibration = Calibration(module)

    def run(samples: Iterable[Sample]) -> None:
        calibration.add(samples)
        calibration.statistics.ranges()

    return run


def measure_memory(row: Row) -> dict[str, Any]:
    samples = row.samples()
    idle = _resident()
    prepare(row)(row.repeated(samples))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"samples": sum(1 for _ in row.repeated(samples)), "memory_mb": peak - idle}


def measure_time(row: Row, repeat: int) -> dict[str, Any]:
    samples = list(row.repeated(row.samples()))
    session = float_session(row.model)

    def infer() -> None:
        for sample in samples:
            session.run(None, dict(sample))

    bare, ours = [], []
    for _ in range(repeat):
        bare.append(timed(infer))
        calibrate = prepare(row)
        ours.append(timed(lambda calibrate=calibrate: calibrate(samples)))
    inference, seconds = min(bare)[0], min(ours)[0]
    processor = min(cpu for _, cpu in ours) / min(cpu for _, cpu in bare)
    return {
        "inference_seconds": inference,
        "calibration_seconds": seconds,
        "ratio": seconds / inference,
        "processor_ratio": processor,
    }


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def _measured(row: Row, what: str, repeat: int) -> dict[str, Any]:
    return in_process(row.name, "--measure", what, json.dumps(asdict(row)), "--repeat", str(repeat))


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of calibration.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--models", type=Path, help="a folder laid out like the zoo")
    parser.add_argument("--only", default="", help="measure only models whose name contains this text")
    parser.add_argument("--repeat", type=int, default=3, help="how often times are taken")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "ROW"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        row = Row(**json.loads(options.measure[1]))
        measured = measure_memory(row) if options.measure[0] == "memory" else measure_time(row, options.repeat)
        print(json.dumps(measured))
        return
    results: list[dict[str, Any]] = []
    if not options.json:
        print(
            f"{'model':20} {'method':10} {'samples':>7} {'inference':>10} {'calibration':>11} {'ratio':>6} {'bound':>6}"
            f" {'cpu ratio':>9} {'memory':>8} {'bound':>8}"
        )
    for row in rows(options.models):
        if options.only not in row.name:
            continue
        measured = asdict(row) | _measured(row, "memory", 1) | _measured(row, "time", options.repeat)
        measured["within_bounds"] = (row.ratio_bound is None or measured["ratio"] <= row.ratio_bound) and (
            row.memory_bound is None or measured["memory_mb"] <= row.memory_bound
        )
        results.append(measured)
        if not options.json:
            _print_row(measured)
    if options.json:
        print(json.dumps({"rows": results}, indent=2))
    elif not all(result["within_bounds"] for result in results):
        print("a bound is exceeded")


def _print_row(m: dict[str, Any]) -> None:
    ratio_bound = f"{m['ratio_bound']:.1f}" if m["ratio_bound"] else "-"
    memory_bound = f"{m['memory_bound']:.0f} MB" if m["memory_bound"] else "-"
    times = f"{m['inference_seconds']:8.2f} s {m['calibration_seconds']:9.2f} s {m['ratio']:6.2f} {ratio_bound:>6}"
    memory = f"{m['memory_mb']:5.0f} MB {memory_bound:>8}"
    print(f"{m['name']:20} {m['method']:10} {m['samples']:7} {times} {m['processor_ratio']:9.2f} {memory}")


if __name__ == "__main__":
    main()

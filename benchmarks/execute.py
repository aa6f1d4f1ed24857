"""What exact execution costs: the executor on quantized networks against onnxruntime on the float ones.

python benchmarks/execute.py [--json] [--models DIR] [--only TEXT] [--repeat N]

Without --models, mobilenet_v2 of the model zoo is measured, where it is there, with the bound of its ratio, and the
shipped examples. With it, all models of a folder laid out like the zoo (`zoo.json`, `zoo.py`, `models/`, `data/`).

Every row runs in a process of its own, with one thread for each side. The network is quantized by default settings on
a few calibration samples. One sample at a time is run in turns by onnxruntime (float) and by the executor (quantized),
and batches by the executor; the ratio is of the fastest of each (`cpu` that of processor time, which other programs on
the machine disturb less). Before that, the outputs of a sample are compared with
the interpreter's, bit for bit. `prepare` is the time to make an executor of the module once its kernels are compiled,
which happens once on a machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from measuring import float_session, in_process, models_of, timed, zoo

import intaglio as ig
from intaglio.data import load_samples
from intaglio.executor import Executor
from intaglio.interpreter import Interpreter

Sample = Mapping[str, np.ndarray]

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT.parent / "shared" / "zoo"

RATIO_BOUND = 4.0
CALIBRATION_SAMPLES = 8
BATCH = 8


@dataclass(frozen=True)
class Row:
    """What is measured.

    Attributes:
        name: of the model.
        model: its file.
        folder: where its data is: an example, or a folder laid out like the zoo.
        bound: of the ratio, if there is one.
    """

    name: str
    model: str
    folder: str
    bound: float | None = None

    def samples(self, split: str, count: int) -> list[Sample]:
        """The first samples for calibration ("calib") or evaluation ("eval")."""
        folder = Path(self.folder)
        if (folder / "zoo.py").exists():
            return list(islice(zoo(folder).load(self.name).samples(split), count))
        inputs = {tensor.name: tensor.shape for tensor in ig.load(self.model).inputs}
        file = "calibration.npz" if split == "calib" else "evaluation.npz"
        samples: Iterable[Sample] = load_samples(folder / file, inputs)
        return list(islice(samples, count))


def rows(models: Path | None) -> list[Row]:
    if models is not None:
        return [Row(name, str(model), str(models)) for name, model in models_of(models).items()]
    mobilenet = ZOO / "models" / "mobilenet_v2.onnx"
    found = [Row("mobilenet_v2", str(mobilenet), str(ZOO), RATIO_BOUND)] if mobilenet.exists() else []
    examples = sorted((ROOT / "examples").glob("*/model.onnx"))
    return found + [Row(path.parent.name, str(path), str(path.parent)) for path in examples]


def measure(row: Row, repeat: int) -> dict[str, Any]:
    module = ig.load(row.model).quantize(row.samples("calib", CALIBRATION_SAMPLES)).module
    samples = row.samples("eval", BATCH)
    executor = Executor(module)
    outputs = executor.run(samples[0])
    expected = Interpreter(module).run("main", [np.asarray(samples[0][name]) for name in executor.inputs])
    equal = [array.tobytes() for array in outputs.values()] == [array.tobytes() for array in expected]
    session = float_session(row.model)
    feeds = dict(samples[0])
    batch = {name: np.stack([np.asarray(sample[name]) for sample in samples]) for name in executor.inputs}
    bare, single, together, prepare = [], [], [], []
    for _ in range(repeat):
        bare.append(timed(lambda: session.run(None, feeds)))
        single.append(timed(lambda: executor.run(feeds)))
        together.append(timed(lambda: executor.run_batch(batch)))
    for _ in range(3):
        prepare.append(timed(lambda: Executor(module)))
    (float_wall, float_cpu), (wall, cpu) = _fastest(bare), _fastest(single)
    batch_wall = _fastest(together)[0] / len(samples)
    return {
        "equal": equal,
        "float_ms": float_wall * 1e3,
        "executor_ms": wall * 1e3,
        "batch_ms": batch_wall * 1e3,
        "ratio": wall / float_wall,
        "cpu_ratio": cpu / float_cpu,
        "batch_ratio": batch_wall / float_wall,
        "prepare_ms": _fastest(prepare)[0] * 1e3,
    }


def _fastest(times: Iterable[tuple[float, float]]) -> tuple[float, float]:
    walls, processor = zip(*times, strict=True)
    return min(walls), min(processor)


def _measured(row: Row, repeat: int) -> dict[str, Any]:
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return in_process(row.name, "--measure", json.dumps(asdict(row)), "--repeat", str(repeat), environment=threads)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of exact execution.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--models", type=Path, help="a folder laid out like the zoo")
    parser.add_argument("--only", default="", help="measure only models whose name contains this text")
    parser.add_argument("--repeat", type=int, default=30, help="how often times are taken")
    parser.add_argument("--measure", metavar="ROW", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Row(**json.loads(options.measure)), options.repeat)))
        return
    results: list[dict[str, Any]] = []
    if not options.json:
        print(
            f"{'model':22} {'float':>9} {'executor':>9} {'ratio':>6} {'bound':>6} {'cpu':>6} {'batched':>9}"
            f" {'ratio':>6} {'prepare':>9} exact"
        )
    for row in rows(options.models):
        if options.only not in row.name:
            continue
        m = asdict(row) | _measured(row, options.repeat)
        m["within_bounds"] = m["equal"] and (row.bound is None or m["ratio"] <= row.bound)
        results.append(m)
        if not options.json:
            bound = f"{row.bound:.1f}" if row.bound is not None else "-"
            print(
                f"{row.name:22} {m['float_ms']:6.2f} ms {m['executor_ms']:6.2f} ms {m['ratio']:6.2f} {bound:>6}"
                f" {m['cpu_ratio']:6.2f} {m['batch_ms']:6.2f} ms {m['batch_ratio']:6.2f} {m['prepare_ms']:6.0f} ms"
                f" {m['equal']}"
            )
    if options.json:
        print(json.dumps({"rows": results}, indent=2))
    elif not all(result["within_bounds"] for result in results):
        print("a bound is exceeded")


if __name__ == "__main__":
    main()

"""What calibration data alone would choose as defaults: methods and repairs, judged by samples not calibrated on.

python benchmarks/defaults.py [--models DIR] [--only NAME,NAME]

--models takes a folder laid out like the zoo. Every second calibration sample calibrates, up to 64 of the others judge:
by the signal-to-noise ratio of the results against the float network. Evaluation data is not looked at. The last row is
the mean over the networks.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from accuracy_tasks import run_float, zoo_tasks

import intaglio as ig
from intaglio.executor import Executor
from intaglio.params import CalibrationMethod
from intaglio.passes.calibration.float_graph import FloatGraph

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
METHODS = ("min_max", "mse", "moving_average", "entropy", "percentile", "average")
MOST_JUDGES = 64

_PLAIN = ig.QuantizationParams()
SETTINGS = {
    f"{method}{suffix}": base.with_calibration(CalibrationMethod.from_str(method))
    for method, (suffix, base) in itertools.product(METHODS, (("", ig.default_quantization), (", no repairs", _PLAIN)))
}


def signal_to_noise(outputs: list[np.ndarray], reference: list[np.ndarray]) -> float:
    """The mean over the results of a network, in decibels."""
    ratios = [
        np.square(expected, dtype=np.float64).sum()
        / max(np.square(np.subtract(found, expected, dtype=np.float64)).sum(), 1e-30)
        for found, expected in zip(outputs, reference, strict=True)
    ]
    return float(np.mean(10 * np.log10(ratios)))


def main() -> None:
    parser = argparse.ArgumentParser(description="What calibration data alone would choose as defaults.")
    parser.add_argument("--models", type=Path, default=SHARED / "zoo", help="a folder laid out like the zoo")
    parser.add_argument("--only", default="", help="only models whose name contains this text; several with commas")
    options = parser.parse_args()
    print(f"| model | {' | '.join(SETTINGS)} |\n|---|{'---|' * len(SETTINGS)}")
    rows: list[list[float]] = []
    for name, make in zoo_tasks(options.models).items():
        if not any(text in name for text in options.only.split(",")):
            continue
        task = make()
        network = ig.load(task.model, shapes=task.shapes)
        judges = task.calibration[1::2][:MOST_JUDGES]
        batch = {key: np.stack([sample[key] for sample in judges]) for key in judges[0]}
        reference = run_float(FloatGraph(network.module), batch)
        row: list[float] = []
        for params in SETTINGS.values():
            model = network.quantize(task.calibration[::2], params)
            row.append(signal_to_noise(list(Executor(model.module).run_batch(batch).values()), reference))
        rows.append(row)
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in row)} |", flush=True)
    print(f"| mean | {' | '.join(f'{value:.1f}' for value in np.mean(rows, axis=0))} |")


if __name__ == "__main__":
    main()

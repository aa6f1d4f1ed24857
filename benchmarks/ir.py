"""Import of a model of 100 MB into the `onnx` dialect: time beside onnx's own loading, memory, and the text's speed.

    python benchmarks/ir.py [--json] [--megabytes N] [--layers N] [--models DIR]

Every figure is taken in a process of its own. Memory is resident memory above that of a process which has imported
the packages and a model of a few bytes, so that what libraries set up once is not counted; `resident` is what stays
while the module lives, `peak` the most at any time. With `--models DIR` all `.onnx` files below it are imported too.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

# ruff: noqa: PLC0415 (a measuring process imports what it measures)

BOUNDS = {"resident": 1.3, "peak": 2.5, "time": 1.5}
"""Memory in terms of the weights' size; time in terms of `onnx.load` with shape inference."""

RUNS = 3


def write_model(path: Path, megabytes: float, layers: int) -> int:
    """Write a chain of matrix products and biases whose weights have a size; return it in bytes."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save

    width = max(int((megabytes * 1e6 / 4 / layers) ** 0.5), 1)
    generator = np.random.default_rng(0)
    nodes, initializers, value = [], [], "x"
    for index in range(layers):
        weights = generator.standard_normal((width, width), np.float32)
        initializers.append(numpy_helper.from_array(weights, f"w{index}"))
        initializers.append(numpy_helper.from_array(np.zeros(width, np.float32), f"b{index}"))
        nodes.append(helper.make_node("MatMul", [value, f"w{index}"], [f"m{index}"], f"layer{index}/MatMul"))
        nodes.append(helper.make_node("Add", [f"m{index}", f"b{index}"], [f"a{index}"], f"layer{index}/Add"))
        nodes.append(helper.make_node("Relu", [f"a{index}"], [f"r{index}"], f"layer{index}/Relu"))
        value = f"r{index}"
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, width])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, width])],
        initializers,
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return layers * (width * width + width) * 4


def import_it(path: str) -> object:
    from intaglio.frontend.importer import import_model

    return import_model(path, open_shapes=True)


def load_it(path: str) -> object:
    import onnx

    return onnx.shape_inference.infer_shapes(onnx.load(path))


ACTIONS: dict[str, Callable[[str], object]] = {"import": import_it, "load": load_it}


def memory(field: str) -> int:
    """Bytes that Linux reports for this process: `VmRSS`, resident now, or `VmHWM`, the most so far."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def measure(action: str, path: str, small: str) -> dict[str, float]:
    """In this process: do it on the small model first, then on the model."""
    ACTIONS[action](small)
    gc.collect()
    idle = memory("VmRSS")
    start = time.perf_counter()
    result = ACTIONS[action](path)
    seconds = time.perf_counter() - start
    gc.collect()
    resident = memory("VmRSS") - idle
    peak = memory("VmHWM") - idle
    assert result is not None
    return {"seconds": seconds, "resident": resident, "peak": peak}


def measure_text(path: str) -> dict[str, float]:
    """In this process: times to print and to parse the module of a model."""
    from intaglio.ir.parsing import parse_module
    from intaglio.ir.printing import print_module

    module = import_it(path)
    start = time.perf_counter()
    text = print_module(module)  # type: ignore[arg-type]
    printed = time.perf_counter()
    parsed = parse_module(text)
    end = time.perf_counter()
    ops = sum(1 for _ in parsed.walk())
    return {"ops": ops, "characters": len(text), "print_seconds": printed - start, "parse_seconds": end - printed}


def in_process(*arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--measure", *arguments], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def compare(path: Path, small: Path) -> dict[str, dict[str, float]]:
    """Medians of several processes for each action."""
    found: dict[str, dict[str, float]] = {}
    for action in ACTIONS:
        runs = [in_process(action, str(path), str(small)) for _ in range(RUNS)]
        found[action] = {key: median(run[key] for run in runs) for key in runs[0]}
    return found


def report(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="benchmark-ir-") as folder:
        small, large = Path(folder) / "small.onnx", Path(folder) / "large.onnx"
        write_model(small, 1e-4, 1)
        weights = write_model(large, options.megabytes, options.layers)
        figures = compare(large, small)
        text = in_process("text", str(large))
        models = {
            str(path.relative_to(options.models)): compare(path, small)
            for path in (sorted(options.models.rglob("*.onnx")) if options.models else [])
        }
    imported, loaded = figures["import"], figures["load"]
    ratios = {
        "resident": imported["resident"] / weights,
        "peak": imported["peak"] / weights,
        "time": imported["seconds"] / loaded["seconds"],
    }
    return {
        "weights_bytes": weights,
        "import": imported,
        "onnx": loaded,
        "ratios": {key: round(value, 3) for key, value in ratios.items()},
        "bounds": BOUNDS,
        "within_bounds": all(ratios[key] <= bound for key, bound in BOUNDS.items()),
        "text": text,
        "models": {
            name: {"import_seconds": found["import"]["seconds"], "onnx_seconds": found["load"]["seconds"]}
            for name, found in models.items()
        },
    }


def print_table(found: dict[str, Any]) -> None:
    weights = found["weights_bytes"]
    print(f"model with {weights / 1e6:.0f} MB of weights     import       onnx    ratio   bound")
    rows = [
        ("seconds", "seconds", 1.0, found["ratios"]["time"], BOUNDS["time"]),
        ("resident after, MB", "resident", 1e6, found["ratios"]["resident"], BOUNDS["resident"]),
        ("peak, MB", "peak", 1e6, found["ratios"]["peak"], BOUNDS["peak"]),
    ]
    for label, key, unit, ratio, bound in rows:
        print(
            f"{label:<28} {found['import'][key] / unit:>10.2f} {found['onnx'][key] / unit:>10.2f} "
            f"{ratio:>8.2f} {bound:>7.2f}"
        )
    print("ratios: seconds to those of onnx.load and onnx.shape_inference, memory to the weights")
    text = found["text"]
    print(
        f"text of {text['ops']:.0f} ops: {text['characters'] / 1e3:.0f} kB, "
        f"printed in {text['print_seconds']:.2f} s, parsed in {text['parse_seconds']:.2f} s"
    )
    for name, times in found["models"].items():
        print(f"{name:<40} import {times['import_seconds']:.3f} s, onnx {times['onnx_seconds']:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of importing ONNX models.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--megabytes", type=float, default=100.0, help="size of the weights of the model made")
    parser.add_argument("--layers", type=int, default=50, help="matrix products in the model made")
    parser.add_argument("--models", type=Path, help="folder of further models")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        kind, *paths = options.measure
        print(json.dumps(measure_text(*paths) if kind == "text" else measure(kind, *paths)))
        return
    found = report(options)
    if options.json:
        print(json.dumps(found))
    else:
        print_table(found)


if __name__ == "__main__":
    main()

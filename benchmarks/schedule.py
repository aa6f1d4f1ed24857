"""Schedules of ResNet50 and MobileNetV2 on the reference accelerator, beside what no schedule can beat.

    python benchmarks/schedule.py [--json] [--target NAME ...] [--zoo DIR]

Networks are int8 with random weights (`benchmarks/networks.py`); with `--zoo DIR` mobilenet_v2 of that model zoo is
compiled too, from ONNX. For each: cycles and the share of them that the array's products would take at least, DRAM
traffic, and lower bounds of any schedule. `MACs` are the matrix unit's products over the size of its array. `vector` is
the vector unit's work without its starts. `DRAM` is the compulsory traffic over the bandwidth: weights with their
parameters, inputs and outputs once. `suffix` adds what no schedule can hide that does not load weights before the
stage that they belong to: the largest, over all layers, of products before it and traffic from it on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from networks import NETWORKS
from xdsl.dialects import func
from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp

from intaglio.dialects import isa
from intaglio.ir.context import make_context
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.passes.npu.allocate_scratchpad import SCRATCHPAD
from intaglio.phases import PHASES, CompileOptions, phase_index
from intaglio.targets.estimate import Estimate, estimate
from intaglio.targets.simulator import Program
from intaglio.targets.simulator.profile import Profile
from intaglio.targets.target import Target, load_target

BOUNDS: dict[tuple[str, str], tuple[float | None, float | None]] = {
    ("gen1", "resnet50"): (4.7e6, 32e6),
    ("gen1", "mobilenet_v2"): (0.73e6, 4.5e6),
    ("gen1", "zoo mobilenet_v2"): (0.73e6, 4.5e6),
    ("ethos-u85-256", "resnet50"): (19.5e6, 45e6),
    ("ethos-u85-256", "mobilenet_v2"): (1.9e6, None),
    ("nvdla-2048", "resnet50"): (1e9 / 269, None),
    ("nvdla-256", "resnet50"): (1e9 / 46, None),
}
"""Most cycles and DRAM bytes that the issue allows."""

TARGETS = ("gen1", "ethos-u85-256", "nvdla-2048", "nvdla-256")


def compiled(module: ModuleOp, target: str) -> tuple[Program, dict[str, int], float]:
    """The region's program, what it says of its use of the scratchpad, and the seconds that its phases took."""
    options = CompileOptions(target=target)
    start = time.perf_counter()
    for phase in ("npu", "isa"):
        for step in PHASES[phase_index(phase, where="the benchmark")].steps:
            step.make(options).apply(make_context(), module)
    elapsed = time.perf_counter() - start
    (program,) = (op for op in module.ops if isinstance(op, isa.ProgramOp))
    said = program.attributes[SCRATCHPAD]
    assert isinstance(said, DictionaryAttr)
    scratchpad = {key: value.value.data for key, value in said.data.items() if isinstance(value, IntegerAttr)}
    return Program(program_binary(program)), scratchpad, elapsed


def floors(estimated: Estimate, target: Target) -> dict[str, int]:
    """Cycles that no schedule can go below, by what limits it."""
    array = target.macs_per_cycle
    products = [layer.macs if layer.matrix_cycles else 0 for layer in estimated.layers]
    moved = [layer.read_bytes + layer.written_bytes for layer in estimated.layers]
    suffix = max(
        sum(products[:number]) / array + sum(moved[number:]) / target.dram_bytes_per_cycle
        for number in range(len(products))
    )
    return {
        "mac_cycles": round(sum(products) / array),
        "vector_cycles": sum(layer.vector_cycles for layer in estimated.layers),
        "dram_cycles": round(sum(moved) / target.dram_bytes_per_cycle),
        "suffix_cycles": round(suffix),
        "compulsory_bytes": sum(moved),
    }


def row(name: str, target: Target, profile: Profile, estimated: Estimate | None, seconds: float) -> dict[str, Any]:
    """All figures of a network on a target."""
    traffic = sum(profile.dram_bytes.values())
    cycles, moved = BOUNDS.get((target.name, name), (None, None))
    return {
        "target": target.name,
        "network": name,
        "cycles": profile.cycles,
        "frames_per_second": round(target.clock_mhz * 1e6 / profile.cycles, 1),
        "utilization": round(profile.mac_utilization, 4),
        "traffic_bytes": traffic,
        "bounds": {} if estimated is None else floors(estimated, target),
        "estimated_cycles": None if estimated is None else estimated.cycles,
        "most_cycles": None if cycles is None else round(cycles),
        "most_traffic_bytes": None if moved is None else round(moved),
        "met": (cycles is None or profile.cycles <= cycles) and (moved is None or traffic <= moved),
        "busy": profile.busy,
        "seconds": round(seconds, 2),
    }


def measure(targets: Iterable[str]) -> Iterable[dict[str, Any]]:
    """The figures of both networks on each target."""
    for name in targets:
        target = load_target(name)
        for network, make in NETWORKS.items():
            module = make(name)
            function = next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == "region_0")
            estimated = estimate(function, {}, target)
            program, scratchpad, seconds = compiled(module, name)
            yield {**row(network, target, program.profile(), estimated, seconds), "scratchpad": scratchpad}


def measure_zoo(folder: Path) -> dict[str, Any]:
    """The figures of the zoo's mobilenet_v2, from ONNX to the package."""
    import numpy as np  # noqa: PLC0415 (only needed here)

    import intaglio as ig  # noqa: PLC0415

    with np.load(folder / "data" / "mobilenet_v2.npz") as data:
        (key,) = (key for key in data.files if key.startswith("calib/"))
        samples = data[key][:4]
    name = key.removeprefix("calib/")
    sys.path.insert(0, str(folder))
    import zoo  # noqa: PLC0415  # pyright: ignore[reportMissingImports]  # beside the repository

    entry = zoo.load("mobilenet_v2")
    calibration = [feeds for feeds, _ in zip(entry.samples("calib"), samples, strict=False)]
    assert name in calibration[0]
    start = time.perf_counter()
    model = ig.load(str(entry.model)).quantize(calibration)
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "model.igpkg"
        model.compile(package, target="gen1")
        elapsed = time.perf_counter() - start
        (program,) = ig.Session(package).programs
        return row("zoo mobilenet_v2", load_target("gen1"), program.profile(), None, elapsed)


def table(rows: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Lines for people."""
    yield (
        f"{'target':14} {'network':17} {'cycles':>11} {'at most':>11} "
        f"{'util':>6} {'frames/s':>8} {'MB':>7} {'at most':>7}"
    )
    for found in rows:
        yield (
            f"{found['target']:14} {found['network']:17} {found['cycles']:11,} {_number(found['most_cycles']):>11} "
            f"{found['utilization']:6.1%} {found['frames_per_second']:8.1f} {found['traffic_bytes'] / 1e6:7.2f} "
            f"{_megabytes(found['most_traffic_bytes']):>7}  {'met' if found['met'] else 'MISSED'}"
        )
        limits = ", ".join(f"{key} {value:,}" for key, value in found["bounds"].items())
        if limits:
            yield f"{'':14} lower bounds: {limits}; estimated {found['estimated_cycles']:,}"
        if "scratchpad" in found:
            used, live = found["scratchpad"]["bytes"], found["scratchpad"]["live_bytes"]
            yield f"{'':14} scratchpad: {used:,} bytes used, {live:,} live at once at most: {used / live - 1:.1%} more"
        yield f"{'':14} compiled in {found['seconds']} s"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.1f}"


def main() -> int:
    """Measure and print; exit code 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--target", action="append", help="a preset; by default those with bounds")
    parser.add_argument("--zoo", type=Path, metavar="DIR", help="the model zoo, for its mobilenet_v2")
    arguments = parser.parse_args()
    rows = list(measure(arguments.target or TARGETS))
    if arguments.zoo is not None:
        rows.append(measure_zoo(arguments.zoo))
    if arguments.json:
        print(json.dumps({"rows": rows}, indent=2))
    else:
        print("\n".join(table(rows)))
    return 0 if all(found["met"] for found in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

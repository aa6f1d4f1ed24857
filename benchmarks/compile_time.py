"""Time and memory of compilation, from an ONNX file to a package, and of simulating one image.

    python benchmarks/compile_time.py [--json] [--target NAME] [--zoo DIR] [--depths]

ResNet50 and MobileNetV2 for 224x224 are written as float ONNX models with random weights (`benchmarks/networks.py`);
with `--zoo DIR` mobilenet_v2 of that model zoo is compiled, too. Each is calibrated on four random images, quantized to
int8 and compiled in a process of its own, where phases are timed, and the simulator runs one image. With `--depths`
residual networks of 1, 2 and 4 times the depth show how the time grows with the number of layers. Times are seconds on
the clock and of the processor: where something else runs beside, only the second mean anything.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from measuring import in_process, models_of

# ruff: noqa: PLC0415 (a measuring process imports what it measures)

BOUNDS: dict[str, tuple[float, float]] = {"resnet50": (30, 1.5e9), "mobilenet_v2": (10, 1.5e9), "zoo": (10, 1.5e9)}
"""Most seconds, and most bytes of resident memory."""

SIMULATION_SECONDS = 3.0
"""Most for one image of mobilenet_v2."""

SAMPLES = 4
DEPTHS = (1, 2, 4)


@dataclass
class OnnxBuilder:
    """Describes a network as a float ONNX model with random weights; implements `networks.Builder`."""

    nodes: list[Any] = field(default_factory=list)
    initializers: list[Any] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import numpy as np

        self.rng = np.random.default_rng(0)

    def _node(self, kind: str, name: str, inputs: Sequence[str], shape: tuple[int, ...], **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [f"{name}.out"], name, **attributes))
        self.shapes[f"{name}.out"] = shape
        return f"{name}.out"

    def _weights(self, name: str, *shape: int) -> list[str]:
        import numpy as np
        from onnx import numpy_helper

        scale = np.sqrt(2 / np.prod(shape[1:]))
        values = {
            f"{name}.weight": (self.rng.standard_normal(shape) * scale).astype(np.float32),
            f"{name}.bias": (self.rng.standard_normal(shape[0]) * 0.1).astype(np.float32),
        }
        self.initializers += [numpy_helper.from_array(array, key) for key, array in values.items()]
        return list(values)

    def _activated(self, name: str, value: str, clamp: Any) -> str:
        import numpy as np
        from onnx import numpy_helper

        if clamp is None:
            return value
        low, high = clamp.bounds
        if np.isinf(high):
            return self._node("Relu", f"{name}/Relu", [value], self.shapes[value])
        if not any(known.name == "high" for known in self.initializers):
            limits = {"low": low, "high": high}
            self.initializers += [numpy_helper.from_array(np.float32(limit), key) for key, limit in limits.items()]
        return self._node("Clip", f"{name}/Clip", [value, "low", "high"], self.shapes[value])

    def input(self, *shape: int) -> str:
        """The image, which is `N, C, H, W` in ONNX."""
        n, height, width, channels = shape
        self.shapes["input"] = (n, channels, height, width)
        return "input"

    def conv2d(
        self,
        name: str,
        source: str,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        clamp: Any = None,
    ) -> str:
        """A convolution, with its activation."""
        n, channels, height, width = self.shapes[source]
        weights = self._weights(name, outputs, channels // groups, kernel, kernel)
        shape = (n, outputs, -(-height // stride), -(-width // stride))
        window = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4, "group": groups}
        return self._activated(name, self._node("Conv", name, [source, *weights], shape, **window), clamp)

    def sum(self, name: str, lhs: str, rhs: str, clamp: Any = None) -> str:
        """The sum of two images."""
        return self._activated(name, self._node("Add", name, [lhs, rhs], self.shapes[lhs]), clamp)

    def max_pool(self, name: str, source: str) -> str:
        """The largest of 3x3 elements."""
        n, channels, height, width = self.shapes[source]
        window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        return self._node("MaxPool", name, [source], (n, channels, height // 2, width // 2), **window)

    def mean(self, name: str, source: str) -> str:
        """The mean of an image."""
        n, channels = self.shapes[source][:2]
        pooled = self._node("GlobalAveragePool", name, [source], (n, channels, 1, 1))
        return self._node("Flatten", f"{name}/Flatten", [pooled], (n, channels))

    def dense(self, name: str, source: str, outputs: int) -> str:
        """A dense layer."""
        n, channels = self.shapes[source]
        return self._node("Gemm", name, [source, *self._weights(name, outputs, channels)], (n, outputs), transB=1)

    def channels(self, value: str) -> int:
        """How many channels a value has."""
        return self.shapes[value][1]

    def save(self, result: str, path: Path) -> None:
        """Write the model, whose output is `result`."""
        from onnx import TensorProto, helper, save

        infos = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name]) for name in ("input", result)
        ]
        graph = helper.make_graph(self.nodes, "network", infos[:1], infos[1:], self.initializers)
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write_network(name: str, path: Path) -> None:
    """Write a network as ONNX; `depth N` is a residual network for 64x64 with N blocks a stage."""
    from networks import DESCRIPTIONS, build_resnet50

    b = OnnxBuilder()
    if name.startswith("depth "):
        b.save(build_resnet50(b, 64, 10, [int(name.removeprefix("depth "))] * 4), path)
    else:
        b.save(DESCRIPTIONS[name](b), path)


def measure(model: Path, target: str) -> dict[str, Any]:
    """Compile a model in this process; the seconds of each phase, of all, of one simulated image, and the memory."""
    import numpy as np
    import onnx

    import intaglio as ig
    from intaglio.compiler import compile_model
    from intaglio.phases import CompileOptions

    inputs = onnx.load(model, load_external_data=False).graph.input
    shapes = {info.name: [max(1, d.dim_value) for d in info.type.tensor_type.shape.dim] for info in inputs}
    rng = np.random.default_rng(1)
    samples = [{name: rng.random(shape, np.float32) for name, shape in shapes.items()} for _ in range(SAMPLES)]
    del inputs
    marks: list[tuple[str, float]] = []

    def progress(phase: str, done: int, total: int | None) -> None:
        if not marks or marks[-1][0] != phase:
            marks.append((phase, time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.igpkg"
        clock, processor = time.perf_counter(), time.process_time()
        compile_model(
            model, package, CompileOptions(target=target, shapes=shapes, calibration=samples), progress=progress
        )
        marks.append(("", time.process_time()))
        found: dict[str, Any] = {
            "seconds": round(time.perf_counter() - clock, 2),
            "processor_seconds": round(marks[-1][1] - processor, 2),
            "phases": {phase: round(end - start, 2) for (phase, start), (_, end) in pairwise(marks)},
            "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        session = ig.Session(package)
        session.run(samples[0])
        clock, processor = time.perf_counter(), time.process_time()
        session.run(samples[1])
        found["simulation_seconds"] = round(time.perf_counter() - clock, 2)
        found["simulation_processor_seconds"] = round(time.process_time() - processor, 2)
        found["layers"] = len(session.profile().layers)
        found["instructions"] = session.profile().instructions
    return found


def rows(target: str, zoo: Path | None, depths: bool) -> Iterable[dict[str, Any]]:
    """The figures of each network."""
    with tempfile.TemporaryDirectory() as folder:
        models: dict[str, Path] = {}
        for name in ["resnet50", "mobilenet_v2", *(f"depth {n}" for n in DEPTHS if depths)]:
            models[name] = Path(folder) / f"{name}.onnx"
            write_network(name, models[name])
        if zoo is not None:
            models["zoo mobilenet_v2"] = models_of(zoo)["mobilenet_v2"]
        for name, model in models.items():
            found = in_process(name, "--measure", str(model), "--target", target)
            seconds, memory = BOUNDS.get(name.split()[0], (None, None))
            met = seconds is None or (found["processor_seconds"] <= seconds and found["memory_bytes"] <= memory)
            is_timed = name.endswith("mobilenet_v2")
            met = met and (not is_timed or found["simulation_processor_seconds"] <= SIMULATION_SECONDS)
            yield {"network": name, "target": target, **found, "most_seconds": seconds, "met": met}


def lines(found: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Lines for people."""
    yield f"{'network':17} {'seconds':>8} {'CPU':>6} {'at most':>7} {'MB':>6} {'layers':>6} {'words':>7} {'image':>6}"
    for row in found:
        limit = "-" if row["most_seconds"] is None else f"{row['most_seconds']:.0f}"
        yield (
            f"{row['network']:17} {row['seconds']:8.1f} {row['processor_seconds']:6.1f} {limit:>7} "
            f"{row['memory_bytes'] / 1e6:6.0f} {row['layers']:6} {row['instructions']:7} "
            f"{row['simulation_processor_seconds']:6.2f}  {'met' if row['met'] else 'MISSED'}"
        )
        yield " " * 18 + ", ".join(f"{phase} {seconds}" for phase, seconds in row["phases"].items())


def main() -> int:
    """Measure and print; exit code 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--target", default="gen1", help="the accelerator")
    parser.add_argument("--zoo", type=Path, metavar="DIR", help="the model zoo, for its mobilenet_v2")
    parser.add_argument("--depths", action="store_true", help="residual networks of several depths, too")
    parser.add_argument("--measure", type=Path, metavar="MODEL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure, arguments.target)))
        return 0
    found = list(rows(arguments.target, arguments.zoo, arguments.depths))
    print(json.dumps({"rows": found}, indent=2) if arguments.json else "\n".join(lines(found)))
    return 0 if all(row["met"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())

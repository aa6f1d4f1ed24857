"""Compile the example networks and compare them with their float originals: what `make demo` runs.

Float accuracy is onnxruntime's on the ONNX model; int8 accuracy is measured twice, in the interpreter on the module
at the end of phase `quantize`, and in the simulator on the bytes of the package.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
import onnxruntime

from intaglio.compiler import compile_model
from intaglio.errors import UserError
from intaglio.interpreter.interpreter import Interpreter
from intaglio.ir.parsing import read_module
from intaglio.passes.partition.placement import HOST
from intaglio.phases import CompileOptions
from intaglio.runtime.package import SUFFIX
from intaglio.runtime.profile import PackageProfile
from intaglio.runtime.session import Session
from intaglio.tools.progress import compile_progress, sample_progress
from intaglio.tools.tables import print_table

Array = np.ndarray[Any, np.dtype[Any]]
Classifier = Callable[[Array], Array]
"""The class scores of one sample."""

EXAMPLES = ("fashion_resnet8", "ppocr_cls")
"""Folders of `examples/`, each with model, calibration and evaluation data."""


@dataclass(frozen=True)
class Result:
    """What the demo finds out about one network.

    Args:
        name: the example's folder.
        samples: number of labelled samples evaluated.
        float_accuracy: of the ONNX model in onnxruntime.
        interpreter_accuracy: of the quantized module.
        simulator_accuracy: of the package.
        agreement: share of samples for which all elements of simulator and interpreter are equal.
        profile: cost on the accelerator.
        host_operations: what is left to the host.
        package: the package.
        phases: the folder with the text at the end of every phase.
        seconds: time to compile.
    """

    name: str
    samples: int
    float_accuracy: float
    interpreter_accuracy: float
    simulator_accuracy: float
    agreement: float
    profile: PackageProfile
    host_operations: tuple[str, ...]
    package: Path
    phases: Path
    seconds: float


def run_example(folder: Path, output: Path, *, target: str = "gen1", limit: int | None = None) -> Result:
    """Compile one example and evaluate it.

    Args:
        folder: with `model.onnx`, `calibration.npz` and `evaluation.npz`.
        output: the folder for package and phases.
        target: what to compile for.
        limit: evaluate only this many samples.

    Raises:
        UserError: the example cannot be compiled, or the output cannot be written.
    """
    package, phases = output / f"{folder.name}{SUFFIX}", output / f"{folder.name}_phases"
    start = time.perf_counter()
    with compile_progress() as progress:
        compile_model(
            folder / "model.onnx",
            package,
            CompileOptions(target=target, calibration=folder / "calibration.npz"),
            dump_phases_to=phases,
            progress=progress,
        )
    seconds = time.perf_counter() - start
    with np.load(folder / "evaluation.npz") as archive:
        labels: Array = archive["label"][:limit]
        name = next(entry for entry in archive.files if entry != "label")
        images: Array = archive[name][:limit]
    session = Session(package)
    interpreter = Interpreter(read_module(phases / "04_quantize.mlir"))
    output_name = session.outputs[0].name
    original = _scores(f"{folder.name}: float", _float_model(folder / "model.onnx", name), images)
    specified = _scores(f"{folder.name}: interpreter", lambda image: interpreter.run("main", [image])[0], images)
    simulated = _scores(f"{folder.name}: simulator", lambda image: session.run({name: image})[output_name], images)
    return Result(
        name=folder.name,
        samples=len(images),
        float_accuracy=_accuracy(original, labels),
        interpreter_accuracy=_accuracy(specified, labels),
        simulator_accuracy=_accuracy(simulated, labels),
        agreement=float(np.mean([np.array_equal(a, b) for a, b in zip(specified, simulated, strict=True)])),
        profile=session.profile(),
        host_operations=tuple(str(place.operation) for place in session.package.placement if place.device == HOST),
        package=package,
        phases=phases,
        seconds=seconds,
    )


def _float_model(path: Path, input_name: str) -> Classifier:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    run = cast("Callable[[None, dict[str, Array]], list[Array]]", session.run)  # pyright: ignore[reportUnknownMemberType]  # untyped
    return lambda image: run(None, {input_name: image})[0]


def _scores(label: str, classify: Classifier, images: Array) -> list[Array]:
    scores: list[Array] = []
    with sample_progress(label) as progress:
        for image in images:
            scores.append(classify(image))
            if progress is not None:
                progress(len(scores), len(images))
    return scores


def _accuracy(scores: Iterable[Array], labels: Array) -> float:
    answers = np.array([int(score.argmax()) for score in scores])
    return float((answers == labels).mean())


def print_results(results: list[Result]) -> None:
    """Print one column for each network."""
    rows: list[tuple[str, Callable[[Result], str]]] = [
        ("images", lambda r: f"{r.samples}"),
        ("float accuracy (onnxruntime)", lambda r: f"{r.float_accuracy:.2%}"),
        ("int8 accuracy, interpreter", lambda r: f"{r.interpreter_accuracy:.2%}"),
        ("int8 accuracy, simulator", lambda r: f"{r.simulator_accuracy:.2%}"),
        ("simulator equals interpreter on", lambda r: f"{r.agreement:.0%} of images"),
        ("instructions", lambda r: f"{r.profile.instructions:,}"),
        ("cycles for one image", lambda r: f"{r.profile.cycles:,}"),
        ("utilization of the array", lambda r: f"{r.profile.mac_utilization:.1%}"),
        ("DRAM bytes", lambda r: f"{r.profile.dram_bytes:,}"),
        ("regions on the accelerator", lambda r: f"{r.profile.regions}"),
        ("operations on the host", lambda r: ", ".join(r.host_operations)),
        ("seconds to compile", lambda r: f"{r.seconds:.1f}"),
        ("package", lambda r: str(r.package)),
        ("text of every phase", lambda r: f"{r.phases}/"),
    ]
    print_table(
        None, ("", *(result.name for result in results)), [(label, *map(show, results)) for label, show in rows]
    )


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out"),
    show_default=True,
    help="Folder for packages and phases.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Evaluate only this many images of each example.")
@click.pass_context
def main(context: click.Context, output: Path, limit: int | None) -> None:
    """Compile and evaluate the example networks.

    The exit code is 1 when the simulator and the interpreter differ anywhere, 2 when an example cannot be compiled.
    """
    examples = Path(__file__).resolve().parents[2] / "examples"
    try:
        output.mkdir(exist_ok=True)
        results = [run_example(examples / name, output, limit=limit) for name in EXAMPLES]
    except (UserError, OSError) as error:
        click.echo(error, err=True)
        context.exit(2)
    print_results(results)
    click.echo(f"\nNext: intaglio inspect {output}/fashion_resnet8.igpkg; intaglio profile {output}/ppocr_cls.igpkg")
    context.exit(0 if all(result.agreement == 1.0 for result in results) else 1)


if __name__ == "__main__":
    main()

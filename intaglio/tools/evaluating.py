"""What the command `intaglio evaluate` does: float, quantized and packaged models on labelled data."""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from intaglio.analysis.error_statistics import finite
from intaglio.analysis.evaluation import Model, evaluate, labelled_samples, model_of
from intaglio.analysis.execution import exact_runner, fast_runner, float_runner
from intaglio.analysis.metrics import metric
from intaglio.data import load_samples
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.phases import CompileOptions
from intaglio.runtime.package import TensorSpec
from intaglio.runtime.packaging import interface
from intaglio.runtime.session import Session
from intaglio.tools.progress import SampleProgress, compile_progress, sample_progress
from intaglio.tools.quantizing import load_model


@dataclass(frozen=True)
class Figures:
    """What the models score.

    Attributes:
        metrics: names of the metrics in the order in which they were asked for.
        figures: for each model (`float`, `quantized` or `simulator`, in this order) the metrics by name.
        samples: how many samples were run.
        seconds: the time that took, for each model.
    """

    metrics: tuple[str, ...]
    figures: dict[str, dict[str, float]]
    samples: int
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON; figures that are not finite are None."""
        return {
            "samples": self.samples,
            **{
                label: {"seconds": round(self.seconds[label], 3), "figures": {k: finite(v) for k, v in found.items()}}
                for label, found in self.figures.items()
            },
        }


def evaluate_model(
    model: str,
    data: str,
    metrics: Sequence[str],
    options: CompileOptions,
    *,
    float_model: str | None = None,
    most: int | None = None,
    fast: bool = False,
) -> Figures:
    """Score a model, and the float model it comes from where that is known.

    Args:
        model: an ONNX model, a package, or the text of a module.
        data: an `.npz` file with `label` beside the inputs.
        metrics: names of metrics, or `module:function`.
        options: how to quantize an ONNX model, and what with.
        float_model: an ONNX model or text to compare a quantized module or a package with.
        most: how many samples to use at most.
        fast: run a quantized module in onnxruntime instead of exactly.

    Raises:
        UserError: a model, the data or a metric is wrong.
    """
    criteria = [metric(text) for text in metrics]
    names = [criterion.name for criterion in criteria]
    if len(set(names)) < len(names):
        raise UserError("a metric is asked for twice", where="--metric")
    models, inputs = _models(model, options, float_model, fast)
    reference = models.get("float")
    figures: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    samples = 0
    total = len(load_samples(data, {tensor.name: tensor.shape for tensor in inputs}, _dtypes(inputs)))
    for label, answering in models.items():
        chosen = itertools.islice(labelled_samples(data, inputs), most)
        with sample_progress(f"evaluating {label}") as progress:
            shown = None if progress is None else partial(_show, progress, min(total, most or total))
            found = evaluate(answering, chosen, criteria, reference=reference, progress=shown)
        figures[label], seconds[label], samples = found.figures, found.seconds, found.samples
    return Figures(tuple(names), figures, samples, seconds)


def _show(progress: SampleProgress, total: int, done: int) -> None:
    progress(done, total)


def _dtypes(inputs: Sequence[TensorSpec]) -> dict[str, Any]:
    return {tensor.name: tensor.dtype for tensor in inputs}


def _models(
    model: str, options: CompileOptions, float_model: str | None, fast: bool
) -> tuple[dict[str, Model], tuple[TensorSpec, ...]]:
    """What answers samples, by the label it has in the report, and the inputs of all of them."""
    float_options = replace(options, calibration=None, ranges=None)
    if zipfile.is_zipfile(model):
        session = Session(model)
        found: dict[str, Model] = {}
        if float_model is not None:
            found["float"] = _float_model(load_model(float_model, float_options).float_module, float_model)
        found["simulator"] = lambda sample: list(session.run(sample).values())
        return found, session.inputs
    with compile_progress() as progress:
        loaded = load_model(model, options, progress)
    float_module, found = loaded.float_module, {}
    if float_model is not None:
        if float_module is not None:
            raise UserError("MODEL is a float model itself", where="--float")
        float_module = load_model(float_model, float_options).float_module
    inputs: tuple[TensorSpec, ...] = ()
    if float_module is not None:
        inputs, _ = interface(main_function(float_module))
        found["float"] = _float_model(float_module, float_model or model)
    if loaded.module is not None:
        inputs, _ = interface(main_function(loaded.module))
        found["quantized"] = model_of((fast_runner if fast else exact_runner)(loaded.module), inputs)
    return found, inputs


def _float_model(module: ModuleOp | None, where: str) -> Model:
    if module is None:
        raise UserError("this is no float model", where=where)
    inputs, _ = interface(main_function(module))
    return model_of(float_runner(module), inputs)

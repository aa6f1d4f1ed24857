"""`intaglio evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import click

from intaglio.tools.command import (
    QuantizationChoices,
    Report,
    quantization_options,
    reporting,
    wants_json,
)

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)


@click.command("evaluate")
@click.argument("model")
@click.option("--data", required=True, metavar="EVAL.npz", help="One array for each input, and `label` beside them.")
@click.option(
    "--metric",
    "metrics",
    metavar="METRIC",
    multiple=True,
    default=("top1",),
    show_default=True,
    help="top1, auc, agreement, mse, snr, or module:function; repeatable.",
)
@click.option("--samples", type=click.IntRange(min=1), help="Use so many samples at most.")
@click.option("--float", "float_model", metavar="FILE", help="The float model, to compare MODEL with.")
@click.option("--fast", is_flag=True, help="Run a quantized module in onnxruntime: faster, but not exactly.")
@click.option("--fail-below", type=float, metavar="FIGURE", help="Fail if the first metric is below this.")
@quantization_options
@reporting
def command(
    model: str,
    data: str,
    metrics: Sequence[str],
    samples: int | None,
    float_model: str | None,
    fast: bool,
    fail_below: float | None,
    **chosen: Unpack[QuantizationChoices],
) -> Report:
    """Run MODEL on labelled data and print how well it answers.

    MODEL is an ONNX file, a package, or the text of a module. An ONNX file is evaluated in float, and quantized as
    well when there is calibration data; a package is run in the simulator.

    METRIC may be a function of your own: `module:function` is imported from the Python path and called with the
    outputs of each sample and its ground truth (`truth.label`); the mean of what it returns is printed.
    """
    from intaglio.tools.evaluating import evaluate_model
    from intaglio.tools.quantizing import options_of
    from intaglio.tools.tables import print_table

    options = options_of(chosen)
    found = evaluate_model(model, data, metrics, options, float_model=float_model, most=samples, fast=fast)
    report: Report = {"model": model, **found.to_dict()}
    if not wants_json():
        rows = [(name, *(f"{figures[name]:.4f}" for figures in found.figures.values())) for name in found.metrics]
        print_table(f"{model}: {found.samples} samples", ("metric", *found.figures), rows)
    judged = list(found.figures)[-1]
    value = found.figures[judged][found.metrics[0]]
    if fail_below is not None and not value >= fail_below:
        report["check_failed"] = f"{found.metrics[0]} of {judged} is {value:.4f}, below {fail_below:g}"
    return report

"""`intaglio analyze`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import click

from intaglio.errors import UserError
from intaglio.tools.command import (
    QuantizationChoices,
    Report,
    quantization_options,
    reporting,
    wants_json,
)

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)

if TYPE_CHECKING:
    from intaglio.analysis.report import NoiseReport
    from intaglio.network import QuantizedNetwork
    from intaglio.phases import CompileOptions


@click.command("analyze")
@click.argument("model")
@click.option("--data", required=True, metavar="EVAL.npz", help="Evaluation data: one array for each input.")
@click.option(
    "--float", "float_model", metavar="FILE", help="The float model, when MODEL is a quantized module's text."
)
@click.option("--samples", type=click.IntRange(min=1), help="Use so many samples at most.")
@click.option("--html", metavar="REPORT.html", help="Write a page with plots, which needs nothing besides itself.")
@click.option("--local/--no-local", default=True, help="Measure each layer's own damage, too (by default).")
@click.option("--most", type=click.IntRange(min=1), help="Show so many layers, those with the most damage.")
@click.option(
    "--threshold", type=float, default=10.0, show_default=True, help="SQNR in dB below which a layer diverges."
)
@click.option(
    "--simulate", type=click.IntRange(min=1), help="Compare all tensors of so many samples with the simulator."
)
@click.option("--target", default="gen1", show_default=True, help="The accelerator to simulate.")
@click.option("--fail-below", type=float, metavar="DB", help="Fail if an output's SQNR is below this.")
@quantization_options
@reporting
def command(
    model: str,
    data: str,
    float_model: str | None,
    samples: int | None,
    html: str | None,
    local: bool,
    most: int | None,
    threshold: float,
    simulate: int | None,
    target: str,
    fail_below: float | None,
    **chosen: Unpack[QuantizationChoices],
) -> Report:
    """Measure the noise of quantization at every layer of MODEL.

    MODEL is an ONNX file, which is calibrated and quantized first, or the text of a quantized module with --float. The
    table shows the error of each tensor in the quantized network, and that which its layer adds by itself.
    """
    from intaglio.files import check_output
    from intaglio.tools.progress import sample_progress
    from intaglio.tools.quantizing import options_of

    if html is not None:
        check_output(html)
    options = options_of(chosen)
    network = _quantized(model, float_model, options)
    rows = network.samples(data)
    total = min(len(rows), samples or len(rows))
    with sample_progress("analyzing") as progress:
        report = network.analyze(
            (sample for sample, _ in zip(rows, range(total), strict=False)),
            local=local,
            threshold_db=threshold,
            simulated_samples=simulate or 0,
            target=target,
            progress=None if progress is None else lambda done: progress(done, total),
        )
    if html is not None:
        report.write_html(html)
    if not wants_json():
        _print(report, most, html)
    return _with_check(report, fail_below) | ({} if html is None else {"html": html})


def _quantized(model: str, float_model: str | None, options: CompileOptions) -> QuantizedNetwork:
    from intaglio.network import QuantizedNetwork
    from intaglio.tools.progress import compile_progress
    from intaglio.tools.quantizing import load_model

    with compile_progress() as progress:
        loaded = load_model(model, options, progress)
        float_module = loaded.float_module
        if float_model is not None:
            if float_module is not None:
                raise UserError("MODEL is a float model itself", where="--float")
            float_module = load_model(float_model, replace(options, calibration=None, ranges=None)).float_module
    if loaded.module is None:
        raise UserError(
            "calibration data is needed to quantize the model", hint="--calibration DATA.npz or --ranges FILE"
        )
    if float_module is None:
        raise UserError(
            "the float model is needed to compare with" if float_model is None else "this is no float model",
            where=model if float_model is None else float_model,
            hint="--float FILE, an ONNX model or what `intaglio quantize --float` wrote",
        )
    return QuantizedNetwork(loaded.quantized, float_module)


def _print(report: NoiseReport, most: int | None, html: str | None) -> None:
    from intaglio.tools.tables import console

    report.print(console(), most)
    if html is not None:
        click.echo(f"{html}: the report as a page")


def _with_check(report: NoiseReport, fail_below: float | None) -> Report:
    result: Report = report.to_dict()
    if fail_below is not None:
        for name, error in report.outputs.items():
            if not error.sqnr_db >= fail_below:
                result["check_failed"] = (
                    f"the SQNR of output {name!r} is {error.sqnr_db:.1f} dB, below {fail_below:g} dB"
                )
                break
    if report.simulator is not None and report.simulator.divergence is not None:
        result["check_failed"] = str(report.simulator.divergence)
    return result

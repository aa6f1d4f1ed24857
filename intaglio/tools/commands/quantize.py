"""`intaglio quantize`."""

from __future__ import annotations

from typing import Unpack

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


@click.command("quantize")
@click.argument("model")
@click.option("-o", "--output", required=True, metavar="OUT.mlir", help="The quantized module's text to write.")
@click.option("--float", "float_output", metavar="OUT.mlir", help="Write the calibrated float module, too.")
@quantization_options
@reporting
def command(
    model: str,
    output: str,
    float_output: str | None,
    **chosen: Unpack[QuantizationChoices],
) -> Report:
    """Quantize MODEL and write the module's text.

    MODEL is calibrated first, unless it is the text of a calibrated module. The text can be read and edited, analyzed
    and evaluated, and `intaglio compile --compile-from quantize` goes on from it.
    """
    from intaglio.compiler import write_text
    from intaglio.files import check_output
    from intaglio.tools.progress import compile_progress
    from intaglio.tools.quantizing import load_model, options_of, quantized_report

    options = options_of(chosen)
    for path in (output, float_output):
        if path is not None:
            check_output(path)
    with compile_progress() as progress:
        loaded = load_model(model, options, progress)
    if loaded.module is None:
        raise UserError(
            "calibration data is needed to quantize the model", hint="--calibration DATA.npz or --ranges FILE"
        )
    if float_output is not None and loaded.float_module is None:
        raise UserError("the model came quantized: there is no float module", where="--float")
    write_text(loaded.quantized, output)
    if float_output is not None and loaded.float_module is not None:
        write_text(loaded.float_module, float_output)
    report: Report = {"output": output, **quantized_report(loaded.quantized)}
    if not wants_json():
        stored = ", ".join(f"{count} {kind}" for kind, count in report["operations"].items())
        click.echo(f"{output}: operations by what they store: {stored}")
        for op in report["float_operations"]:
            click.echo(f"  stays float: {op['operation']} {op['name'] or ''}")
    return report

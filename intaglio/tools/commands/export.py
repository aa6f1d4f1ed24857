"""`intaglio export`."""

from __future__ import annotations

import click

from intaglio.tools.command import Report, reporting, wants_json

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)


@click.command("export")
@click.argument("module")
@click.option("-o", "--output", required=True, help="The file to write.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["tosa", "qdq", "aimet"]),
    required=True,
    help="TOSA 1.0 text, an ONNX model with QuantizeLinear and DequantizeLinear, or AIMET's encodings.",
)
@click.option("--model", metavar="MODEL.onnx", help="With aimet: the model, after whose tensors encodings are named.")
@click.option("--cuts", is_flag=True, help="With tosa: write the integer parts also where floats stand between them.")
@reporting
def command(module: str, output: str, file_format: str, model: str | None, cuts: bool) -> Report:
    """Write MODULE for other tools.

    MODULE is the text that the phase quantize leaves (compile --compile-to quantize). TOSA computes the same integers
    to the last bit; runtimes of ONNX round in their own ways.
    """
    from intaglio.tools.exporting import export_module

    report = export_module(module, output, file_format, model=model, cuts=cuts)
    if not wants_json():
        outside = report.get("outside")
        left_out = f"; outside of it: {', '.join(sorted(set(outside)))}" if outside else ""
        click.echo(f"{output}: the module as {file_format}{left_out}")
    return report

"""`intaglio calibrate`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from intaglio.tools.command import (
    Report,
    batch_option,
    calibration_option,
    method_option,
    parse_shapes,
    reporting,
    shape_option,
    wants_json,
)

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)


@click.command("calibrate")
@click.argument("model")
@click.option("-o", "--output", required=True, help="The file of ranges to write.")
@calibration_option
@method_option
@click.option("--bits", type=click.IntRange(2, 16), default=8, show_default=True, help="Width that values will have.")
@click.option("--symmetric", is_flag=True, help="Choose ranges for symmetric quantization.")
@click.option("--statistics", metavar="FILE", help="Keep the statistics here, and go on from them if interrupted.")
@click.option("--merge", metavar="FILE", multiple=True, help="Add statistics of other parts of the data; repeatable.")
@click.option("--ranges", metavar="FILE", help="Convert this file of ranges or AIMET encodings; needs no data.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["ranges", "aimet", "aimet-0.6.1"]),
    default="ranges",
    show_default=True,
    help="What to write: ranges to read and edit, or AIMET's encodings.",
)
@shape_option
@batch_option
@reporting
def command(
    model: str,
    output: str,
    calibration: str | None,
    method: str | None,
    bits: int,
    symmetric: bool,
    statistics: str | None,
    merge: Sequence[str],
    ranges: str | None,
    file_format: str,
    shapes: Sequence[str],
    batch: int | None,
) -> Report:
    """Run MODEL on data and write the tensors' ranges.

    The file can be read, edited, and given to `compile --ranges`. Statistics of several machines, each of which
    calibrated a part of the data, are added up with --merge.
    """
    from intaglio.params import CalibrationMethod, default_calibration
    from intaglio.passes.calibration.statistics import Grid
    from intaglio.tools.calibrating import CalibrateOptions, calibrate_model
    from intaglio.tools.progress import sample_progress

    options = CalibrateOptions(
        data=calibration,
        method=CalibrationMethod.from_str(method) if method else default_calibration(),
        shapes=parse_shapes(shapes),
        batch=batch,
        grid=Grid(bits, symmetric),
        statistics=statistics,
        merge=merge,
        ranges=ranges,
        format=file_format,
    )
    with sample_progress("calibrating") as progress:
        report = calibrate_model(model, output, options, progress)
    if not wants_json():
        source = f"from {report['samples']} samples" if report["samples"] is not None else f"from {ranges}"
        click.echo(f"{output}: ranges of {report['tensors']} tensors, {source}")
    return report

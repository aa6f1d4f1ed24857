"""`intaglio inspect`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from intaglio.errors import UserError
from intaglio.tools.command import (
    Report,
    backend_option,
    batch_option,
    parse_backends,
    parse_shapes,
    reporting,
    shape_option,
    wants_json,
)

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)


@click.command("inspect")
@click.argument("path", metavar="[ANYTHING]", required=False)
@click.option("--placement", is_flag=True, help="Show where each node runs, and why not on the accelerator.")
@click.option("--target", metavar="TARGET", help="With --placement: where to, for what is not compiled yet.")
@shape_option
@batch_option
@click.option("--fail-on-host", is_flag=True, help="With --placement: exit with 1 if the host computes a part.")
@backend_option
@click.option("--disassemble", is_flag=True, help="Show the instructions with the ONNX names they come from.")
@click.option("--phases", is_flag=True, help="Show the phases of the compiler and their passes.")
@reporting
def command(
    path: str | None,
    placement: bool,
    target: str | None,
    shapes: Sequence[str],
    batch: int | None,
    fail_on_host: bool,
    backends: Sequence[str],
    disassemble: bool,
    phases: bool,
) -> Report:
    """Show what is in a file.

    ANYTHING is an ONNX model, the text of a module, a package, or a file of samples. The placement of a model is
    what compiling it would give; no calibration data is needed, because ranges do not decide where an operation runs.
    """
    from intaglio.phases import CompileOptions
    from intaglio.tools import inspection

    if not placement and (fail_on_host or target is not None or shapes or batch is not None or backends):
        raise UserError(
            "--target, --shape, --batch, --backend and --fail-on-host go with --placement", where="intaglio inspect"
        )
    options = CompileOptions(
        target=target,
        shapes=parse_shapes(shapes),
        batch=batch,
        fail_on_host=fail_on_host,
        index_to_backend=parse_backends(backends),
    )
    if phases == (path is not None):
        raise UserError("name a file, or ask for --phases", where="intaglio inspect")
    report = (
        inspection.phases_report()
        if path is None
        else inspection.report_of(path, options if placement else None, disassemble)
    )
    if not wants_json():
        inspection.print_report(report)
    return report

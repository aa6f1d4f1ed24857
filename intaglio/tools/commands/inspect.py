"""`intaglio inspect`."""

from __future__ import annotations

import click

from intaglio.errors import UserError
from intaglio.tools.command import Report, reporting, wants_json

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)


@click.command("inspect")
@click.argument("path", metavar="[ANYTHING]", required=False)
@click.option("--placement", is_flag=True, help="Show where each operation runs, and why on the host.")
@click.option("--disassemble", is_flag=True, help="Show a package's instructions with the ONNX names they come from.")
@click.option("--phases", is_flag=True, help="Show the phases of the compiler and their passes.")
@reporting
def command(path: str | None, placement: bool, disassemble: bool, phases: bool) -> Report:
    """Show what is in a file.

    ANYTHING is an ONNX model, the text of a module, a package, or a file of samples.
    """
    from intaglio.tools import inspection

    if phases == (path is not None):
        raise UserError("name a file, or ask for --phases", where="intaglio inspect")
    report = inspection.phases_report() if path is None else inspection.report_of(path, placement, disassemble)
    if not wants_json():
        inspection.print_report(report)
    return report

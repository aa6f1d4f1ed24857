"""`intaglio run`."""

from __future__ import annotations

import click

from intaglio.tools.command import Report, reporting, wants_json

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)


@click.command("run")
@click.argument("package")
@click.option("--inputs", required=True, metavar="X.npz", help="One array for each input, samples on a first axis.")
@click.option("--outputs", required=True, metavar="Y.npz", help="File to write, one array for each output.")
@reporting
def command(package: str, inputs: str, outputs: str) -> Report:
    """Run PACKAGE on samples.

    The host's part runs in this process, the accelerator's in the simulator.
    """
    from intaglio.tools.progress import sample_progress
    from intaglio.tools.running import run_package

    with sample_progress() as progress:
        report = run_package(package, inputs, outputs, progress)
    if not wants_json():
        click.echo(f"{outputs}: outputs of {report['samples']} samples")
    return report

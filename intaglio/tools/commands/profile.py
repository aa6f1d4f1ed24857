"""`intaglio profile`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from intaglio.tools.command import Report, reporting, wants_json

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)

if TYPE_CHECKING:
    from intaglio.targets.simulator import Program


@click.command("profile")
@click.argument("package")
@click.option("--csv", "table", metavar="FILE.csv", help="Write a line for each layer.")
@click.option("--timeline", metavar="FILE.json", help="Write every instruction's time, for Perfetto.")
@click.option("--map", "picture", metavar="FILE.svg", help="Draw what the scratchpad holds when.")
@reporting
def command(package: str, table: str | None, timeline: str | None, picture: str | None) -> Report:
    """Show the cost of PACKAGE, layer by layer.

    The cost is that of running it once on the accelerator; it does not depend on the input.
    """
    from intaglio.files import check_output
    from intaglio.runtime.session import Session
    from intaglio.tools.package_report import print_profile, scratchpad_of, scratchpad_text

    for path in (table, timeline, picture):
        if path is not None:
            check_output(path)
    session = Session(package)
    profile = session.profile()
    scratchpad = scratchpad_of(session.package)
    files = _write(session.programs, table, timeline, picture)
    if not wants_json():
        print_profile(profile)
        click.echo(f"scratchpad: {scratchpad_text(scratchpad)}")
        for path in files:
            click.echo(f"wrote {path}")
    return {**profile.to_dict(), "scratchpad": scratchpad, "files": files}


def _write(programs: Sequence[Program], table: str | None, timeline: str | None, picture: str | None) -> list[str]:
    """Write the files that were asked for, and return their paths; a picture for each region."""
    from intaglio.files import write_atomically
    from intaglio.tools import profiling

    contents: dict[str, str] = {}
    if table is not None:
        contents[table] = profiling.layers_csv(programs)
    if timeline is not None:
        contents[timeline] = profiling.timeline(programs)
    if picture is not None:
        path = Path(picture)
        for number, program in enumerate(programs):
            name = str(path) if len(programs) == 1 else str(path.with_stem(f"{path.stem}_{number}"))
            contents[name] = profiling.scratchpad_map(program)
    for path, content in contents.items():
        write_atomically(path, content.encode())
    return list(contents)

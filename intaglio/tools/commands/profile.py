"""`intaglio profile`."""

from __future__ import annotations

import click

from intaglio.tools.command import Report, reporting, wants_json

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)


@click.command("profile")
@click.argument("package")
@reporting
def command(package: str) -> Report:
    """Show the cost of PACKAGE, layer by layer.

    The cost is that of running it once on the accelerator; it does not depend on the input.
    """
    from intaglio.runtime.session import Session
    from intaglio.tools.package_report import print_profile

    profile = Session(package).profile()
    if not wants_json():
        print_profile(profile)
    return profile.to_dict()

"""The command `intaglio`: one module of `intaglio.tools.commands` for each of its commands.

Exit codes: 0 done, 1 a check that was asked for failed, 2 the input or the command line is wrong, 3 the compiler is.
With `--json`, stdout carries one JSON object and nothing else; messages and progress go to stderr.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn, cast

import click

from intaglio.errors import CheckFailedError, UserError
from intaglio.tools import commands
from intaglio.tools.command import CHECK_FAILED

DONE, INPUT_WRONG, COMPILER_WRONG, INTERRUPTED = 0, 2, 3, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="intaglio")
def cli() -> None:
    """Compile trained ONNX models for a neural accelerator, and run the result."""


for _module in pkgutil.iter_modules(commands.__path__, f"{commands.__name__}."):
    cli.add_command(cast(click.Command, importlib.import_module(_module.name).command))


def run_cli(arguments: Sequence[str]) -> int:
    """Run a command line and return the exit code; nothing is raised.

    Args:
        arguments: the command line without the program's name.
    """
    debug, as_json = "--debug" in arguments, "--json" in arguments
    try:
        code = cli.main(list(arguments), prog_name="intaglio", standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except UserError as error:
        _report_error(str(error), error, debug, as_json)
        return CHECK_FAILED if isinstance(error, CheckFailedError) else INPUT_WRONG
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return INPUT_WRONG
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "intaglio"
        shown = UserError(error.format_message(), where=command, hint=f"{command} --help")
        _report_error(str(shown), shown, debug, as_json)
        return INPUT_WRONG
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output, such as head, has had enough.
        sys.stderr.close()
        return DONE
    except Exception as error:
        text = f"the compiler failed: {type(error).__name__}: {error}"
        shown = UserError(text[:600], hint="this is a mistake in Intaglio; --debug shows where")
        _report_error(str(shown), shown, debug, as_json)
        return COMPILER_WRONG


def _report_error(text: str, error: UserError, debug: bool, as_json: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(text, err=True)
    if as_json:
        click.echo(json.dumps({"error": {"message": error.what, "where": error.where, "hint": error.hint}}, indent=2))


def main() -> NoReturn:
    """Run the command line of the process."""
    sys.exit(run_cli(sys.argv[1:]))


if __name__ == "__main__":
    main()

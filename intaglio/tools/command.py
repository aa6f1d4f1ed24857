"""What the commands share: the report that `--json` prints, and options that several of them have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, cast

import click

from intaglio.errors import UserError

method_option = click.option(
    "--method",
    metavar="METHOD",
    default="min_max",
    show_default=True,
    help="Calibration method: min_max, mse, moving_average, entropy, percentile or average.",
)

shape_option = click.option(
    "--shape", "shapes", metavar="NAME=1,3,224,224", multiple=True, help="Shape of an input; repeatable."
)

batch_option = click.option(
    "--batch", metavar="N", type=click.IntRange(min=1), help="First dimension of inputs that leave it open."
)

Parameters = ParamSpec("Parameters")
Report = dict[str, Any]
"""What a command prints as JSON."""


def reporting(function: Callable[Parameters, Report]) -> Callable[Parameters, None]:
    """Make a command of a function that returns its report; adds `--json` and `--debug`."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @wraps(function)
    def command(*arguments: Parameters.args, **options: Parameters.kwargs) -> None:
        as_json = bool(options.pop("as_json"))
        context = click.get_current_context()
        context.obj = {"debug": bool(options.pop("debug")), "json": as_json}
        report = function(*arguments, **options)
        if as_json:
            click.echo(json.dumps(report, indent=2))

    return command


def wants_json() -> bool:
    """Whether the command that runs was asked for `--json`."""
    return bool(cast("Mapping[str, object]", click.get_current_context().obj)["json"])


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The shapes that `--shape NAME=1,3,224,224` gave, by name.

    Raises:
        UserError: a text is no shape, or a name is given twice.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        # Names of tensors may hold an equals sign, sizes may not.
        name, equals, sizes = text.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.split(",")) if sizes else ()
        except ValueError:
            shape = None
        if not equals or not name or shape is None or any(size < 1 for size in shape):
            raise UserError(f"expected NAME=1,3,224,224, got {text!r}", where="--shape")
        if name in shapes:
            raise UserError(f"the shape of {name!r} is given twice", where="--shape")
        shapes[name] = shape
    return shapes

"""What the commands share: the report that `--json` prints, and options that several of them have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypedDict, TypeVar, cast

import click

from intaglio.errors import CheckFailedError, UserError
from intaglio.remarks import collecting

if TYPE_CHECKING:
    from intaglio.passes.partition.backends import Backend

CHECK_FAILED = 1
"""Exit code of a command that did its work and found that a check asked for does not hold."""

calibration_option = click.option(
    "--calibration", metavar="DATA.npz", help="One array for each input, samples stacked on a first axis."
)

method_option = click.option(
    "--method",
    metavar="METHOD",
    help="Calibration method: min_max, mse, moving_average, entropy, percentile or average.",
)

ranges_option = click.option(
    "--ranges", metavar="FILE", help="Ranges that `intaglio calibrate` wrote, or AIMET's encodings."
)

shape_option = click.option(
    "--shape", "shapes", metavar="NAME=1,3,224,224", multiple=True, help="Shape of an input; repeatable."
)

batch_option = click.option(
    "--batch", metavar="N", type=click.IntRange(min=1), help="First dimension of inputs that leave it open."
)

_QUANTIZATION = (
    calibration_option,
    ranges_option,
    click.option("--params", metavar="FILE.toml", help="Parameters of quantization; other options count more."),
    method_option,
    click.option("--precision", metavar="PRECISION", help="int8, int16, bf16, or bits as in a16w8; of all nodes."),
    click.option("--assignment", metavar="FILE", help="Precisions of single nodes by name or pattern, JSON or TOML."),
    shape_option,
    batch_option,
)

backend_option = click.option(
    "--backend",
    "backends",
    metavar="NODE=DEVICE",
    multiple=True,
    help="Run a node, or those of a pattern, on the host or the accelerator; #N is operation N. Repeatable.",
)

Parameters = ParamSpec("Parameters")
Command = TypeVar("Command", bound=Callable[..., Any])
Report = dict[str, Any]
"""What a command prints as JSON."""


class QuantizationChoices(TypedDict):
    """The values of the options that `quantization_options` adds; `quantizing.options_of` takes them."""

    calibration: str | None
    ranges: str | None
    params: str | None
    method: str | None
    precision: str | None
    assignment: str | None
    shapes: Sequence[str]
    batch: int | None


def quantization_options(function: Command) -> Command:
    """Add the options of commands that quantize a model: its data, how to quantize it, its shapes."""
    for option in reversed(_QUANTIZATION):
        function = option(function)
    return function


def reporting(function: Callable[Parameters, Report]) -> Callable[Parameters, None]:
    """Make a command of a function that returns its report; adds `--json` and `--debug`.

    What passes have to say is in the report as `remarks`; warnings are printed on stderr, and so are remarks when the
    command line chooses how to quantize. A report with the entry
    `check_failed` is printed like any other, and then the command ends with exit code 1 and that message.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @wraps(function)
    def command(*arguments: Parameters.args, **options: Parameters.kwargs) -> None:
        as_json = bool(options.pop("as_json"))
        context = click.get_current_context()
        context.obj = {"debug": bool(options.pop("debug")), "json": as_json}
        with collecting() as remarks:
            report = function(*arguments, **options)
        for found in remarks:
            if found.severity == "warning" or _asks_for_parameters(options):
                click.echo(str(found), err=True)
        if remarks:
            report["remarks"] = [str(found) for found in remarks]
        if as_json:
            click.echo(json.dumps(report, indent=2))
        if "check_failed" in report:
            click.echo(str(CheckFailedError(str(report["check_failed"]))), err=True)
            context.exit(CHECK_FAILED)

    return command


def _asks_for_parameters(options: Mapping[str, object]) -> bool:
    """Whether a command line chooses how to quantize; what passes remark on defaults is in the JSON report alone."""
    return any(options.get(name) is not None for name in ("params", "precision", "assignment", "ranges"))


def wants_json() -> bool:
    """Whether the command that runs was asked for `--json`."""
    return bool(cast("Mapping[str, object]", click.get_current_context().obj)["json"])


def parse_backends(texts: Sequence[str]) -> dict[int | str, Backend | str]:
    """The devices that `--backend NODE=DEVICE` gave, by index, name or pattern.

    Raises:
        UserError: a text is malformed, or there is no such device.
    """
    from intaglio.passes.partition.backends import Request  # noqa: PLC0415 (only when a command has the option)

    return {request.key: request.backend for request in (Request.parse(text, "--backend") for text in texts)}


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

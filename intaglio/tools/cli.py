"""The command `intaglio`: compile a model, run, profile and inspect what came out.

Exit codes: 0 done, 1 a check that was asked for failed, 2 the input or the command line is wrong, 3 the compiler is.
With `--json`, stdout carries one JSON object and nothing else; messages and progress go to stderr.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, cast

import click

from intaglio.errors import CheckFailedError, UserError

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)

if TYPE_CHECKING:
    from intaglio.phases import CompileOptions

DONE, CHECK_FAILED, INPUT_WRONG, COMPILER_WRONG, INTERRUPTED = 0, 1, 2, 3, 130

_METHODS = "Calibration method: min_max, mse, moving_average, entropy, percentile or average."

Parameters = ParamSpec("Parameters")
Report = dict[str, Any]
"""What a command prints as JSON."""


def _command(function: Callable[Parameters, Report]) -> Callable[Parameters, None]:
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


def _wants_json() -> bool:
    return bool(cast("Mapping[str, object]", click.get_current_context().obj)["json"])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="intaglio")
def cli() -> None:
    """Compile trained ONNX models for a neural accelerator, and run the result."""


@cli.command("compile")
@click.argument("model")
@click.option("-o", "--output", required=True, help="The package to write, or with --compile-to the module's text.")
@click.option("--calibration", metavar="DATA.npz", help="One array for each input, samples stacked on a first axis.")
@click.option("--target", metavar="TARGET", help="gen1 or another preset, a description FILE.toml, or host.")
@click.option("--method", metavar="METHOD", default="min_max", show_default=True, help=_METHODS)
@click.option("--ranges", metavar="FILE", help="Ranges that `intaglio calibrate` wrote, or AIMET's encodings.")
@click.option("--shape", "shapes", metavar="NAME=1,3,224,224", multiple=True, help="Shape of an input; repeatable.")
@click.option("--compile-to", metavar="PHASE", default="package", help="Stop after this phase and write its text.")
@click.option("--compile-from", metavar="PHASE", help="MODEL is the text that this phase has left; go on from it.")
@click.option("--dump-phases-to", metavar="DIR", help="Write the text at the end of every phase to this folder.")
@click.option("--fail-on-host", is_flag=True, help="Refuse a model of which the host computes a part.")
@_command
def compile_command(
    model: str,
    output: str,
    calibration: str | None,
    target: str | None,
    method: str,
    ranges: str | None,
    shapes: Sequence[str],
    compile_to: str,
    compile_from: str | None,
    dump_phases_to: str | None,
    fail_on_host: bool,
) -> Report:
    """Compile MODEL, an ONNX file, to a package.

    The phases are import, graph, calibrate, quantize, partition, npu, isa and package; `intaglio inspect --phases`
    shows what they do. Compilation may stop after each and resume from its text.
    """
    from intaglio.params import CalibrationMethod, QuantizationParams
    from intaglio.phases import CompileOptions

    options = CompileOptions(
        target=target,
        shapes=_parse_shapes(shapes),
        calibration=calibration,
        ranges=ranges,
        params=QuantizationParams().with_calibration(CalibrationMethod.from_str(method)),
        fail_on_host=fail_on_host,
    )
    return _compile(model, output, options, compile_to, compile_from, dump_phases_to)


def _compile(
    model: str,
    output: str,
    options: CompileOptions,
    compile_to: str,
    compile_from: str | None,
    dump_phases_to: str | None,
) -> Report:
    from intaglio.compiler import compile_model
    from intaglio.runtime.package import Package
    from intaglio.tools.package_report import print_summary, summary
    from intaglio.tools.progress import compile_progress

    with compile_progress() as progress:
        result = compile_model(
            model,
            output,
            options,
            compile_to=compile_to,
            compile_from=compile_from,
            dump_phases_to=dump_phases_to,
            progress=progress,
        )
    report: Report = {"output": output, "phase": compile_to}
    if isinstance(result, Package):
        report |= summary(result)
        if not _wants_json():
            print_summary(report)
    elif not _wants_json():
        click.echo(f"{output}: the module at the end of phase {compile_to}")
    return report


def _parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
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


@cli.command("calibrate")
@click.argument("model")
@click.option("-o", "--output", required=True, help="The file of ranges to write.")
@click.option("--calibration", metavar="DATA.npz", help="One array for each input, samples stacked on a first axis.")
@click.option("--method", metavar="METHOD", default="min_max", show_default=True, help=_METHODS)
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
@click.option("--shape", "shapes", metavar="NAME=1,3,224,224", multiple=True, help="Shape of an input; repeatable.")
@_command
def calibrate_command(
    model: str,
    output: str,
    calibration: str | None,
    method: str,
    bits: int,
    symmetric: bool,
    statistics: str | None,
    merge: Sequence[str],
    ranges: str | None,
    file_format: str,
    shapes: Sequence[str],
) -> Report:
    """Run MODEL on data and write the tensors' ranges.

    The file can be read, edited, and given to `compile --ranges`. Statistics of several machines, each of which
    calibrated a part of the data, are added up with --merge.
    """
    from intaglio.params import CalibrationMethod
    from intaglio.passes.calibration.statistics import Grid
    from intaglio.tools.calibrating import CalibrateOptions, calibrate_model
    from intaglio.tools.progress import sample_progress

    options = CalibrateOptions(
        data=calibration,
        method=CalibrationMethod.from_str(method),
        shapes=_parse_shapes(shapes),
        grid=Grid(bits, symmetric),
        statistics=statistics,
        merge=merge,
        ranges=ranges,
        format=file_format,
    )
    with sample_progress("calibrating") as progress:
        report = calibrate_model(model, output, options, progress)
    if not _wants_json():
        source = f"from {report['samples']} samples" if report["samples"] is not None else f"from {ranges}"
        click.echo(f"{output}: ranges of {report['tensors']} tensors, {source}")
    return report


@cli.command("run")
@click.argument("package")
@click.option("--inputs", required=True, metavar="X.npz", help="One array for each input, samples on a first axis.")
@click.option("--outputs", required=True, metavar="Y.npz", help="File to write, one array for each output.")
@_command
def run_command(package: str, inputs: str, outputs: str) -> Report:
    """Run PACKAGE on samples.

    The host's part runs in this process, the accelerator's in the simulator.
    """
    from intaglio.tools.progress import sample_progress
    from intaglio.tools.running import run_package

    with sample_progress() as progress:
        report = run_package(package, inputs, outputs, progress)
    if not _wants_json():
        click.echo(f"{outputs}: outputs of {report['samples']} samples")
    return report


@cli.command("profile")
@click.argument("package")
@_command
def profile_command(package: str) -> Report:
    """Show the cost of PACKAGE, layer by layer.

    The cost is that of running it once on the accelerator; it does not depend on the input.
    """
    from intaglio.runtime.session import Session
    from intaglio.tools.package_report import print_profile

    profile = Session(package).profile()
    if not _wants_json():
        print_profile(profile)
    return profile.to_dict()


@cli.command("inspect")
@click.argument("path", metavar="[ANYTHING]", required=False)
@click.option("--placement", is_flag=True, help="Show where each operation runs, and why on the host.")
@click.option("--disassemble", is_flag=True, help="Show a package's instructions with the ONNX names they come from.")
@click.option("--phases", is_flag=True, help="Show the phases of the compiler and their passes.")
@_command
def inspect_command(path: str | None, placement: bool, disassemble: bool, phases: bool) -> Report:
    """Show what is in a file.

    ANYTHING is an ONNX model, the text of a module, a package, or a file of samples.
    """
    from intaglio.tools import inspection

    if phases == (path is not None):
        raise UserError("name a file, or ask for --phases", where="intaglio inspect")
    report = inspection.phases_report() if path is None else inspection.report_of(path, placement, disassemble)
    if not _wants_json():
        inspection.print_report(report)
    return report


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

"""`intaglio compile`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import click

from intaglio.tools.command import (
    QuantizationChoices,
    Report,
    backend_option,
    parse_backends,
    quantization_options,
    reporting,
    wants_json,
)

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)

if TYPE_CHECKING:
    from intaglio.phases import CompileOptions


@click.command("compile")
@click.argument("model")
@click.option("-o", "--output", required=True, help="The package to write, or with --compile-to the module's text.")
@click.option("--target", metavar="TARGET", help="gen1 or another preset, a description FILE.toml, or host.")
@quantization_options
@click.option("--compile-to", metavar="PHASE", default="package", help="Stop after this phase and write its text.")
@click.option("--compile-from", metavar="PHASE", help="MODEL is the text that this phase has left; go on from it.")
@click.option("--dump-phases-to", metavar="DIR", help="Write the text at the end of every phase to this folder.")
@click.option("--fail-on-host", is_flag=True, help="Refuse a model of which the host computes a part.")
@click.option(
    "--max-regions", metavar="N", type=click.IntRange(min=0), help="Refuse a model with more accelerator regions."
)
@backend_option
@reporting
def command(
    model: str,
    output: str,
    target: str | None,
    compile_to: str,
    compile_from: str | None,
    dump_phases_to: str | None,
    fail_on_host: bool,
    max_regions: int | None,
    backends: Sequence[str],
    **chosen: Unpack[QuantizationChoices],
) -> Report:
    """Compile MODEL, an ONNX file, to a package.

    The phases are import, graph, calibrate, quantize, partition, npu, isa and package; `intaglio inspect --phases`
    shows what they do. Compilation may stop after each and resume from its text.
    """
    from intaglio.tools.quantizing import options_of

    options = replace(
        options_of(chosen),
        target=target,
        fail_on_host=fail_on_host,
        max_regions=max_regions,
        index_to_backend=parse_backends(backends),
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
        if not wants_json():
            print_summary(report)
    elif not wants_json():
        click.echo(f"{output}: the module at the end of phase {compile_to}")
    return report

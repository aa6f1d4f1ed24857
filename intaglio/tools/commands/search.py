"""`intaglio search`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from intaglio.errors import UserError
from intaglio.tools.command import (
    Report,
    batch_option,
    calibration_option,
    method_option,
    parse_shapes,
    reporting,
    shape_option,
    wants_json,
)

# ruff: noqa: PLC0415 (what a command needs is imported when it runs, so that --help takes no time)

if TYPE_CHECKING:
    from intaglio.search.costs import CostKind
    from intaglio.search.engine import Algorithm
    from intaglio.search.mixed_precision import MixedPrecision


@click.command("search")
@click.argument("model")
@click.option("-o", "--output", metavar="FILE", help="The assignment to write, JSON or TOML.")
@click.option("--data", required=True, metavar="EVAL.npz", help="Evaluation data, with `label` where METRIC needs it.")
@click.option(
    "--analysis", metavar="DATA.npz", help="What noise is measured on; by default 4 to 64 calibration samples."
)
@click.option(
    "--gradients", metavar="FILE.npz", help="Squared gradients of NODE and NODE:weight: sensitivity by Fisher."
)
@click.option(
    "--metric", default="top1", show_default=True, help="A metric's name or module:function; higher is better."
)
@click.option("--drop", type=float, metavar="DROP", help="How far the score may fall below the float model's.")
@click.option("--target-score", type=float, metavar="SCORE", help="The score to reach, in place of --drop.")
@click.option("--cost-limit", type=float, metavar="COST", help="The largest cost; the score is then maximised.")
@click.option(
    "--candidates",
    default="a16w16,a16w8,a8w8",
    show_default=True,
    metavar="LIST",
    help="Precisions to choose from: a16w16, a16w8, a8w8, a8w4, bf16, float.",
)
@click.option(
    "--cost", type=click.Choice(["bitops", "cycles", "dram"]), default="bitops", show_default=True, help="To minimise."
)
@click.option("--target", metavar="TARGET", help="The accelerator whose support and costs count.")
@click.option("--all-candidates", is_flag=True, help="Consider what the accelerator does not support, too.")
@click.option(
    "--algorithm",
    type=click.Choice(["exact", "binary", "interpolation", "brute-force", "reverse"]),
    default="exact",
    show_default=True,
    help="How to look for the first choice that is good enough.",
)
@click.option("--refine/--no-refine", default=True, help="Drop and swap single layers afterwards (by default).")
@click.option(
    "--exhaustive",
    type=click.IntRange(0, 10),
    default=0,
    metavar="GROUPS",
    help="Try all cheaper choices of that many of the most sensitive groups in the end.",
)
@click.option("--results-dir", metavar="DIR", help="Where evaluations are recorded, to resume, and the report written.")
@click.option("--clean-start", is_flag=True, help="Forget the evaluations recorded there.")
@click.option("--executor", metavar="WHERE", help="processes:N, or dask://host:port with intaglio[dask].")
@click.option("--time-budget", type=click.FloatRange(min=0), metavar="SECONDS", help="End with the best so far.")
@click.option(
    "--params", metavar="FILE.toml", help="Parameters of quantization, repairs such as equalization included."
)
@calibration_option
@method_option
@shape_option
@batch_option
@reporting
def command(
    model: str,
    output: str | None,
    data: str,
    analysis: str | None,
    gradients: str | None,
    metric: str,
    drop: float | None,
    target_score: float | None,
    cost_limit: float | None,
    candidates: str,
    cost: CostKind,
    target: str | None,
    all_candidates: bool,
    algorithm: Algorithm,
    refine: bool,
    exhaustive: int,
    results_dir: str | None,
    clean_start: bool,
    executor: str | None,
    time_budget: float | None,
    params: str | None,
    calibration: str | None,
    method: str | None,
    shapes: Sequence[str],
    batch: int | None,
) -> Report:
    """Find the cheapest precisions at which MODEL is good enough.

    Each layer gets one of the candidates, so that the score is kept and the cost is as low as possible.
    Evaluations are recorded in --results-dir as they are made, and a search that was ended goes on from there; Ctrl-C
    ends it with the best so far. The assignment is what `compile --assignment` takes. Without --drop, --target-score
    and --cost-limit the whole curve is evaluated.
    """
    from pathlib import Path

    from intaglio.assignment import write_assignment
    from intaglio.files import check_output
    from intaglio.network import load
    from intaglio.precision import Precision
    from intaglio.search.engine import SearchOptions
    from intaglio.search.mixed_precision import SearchSettings, choose_precisions
    from intaglio.search.report import summary, write_results
    from intaglio.tools.progress import search_progress
    from intaglio.tools.quantizing import params_of

    if drop is not None and target_score is not None:
        raise UserError("both --drop and --target-score say how good is good enough", hint="give one of them")
    if calibration is None:
        raise UserError("calibration data is needed to quantize the model", hint="--calibration DATA.npz")
    if output is not None:
        check_output(output)
    quantization = params_of(params, method)
    network = load(model, parse_shapes(shapes), batch=batch)
    with search_progress() as watch:
        settings = SearchSettings(
            candidates=tuple(Precision.parse(text) for text in candidates.split(",") if text.strip()),
            options=SearchOptions(
                target=target_score,
                cost_limit=cost_limit,
                algorithm=algorithm,
                refine=refine,
                exhaustive=exhaustive,
            ),
            allowed_drop=drop,
            cost=cost,
            target=target,
            use_all_candidates=all_candidates,
            results_dir=results_dir,
            clean_start=clean_start,
            executor=executor,
            time_budget=time_budget,
            gradients=gradients,
            watch=watch,
        )
        found = choose_precisions(
            network, calibration, data, metric, params=quantization, analysis_data=analysis, settings=settings
        )
    report = summary(found)
    if results_dir is not None:
        report["files"] = [str(path) for path in write_results(found, Path(results_dir))]
    if found.result.best is not None and output is not None:
        write_assignment(output, found.assignment())
    if not wants_json():
        _print(found, output)
    if found.result.best is None:
        ended = found.result.stopped or "it was done"
        report["check_failed"] = f"no choice that is good enough was found before the search ended ({ended})"
    return report


def _print(found: MixedPrecision, output: str | None) -> None:
    from intaglio.tools.tables import print_table

    best = found.result.best
    counts = ", ".join(f"{count} {kind}" for kind, count in found.evaluations.items() if count)
    click.echo(
        f"float score {found.float_score:.6g}; {counts or 'no'} evaluations, {found.full_evaluations:.1f} times all of "
        f"the data" + (f", {found.resumed} known before" if found.resumed else "")
    )
    if found.result.stopped:
        click.echo(f"ended early: {found.result.stopped}")
    if best is None:
        return
    rows = [
        (layer.names[0], str(layer.precision), f"{layer.cost:.4g}", "" if layer.noise is None else f"{layer.noise:.3g}")
        for layer in found.layers()
    ]
    print_table("precision of each layer", ("layer", "precision", "cost", "noise"), rows)
    click.echo(
        f"score {best.score:.6g} at {found.relative_bitops():.3f} of all-16-bit operations, "
        f"{found.conversions():,} elements requantized between layers"
    )
    if output is not None:
        click.echo(f"{output}: precisions of {len(found.assignment().nodes)} nodes")

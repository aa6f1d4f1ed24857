"""What a search has found, as files: assignment, curve, sensitivities, and a page that shows them.

In the results folder: `assignment.json` (what `compile --assignment` takes), `pareto.json` and `pareto.csv`,
`sensitivity.csv`, and `report.html`, which loads nothing; with the extra `intaglio[plot]` also `pareto.png` and
`sensitivity.png`.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from intaglio.analysis.error_statistics import finite
from intaglio.analysis.plots import WIDTH, ticks
from intaglio.assignment import write_assignment
from intaglio.files import write_atomically
from intaglio.remarks import remark
from intaglio.search.engine import Point
from intaglio.search.mixed_precision import MixedPrecision
from intaglio.search.pictures import can_draw, pareto_picture, sensitivity_picture

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #fff; --soft: #6b7686; --line: #d9dee6; --mark: #3b6fb6;
        --best: #d9822b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --paper: #14181f; --soft: #94a0b0; --line: #323b48; --mark: #7aa7e8; --best: #f0a35a; } }
body { font: 14px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
       max-width: 1080px; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.note { color: var(--soft); margin: .2rem 0 .8rem; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
td.text, th.text { text-align: left; } tr.wide td { font-weight: 600; }
svg { max-width: 100%; height: auto; display: block; } svg text { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--line); } .target { stroke: var(--best); stroke-dasharray: 4 3; }
polyline { fill: none; stroke: var(--mark); stroke-width: 1.5; }
circle { fill: var(--soft); opacity: .5; } circle.front { fill: var(--mark); opacity: 1; }
circle.best { fill: var(--best); opacity: 1; } rect { fill: var(--mark); }
"""


def summary(found: MixedPrecision) -> dict[str, Any]:
    """The result as JSON."""
    best = found.result.best
    result: dict[str, Any] = {
        "float_score": finite(found.float_score),
        "target": found.target,
        "stopped": found.result.stopped,
        "evaluations": found.evaluations,
        "full_evaluations": found.full_evaluations,
        "resumed": found.resumed,
        "groups": len(found.problem.groups),
        "best": None if best is None else _point(found, best),
        "pareto": [_point(found, point) for point in found.result.front],
    }
    if best is not None:
        result["layers"] = [
            {
                "name": layer.names[0],
                "operations": list(layer.kinds),
                "precision": str(layer.precision),
                "cost": layer.cost,
                "noise": layer.noise,
                "macs": layer.macs,
            }
            for layer in found.layers(best)
        ]
    return result


def _point(found: MixedPrecision, point: Point) -> dict[str, Any]:
    counts = {str(p): point.choice.count(index) for index, p in enumerate(found.problem.precisions)}
    return {
        "score": finite(point.score),
        "cost": point.cost,
        "relative_bitops": found.relative_bitops(point),
        "converted_elements": found.conversions(point),
        "groups_by_precision": counts,
        "choice": {
            group.name: str(found.problem.precisions[index])
            for group, index in zip(found.problem.groups.groups, point.choice, strict=True)
        },
    }


def write_results(found: MixedPrecision, folder: str | Path) -> list[Path]:
    """Write all files, each in one step.

    Args:
        found: what was found; without a best point there is no assignment.
        folder: an existing folder.

    Returns:
        The files.

    Raises:
        UserError: a file cannot be written.
    """
    target = Path(folder)
    files = {
        "pareto.json": json.dumps(summary(found)["pareto"], indent=2) + "\n",
        "pareto.csv": _pareto_csv(found),
        "report.html": page(found),
    }
    if found.result.noise is not None:
        files["sensitivity.csv"] = _sensitivity_csv(found)
    for name, text in files.items():
        write_atomically(target / name, text)
    written = [target / name for name in files]
    for name, picture in _pictures(found, folder).items():
        write_atomically(target / name, picture)
        written.append(target / name)
    if found.result.best is not None:
        write_assignment(target / "assignment.json", found.assignment())
        written.append(target / "assignment.json")
    return written


def _pictures(found: MixedPrecision, folder: str | Path) -> dict[str, bytes]:
    if not can_draw():
        remark('pareto.png and sensitivity.png need Matplotlib: pip install "intaglio[plot]"', where=str(folder))
        return {}
    pictures = {"pareto.png": pareto_picture(found)}
    if found.result.noise is not None:
        pictures["sensitivity.png"] = sensitivity_picture(found)
    return pictures


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _pareto_csv(found: MixedPrecision) -> str:
    names = [group.name for group in found.problem.groups.groups]
    rows: list[list[object]] = [["cost", "score", "relative_bitops", "converted_elements", *names]]
    for point in found.result.front:
        precisions = [str(found.problem.precisions[index]) for index in point.choice]
        figures: list[object] = [point.cost, point.score, found.relative_bitops(point), found.conversions(point)]
        rows.append([*figures, *precisions])
    return _csv(rows)


def _sensitivity_csv(found: MixedPrecision) -> str:
    noise, problem = found.result.noise, found.problem
    assert noise is not None
    rows: list[list[object]] = [["group", "operations", "precision", "noise", "cost", "macs"]]
    for g, group in enumerate(problem.groups.groups):
        for k, precision in enumerate(problem.precisions):
            if problem.allowed[g, k]:
                cost, level = float(problem.costs[g, k]), float(noise[g, k])
                rows.append([group.name, " ".join(group.kinds), str(precision), level, cost, group.macs])
    return _csv(rows)


def page(found: MixedPrecision) -> str:
    """The report as one HTML file that loads nothing."""
    best = found.result.best
    lines = [f"float score {found.float_score:.6g}"]
    if found.target is not None:
        lines.append(f"target {found.target:.6g}")
    if best is not None:
        lines.append(f"found {best.score:.6g} at {found.relative_bitops(best):.3f} of all-16-bit operations")
    if found.result.stopped:
        lines.append(f"ended early: {found.result.stopped}")
    sections = [
        "<h2>Score and cost</h2>",
        '<p class="note">Every choice that was evaluated; those that no other beats are joined. The line is the target,'
        " the large mark what was chosen.</p>",
        f'<div class="scroll">{_curve(found)}</div>',
    ]
    if found.result.noise is not None:
        sections += [
            "<h2>Sensitivity</h2>",
            '<p class="note">Noise that the narrowest precision of each group adds to the result, on a logarithmic '
            "scale.</p>",
            f'<div class="scroll">{_sensitivity_plot(found)}</div>',
        ]
    if best is not None:
        sections += ["<h2>Layers</h2>", f'<div class="scroll">{_layer_table(found)}</div>']
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mixed precision</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Mixed precision</h1>
<p class="note">{escape("; ".join(lines))}</p>
{"".join(sections)}
</body>
</html>
"""


def _curve(found: MixedPrecision) -> str:
    points = [point for point in found.result.points if math.isfinite(point.score)]
    if not points:
        return ""
    height, left, right, top, bottom = 320, 64, WIDTH - 12, 12, 290
    costs = [point.cost for point in points]
    scores = [point.score for point in points] + ([] if found.target is None else [found.target])
    low_x, high_x = min(costs), max(costs)
    low_y, high_y = min(scores), max(scores)
    span_x, span_y = (high_x - low_x) or 1.0, (high_y - low_y) or 1.0

    def place(cost: float, score: float) -> tuple[float, float]:
        return left + (right - left) * (cost - low_x) / span_x, bottom - (bottom - top) * (score - low_y) / span_y

    parts: list[str] = []
    for mark in ticks(low_y, low_y + span_y):
        y = place(low_x, mark)[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:g}</text>')
    for mark in ticks(low_x, low_x + span_x):
        x = place(mark, low_y)[0]
        parts.append(f'<text x="{x:.1f}" y="{height - 10}" text-anchor="middle">{mark:.3g}</text>')
    if found.target is not None:
        y = place(low_x, found.target)[1]
        parts.append(f'<line class="target" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
    line = " ".join(
        f"{x:.1f},{y:.1f}"
        for x, y in (place(point.cost, point.score) for point in found.result.front if point in points)
    )
    parts.append(f'<polyline points="{line}"/>')
    for point in points:
        kind, radius = ("front", 3) if point in found.result.front else ("", 2)
        if point == found.result.best:
            kind, radius = "best", 6
        x, y = place(point.cost, point.score)
        title = f"score {point.score:.6g}, cost {point.cost:.6g}, {found.relative_bitops(point):.3f} of all-16-bit"
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{title}</title></circle>')
    label = 'role="img" aria-label="score over cost"'
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" {label}>{"".join(parts)}</svg>'


def _sensitivity_plot(found: MixedPrecision) -> str:
    noise, problem = found.result.noise, found.problem
    assert noise is not None
    levels = [float(noise[g][problem.allowed[g]].max()) for g in range(len(problem.groups))]
    positive = [math.log10(level) for level in levels if level > 0]
    low, high = (min(positive), max(positive)) if positive else (0.0, 1.0)
    row, start = 16, 330
    parts: list[str] = []
    for index, (group, level) in enumerate(zip(problem.groups.groups, levels, strict=True)):
        share = 0.0 if level <= 0 else 0.05 + 0.95 * (math.log10(level) - low) / ((high - low) or 1.0)
        name = group.name if len(group.name) <= 44 else f"…{group.name[-43:]}"
        y = index * row
        parts.append(f'<text x="{start - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect x="{start}" y="{y + 3}" width="{(WIDTH - start - 12) * share:.1f}" height="{row - 6}">'
            f"<title>{escape(group.name)}: {level:.3g}</title></rect>"
        )
    height = max(row * len(levels), row)
    label = 'role="img" aria-label="sensitivity of the groups"'
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" {label}>{"".join(parts)}</svg>'


def _layer_table(found: MixedPrecision) -> str:
    widest = max(precision.activation_bits for precision in found.problem.precisions)
    head = "".join(f'<th class="text">{text}</th>' for text in ("layer", "operations", "precision"))
    head += "".join(f"<th>{text}</th>" for text in ("cost", "noise", "MACs"))
    rows: list[str] = []
    for layer in found.layers():
        style = ' class="wide"' if layer.precision.activation_bits == widest else ""
        noise = "" if layer.noise is None else f"{layer.noise:.3g}"
        texts = (", ".join(layer.names), ", ".join(dict.fromkeys(layer.kinds)), str(layer.precision))
        cells = "".join(f'<td class="text">{escape(text)}</td>' for text in texts)
        rows.append(f"<tr{style}>{cells}<td>{layer.cost:.4g}</td><td>{noise}</td><td>{layer.macs:,}</td></tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"

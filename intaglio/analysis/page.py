"""The report of an analysis as one HTML file that loads nothing: it can be mailed, archived and opened offline."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from intaglio.analysis.plots import depth_plot, histogram_plot, range_plot
from intaglio.analysis.report import LayerReport, NoiseReport, decibel_text
from intaglio.files import write_atomically

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #fff; --soft: #6b7686; --line: #d9dee6;
        --float: #3b6fb6; --int: #d9822b; --wash: #f4f6f9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --paper: #14181f; --soft: #94a0b0; --line: #323b48; --float: #7aa7e8; --int: #f0a35a;
          --wash: #1c222c; } }
body { font: 14px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
       max-width: 1080px; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.note { color: var(--soft); margin: .2rem 0 .8rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { cursor: pointer; position: sticky; top: 0; background: var(--wash); }
td.text, th.text { text-align: left; } td.hint { text-align: left; white-space: normal; min-width: 14rem; }
svg { max-width: 100%; height: auto; display: block; } svg text { font-size: 11px; fill: var(--soft); }
.grid, .zero { stroke: var(--line); } .bound { stroke: var(--int); stroke-dasharray: 4 3; }
polyline { fill: none; stroke-width: 1.5; } polyline.s0 { stroke: var(--int); } polyline.s1 { stroke: var(--float); }
circle.s0 { fill: var(--int); } circle.s1 { fill: var(--float); }
text.key.s0 { fill: var(--int); } text.key.s1 { fill: var(--float); }
.r0 { fill: var(--float); } .r1 { fill: var(--int); opacity: .35; }
.h0 { fill: var(--float); opacity: .5; } .h1 { fill: none; stroke: var(--int); stroke-width: 1.2; }
details { border-bottom: 1px solid var(--line); padding: .3rem 0; } summary { cursor: pointer; }
.pair { display: flex; flex-wrap: wrap; gap: 1.5rem; padding: .5rem 0 .5rem 1rem; }
.alarm { color: #c0392b; font-weight: 600; }
"""

_SORTING = """
for (const head of document.querySelectorAll("th")) head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0], column = head.cellIndex;
  const key = row => { const cell = row.cells[column]; return cell.dataset.value ?? cell.textContent; };
  const rows = [...body.rows], down = head.dataset.order !== "down";
  rows.sort((a, b) => { const x = key(a), y = key(b), n = parseFloat(x) - parseFloat(y);
    return (isNaN(n) ? x.localeCompare(y) : n) * (down ? 1 : -1); });
  head.dataset.order = down ? "down" : "up";
  body.append(...rows);
});
"""


def write_page(report: NoiseReport, path: str | Path) -> None:
    """Write the page of a report in one step.

    Args:
        report: what was found.
        path: the file.

    Raises:
        UserError: the file cannot be written.
    """
    write_atomically(path, page(report))


def page(report: NoiseReport) -> str:
    """The text of the page."""
    names = [layer.name for layer in report.layers]
    series = {"accumulated SQNR": [layer.accumulated.sqnr_db for layer in report.layers]}
    if any(layer.local is not None for layer in report.layers):
        series["own SQNR (fed floats)"] = [
            layer.local.sqnr_db if layer.local is not None else float("nan") for layer in report.layers
        ]
    ranges = [(layer.name, (layer.low, layer.high), layer.representable) for layer in report.layers]
    title = escape(f"Quantization noise of {report.model}")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p class="note">{report.samples:,} samples, {len(report.layers):,} tensors</p>
{_summary(report)}
<h2>Error along the depth</h2>
<p class="note">Signal-to-quantization-noise ratio; a point's name shows under the pointer. Gaps: no error at all.</p>
<div class="scroll">{depth_plot(names, series, "dB")}</div>
<h2>Layers</h2>
<p class="note">A click on a heading sorts. Rank 1 does the most damage of its own.</p>
<div class="scroll">{_layer_table(report)}</div>
<h2>Ranges</h2>
<p class="note">Wide bar: what the stored type can represent. Narrow bar: the float values. Line: zero.</p>
<div class="scroll">{range_plot(ranges)}</div>
<h2>Distributions and channels</h2>
<p class="note">Filled: float network. Line: quantized network. Dashed: end of the representable range. Heights are
logarithmic.</p>
{"".join(_details(layer) for layer in report.layers)}
<script>{_SORTING}</script>
</body>
</html>
"""


def _summary(report: NoiseReport) -> str:
    rows = [
        [
            _text(name),
            _number(error.sqnr_db, decibel_text(error.sqnr_db)),
            _number(error.mse, f"{error.mse:.3g}"),
            _number(error.cosine, f"{error.cosine:.6f}"),
            _number(error.psnr_db, decibel_text(error.psnr_db)),
            _number(error.max_error, f"{error.max_error:.3g}"),
        ]
        for name, error in report.outputs.items()
    ]
    parts = [_table(("output",), ("SQNR", "MSE", "cosine", "PSNR", "max error"), rows)]
    if report.divergence is not None:
        parts.append(f'<p class="alarm">{escape(str(report.divergence))}</p>')
    else:
        parts.append(f"<p>No layer has an accumulated SQNR below {report.threshold_db:g} dB.</p>")
    if report.simulator is not None:
        found = report.simulator
        text = f"{found.tensors} tensors on {found.samples} samples are bit for bit equal in the simulator."
        parts.append(f"<p>{escape(str(found.divergence) if found.divergence is not None else text)}</p>")
    return "\n".join(parts)


def _layer_table(report: NoiseReport) -> str:
    rank = {id(layer): index + 1 for index, layer in enumerate(report.ranked())}
    rows: list[list[str]] = []
    for index, layer in enumerate(report.layers):
        error, place = layer.accumulated, rank.get(id(layer))
        local = layer.local
        rows.append(
            [
                _number(index, str(index + 1)),
                _text(layer.name),
                _text(layer.kind),
                _text(layer.stored),
                _number(error.sqnr_db, decibel_text(error.sqnr_db)),
                _number(local.sqnr_db, decibel_text(local.sqnr_db)) if local is not None else "<td></td>",
                _number(error.mse, f"{error.mse:.3g}"),
                _number(error.cosine, f"{error.cosine:.5f}"),
                _number(error.psnr_db, decibel_text(error.psnr_db)),
                _number(error.max_error, f"{error.max_error:.3g}"),
                _number(layer.clipped, f"{layer.clipped:.2%}"),
                _number(place, str(place)) if place is not None else "<td></td>",
                f'<td class="hint">{escape(layer.hint or "")}</td>',
            ]
        )
    figures = ("SQNR", "own SQNR", "MSE", "cosine", "PSNR", "max error", "clipped", "rank", "hint")
    return _table(("#", "layer", "operation", "stored"), figures, rows)


def _details(layer: LayerReport) -> str:
    plot = histogram_plot(layer.floats, layer.quantized, layer.representable)
    rows = [
        [
            _number(channel.channel, str(channel.channel)),
            _number(channel.sqnr_db, decibel_text(channel.sqnr_db)),
            _number(channel.mse, f"{channel.mse:.3g}"),
            _number(channel.mean_error, f"{channel.mean_error:.3g}"),
            _number(channel.share, f"{channel.share:.1%}"),
        ]
        for channel in layer.worst_channels
    ]
    channels = _table(("worst channel",), ("SQNR", "MSE", "mean error", "share"), rows) if rows else ""
    heading = f"{escape(layer.name)} <span>{escape(layer.kind)}, {layer.stored}, {list(layer.shape)}</span>"
    return f'<details><summary>{heading}</summary><div class="pair">{plot}<div>{channels}</div></div></details>'


def _table(texts: Sequence[str], figures: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th class="text">{escape(text)}</th>' for text in texts)
    head += "".join(f"<th>{escape(figure)}</th>" for figure in figures)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: str) -> str:
    return f'<td class="text">{escape(value)}</td>'


def _number(value: float, shown: str) -> str:
    return f'<td data-value="{value}">{escape(shown)}</td>'

"""Plots as SVG elements that stand in a page: no scripts, no fonts, nothing loaded.

A plotting library in the page would be some megabytes (plotly's script: 4.8) for plots that are lines and bars; these
take a few kilobytes each. A point's figures are in its `<title>`, which browsers show under the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from intaglio.analysis.report import Distribution

WIDTH = 960
"""Of the plots over all layers, in pixels."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 10, 22


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers within a range, evenly spaced, at most so many.

    Args:
        low: lower end.
        high: upper end, above `low`.
        most: at least 2.
    """
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    rough = span / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def depth_plot(names: Sequence[str], series: Mapping[str, Sequence[float]], unit: str, height: int = 260) -> str:
    """Lines over the layers of a network.

    Args:
        names: of the layers.
        series: one figure for each layer, by the series' name; infinite ones leave a gap.
        unit: of the figures.
        height: of the plot in pixels.
    """
    values = [value for figures in series.values() for value in figures if math.isfinite(value)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    marks = ticks(low, high if high > low else low + 1)
    low, high = min(low, marks[0]), max(high, marks[-1], low + 1e-12)
    right, bottom = WIDTH - _RIGHT, height - _BOTTOM

    def x(index: int) -> float:
        return _LEFT + (right - _LEFT) * (index + 0.5) / max(len(names), 1)

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * (value - low) / (high - low)

    parts = [_axis(y(mark), right, f"{mark:g}") for mark in marks]
    for number, (label, figures) in enumerate(series.items()):
        style = f"s{number}"
        for run in _runs(figures):
            points = " ".join(f"{x(index):.1f},{y(figures[index]):.1f}" for index in run)
            parts.append(f'<polyline class="{style}" points="{points}"/>')
        for index, value in enumerate(figures):
            if math.isfinite(value):
                title = escape(f"{names[index]}: {label} {value:.1f} {unit}")
                place = f'cx="{x(index):.1f}" cy="{y(value):.1f}" r="3"'
                parts.append(f'<circle class="{style}" {place}><title>{title}</title></circle>')
        parts.append(
            f'<text class="key {style}" x="{_LEFT + 8 + 170 * number}" y="{height - 5}">&#9679; {escape(label)}</text>'
        )
    return _svg(WIDTH, height, f"{', '.join(series)} of the layers in {unit}", parts)


def _runs(figures: Sequence[float]) -> list[list[int]]:
    """Stretches of finite figures."""
    runs: list[list[int]] = [[]]
    for index, value in enumerate(figures):
        if math.isfinite(value):
            runs[-1].append(index)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def range_plot(rows: Sequence[tuple[str, tuple[float, float], tuple[float, float] | None]]) -> str:
    """For each tensor, a bar of what the stored type can represent, and over it one of the values there were.

    Every row has a scale of its own: the union of both ranges fills the width, and the line is zero.

    Args:
        rows: name, range of the float values, and representable range or None.
    """
    height, start, end = 18, 330, WIDTH - 12
    parts: list[str] = []
    for index, (name, (low, high), representable) in enumerate(rows):
        ends = [0.0, low, high, *(representable or ())]
        if not all(math.isfinite(value) for value in ends):
            continue
        left, span = min(ends), max(max(ends) - min(ends), 1e-30)
        top = index * height

        def x(value: float, left: float = left, span: float = span) -> float:
            return start + (end - start) * (value - left) / span

        title = f"{name}: values {low:.4g} to {high:.4g}"
        if representable is not None:
            title += f", representable {representable[0]:.4g} to {representable[1]:.4g}"
            parts.append(_bar("r1", x(representable[0]), x(representable[1]), top + 2, height - 4, title))
        parts.append(_bar("r0", x(low), x(high), top + 6, height - 12, title))
        parts.append(f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{top + 1}" y2="{top + height - 1}"/>')
        shown = name if len(name) <= 44 else f"…{name[-43:]}"
        text = f"{escape(shown)}<title>{escape(name)}</title>"
        parts.append(f'<text x="{start - 8}" y="{top + 13}" text-anchor="end">{text}</text>')
    return _svg(WIDTH, max(height * len(rows), height), "ranges of the tensors", parts)


def histogram_plot(floats: Distribution, quantized: Distribution, representable: tuple[float, float] | None) -> str:
    """The distribution of a tensor in both networks; counts on a logarithmic scale, because most values are small.

    Args:
        floats: of the float network.
        quantized: of the quantized network.
        representable: range of the stored type, marked by lines.
    """
    width, height = 420, 150
    edges = [*floats.edges, *quantized.edges]
    if not edges:
        return ""
    low, high = min(edges), max(edges)
    span = max(high - low, 1e-30)
    most = math.log1p(max([*floats.counts, *quantized.counts, 1]))
    bottom = height - _BOTTOM

    def x(value: float) -> float:
        return 8 + (width - 16) * (value - low) / span

    parts: list[str] = []
    for style, distribution in (("h0", floats), ("h1", quantized)):
        points = [f"{x(low):.1f},{bottom}"]
        for left, right, count in zip(distribution.edges, distribution.edges[1:], distribution.counts, strict=False):
            level = bottom - (bottom - 6) * math.log1p(count) / most
            points += [f"{x(left):.1f},{level:.1f}", f"{x(right):.1f},{level:.1f}"]
        parts.append(f'<polygon class="{style}" points="{" ".join(points)} {x(high):.1f},{bottom}"/>')
    for bound in representable or ():
        if low <= bound <= high:
            parts.append(f'<line class="bound" x1="{x(bound):.1f}" x2="{x(bound):.1f}" y1="4" y2="{bottom}"/>')
    parts += [
        f'<text x="{x(mark):.1f}" y="{height - 6}" text-anchor="middle">{mark:.3g}</text>'
        for mark in ticks(low, high, 5)
    ]
    return _svg(width, height, "distribution of the values", parts)


def _bar(style: str, left: float, right: float, top: float, height: float, title: str) -> str:
    width = max(right - left, 1.0)
    return (
        f'<rect class="{style}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="{height}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _axis(y: float, right: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _svg(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(label)}">'
    return head + "".join(parts) + "</svg>"

"""The tables of what was measured, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from accuracy_bounds import JUDGED, Bound
from accuracy_cells import IN_ONNXRUNTIME, Cell
from accuracy_settings import METHODS, PRECISIONS, REPAIRS
from accuracy_tasks import Scores

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
"""What stands between them in a file is replaced."""


@dataclass
class Row:
    """What was measured of a network.

    Attributes:
        model: its name.
        group: `zoo` or `bench`.
        metric: the main one.
        samples: evaluation samples.
        known: figures of others.
        cells: by setting.
        bounds: what is asked for.
    """

    model: str
    group: str
    metric: str
    samples: int
    known: Mapping[str, Scores]
    cells: dict[str, Cell]
    bounds: list[Bound] = field(default_factory=list)

    @property
    def metrics(self) -> list[str]:
        """The metrics to show: the main one, and that by which the model is judged."""
        return list(dict.fromkeys((self.metric, JUDGED.get(self.model, self.metric))))


def markdown(rows: Sequence[Row]) -> str:
    """All tables that there are figures for."""
    zoo, bench = ([row for row in rows if row.group == group] for group in ("zoo", "bench"))
    parts: list[str] = []
    if zoo:
        parts += ["## Calibration methods", "", *_figures(zoo, ["default", *METHODS], others=True), ""]
        wide = ["default", *PRECISIONS, f"bf16{IN_ONNXRUNTIME}"]
        parts += ["## Precisions", "", *_figures(zoo, wide), ""]
    if bench:
        parts += ["## Bench networks", "", *_figures(bench, ["default"]), ""]
    if repaired := _repairs(rows):
        parts += ["## Repairs, each alone", "", *repaired, ""]
    return "\n".join([*parts, "## Bounds", "", *_bounds(rows)]) + "\n"


def replace_figures(text: str, tables: str) -> str:
    """A page with its tables replaced; without the marks that say where they are, the tables alone."""
    if BEGIN not in text or END not in text:
        return tables
    before, after = text.split(BEGIN, maxsplit=1)[0], text.split(END, maxsplit=1)[1]
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(names: Sequence[str]) -> list[str]:
    return [_line(names), "|" + "---|" * len(names)]


def _figures(rows: Sequence[Row], settings: Sequence[str], *, others: bool = False) -> list[str]:
    """A line for each network and metric: float, figures of others if wanted, and settings."""
    settings = [setting for setting in settings if any(setting in row.cells for row in rows)]
    known = list(dict.fromkeys(name for row in rows for name in row.known)) if others else []
    lines = _head(["model", "metric", "samples", "float", *known, *settings])
    for row in rows:
        for metric in row.metrics:
            figures = [f"{row.known[name][metric]:.4f}" if metric in row.known.get(name, {}) else "" for name in known]
            shown = [_shown(row.cells.get(setting), metric) for setting in settings]
            exact = f"{row.cells['float'].scores[metric]:.4f}"
            lines.append(_line([row.model, metric, str(row.samples), exact, *figures, *shown]))
    return lines


def _shown(cell: Cell | None, metric: str) -> str:
    if cell is None or metric not in cell.scores:
        return "" if cell is None else "fails"
    floats = f", {len(cell.in_float)} float" if cell.in_float else ""
    return f"{cell.scores[metric]:.4f} ±{cell.errors.get(metric, 0.0):.4f}{floats}"


def _repairs(rows: Sequence[Row]) -> list[str]:
    """A line for each network and weight scheme: without repairs, and with each of them alone."""
    lines = _head(["network", "weights", "float", *REPAIRS, "default"])
    for row in rows:
        for weights, prefix in (("per channel", ""), ("per tensor", "per tensor ")):
            found = [row.cells.get(prefix + repair) for repair in REPAIRS]
            if all(cell is None for cell in found):
                continue
            found.append(None if prefix else row.cells.get("default"))
            metric = row.metrics[-1]
            exact = f"{row.cells['float'].scores[metric]:.4f}"
            lines.append(_line([row.model, weights, exact, *(_repaired(cell, metric) for cell in found)]))
    return lines if len(lines) > 2 else []


def _repaired(cell: Cell | None, metric: str) -> str:
    if cell is None or metric not in cell.scores:
        return "" if cell is None else "fails"
    return f"{cell.scores[metric]:.4f}, {cell.snr_db:.1f} dB"


def _bounds(rows: Sequence[Row]) -> list[str]:
    lines = _head(["model", "bound", "required", "found", "holds"])
    for row in rows:
        for bound in row.bounds:
            found = "" if bound.found is None else f"{bound.found:.4f}"
            required = f"{'at most' if bound.sense == 'most' else 'at least'} {bound.required:.4f}"
            lines.append(_line([row.model, bound.what, required, found, "yes" if bound.holds else "**no**"]))
    return lines

"""The Pareto curve and the sensitivity of the layers as PNG files, drawn by Matplotlib (extra `intaglio[plot]`)."""

from __future__ import annotations

import importlib
import importlib.util
import io
import math
from typing import Any

from intaglio.search.mixed_precision import MixedPrecision

_INK, _SOFT, _MARK, _BEST = "#1d2430", "#6b7686", "#3b6fb6", "#d9822b"


def can_draw() -> bool:
    """Whether Matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def pareto_picture(found: MixedPrecision) -> bytes:
    """Score over cost of every choice that was evaluated; those that no other beats are joined."""
    figure, axes = _figure(9, 4.5)
    points = [point for point in found.result.points if math.isfinite(point.score)]
    axes.scatter([p.cost for p in points], [p.score for p in points], s=10, color=_SOFT, alpha=0.5, label="evaluated")
    front = [point for point in found.result.front if math.isfinite(point.score)]
    axes.plot([p.cost for p in front], [p.score for p in front], marker="o", ms=4, color=_MARK, label="Pareto front")
    if found.target is not None:
        axes.axhline(found.target, color=_BEST, ls="--", lw=1, label=f"target {found.target:.6g}")
    if (best := found.result.best) is not None:
        label = f"chosen: {best.score:.6g} at {found.relative_bitops(best):.3f} of all-16-bit"
        axes.scatter([best.cost], [best.score], s=70, color=_BEST, zorder=3, label=label)
    axes.set_xlabel("cost")
    axes.set_ylabel("score")
    axes.legend(loc="lower right", fontsize=8)
    return _png(figure)


def sensitivity_picture(found: MixedPrecision) -> bytes:
    """What each precision of each group adds to the noise, groups in the order of the graph."""
    noise, problem = found.result.noise, found.problem
    assert noise is not None, "phase 1 was reached"
    names = [group.name for group in problem.groups.groups]
    figure, axes = _figure(9, max(2.0, 0.8 + 0.18 * len(names)))
    for k, precision in enumerate(problem.precisions):
        rows = [g for g in range(len(names)) if problem.allowed[g, k] and noise[g, k] > 0]
        if rows:
            axes.scatter([noise[g, k] for g in rows], rows, s=18, label=str(precision))
    if axes.collections:
        axes.set_xscale("log")
        axes.legend(fontsize=8)
    axes.set_yticks(range(len(names)), [name if len(name) <= 44 else f"…{name[-43:]}" for name in names], fontsize=7)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("noise added to the result")
    axes.grid(visible=True, axis="both", color="#d9dee6", lw=0.5)
    return _png(figure)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    # Not pyplot: it keeps figures, and takes a backend that may want a display.
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(colors=_INK)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    file = io.BytesIO()
    # Without the version of the library, files of the same search are the same.
    figure.savefig(file, format="png", dpi=120, metadata={"Software": None})
    return file.getvalue()

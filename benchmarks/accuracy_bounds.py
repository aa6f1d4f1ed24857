"""The bounds that accuracy is held to, each with what was required and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from accuracy_cells import IN_ONNXRUNTIME, Cell
from accuracy_tasks import Scores

Cells = Mapping[str, Cell]
"""The cell of each setting."""

MUST_BEAT = {"silero_vad": None, "mobilenet_v2": 0.80}
"""Models that must beat onnxruntime by two standard errors, and a figure that they must reach besides."""

NO_FLOATS = ("magika",)
"""Models that must be within a standard error of float, with no operation left in float."""

MASK_IOU = 0.878
EQUALIZED_LOSS = 0.003
BENCH_EQUALIZED = 0.978
BENCH_TRANSFORMER = 0.876
NEAR = 0.005
"""How far, as a share, 16-bit integers may be from float, and bfloat16 from onnxruntime."""

JUDGED = {"ppocrv4_det": "mask_iou_vs_float"}
"""Models that are judged by another metric than their main one."""


@dataclass(frozen=True)
class Bound:
    """A figure and its limit.

    Attributes:
        what: is bounded.
        found: the figure, None when it could not be measured.
        required: the limit.
        sense: whether the figure must be at least or at most that.
    """

    what: str
    found: float | None
    required: float
    sense: Literal["least", "most"] = "least"

    @property
    def holds(self) -> bool:
        """Whether the figure is within the limit; rounding errors of sums do not decide."""
        if self.found is None:
            return False
        return self.found >= self.required - 1e-9 if self.sense == "least" else self.found <= self.required + 1e-9

    def __str__(self) -> str:
        found = "not measured" if self.found is None else f"{self.found:.4f}"
        limit = f"{'<=' if self.sense == 'most' else '>='} {self.required:.4f}"
        return f"{'holds' if self.holds else 'FAILS'}: {self.what}: {found} {limit}"


def zoo_bounds(name: str, metric: str, samples: int, known: Mapping[str, Scores], cells: Cells) -> list[Bound]:
    """The bounds of a model of the zoo for those of its settings that were run.

    Args:
        name: of the model.
        metric: its main metric.
        samples: evaluation samples.
        known: onnxruntime's figures.
        cells: what was measured.
    """
    exact, one = cells["float"].scores, 1 / samples
    judged = JUDGED.get(name, metric)
    bounds: list[Bound] = []
    if (cell := cells.get("default")) is not None:
        value, error = cell.scores.get(judged), cell.errors.get(judged, 0.0)
        peers = [figures[judged] for figures in known.values() if judged in figures]
        if name in JUDGED:
            bounds.append(Bound(f"default, {judged}", value, MASK_IOU))
        elif peers:
            what = "default against min(float, onnxruntime) - max(se, one sample)"
            bounds.append(Bound(what, value, min(exact[judged], max(peers)) - max(error, one)))
        if name in MUST_BEAT and peers:
            bounds.append(Bound("default against onnxruntime + 2 se", value, max(peers) + 2 * error))
            if (least := MUST_BEAT[name]) is not None:
                bounds.append(Bound("default", value, least))
        if name in NO_FLOATS:
            bounds.append(Bound("default against float - se", value, exact[judged] - error))
            bounds.append(Bound("operations left in float", float(len(cell.in_float)), 0.0, "most"))
        if (wide := cells.get("a16w8")) is not None and value is not None:
            bounds.append(Bound("W8A16 against W8A8 - one sample", wide.scores.get(judged), value - one))
    if name == "mnist_mobilenet_hard" and (cell := cells.get("per tensor equalized")) is not None:
        bounds.append(Bound("per-tensor weights, equalized", cell.scores.get(metric), exact[metric] - EQUALIZED_LOSS))
    if (cell := cells.get("a16w16")) is not None:
        for key, value in exact.items():
            what = "W16A16 against float" + ("" if key == judged else f", {key}")
            bounds.append(Bound(what, cell.scores.get(key), value - max(NEAR * abs(value), one)))
    reference, cell = cells.get(f"bf16{IN_ONNXRUNTIME}"), cells.get("bf16")
    if reference is not None and cell is not None:
        value, expected = cell.scores.get(judged), reference.scores.get(judged)
        difference = None if value is None or expected is None else abs(value - expected)
        limit = max(NEAR * (expected or 0.0), one)
        bounds.append(Bound("bfloat16: difference to onnxruntime's", difference, limit, "most"))
    return bounds


def bench_bounds(name: str, cells: Cells, folded: Cells | None) -> list[Bound]:
    """The bounds of a bench network; see `zoo_bounds`.

    Args:
        name: of the network; `raw/` are those as their exporter wrote them.
        cells: what was measured.
        folded: what was measured of the folded export of the same network, for a raw one.
    """
    bounds: list[Bound] = []
    base = name.removeprefix("raw/")
    if base in ("mbv2_hard", "mbv2_mid") and (cell := cells.get("per tensor equalized")) is not None:
        bounds.append(Bound("per-tensor weights, equalized", cell.scores.get("acc"), BENCH_EQUALIZED))
        if (twin := (folded or {}).get("per tensor equalized")) is not None:
            differs = float(cell.digest != twin.digest)
            bounds.append(Bound("outputs that differ from the folded export's", differs, 0.0, "most"))
    if base == "vit_hard" and (cell := cells.get("default")) is not None:
        bounds.append(Bound("default", cell.scores.get("acc"), BENCH_TRANSFORMER))
    return bounds

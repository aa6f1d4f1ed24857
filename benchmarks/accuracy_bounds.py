"""The bounds that accuracy is held to, each with what was required and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Cells = Mapping[str, Mapping[str, Any]]
"""For each setting: `value`, `standard_error`, `scores`, `in_float`."""

MUST_BEAT = {"silero_vad": None, "mobilenet_v2": 0.80}
"""Models that must beat onnxruntime by two standard errors, and a figure that they must reach besides."""

MASK_IOU = 0.878
EQUALIZED_LOSS = 0.003
BENCH_EQUALIZED = 0.978
BENCH_TRANSFORMER = 0.876


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


def zoo_bounds(name: str, samples: int, known: Mapping[str, float], cells: Cells) -> list[Bound]:
    """The bounds of a model of the zoo for those of its settings that were run.

    Args:
        name: of the model.
        samples: evaluation samples.
        known: onnxruntime's figures.
        cells: what was measured.
    """
    exact, one = float(cells["float"]["value"]), 1 / samples
    peers = [value for key, value in known.items() if key.startswith("ort ")]
    bounds: list[Bound] = []
    if (cell := cells.get("default")) is not None:
        error = float(cell["standard_error"])
        if name == "ppocrv4_det":
            bounds.append(Bound("default, mask_iou_vs_float", cell["scores"].get("mask_iou_vs_float"), MASK_IOU))
        elif peers:
            what = "default against min(float, onnxruntime)"
            bounds.append(Bound(what, cell["value"], min(exact, max(peers)) - max(error, one)))
        if name in MUST_BEAT and peers:
            bounds.append(Bound("default against onnxruntime + 2 se", cell["value"], max(peers) + 2 * error))
            if (least := MUST_BEAT[name]) is not None:
                bounds.append(Bound("default", cell["value"], least))
        if name == "magika":
            bounds.append(Bound("default against float, within one se", cell["value"], exact - error))
            bounds.append(Bound("operations left in float", float(len(cell["in_float"])), 0.0, "most"))
        if (wide := cells.get("a16w8")) is not None and cell["value"] is not None:
            bounds.append(Bound("W8A16 against W8A8", wide["value"], cell["value"] - one))
    if name == "mnist_mobilenet_hard" and (cell := cells.get("per tensor equalized")) is not None:
        bounds.append(Bound("per-tensor weights, equalized", cell["value"], exact - EQUALIZED_LOSS))
    if (cell := cells.get("a16w16")) is not None:
        bounds.append(Bound("W16A16 against float", cell["value"], exact - max(0.005 * exact, one)))
    reference = cells.get("bf16 in onnxruntime")
    if reference is not None and reference["value"] is not None:
        value, expected = cells["bf16"]["value"], float(reference["value"])
        difference = None if value is None else abs(value - expected)
        limit = max(0.005 * expected, one)
        bounds.append(Bound("bfloat16: difference to onnxruntime's", difference, limit, "most"))
    return bounds


def bench_bounds(name: str, samples: int, known: Mapping[str, float], cells: Cells) -> list[Bound]:
    """The bounds of a bench network; see `zoo_bounds`."""
    bounds: list[Bound] = []
    base = name.removeprefix("raw/")
    if base in ("mbv2_hard", "mbv2_mid") and (cell := cells.get("per tensor equalized")) is not None:
        bounds.append(Bound("per-tensor weights, equalized", cell["value"], BENCH_EQUALIZED))
    if base == "vit_hard":
        measured = [
            (label, cell["value"])
            for label in ("default", "smooth")
            if (cell := cells.get(label)) is not None and cell["value"] is not None
        ]
        if measured:
            label, value = max(measured, key=lambda pair: pair[1])
            bounds.append(Bound(f"W8A8 ({label})", value, BENCH_TRANSFORMER))
    return bounds

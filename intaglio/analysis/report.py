"""What an analysis of quantization found, as objects, JSON and a table."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from intaglio.analysis.error_statistics import ChannelError, TensorError, finite
from intaglio.errors import UserError

FIGURES = ("sqnr_db", "mse", "cosine", "psnr_db", "max_error", "mean_error")
"""The figures of a `TensorError` by name."""

_WIDTH = 140


@dataclass(frozen=True)
class Distribution:
    """A histogram of values: those of a tensor over the data.

    Attributes:
        edges: limits of the bins in real values, one more than there are bins.
        counts: how many of the values looked at lie in each bin.
    """

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class LayerReport:
    """One tensor of the network: its error and where it comes from.

    Attributes:
        name: that of the ONNX node it comes from.
        kind: the operation, such as `nn.conv2d`.
        stored: how the tensor is stored: `i8`, `i16`, `bf16`, or `f32` where it is not quantized.
        precision: that of the operation as it was assigned, such as `a8w8`; None where nothing was assigned.
        shape: of the tensor.
        accumulated: the error in the quantized network: that of the layer and of all before it.
        local: the error that the layer adds by itself: fed float values, quantized as it takes them. None for what
            was not measured.
        low: smallest value in the float network.
        high: largest value in the float network.
        representable: the range that the stored type can hold; None for floats.
        clipped: the share of values outside that range.
        worst_channels: the channels that have most of the error (the local one if it was measured).
        floats: distribution of the float network's values.
        quantized: distribution of the quantized network's values.
        hint: what to try, or None when the layer does little damage.
        moves_only: whether the operation only moves values, so that it does no damage of its own.
    """

    name: str
    kind: str
    stored: str
    precision: str | None
    shape: tuple[int, ...]
    accumulated: TensorError
    local: TensorError | None
    low: float
    high: float
    representable: tuple[float, float] | None
    clipped: float
    worst_channels: list[ChannelError]
    floats: Distribution
    quantized: Distribution
    hint: str | None
    moves_only: bool

    @property
    def damage(self) -> float:
        """Noise that the layer adds by itself, relative to its signal: `10^(-SQNR / 10)`, from local feed."""
        error = self.local or self.accumulated
        return 0.0 if error.sqnr_db == math.inf else 10 ** (-max(error.sqnr_db, -300.0) / 10)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON; figures that are not finite are None."""
        return {
            "name": self.name,
            "kind": self.kind,
            "stored": self.stored,
            "precision": self.precision,
            "shape": list(self.shape),
            "accumulated": self.accumulated.to_dict(),
            "local": self.local.to_dict() if self.local is not None else None,
            "damage": finite(self.damage),
            "range": {"min": finite(self.low), "max": finite(self.high)},
            "representable": list(self.representable) if self.representable is not None else None,
            "clipped": self.clipped,
            "worst_channels": [channel.to_dict() for channel in self.worst_channels],
            "hint": self.hint,
        }


@dataclass(frozen=True)
class Divergence:
    """The first tensor at which two executions part.

    Attributes:
        name: the tensor.
        between: what is compared: `float and quantized`, or `quantized and simulator`.
        detail: how they differ there.
    """

    name: str
    between: str
    detail: str

    def __str__(self) -> str:
        return f"{self.between} first differ at {self.name!r}: {self.detail}"


@dataclass(frozen=True)
class SimulatorReport:
    """Quantized execution and simulated instruction stream, tensor by tensor.

    Attributes:
        target: the accelerator.
        tensors: how many tensors were compared.
        samples: on how many samples.
        divergence: the first tensor with an element that differs, None when all are equal.
    """

    target: str
    tensors: int
    samples: int
    divergence: Divergence | None

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "target": self.target,
            "tensors": self.tensors,
            "samples": self.samples,
            "first_divergence": None if self.divergence is None else vars(self.divergence),
        }


@dataclass(frozen=True)
class NoiseReport:
    """The noise that quantization brings into a network.

    Attributes:
        model: its name.
        samples: how many were run.
        layers: the tensors in the order in which they are computed.
        outputs: the error of each output by its ONNX name.
        divergence: the first tensor whose accumulated SQNR is below the threshold, None when there is none.
        threshold_db: that threshold.
        simulator: the comparison with the simulator, when it was asked for.
    """

    model: str
    samples: int
    layers: list[LayerReport]
    outputs: dict[str, TensorError]
    divergence: Divergence | None
    threshold_db: float
    simulator: SimulatorReport | None = None

    def layer(self, name: str) -> LayerReport:
        """The layer of that name.

        Raises:
            UserError: there is none.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise UserError(f"the report has no layer {name!r}")

    def ranked(self) -> list[LayerReport]:
        """The layers by the damage they do, the worst first; those that only move values are left out."""
        return sorted((layer for layer in self.layers if not layer.moves_only), key=lambda layer: -layer.damage)

    def figures(self, figure: str, *, local: bool = False) -> dict[str, float]:
        """One figure of every layer by its name, as AFE's analyzer gives them.

        Args:
            figure: one of `FIGURES`.
            local: the layer's own error instead of the accumulated one.

        Raises:
            UserError: there is no such figure.
        """
        if figure not in FIGURES:
            raise UserError(f"there is no figure {figure!r}", hint=f"figures: {', '.join(FIGURES)}")
        found = ((layer.name, layer.local if local else layer.accumulated) for layer in self.layers)
        return {name: float(getattr(error, figure)) for name, error in found if error is not None}

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON; figures that are not finite are None."""
        return {
            "model": self.model,
            "samples": self.samples,
            "outputs": {name: error.to_dict() for name, error in self.outputs.items()},
            "threshold_db": self.threshold_db,
            "first_divergence": None if self.divergence is None else vars(self.divergence),
            "simulator": None if self.simulator is None else self.simulator.to_dict(),
            "ranking": [layer.name for layer in self.ranked()],
            "layers": [layer.to_dict() for layer in self.layers],
        }

    def write_html(self, path: str | Path) -> None:
        """Write a page that shows everything and needs nothing besides itself.

        Raises:
            UserError: the file cannot be written.
        """
        # The page imports this module.
        from intaglio.analysis.page import write_page  # noqa: PLC0415

        write_page(self, path)

    def print(self, console: Console, most: int | None = None) -> None:
        """Print the report as tables.

        Args:
            console: where to.
            most: how many layers to show, the worst ones, in the network's order; None for all.
        """
        worst = self.ranked()
        rank = {id(layer): index + 1 for index, layer in enumerate(worst)}
        shown = self.layers if most is None else _worst(self.layers, rank, most)
        console.print(
            f"{escape(self.model)}: noise of quantization on {self.samples} samples", style="bold", soft_wrap=True
        )
        console.print(_layer_table(shown, rank))
        if len(shown) < len(self.layers):
            console.print(f"{len(self.layers) - len(shown)} layers with less damage are not shown", style="dim")
        for name, error in self.outputs.items():
            console.print(
                f"output {escape(name)}: SQNR {decibel_text(error.sqnr_db)}, MSE {error.mse:.3g}, "
                f"cosine {error.cosine:.6f}, largest error {error.max_error:.3g}",
                soft_wrap=True,
            )
        if self.divergence is not None:
            console.print(escape(str(self.divergence)), soft_wrap=True)
        else:
            console.print(f"no layer has an accumulated SQNR below {self.threshold_db:g} dB")
        if self.simulator is not None:
            found = self.simulator
            text = f"{found.tensors} tensors on {found.samples} samples are bit for bit equal in the simulator"
            console.print(escape(str(found.divergence) if found.divergence is not None else text), soft_wrap=True)

    def __str__(self) -> str:
        stream = io.StringIO()
        self.print(Console(file=stream, width=_WIDTH, highlight=False))
        return stream.getvalue().rstrip("\n")


def _worst(layers: Sequence[LayerReport], rank: dict[int, int], most: int) -> list[LayerReport]:
    return [layer for layer in layers if rank.get(id(layer), most + 1) <= most]


def _layer_table(layers: Sequence[LayerReport], rank: dict[int, int]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("layer", "operation", "stored"):
        table.add_column(heading, overflow="fold")
    for heading in ("SQNR", "own SQNR", "MSE", "cosine", "PSNR", "max error", "rank"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("worst channel", no_wrap=True)
    table.add_column("hint", overflow="fold")
    for layer in layers:
        error = layer.accumulated
        worst = layer.worst_channels[0] if layer.worst_channels else None
        table.add_row(
            escape(layer.name),
            escape(layer.kind),
            layer.stored,
            decibel_text(error.sqnr_db),
            decibel_text(layer.local.sqnr_db) if layer.local is not None else "",
            f"{error.mse:.2g}",
            f"{error.cosine:.4f}",
            decibel_text(error.psnr_db),
            f"{error.max_error:.3g}",
            str(rank.get(id(layer), "")),
            f"{worst.channel} ({worst.share:.0%})" if worst is not None else "",
            escape(layer.hint or ""),
        )
    return table


def decibel_text(value: float) -> str:
    """A ratio for people: `23.4 dB`, `equal` without any error."""
    if math.isnan(value):
        return "-"
    return "equal" if value == math.inf else f"{value:.1f} dB"

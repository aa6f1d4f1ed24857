"""What instructions cost on an idle machine: the formulas of `docs/accelerator.md`, in one place.

The clock adds what depends on other queues (semaphores, a shared DRAM port, bank conflicts); schedulers that
estimate a tile use the same functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from intaglio.targets.simulator.geometry import Lattice
from intaglio.targets.simulator.steps import (
    PARAMETER_BYTES,
    Convert,
    Depthwise,
    Elementwise,
    Multiply,
    Pool,
    Requantize,
    Transfer,
    VectorWork,
    Work,
)
from intaglio.targets.target import Target


@dataclass(frozen=True)
class Cost:
    """What an instruction costs.

    Args:
        setup_cycles: before it touches the scratchpad or DRAM's data; not slowed by other queues.
        work_cycles: the rest, on an idle machine.
        lines: scratchpad lines of D bytes accessed during the work.
        macs: multiply-accumulate operations of the matrix array or the depthwise lanes.
        read_bytes: bytes read over the DRAM port, in whole bursts.
        written_bytes: bytes written over the DRAM port, in whole bursts.
    """

    setup_cycles: int
    work_cycles: int
    lines: int
    macs: int = 0
    read_bytes: int = 0
    written_bytes: int = 0

    @property
    def cycles(self) -> int:
        """Cycles on an idle machine."""
        return self.setup_cycles + self.work_cycles

    @property
    def lines_per_cycle(self) -> float:
        """Scratchpad lines accessed in a cycle of the work."""
        return self.lines / self.work_cycles if self.work_cycles else 0.0


def cost_of(work: Work, target: Target) -> Cost:
    """Return what an instruction costs.

    Args:
        work: the instruction.
        target: the accelerator.
    """
    if isinstance(work, Transfer):
        return transfer_cost(work, target)
    if isinstance(work, Multiply):
        return multiply_cost(work.positions, work.read.taps.count, work.inner, work.outer, target)
    return _vector_cost(work, target)


def transfer_cost(work: Transfer, target: Target) -> Cost:
    """Return what a transfer costs; a run takes all bursts that it touches."""
    burst = target.dram_burst_bytes
    moved = _bursts(work.dram, burst) * burst
    return Cost(
        setup_cycles=target.dma_descriptor_cycles + (target.dram_latency_cycles if work.is_load else 0),
        work_cycles=math.ceil(moved / target.dram_bytes_per_cycle),
        lines=math.ceil(work.size / target.array_size),
        read_bytes=moved if work.is_load else 0,
        written_bytes=0 if work.is_load else moved,
    )


def _bursts(dram: Lattice, burst: int) -> int:
    """The number of aligned bursts that the runs touch, each run counted by itself."""
    starts = Lattice(dram.base, dram.shape[:-1], dram.strides[:-1])
    length = dram.shape[-1]
    if dram.base % burst == 0 and all(
        stride % burst == 0 for count, stride in zip(starts.shape, starts.strides, strict=True) if count > 1
    ):
        return starts.size * math.ceil(length / burst)
    offsets = starts.indices() % burst
    return int(np.sum((offsets + (length - 1)) // burst + 1))


def multiply_cost(positions: int, taps: int, inner: int, outer: int, target: Target) -> Cost:
    """Return what `matrix.multiply` costs.

    Args:
        positions: output positions.
        taps: kernel taps, each with a weight tile.
        inner: rows of a weight tile.
        outer: columns of a weight tile.
        target: the accelerator.
    """
    size = target.array_size
    return Cost(
        setup_cycles=target.fill_cycles_per_row * size,
        work_cycles=size + taps * max(positions, size),
        lines=taps * (positions + inner),
        macs=positions * taps * inner * outer,
    )


def vector_cycles(kind: str, positions: int, channels: int, taps: int, target: Target) -> int:
    """Return the cycles of a vector instruction after its start.

    Args:
        kind: its mnemonic without the queue, `requantize` or `add`.
        positions: output positions.
        channels: channels, taken in groups of D.
        taps: kernel taps; ignored by instructions without.
        target: the accelerator.
    """
    if kind == "depthwise":
        per_result = math.ceil(taps / target.depthwise_taps_per_cycle) + 1
    elif kind in {"max", "sum"}:
        per_result = taps + 1
    else:
        per_result = _CYCLES_PER_RESULT.get(kind, 1)
    return math.ceil(channels / target.array_size) * positions * per_result


_CYCLES_PER_RESULT = {"multiply": 2, "add": 4, "subtract": 4}


def _vector_cost(work: VectorWork, target: Target) -> Cost:
    rows, columns, channels = work.output.shape
    positions, groups = rows * columns, math.ceil(channels / target.array_size)
    results = positions * groups
    lines, macs, taps = results, 0, 1
    if isinstance(work, Requantize):
        kind = "requantize"
        lines += groups * PARAMETER_BYTES
    elif isinstance(work, Depthwise):
        kind, taps = "depthwise", work.read.taps.count
        lines += results * taps + groups * (taps + PARAMETER_BYTES)
        macs = positions * taps * channels
    elif isinstance(work, Pool):
        kind, taps = work.kind.value, work.read.taps.count
        lines += results * taps
    elif isinstance(work, Elementwise):
        kind = work.kind.value
        lines += 2 * results
    else:
        kind = "convert" if isinstance(work, Convert) else "lookup"
        lines += results
    return Cost(
        setup_cycles=target.vector_start_cycles,
        work_cycles=vector_cycles(kind, positions, channels, taps, target),
        lines=lines,
        macs=macs,
    )

"""Costs of decoded instructions, by the formulas of `intaglio.targets.costs`."""

from __future__ import annotations

import numpy as np

from intaglio.targets.costs import CONFIGURATION, Cost, multiply_cost, run_bursts, transfer_cost, vector_cost
from intaglio.targets.simulator.geometry import Lattice
from intaglio.targets.simulator.steps import Depthwise, Multiply, Pool, Step, Transfer
from intaglio.targets.target import Target


def cost_of(step: Step, target: Target) -> Cost:
    """Return what an instruction costs on an idle machine.

    Args:
        step: the instruction.
        target: the accelerator.
    """
    work = step.work
    if work is None:
        return CONFIGURATION
    if isinstance(work, Transfer):
        return transfer_cost(work.size, _bursts(work.dram, target), target, is_load=work.is_load)
    if isinstance(work, Multiply):
        return multiply_cost(work.positions, work.read.taps.count, work.inner, work.outer, target)
    rows, columns, channels = work.output.shape
    taps = work.read.taps.count if isinstance(work, Depthwise | Pool) else 1
    kind = step.word.instruction.mnemonic.partition(".")[2]
    return vector_cost(kind, rows * columns, channels, taps, target)


def _bursts(dram: Lattice, target: Target) -> int:
    """The number of aligned bursts that the runs touch, each run counted by itself."""
    burst, length = target.dram_burst_bytes, dram.shape[-1]
    starts = Lattice(dram.base, dram.shape[:-1], dram.strides[:-1])
    steps = [stride for count, stride in zip(starts.shape, starts.strides, strict=True) if count > 1]
    if all(stride % burst == 0 for stride in steps):
        return starts.size * run_bursts(dram.base, length, target)
    return int(np.sum((starts.indices() % burst + (length - 1)) // burst + 1))

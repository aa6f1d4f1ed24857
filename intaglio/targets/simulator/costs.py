"""Costs of decoded instructions, by the formulas of `intaglio.targets.costs`."""

from __future__ import annotations

import numpy as np

from intaglio.targets.costs import (
    CONFIGURATION,
    Cost,
    ElementBytes,
    multiply_cost,
    run_bursts,
    transfer_cost,
    transpose_cost,
    vector_cost,
)
from intaglio.targets.instruction_format import BIAS_BYTES
from intaglio.targets.instructions import PARAMETER_BYTES, WIDE_PARAMETER_BYTES
from intaglio.targets.simulator.geometry import Lattice
from intaglio.targets.simulator.steps import (
    AccumulatorWork,
    BinaryWork,
    Depthwise,
    FloatCombine,
    FloatDepthwise,
    FloatSums,
    Multiply,
    Requantize,
    Step,
    TappedWork,
    Transfer,
    Transpose,
    VectorWork,
)
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
        elements = ElementBytes(work.read.map.element_bytes, weights=work.weights.width, packed=work.is_packed)
        return multiply_cost(work.positions, work.read.taps.count, work.inner, work.outer, target, elements)
    rows, columns, channels = work.output.shape
    if isinstance(work, Transpose):
        return transpose_cost(rows, columns, channels, target)
    taps = work.read.taps.count if isinstance(work, TappedWork) else 1
    kind = step.word.instruction.mnemonic.partition(".")[2]
    if isinstance(work, FloatCombine) and work.function == "divide":
        kind = "float_divide"
    return vector_cost(kind, rows * columns, channels, taps, target, _element_bytes(work))


def _element_bytes(work: VectorWork) -> ElementBytes:
    is_wide = isinstance(work, Requantize | Depthwise) and work.parameters.is_wide
    integers = WIDE_PARAMETER_BYTES if is_wide else PARAMETER_BYTES
    return ElementBytes(
        input=1 if isinstance(work, AccumulatorWork) else work.read.map.element_bytes,
        operand=work.second.width if isinstance(work, BinaryWork) else 1,
        weights=work.weights.width if isinstance(work, Depthwise | FloatDepthwise) else 1,
        output=work.output.width,
        parameters=BIAS_BYTES if isinstance(work, FloatSums | FloatDepthwise) else integers,
    )


def _bursts(dram: Lattice, target: Target) -> int:
    """The number of aligned bursts that the runs touch, each run counted by itself."""
    burst, length = target.dram_burst_bytes, dram.shape[-1]
    starts = Lattice(dram.base, dram.shape[:-1], dram.strides[:-1])
    steps = [stride for count, stride in zip(starts.shape, starts.strides, strict=True) if count > 1]
    if all(stride % burst == 0 for stride in steps):
        return starts.size * run_bursts(dram.base, length, target)
    return int(np.sum((starts.indices() % burst + (length - 1)) // burst + 1))

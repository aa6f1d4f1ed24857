"""What instructions cost on an idle machine: the formulas of `docs/accelerator.md`, in one place.

The simulator's clock adds what depends on other queues (semaphores, a shared DRAM port, bank conflicts);
schedulers that estimate a tile call the same functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from intaglio.targets.instructions import AFFINE_BYTES, EXPONENTIAL_BYTES, PARAMETER_BYTES, WIDE_AFFINE_BYTES
from intaglio.targets.target import Target

_CYCLES_PER_RESULT = {
    "requantize": 1,
    "convert": 1,
    "lookup": 1,
    "multiply": 2,
    "interpolate": 3,
    "add": 4,
    "subtract": 4,
    "minimum": 4,
    "maximum": 4,
    "softmax": 5,
    "normalize": 7,
    "logarithm": 6,
    "divide": 13,
    "float_sums": 1,
    "float_combine": 2,
    "float_divide": 10,
    "float_map": 8,
    "float_softmax": 13,
    "float_normalize": 7,
}
_BINARY = ("multiply", "divide", "add", "subtract", "minimum", "maximum", "float_combine", "float_divide")
_TAPPED = ("max", "sum", "root", "depthwise", "float_pool", "float_depthwise")
_DEPTHWISE = ("depthwise", "float_depthwise")
_OF_ACCUMULATORS = ("requantize", "float_sums")

_READ_AGAIN = {"softmax": 3, "normalize": 2, "float_softmax": 3, "float_normalize": 3}
"""How often an instruction reads a row: once for each thing that it finds out about it, and for the result."""

_SQUARE_ROOT_CYCLES = 12
"""For the square root in each lane: the zeros counted, the table, two iterations, the product, and rescaling."""

_SECOND_TABLE_CYCLES = 2
"""For the exponential of a difference of two bytes: the other table's entry, and the product."""

_ROOT_CYCLES = {"softmax": 10, "normalize": 20, "float_softmax": 10, "float_normalize": 20}
"""For the reciprocal (or reciprocal root) of up to D positions: the zeros counted, the table, two iterations."""


@dataclass(frozen=True)
class ElementBytes:
    """Bytes of the elements that an instruction works on.

    Args:
        input: of the feature map.
        operand: of the second operand.
        weights: of the weights.
        output: of the results.
        parameters: of a channel's bias, multiplier and shift.
        packed: whether weights have 4 bits, two in a byte.
    """

    input: int = 1
    operand: int = 1
    weights: int = 1
    output: int = 1
    parameters: int = PARAMETER_BYTES
    packed: bool = False

    @property
    def steps(self) -> int:
        """Steps of a product: one for each pair of bytes."""
        return self.input * self.weights


BYTES = ElementBytes()


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


CONFIGURATION = Cost(setup_cycles=1, work_cycles=0, lines=0)
"""Cost of a word that configures a queue."""


def transfer_cost(size: int, bursts: int, target: Target, *, is_load: bool) -> Cost:
    """Return what a transfer costs.

    Args:
        size: bytes moved.
        bursts: aligned bursts that its runs touch, each run counted by itself.
        target: the accelerator.
        is_load: whether it reads DRAM, which has a latency.
    """
    moved = bursts * target.dram_burst_bytes
    return Cost(
        setup_cycles=target.dma_descriptor_cycles + (target.dram_latency_cycles if is_load else 0),
        work_cycles=math.ceil(moved / target.dram_bytes_per_cycle),
        lines=math.ceil(size / target.array_size),
        read_bytes=moved if is_load else 0,
        written_bytes=0 if is_load else moved,
    )


def run_bursts(offset: int, size: int, target: Target) -> int:
    """Return the number of aligned bursts that a contiguous run touches.

    Args:
        offset: its first byte, relative to a region.
        size: its bytes, at least 1.
        target: the accelerator.
    """
    return (offset % target.dram_burst_bytes + size - 1) // target.dram_burst_bytes + 1


def multiply_cost(
    positions: int, taps: int, inner: int, outer: int, target: Target, elements: ElementBytes = BYTES
) -> Cost:
    """Return what `matrix.multiply` costs.

    Args:
        positions: output positions.
        taps: kernel taps, each with a weight tile.
        inner: rows of a weight tile.
        outer: columns of a weight tile.
        target: the accelerator.
        elements: bytes of values and weights.
    """
    rows, size = target.array_rows, target.array_size
    loading = rows * elements.weights
    weights = math.ceil(inner / 2) if elements.packed else inner * elements.weights
    return Cost(
        setup_cycles=target.fill_cycles_per_row * rows,
        work_cycles=loading + taps * max(positions * elements.steps, loading),
        lines=taps * (positions * math.ceil(inner * elements.input / size) + weights),
        macs=positions * taps * inner * outer,
    )


def transpose_cost(rows: int, columns: int, channels: int, target: Target) -> Cost:
    """Return what `vector.transpose` costs: tiles of at most D x D bytes are read line by line, and written so.

    Args:
        rows: output rows, each a matrix of its own.
        columns: output positions in a row.
        channels: channels.
        target: the accelerator.
    """
    size = target.array_size
    lines = rows * (columns * math.ceil(channels / size) + channels * math.ceil(columns / size))
    return Cost(setup_cycles=target.vector_start_cycles, work_cycles=lines, lines=lines)


def vector_cost(
    kind: str, positions: int, channels: int, taps: int, target: Target, elements: ElementBytes = BYTES
) -> Cost:
    """Return what a vector instruction costs.

    Args:
        kind: its mnemonic without the queue, `requantize` or `add`.
        positions: output positions.
        channels: channels, which the lanes take in groups of D.
        taps: kernel taps of `max`, `sum` and `depthwise`; ignored for the others.
        target: the accelerator.
        elements: bytes of what it reads and writes.
    """
    groups = math.ceil(channels / target.array_size)
    results = positions * groups
    reads = 0 if kind in _OF_ACCUMULATORS else elements.input * (taps if kind in _TAPPED else 1)
    constants = elements.parameters if kind in (*_OF_ACCUMULATORS, *_DEPTHWISE) else 0
    if kind in _DEPTHWISE:
        per_result = math.ceil(taps / target.depthwise_taps_per_cycle) * elements.steps + 1
        constants += taps * elements.weights
    elif kind in {"max", "sum", "float_pool"}:
        per_result = taps + 1
    elif kind == "root":
        per_result = taps + _SQUARE_ROOT_CYCLES
    else:
        per_result = _CYCLES_PER_RESULT[kind]
        if kind == "softmax" and elements.input > 1:
            per_result += _SECOND_TABLE_CYCLES
        reads = reads * _READ_AGAIN.get(kind, 1) + (elements.operand if kind in _BINARY else 0)
    work, lines = results * per_result, results * (elements.output + reads) + groups * constants
    if kind in _ROOT_CYCLES:
        # Two trees over the lanes and a reciprocal, for D positions at once.
        at_once = 2 * (target.array_size - 1).bit_length() + _ROOT_CYCLES[kind]
        work += math.ceil(positions / target.array_size) * at_once
        affine = AFFINE_BYTES if elements.output == 1 else WIDE_AFFINE_BYTES
        exponentials = elements.input * EXPONENTIAL_BYTES // target.array_size
        tables = {"normalize": groups * affine, "softmax": exponentials, "float_normalize": groups * AFFINE_BYTES}
        lines += tables.get(kind, 0)
    return Cost(
        setup_cycles=target.vector_start_cycles,
        work_cycles=work,
        lines=lines,
        macs=positions * taps * channels if kind in _DEPTHWISE else 0,
    )

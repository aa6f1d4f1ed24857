"""Placing buffers that are live at different times at addresses, so that no two live at once overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.ir import Attribute, SSAValue

from intaglio.dialects import npu

ALIGNMENT = 64
"""Of buffers, in bytes: the bursts of DRAM, and a multiple of the scratchpad's lines."""

ROUNDS = 200
"""Attempts at an order of placement before giving up."""

_CLOSE = 1.05
"""How far above the most bytes live at once a peak may be without a search for a lower one."""

Array = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class LiveRange:
    """A buffer and the tasks, by number, from the first to the last that works on it."""

    buffer: SSAValue[Attribute]
    size: int
    start: int
    end: int


@dataclass(frozen=True)
class Allocation:
    """Addresses of buffers."""

    addresses: dict[SSAValue[Attribute], int]
    peak: int
    """One past the last byte used."""

    lower_bound: int
    """Most bytes that are live at once: no allocation has a smaller peak."""


def live_ranges(program: npu.ProgramOp, space: npu.Space) -> list[LiveRange]:
    """The live ranges of the buffers that a program allocates in a memory; those of no task are left out."""
    tasks = (op for op in program.body.block.ops if isinstance(op, npu.TaskOp))
    return ranges_of(tasks, space)


def ranges_of(tasks: Iterable[npu.TaskOp], space: npu.Space) -> list[LiveRange]:
    """The live ranges of the buffers in a memory that tasks, in order, work on."""
    spans: dict[SSAValue, list[int]] = {}
    for number, task in enumerate(tasks):
        for buffer in task.buffers:
            spans.setdefault(buffer, [number, number])[1] = number
    return [
        LiveRange(buffer, kind.size, start, end)
        for buffer, (start, end) in spans.items()
        if (kind := npu.buffer_type(buffer)).space is space and isinstance(buffer.owner, npu.AllocateOp)
    ]


def live_bytes(ranges: Sequence[LiveRange]) -> Array:
    """Bytes live at each task, with buffers rounded up to the alignment."""
    length = max((live.end for live in ranges), default=0) + 2
    change = np.zeros(length, np.int64)
    for live in ranges:
        size = _aligned(live.size)
        change[live.start] += size
        change[live.end + 1] -= size
    return np.cumsum(change)


def allocate(ranges: Sequence[LiveRange], capacity: int | None = None, rounds: int = ROUNDS) -> Allocation | None:
    """Find addresses.

    Buffers are placed one by one at the lowest address free during their whole life: the largest first, then in
    other orders, at last with the one that did not fit in front.

    Args:
        ranges: the buffers.
        capacity: bytes there are; without, the first order is taken.
        rounds: how often to try with the one that did not fit in front.

    Returns:
        The allocation, or None if no order tried fits.
    """
    bound = int(live_bytes(ranges).max(initial=0))
    if capacity is not None and bound > capacity:
        return None
    sizes = np.array([_aligned(live.size) for live in ranges], np.int64)
    spans = np.array([(live.start, live.end) for live in ranges], np.int64).reshape(-1, 2)
    lengths = spans[:, 1] - spans[:, 0] + 1
    orders = [
        np.lexsort((spans[:, 0], -sizes)),
        np.lexsort((spans[:, 0], -sizes * lengths)),
        np.lexsort((-sizes, spans[:, 0])),
        np.lexsort((spans[:, 0], -lengths)),
    ]
    for order in orders:
        result = _place(ranges, sizes, spans, order, capacity)
        if isinstance(result, Allocation):
            return Allocation(result.addresses, result.peak, bound)
    order = list(orders[0])
    for _ in range(rounds):
        result = _place(ranges, sizes, spans, np.array(order), capacity)
        if isinstance(result, Allocation):
            return Allocation(result.addresses, result.peak, bound)
        order.remove(result)
        order.insert(0, result)
    return None


def tighten(allocation: Allocation, ranges: Sequence[LiveRange]) -> Allocation:
    """Search for an allocation close to the lower bound, if one is not; the given one where none is found.

    Args:
        allocation: of the buffers.
        ranges: the buffers.
    """
    close = int(allocation.lower_bound * _CLOSE) // ALIGNMENT * ALIGNMENT
    if allocation.peak <= close:
        return allocation
    return allocate(ranges, close) or allocation


def present_allocation(ranges: Sequence[LiveRange], capacity: int) -> Allocation | None:
    """The addresses that buffers have already, or None if one has none, or two that are live at once overlap."""
    addresses: dict[SSAValue[Attribute], int] = {}
    for live in ranges:
        owner = live.buffer.owner
        if not isinstance(owner, npu.AllocateOp) or owner.address is None:
            return None
        addresses[live.buffer] = owner.address.value.data
    start, end = (np.array([getattr(live, name) for live in ranges], np.int64) for name in ("start", "end"))
    first = np.array(list(addresses.values()), np.int64)
    last = first + np.array([_aligned(live.size) for live in ranges], np.int64)
    if np.any(last > capacity):
        return None
    for number in range(len(ranges)):
        at_once = (start <= end[number]) & (end >= start[number]) & (first < last[number]) & (last > first[number])
        if np.count_nonzero(at_once) > 1:
            return None
    return Allocation(addresses, int(last.max(initial=0)), int(live_bytes(ranges).max(initial=0)))


def _place(
    ranges: Sequence[LiveRange], sizes: Array, spans: Array, order: Array, capacity: int | None
) -> Allocation | int:
    """Place buffers in an order; returns the number of the first that does not fit, if one does not."""
    starts, ends = spans[order, 0], spans[order, 1]
    first, last = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
    addresses: dict[SSAValue[Attribute], int] = {}
    for count, number in enumerate(int(index) for index in order):
        size = int(sizes[number])
        near = np.flatnonzero((starts[:count] <= ends[count]) & (ends[:count] >= starts[count]))
        address = _lowest_gap(first[near], last[near], size)
        if capacity is not None and address + size > capacity:
            return number
        first[count], last[count] = address, address + size
        addresses[ranges[number].buffer] = address
    return Allocation(addresses, int(last.max(initial=0)), 0)


def _lowest_gap(first: Array, last: Array, size: int) -> int:
    """The lowest address with `size` bytes free between intervals `first..last`."""
    if not len(first):
        return 0
    order = np.argsort(first)
    reached = np.maximum.accumulate(last[order])
    begins = np.concatenate(([0], reached))
    room = np.concatenate((first[order], [np.iinfo(np.int64).max])) - begins
    return int(begins[np.argmax(room >= size)])


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT

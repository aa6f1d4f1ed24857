"""Which tasks must wait for which: conflicts on memory between queues, less those that others imply.

Tasks of one queue are executed in order. A task that reads what one of another queue wrote, or writes what one read
or wrote, must wait for it to finish. Waiting for a task implies waiting for all that it waited for and for all before
it in its queue, so few of the conflicts need a token of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intaglio.dialects import npu

QUEUES = ("load", "store", "matrix", "vector")

Array = np.ndarray[Any, np.dtype[np.int64]]

OUTSTANDING = 255
"""Most signals that a semaphore may hold; there is one for each ordered pair of queues."""


@dataclass(frozen=True)
class _Touch:
    """An access of a task: a memory, byte (or row) intervals of it, and whether it writes."""

    memory: int
    intervals: Array
    writes: bool


def address_of(value: Any) -> int:
    """The address of a constant's or allocation's buffer.

    Raises:
        AssertionError: none is assigned; the caller has checked.
    """
    owner = value.owner
    assert isinstance(owner, npu.AllocateOp | npu.ConstantOp) and owner.address is not None
    return owner.address.value.data


class _Memories:
    """Numbers memories, and translates accesses to addresses in them."""

    ACCUMULATORS = 0
    SCRATCHPAD = 1
    ARENA = 2

    def __init__(self) -> None:
        self._outputs: dict[Any, int] = {}

    def touches(self, task: npu.TaskOp) -> list[_Touch]:
        """What a task touches of memories that tasks write."""
        touches: list[_Touch] = []
        for access in task.accesses():
            if not len(access.intervals):
                continue
            if access.buffer is None:
                touches.append(_Touch(self.ACCUMULATORS, access.intervals, access.writes))
                continue
            space = npu.space_of(access.buffer)
            if space is npu.Space.CONSTANTS:
                continue
            if space is npu.Space.DRAM:
                memory = self._outputs.setdefault(access.buffer, 3 + len(self._outputs))
                touches.append(_Touch(memory, access.intervals, access.writes))
                continue
            memory = self.SCRATCHPAD if space is npu.Space.SCRATCHPAD else self.ARENA
            touches.append(_Touch(memory, access.intervals + address_of(access.buffer), access.writes))
        return touches


class _History:
    """For each part of a memory and each queue, the last task that wrote it and the last that read it."""

    def __init__(self, bounds: Array) -> None:
        self._bounds = bounds
        self._last = np.full((2, len(QUEUES), len(bounds)), -1, np.int64)

    def _parts(self, intervals: Array) -> Array | slice:
        index = np.searchsorted(self._bounds, intervals)
        if len(index) == 1:
            return slice(int(index[0, 0]), int(index[0, 1]))
        lengths = index[:, 1] - index[:, 0]
        steps = np.ones(int(lengths.sum()), np.int64)
        ends = np.cumsum(lengths)[:-1]
        steps[0] = index[0, 0]
        steps[ends] = index[1:, 0] - index[:-1, 1] + 1
        return np.cumsum(steps)

    def conflicts(self, touch: _Touch) -> Array:
        """For each queue the last task that conflicts, -1 for none."""
        kinds = self._last if touch.writes else self._last[:1]
        return kinds[:, :, self._parts(touch.intervals)].max(axis=(0, 2))

    def record(self, touch: _Touch, queue: int, number: int) -> None:
        """Remember an access."""
        self._last[0 if touch.writes else 1, queue, self._parts(touch.intervals)] = number


def find_dependencies(tasks: Sequence[npu.TaskOp]) -> list[list[int]]:
    """For each task, the numbers of those of other queues that it must wait for itself.

    What is implied by the others, or by waits of earlier tasks of its queue, is left out. Waits that keep the
    number of outstanding signals between two queues within what a semaphore counts are included.

    Args:
        tasks: in program order, with addresses assigned.
    """
    memories = _Memories()
    touches = [memories.touches(task) for task in tasks]
    queues = [QUEUES.index(task.QUEUE) for task in tasks]
    conflicts = _conflicts(touches, queues)
    forced: dict[int, list[int]] = {}
    while True:
        order = _Order(queues)
        for number, wanted in enumerate(conflicts):
            order.start(number, wanted, forced.get(number, []))
        more = list(order.overflows())
        if not more:
            return order.waits
        for waiting, task in more:
            forced.setdefault(waiting, []).append(task)


def _conflicts(touches: Sequence[Sequence[_Touch]], queues: Sequence[int]) -> list[Array]:
    """For each task the last one of each queue, itself included, with which it conflicts; -1 for none."""
    histories = _histories(touches)
    conflicts: list[Array] = []
    for number, touched in enumerate(touches):
        last = np.full(len(QUEUES), -1, np.int64)
        for touch in touched:
            np.maximum(last, histories[touch.memory].conflicts(touch), out=last)
        for touch in touched:
            histories[touch.memory].record(touch, queues[number], number)
        conflicts.append(last)
    return conflicts


def _histories(touches: Sequence[Sequence[_Touch]]) -> dict[int, _History]:
    """An empty history for each memory, cut where any access begins or ends."""
    edges: dict[int, list[Array]] = {}
    for touched in touches:
        for touch in touched:
            edges.setdefault(touch.memory, []).append(touch.intervals.reshape(-1))
    return {memory: _History(np.unique(np.concatenate(found))) for memory, found in edges.items()}


class _Order:
    """What is known to have finished when a task starts, given the waits found so far."""

    def __init__(self, queues: Sequence[int]) -> None:
        self.waits: list[list[int]] = []
        self._queues = queues
        self._known: list[Array] = []
        """For each task, the last task of each queue known to have finished when it has."""
        self._previous = [-1] * len(QUEUES)
        self._signals: dict[tuple[int, int], list[tuple[int, int]]] = {}
        """For each ordered pair of queues, who signals and who waits, in order."""

    def start(self, number: int, conflicts: Array, forced: Sequence[int]) -> None:
        """Find what a task must wait for: the conflicts, and the tasks given, that are not implied."""
        queue = self._queues[number]
        previous = self._previous[queue]
        known = self._known[previous].copy() if previous >= 0 else np.full(len(QUEUES), -1, np.int64)
        wanted = conflicts.copy()
        for task in forced:
            wanted[self._queues[task]] = max(int(wanted[self._queues[task]]), task)
        waits: list[int] = []
        # An earlier task cannot have waited for a later one, so in this order all that is implied is found.
        for task in sorted((int(task) for other, task in enumerate(wanted) if other != queue), reverse=True):
            if task > known[self._queues[task]]:
                waits.append(task)
                np.maximum(known, self._known[task], out=known)
                self._signals.setdefault((self._queues[task], queue), []).append((task, number))
        known[queue] = number
        self._known.append(known)
        self._previous[queue] = number
        self.waits.append(sorted(waits))

    def overflows(self) -> Iterator[tuple[int, int]]:
        """Yield a task and one that it must wait for, such that fewer semaphores would be signalled when full."""
        for (_, receiver), signals in self._signals.items():
            settled = OUTSTANDING
            for index in range(OUTSTANDING, len(signals)):
                sender, oldest = signals[index][0], signals[index - OUTSTANDING][1]
                if index < settled or self._known[sender][receiver] >= oldest:
                    continue
                # Going further than necessary settles the matter for the signals that follow, too.
                if oldest < sender:
                    late = signals[index - OUTSTANDING // 2][1]
                    yield sender, late if late < sender else oldest
                else:
                    later = signals[min(index + OUTSTANDING // 2, len(signals) - 1)][0]
                    yield oldest, later if later < oldest else sender
                settled = index + OUTSTANDING // 2

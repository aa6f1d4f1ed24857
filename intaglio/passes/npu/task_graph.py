"""The order that tasks need among themselves, before they have addresses: which may change places.

Buffers are told apart by identity, and accumulators by the multiplication that starts them: a task of the matrix
unit that does not accumulate starts a *sum*, which ends with the last task that reads its rows. Rows are a matter of
space only, so reordering may choose others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects import npu

Array = np.ndarray[Any, np.dtype[np.int64]]


@dataclass
class Sum:
    """Accumulator rows from the multiplication that starts them to the last task that reads them."""

    first_row: int
    rows: int
    tasks: list[int] = field(default_factory=list[int])


@dataclass
class TaskGraph:
    """Tasks in program order, and what each must follow."""

    tasks: Sequence[npu.TaskOp]
    predecessors: list[list[int]]
    """For each task, the earlier ones that must be executed before it, those that others imply included."""

    sums: list[Sum]
    sum_of: dict[int, Sum]
    """The sum that a task adds to or reads."""


class _History:
    """Who wrote each part of a buffer last, and who has read it since.

    Args:
        edges: bytes at which any access begins or ends.
    """

    def __init__(self, edges: Array) -> None:
        self._bounds = np.unique(edges)
        self._writer = np.full(len(self._bounds), -1, np.int64)
        self._readers = np.zeros(len(self._bounds), np.int64)
        """For each part a number in `_sets`."""
        self._sets: list[frozenset[int]] = [frozenset()]
        self._numbers: dict[frozenset[int], int] = {frozenset(): 0}

    def _parts(self, intervals: Array) -> Array | slice:
        index = np.searchsorted(self._bounds, intervals)
        if len(index) == 1:
            return slice(int(index[0, 0]), int(index[0, 1]))
        lengths = index[:, 1] - index[:, 0]
        shifts: Array = np.repeat(index[:, 0] - np.cumsum(lengths) + lengths, lengths)
        return shifts + np.arange(len(shifts))

    def access(self, number: int, intervals: Array, *, writes: bool) -> set[int]:
        """Record an access, and return the earlier tasks that conflict with it."""
        parts = self._parts(intervals)
        found: set[int] = {int(writer) for writer in np.unique(self._writer[parts])}
        present, inverse = np.unique(self._readers[parts], return_inverse=True)
        if writes:
            for which in present:
                found |= self._sets[int(which)]
            self._writer[parts] = number
            self._readers[parts] = 0
        else:
            self._readers[parts] = np.array([self._with(int(which), number) for which in present])[inverse]
        return found - {-1, number}

    def _with(self, which: int, number: int) -> int:
        grown = self._sets[which] | {number}
        if grown not in self._numbers:
            self._numbers[grown] = len(self._sets)
            self._sets.append(grown)
        return self._numbers[grown]


def build_task_graph(tasks: Sequence[npu.TaskOp]) -> TaskGraph | None:
    """Find what each task must follow.

    Two accesses of a buffer conflict where they meet and one of them writes.

    Args:
        tasks: in program order.

    Returns:
        The graph, or None if a task reads accumulators that several multiplications started.
    """
    touched = [_touched(task) for task in tasks]
    edges: dict[SSAValue, list[Array]] = {}
    for accesses in touched:
        for buffer, intervals, _ in accesses:
            edges.setdefault(buffer, []).append(intervals.reshape(-1))
    histories = {buffer: _History(np.concatenate(found)) for buffer, found in edges.items()}
    predecessors: list[list[int]] = []
    sums: list[Sum] = []
    sum_of: dict[int, Sum] = {}
    current: dict[int, Sum] = {}
    for number, task in enumerate(tasks):
        found = set[int]()
        for buffer, intervals, writes in touched[number]:
            found |= histories[buffer].access(number, intervals, writes=writes)
        if isinstance(task, npu.MatrixMultiplyOp | npu.AccumulatorTaskOp):
            row, rows = task.accumulator.value.data, task.window.data.size
            if isinstance(task, npu.MatrixMultiplyOp) and task.accumulate is None:
                begun = Sum(row, rows)
                sums.append(begun)
                current.update(dict.fromkeys(range(row, row + rows), begun))
            owner = current.get(row)
            if owner is None or any(current.get(r) is not owner for r in (row, row + rows - 1)):
                return None
            if isinstance(task, npu.MatrixMultiplyOp):
                found.update(owner.tasks)
            else:
                found.update(earlier for earlier in owner.tasks if isinstance(tasks[earlier], npu.MatrixMultiplyOp))
            owner.tasks.append(number)
            sum_of[number] = owner
        predecessors.append(sorted(found))
    return TaskGraph(tasks, predecessors, sums, sum_of)


def _touched(task: npu.TaskOp) -> list[tuple[SSAValue, Array, bool]]:
    """The buffers that a task reads or writes, reads first; constants never change and do not matter."""
    return [
        (access.buffer, access.intervals, access.writes)
        for access in task.accesses()
        if access.buffer is not None
        and len(access.intervals)
        and npu.space_of(access.buffer) is not npu.Space.CONSTANTS
    ]

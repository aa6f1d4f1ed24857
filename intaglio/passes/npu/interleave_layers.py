"""Interleave the tasks of neighbouring layers, so that matrix and vector unit work at the same time.

```mlir
%0 = npu.matrix_multiply ..  // layer 1, rows 0-13         %0 = npu.matrix_multiply ..  // layer 1, rows 0-13
%1 = npu.requantize ..                                     %1 = npu.requantize ..
%2 = npu.matrix_multiply ..  // layer 1, rows 14-27   ->   %4 = npu.depthwise ..        // layer 2, rows 0-12
%3 = npu.requantize ..                                     %2 = npu.matrix_multiply ..  // layer 1, rows 14-27
%4 = npu.depthwise ..        // layer 2, rows 0-12         %3 = npu.requantize ..
```

Queues execute their tasks in order, so what stands first holds up what could be done. The pass plays the program
through with the cost model: whenever a unit is free, it takes the first task in program order that can start, unless
another keeps both units busier (the requantization of accumulators that others wait for, a multiplication that makes no
work for a vector unit which lags behind). A
task of a later layer may only be taken while the buffers that it makes live early fit the scratchpad, and while
there are accumulator rows; those are assigned anew. Transfers follow the tasks that they belong to:
`overlap-transfers` moves them afterwards.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from intaglio.dialects import npu
from intaglio.passes.npu.allocation import ALIGNMENT, allocate, ranges_of
from intaglio.passes.npu.task_costs import cost_of
from intaglio.passes.npu.task_graph import Sum, TaskGraph, build_task_graph
from intaglio.targets.target import Target, load_target

_SHARES = (15, 13, 11, 8)
"""Sixteenths of the scratchpad to fill, tried until addresses can be found; else nothing moves."""

_ROUNDS = 20
"""Attempts at addresses for one share."""

_TASKS_OF_A_SIMPLE_SUM = 2
"""One multiplication and the task that takes its result."""

_LARGE_BACKLOG = 2000
"""Cycles of the vector unit's work, a tile or two, from which on the matrix unit had better not add to it."""

_WINDOW = 400
"""Tasks among which the next one is looked for."""


@dataclass(frozen=True)
class InterleaveLayers(ModulePass):
    """Interleave the tasks of neighbouring layers, so that matrix and vector unit work at the same time."""

    name = "interleave-layers"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Reorder the tasks of each program."""
        for program in op.ops:
            if isinstance(program, npu.ProgramOp):
                _interleave(program, load_target(program.target.data))


@dataclass(frozen=True)
class _Schedule:
    """An order of tasks, the rows of their sums, and the cycles that it takes if nothing else is in the way."""

    order: list[int]
    rows: dict[int, int]
    """First accumulator row of each sum, by the sum's first task."""
    cycles: float


def _interleave(program: npu.ProgramOp, target: Target) -> None:
    block = program.body.block
    tasks = [task for task in block.ops if isinstance(task, npu.TaskOp)]
    graph = build_task_graph(tasks)
    if graph is None:
        return
    costs = [float(cost_of(task, target).cycles) for task in tasks]
    present = _in_order(graph, costs)
    for share in _SHARES:
        budget = target.scratchpad_bytes * share // 16
        found = _Scheduler(graph, costs, target, budget).run()
        if found is None or found.cycles >= present:
            continue
        ordered = [tasks[number] for number in found.order]
        if allocate(ranges_of(ordered, npu.Space.SCRATCHPAD), target.scratchpad_bytes, _ROUNDS) is None:
            continue
        _set_rows(graph, found)
        for task in ordered:
            task.detach()
            # Tokens name an order that no longer is the program's.
            task.operands = task.buffers
        block.add_ops(ordered)
        return


def _in_order(graph: TaskGraph, costs: Sequence[float]) -> float:
    """Cycles of the present order, with transfers hidden."""
    free: dict[str, float] = dict.fromkeys(("load", "store", "matrix", "vector"), 0.0)
    finish: list[float] = []
    for number, task in enumerate(graph.tasks):
        start = max([free[task.QUEUE], *(finish[earlier] for earlier in graph.predecessors[number])])
        moves = isinstance(task, npu.TransferOp)
        finish.append(start + (0 if moves else costs[number]))
        free[task.QUEUE] = 0 if moves else finish[-1]
    return max(finish, default=0.0)


def _set_rows(graph: TaskGraph, schedule: _Schedule) -> None:
    for started in graph.sums:
        offset = schedule.rows[started.tasks[0]] - started.first_row
        for number in started.tasks:
            task = graph.tasks[number]
            assert isinstance(task, npu.MatrixMultiplyOp | npu.AccumulatorTaskOp)
            task.accumulator = IntegerAttr(task.accumulator.value.data + offset, i64)


class _Rows:
    """Accumulator rows: handed out in turn, no sum across the halves."""

    def __init__(self, rows: int) -> None:
        self._half = rows // 2
        self._taken: list[tuple[int, int]] = []
        self._next = 0
        self._found: dict[int, int | None] = {}

    def find(self, count: int) -> int | None:
        """Where `count` rows are free, the next after those taken last; None if nowhere."""
        if count not in self._found:
            total = 2 * self._half
            starts = {self._next, 0, self._half, *(end % total for _, end in self._taken)}
            ordered = sorted(starts, key=lambda start: (start - self._next) % total)
            self._found[count] = next((start for start in ordered if self._is_free(start, count)), None)
        return self._found[count]

    def _is_free(self, start: int, count: int) -> bool:
        if start % self._half + count > self._half:
            return False
        return all(end <= start or start + count <= first for first, end in self._taken)

    def take(self, first: int, count: int) -> None:
        """Mark rows as used."""
        self._taken.append((first, first + count))
        self._next = (first + count) % (2 * self._half)
        self._found.clear()

    def release(self, first: int, count: int) -> None:
        """Mark rows as free."""
        self._taken.remove((first, first + count))
        self._found.clear()


class _Scheduler:
    """Plays a program through, unit by unit.

    Args:
        graph: the tasks and what they must follow.
        costs: cycles of each task.
        target: the accelerator.
        budget: bytes of the scratchpad that may be live at once.
    """

    def __init__(self, graph: TaskGraph, costs: Sequence[float], target: Target, budget: int) -> None:
        self._graph = graph
        self._costs = costs
        self._budget = budget
        self._rows = _Rows(target.accumulator_rows)
        count = len(graph.tasks)
        self._moves = [isinstance(task, npu.TransferOp) for task in graph.tasks]
        self._multiplies = [isinstance(task, npu.MatrixMultiplyOp) for task in graph.tasks]
        self._requantizes = [isinstance(task, npu.AccumulatorTaskOp) for task in graph.tasks]
        self._work = [number for number in range(count) if not self._moves[number]]
        self._place = {number: place for place, number in enumerate(self._work)}
        self._done = [False] * count
        self._finish = [0.0] * count
        self._successors: list[list[int]] = [[] for _ in range(count)]
        for number, earlier in enumerate(graph.predecessors):
            for task in earlier:
                self._successors[task].append(number)
        self._needs = [self._work_before(number) for number in range(count)]
        self._waiting = [len(needed) for needed in self._needs]
        self._order: list[int] = []
        self._sum_rows: dict[int, int] = {}
        self._left = {id(started): len(started.tasks) for started in graph.sums}
        self._spans, self._live = self._lives()
        self._opened = set[SSAValue]()
        self._frontier = 0
        self._half = target.accumulator_rows // 2
        self._long_sums = [started for started in graph.sums if len(started.tasks) > _TASKS_OF_A_SIMPLE_SUM]
        self._next_long = 0
        self._held = 0
        self._entailed = self._vector_work_behind()
        self._backlog = 0.0
        """Cycles of the vector unit that executed tasks of the matrix unit entail and that are still to come."""

    def _vector_work_behind(self) -> list[float]:
        """For each task of the matrix unit the cycles of the vector unit that become due with it.

        A task of the vector unit becomes due with the last of those that it must follow.
        """
        owner = list(range(len(self._graph.tasks)))
        entailed = [0.0] * len(owner)
        for number in self._work:
            if self._graph.tasks[number].QUEUE == "vector" and self._needs[number]:
                owner[number] = owner[max(self._needs[number])]
                entailed[owner[number]] += self._costs[number]
        return entailed

    def _work_before(self, number: int) -> set[int]:
        """The tasks of the units that one must follow, directly or through transfers."""
        found = set[int]()
        pending = list(self._graph.predecessors[number])
        seen = set(pending)
        while pending:
            earlier = pending.pop()
            if not self._moves[earlier]:
                found.add(earlier)
                continue
            more = [task for task in self._graph.predecessors[earlier] if task not in seen]
            seen.update(more)
            pending += more
        return found

    def _lives(self) -> tuple[dict[SSAValue, tuple[int, int]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
        """The places among the units' tasks between which each buffer is live, and the bytes live at each."""
        spans: dict[SSAValue, tuple[int, int]] = {}
        following = len(self._work) - 1
        nexts = [0] * len(self._graph.tasks)
        for number in reversed(range(len(self._graph.tasks))):
            following = self._place.get(number, following)
            nexts[number] = following
        for number, task in enumerate(self._graph.tasks):
            at = nexts[number]
            if isinstance(task, npu.StoreOp):
                at = max(at - 1, 0)
            for buffer in task.buffers:
                if npu.space_of(buffer) is npu.Space.SCRATCHPAD:
                    first, last = spans.get(buffer, (at, at))
                    spans[buffer] = min(first, at), max(last, at)
        change = np.zeros(len(self._work) + 2, np.int64)
        for buffer, (first, last) in spans.items():
            change[first] += _size(buffer)
            change[last + 1] -= _size(buffer)
        return spans, np.cumsum(change)

    def run(self) -> _Schedule | None:
        """The order, or None if the program cannot be played through."""
        free = {"matrix": 0.0, "vector": 0.0}
        ready: dict[str, list[int]] = {"matrix": [], "vector": []}
        self._ready = ready
        for number in self._work:
            if not self._waiting[number]:
                ready[self._graph.tasks[number].QUEUE].append(number)
        for number in range(len(self._graph.tasks)):
            self._push_transfer(number)
        remaining = len(self._work)
        while remaining:
            best: tuple[float, int, str] | None = None
            for queue, candidates in ready.items():
                chosen = self._choose(candidates, free[queue])
                if chosen is not None and (best is None or chosen < best[:2]):
                    best = (*chosen, queue)
            if best is None:
                return None
            start, number, queue = best
            ready[queue].remove(number)
            self._execute(number, start)
            free[queue] = self._finish[number]
            remaining -= 1
        for number in range(len(self._graph.tasks)):
            if not self._done[number]:
                self._pull(number)
        return _Schedule(self._order, self._sum_rows, max(free.values()))

    def _choose(self, candidates: Sequence[int], free: float) -> tuple[float, int] | None:
        """When the next task of a unit starts, and which it is, of candidates in program order that are near.

        Those are preferred, if they can start at once, that keep both units at work: on the vector unit the ones that
        release accumulators, on the matrix unit, while the vector unit has much to do, the ones that entail little.
        """
        last = self._work[min(self._frontier + _WINDOW, len(self._work) - 1)]
        near = candidates[: bisect.bisect_right(candidates, last)]
        preferred = [number for number in near if self._is_preferred(number)]
        if preferred and len(preferred) < len(near):
            found = self._first(preferred, free)
            if found is not None and found[0] <= free:
                return found
        return self._first(near, free)

    def _is_preferred(self, number: int) -> bool:
        if self._multiplies[number]:
            return self._backlog > _LARGE_BACKLOG and self._entailed[number] < self._costs[number]
        return self._requantizes[number]

    def _first(self, candidates: Sequence[int], free: float) -> tuple[float, int] | None:
        """When the first task that can start does, and which it is; in program order among those that can at once."""
        best: tuple[float, int] | None = None
        for number in candidates:
            place = self._place[number]
            start = max(free, self._ready_time(number))
            if best is not None and start >= best[0]:
                continue
            if not self._has_room(number, place):
                continue
            best = start, number
            if start <= free:
                break
        return best

    def _ready_time(self, number: int) -> float:
        return max((self._finish[earlier] for earlier in self._needs[number]), default=0.0)

    def _new_buffers(self, number: int) -> list[SSAValue]:
        """The buffers that a task makes live early, with those of the tasks that finish the sum it starts.

        Otherwise a sum could wait for room that only tasks make which wait for its rows.
        """
        started = self._graph.sum_of.get(number)
        together = started.tasks if started is not None and started.tasks[0] == number else [number]
        buffers = dict.fromkeys(buffer for task in together for buffer in self._graph.tasks[task].buffers)
        return [
            buffer
            for buffer in buffers
            if buffer in self._spans and buffer not in self._opened and self._spans[buffer][0] > self._frontier
        ]

    def _has_room(self, number: int, place: int) -> bool:
        started = self._graph.sum_of.get(number)
        if started is not None and started.tasks[0] == number and not self._has_rows(started):
            return False
        if place == self._frontier:
            return True
        extra = 0
        for buffer in self._new_buffers(number):
            first = self._spans[buffer][0]
            extra += _size(buffer)
            if self._live[self._frontier : first].max(initial=0) + extra > self._budget:
                return False
        return True

    def _has_rows(self, started: Sum) -> bool:
        """Whether a sum may start.

        One of several multiplications may have to wait for tasks that need rows themselves. Such sums take turns in
        program order and leave half of the rows to the others, so that no two wait for each other.
        """
        is_long = len(started.tasks) > _TASKS_OF_A_SIMPLE_SUM
        if is_long and (self._long_sums[self._next_long] is not started or self._held + started.rows > self._half):
            return False
        return self._rows.find(started.rows) is not None

    def _execute(self, number: int, start: float) -> None:
        for buffer in self._new_buffers(number):
            self._live[self._frontier : self._spans[buffer][0]] += _size(buffer)
            self._opened.add(buffer)
        started = self._graph.sum_of.get(number)
        if started is not None:
            self._count_sum(started, number)
        for earlier in self._graph.predecessors[number]:
            if self._moves[earlier]:
                self._pull(earlier)
        self._order.append(number)
        self._backlog += self._entailed[number] if self._graph.tasks[number].QUEUE == "matrix" else -self._costs[number]
        self._done[number] = True
        self._finish[number] = start + self._costs[number]
        while self._frontier < len(self._work) and self._done[self._work[self._frontier]]:
            self._frontier += 1
        self._notify(number)

    def _notify(self, number: int) -> None:
        """Tell the tasks that follow a unit's task, directly or through transfers, that it is done."""
        pending = list(self._successors[number])
        seen = set(pending)
        while pending:
            following = pending.pop()
            if self._moves[following]:
                more = [task for task in self._successors[following] if task not in seen]
                seen.update(more)
                pending += more
            self._waiting[following] -= 1
            if not self._waiting[following]:
                if self._moves[following]:
                    self._push_transfer(following)
                else:
                    bisect.insort(self._ready[self._graph.tasks[following].QUEUE], following)

    def _push_transfer(self, number: int) -> None:
        """Store what is complete at once."""
        if isinstance(self._graph.tasks[number], npu.StoreOp) and not self._waiting[number]:
            self._pull(number)

    def _pull(self, number: int) -> None:
        """Emit a transfer, after those that it must follow."""
        if self._done[number]:
            return
        self._done[number] = True
        for earlier in self._graph.predecessors[number]:
            if self._moves[earlier]:
                self._pull(earlier)
        self._finish[number] = max((self._finish[earlier] for earlier in self._needs[number]), default=0.0)
        self._order.append(number)

    def _count_sum(self, started: Sum, number: int) -> None:
        is_long = len(started.tasks) > _TASKS_OF_A_SIMPLE_SUM
        if started.tasks[0] == number:
            first = self._rows.find(started.rows)
            assert first is not None
            self._rows.take(first, started.rows)
            self._sum_rows[number] = first
            self._next_long += is_long
            self._held += is_long * started.rows
        self._left[id(started)] -= 1
        if not self._left[id(started)]:
            self._rows.release(self._sum_rows[started.tasks[0]], started.rows)
            self._held -= is_long * started.rows


def _size(buffer: SSAValue) -> int:
    """Bytes that a buffer takes of the scratchpad."""
    return -(-npu.buffer_type(buffer).size // ALIGNMENT) * ALIGNMENT

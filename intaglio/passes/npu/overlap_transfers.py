"""Move loads ahead of the tasks that need them, and stores behind those that come next.

```mlir
%0 = npu.load %a to %x ..        %0 = npu.load %a to %x ..
%1 = npu.convert %x ..           %1 = npu.load %b to %y ..
%2 = npu.load %b to %y ..   ->   %2 = npu.convert %x ..
%3 = npu.convert %y ..           %3 = npu.convert %y ..
```

Queues run ahead on their own as far as the memory allows. What moving achieves is that buffers are live at once
which would otherwise get the same address: the next weights arrive while the present ones are in use, the next
results are written while the last ones are stored. Transfers move only as far as the scratchpad has room, loads
keep their order among themselves, and so do stores.

Whether there is room depends on addresses, so loads are moved together with their buffers: each goes as far up as
there is a gap, at any address, for its buffer's longer life. The addresses that this results in stay with the
buffers, and `allocate-scratchpad` takes them over.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from intaglio.dialects import npu
from intaglio.passes.npu.allocation import allocate, present_allocation, ranges_of
from intaglio.passes.npu.placement import Placement, scratchpad_bytes, set_addresses
from intaglio.targets.target import load_target

_SHARES = (15, 14, 12, 10)
"""Sixteenths of the scratchpad to fill by moving stores, tried until addresses can be found; else none moves."""

_ROUNDS = 20
"""Attempts at addresses for one share: a smaller share costs little, finding out that one is too large much."""

_LOOKAHEAD = 128
"""Loads that may be ahead of the task that needs them: a semaphore counts 255."""

Array = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class OverlapTransfers(ModulePass):
    """Move loads ahead of the tasks that need them, and stores behind those that come next."""

    name = "overlap-transfers"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Reorder the tasks of each program."""
        for program in op.ops:
            if isinstance(program, npu.ProgramOp):
                _overlap(program, load_target(program.target.data).scratchpad_bytes)


def _overlap(program: npu.ProgramOp, capacity: int) -> None:
    block = program.body.block
    tasks = [task for task in block.ops if isinstance(task, npu.TaskOp)]
    for share in _SHARES:
        ordered = _sink_stores(tasks, capacity * share // 16)
        ranges = ranges_of(ordered, npu.Space.SCRATCHPAD)
        allocation = present_allocation(ranges, capacity) or allocate(ranges, capacity, _ROUNDS)
        if allocation is not None:
            break
    else:
        ranges = ranges_of(tasks, npu.Space.SCRATCHPAD)
        ordered, allocation = tasks, present_allocation(ranges, capacity) or allocate(ranges, capacity)
    if allocation is None:
        return
    ordered, addresses = _hoist_loads(ordered, allocation.addresses, capacity)
    for task in ordered:
        task.detach()
        # Tokens name an order that no longer is the program's.
        task.operands = task.buffers
    block.add_ops(ordered)
    set_addresses(addresses)


class _Rest:
    """The tasks that keep their places while the transfers of one direction move between them.

    Args:
        rest: those tasks.
        moving: the others, each with the number of the task of the rest before which it stands.
        budget: bytes of the scratchpad that may be live at once.
    """

    def __init__(self, rest: Sequence[npu.TaskOp], moving: Sequence[tuple[npu.TransferOp, int]], budget: int) -> None:
        self._budget = budget
        self._uses: dict[SSAValue, list[int]] = {}
        for position, task in enumerate(rest):
            for buffer in task.buffers:
                self._uses.setdefault(buffer, []).append(position)
        self.spans: dict[SSAValue, tuple[int, int]] = {
            buffer: (positions[0], positions[-1]) for buffer, positions in self._uses.items()
        }
        """The first and last task of the rest between which each buffer is live."""
        for task, position in moving:
            for buffer in task.buffers:
                # A load makes its buffer live from the task before which it stands, a store up to the one behind it.
                at = min(position, len(rest) - 1) if isinstance(task, npu.LoadOp) else max(position - 1, 0)
                first, last = self.spans.get(buffer, (at, at))
                self.spans[buffer] = min(first, at), max(last, at)
        change = np.zeros(len(rest) + 1, np.int64)
        for buffer, (first, last) in self.spans.items():
            change[first] += scratchpad_bytes(buffer)
            change[last + 1] -= scratchpad_bytes(buffer)
        self._live: Array = np.cumsum(change)[:-1]

    def last_use(self, buffer: SSAValue, before: int) -> int:
        """The last task of the rest before a position that works on a buffer, -1 if there is none."""
        positions = self._uses.get(buffer, [])
        index = bisect_left(positions, before)
        return positions[index - 1] if index else -1

    def next_use(self, buffer: SSAValue, start: int) -> int | None:
        """The first task of the rest from a position that works on a buffer, if there is one."""
        positions = self._uses.get(buffer, [])
        index = bisect_left(positions, start)
        return positions[index] if index < len(positions) else None

    def extend_up(self, buffer: SSAValue, highest: int) -> int:
        """Keep a buffer live up to as late a position, not above `highest`, as there is room; returns it."""
        first, last = self.spans[buffer]
        if highest <= last:
            return last
        full = np.flatnonzero(self._live[last + 1 : highest + 1] + scratchpad_bytes(buffer) > self._budget)
        end = last + int(full[0]) if len(full) else highest
        self._live[last + 1 : end + 1] += scratchpad_bytes(buffer)
        self.spans[buffer] = first, end
        return end


def _hoist_loads(
    tasks: Sequence[npu.TaskOp], addresses: Mapping[SSAValue, int], capacity: int
) -> tuple[list[npu.TaskOp], Mapping[SSAValue, int]]:
    """Move loads up, past tasks that do not concern them, as far as their buffers find room; with new addresses."""
    rest, loads = _split(tasks, npu.LoadOp)
    if not rest:
        return list(tasks), addresses
    uses = _Rest(rest, loads, capacity)
    placement = Placement(uses.spans, addresses, capacity)
    positions: list[int] = []
    for number, (load, position) in enumerate(loads):
        lowest = 1 + max(uses.last_use(buffer, position) for buffer in load.buffers)
        if number >= _LOOKAHEAD:
            lowest = max(lowest, loads[number - _LOOKAHEAD][1])
        if positions:
            lowest = max(lowest, positions[-1])
        positions.append(placement.extend_down(load.target, min(lowest, position), position))
    ordered = _merge(rest, [(load, position) for (load, _), position in zip(loads, positions, strict=True)])
    return ordered, placement.addresses()


def _sink_stores(tasks: Sequence[npu.TaskOp], budget: int) -> list[npu.TaskOp]:
    """Move each store down to where the next one stands, if its buffer may live as long."""
    rest, stores = _split(tasks, npu.StoreOp)
    space = _Rest(rest, stores, budget)
    moved: list[tuple[npu.TransferOp, int]] = []
    for number, (store, position) in enumerate(stores):
        highest = stores[number + 1][1] if number + 1 < len(stores) else position
        for buffer in store.buffers:
            following = space.next_use(buffer, position)
            highest = highest if following is None else min(highest, following)
        end = max(space.extend_up(store.source, max(highest, position) - 1) + 1, position)
        moved.append((store, max(min(end, highest), position, moved[-1][1] if moved else 0)))
    return _merge(rest, moved)


def _split(
    tasks: Sequence[npu.TaskOp], kind: type[npu.TransferOp]
) -> tuple[list[npu.TaskOp], list[tuple[npu.TransferOp, int]]]:
    """The tasks of other kinds, and those of a kind with the number of the other before which each stands."""
    rest: list[npu.TaskOp] = []
    moving: list[tuple[npu.TransferOp, int]] = []
    for task in tasks:
        if isinstance(task, kind):
            moving.append((task, len(rest)))
        else:
            rest.append(task)
    return rest, moving


def _merge(rest: Sequence[npu.TaskOp], moved: Sequence[tuple[npu.TransferOp, int]]) -> list[npu.TaskOp]:
    merged: list[npu.TaskOp] = []
    done = 0
    for position in range(len(rest) + 1):
        while done < len(moved) and moved[done][1] == position:
            merged.append(moved[done][0])
            done += 1
        merged.extend(rest[position : position + 1])
    return merged

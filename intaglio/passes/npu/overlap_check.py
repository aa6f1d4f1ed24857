"""Whether buffers that are live at once share bytes: a check of allocations that has nothing in common with them.

It walks the tasks of a program in order, with the buffers that are live kept sorted by address. A buffer that becomes
live may touch neither of its neighbours; as those that are live do not overlap, no other can.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from xdsl.ir import SSAValue

from intaglio.dialects import npu


def overlapping_buffers(program: npu.ProgramOp) -> Iterator[str]:
    """Yield, for people, each pair of buffers of one memory that are live at once and share bytes, or lack an address.

    A buffer is live from the first task that works on it to the last, both included.

    Args:
        program: with the addresses of its allocations assigned.
    """
    begin: dict[SSAValue, int] = {}
    finish: dict[SSAValue, int] = {}
    tasks = [op for op in program.body.block.ops if isinstance(op, npu.TaskOp)]
    for time, task in enumerate(tasks):
        for buffer in task.buffers:
            if isinstance(buffer.owner, npu.AllocateOp):
                begin.setdefault(buffer, time)
                finish[buffer] = time
    opening: dict[int, list[SSAValue]] = {}
    closing: dict[int, list[SSAValue]] = {}
    for buffer, time in begin.items():
        opening.setdefault(time, []).append(buffer)
        closing.setdefault(finish[buffer], []).append(buffer)
    live: dict[npu.Space, list[tuple[int, int]]] = {npu.Space.SCRATCHPAD: [], npu.Space.ARENA: []}
    for time in range(len(tasks)):
        for buffer in opening.get(time, ()):
            place = _bytes_of(buffer)
            if place is None:
                yield f"a buffer that is live at task {time} has no address"
                continue
            present = live[npu.space_of(buffer)]
            at = bisect_left(present, place)
            for other in present[max(at - 1, 0) : at + 1]:
                if other[0] < place[1] and place[0] < other[1]:
                    yield (
                        f"at task {time} bytes {place[0]} to {place[1]} of the {npu.space_of(buffer).value} "
                        f"meet {other[0]} to {other[1]}"
                    )
            insort(present, place)
        for buffer in closing.get(time, ()):
            place = _bytes_of(buffer)
            if place is not None:
                live[npu.space_of(buffer)].remove(place)


def _bytes_of(buffer: SSAValue) -> tuple[int, int] | None:
    """The first byte of an allocation and one past the last, None without an address."""
    op = buffer.owner
    assert isinstance(op, npu.AllocateOp)
    if op.address is None:
        return None
    first = op.address.value.data
    return first, first + npu.buffer_type(buffer).size

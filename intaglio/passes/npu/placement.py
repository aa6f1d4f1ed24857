"""Buffers at addresses of the scratchpad whose lives are made longer, as long as they find room."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import SSAValue

from intaglio.dialects import npu
from intaglio.passes.npu.allocation import ALIGNMENT


def scratchpad_bytes(buffer: SSAValue) -> int:
    """Bytes that a buffer takes of the scratchpad; none if it lies elsewhere."""
    kind = npu.buffer_type(buffer)
    if kind.space is not npu.Space.SCRATCHPAD:
        return 0
    return -(-kind.size // ALIGNMENT) * ALIGNMENT


def set_addresses(addresses: Mapping[SSAValue, int]) -> None:
    """Assign addresses to allocations."""
    for buffer, address in addresses.items():
        owner = buffer.owner
        assert isinstance(owner, npu.AllocateOp)
        owner.address = IntegerAttr(address, i64)


class Placement:
    """Buffers with their lives and addresses, of which some are to live longer.

    Args:
        spans: the first and last task of each buffer's life.
        addresses: where each buffer is.
        capacity: bytes of the scratchpad.
    """

    def __init__(
        self, spans: Mapping[SSAValue, tuple[int, int]], addresses: Mapping[SSAValue, int], capacity: int
    ) -> None:
        self._capacity = capacity
        self._numbers = {buffer: number for number, buffer in enumerate(addresses)}
        self._start = np.array([spans[buffer][0] for buffer in addresses], np.int64)
        self._end = np.array([spans[buffer][1] for buffer in addresses], np.int64)
        self._first = np.array(list(addresses.values()), np.int64)
        self._size = np.array([scratchpad_bytes(buffer) for buffer in addresses], np.int64)

    def addresses(self) -> dict[SSAValue, int]:
        """Where each buffer is now."""
        return {buffer: int(self._first[number]) for buffer, number in self._numbers.items()}

    def extend_down(self, buffer: SSAValue, lowest: int, position: int) -> int:
        """Make a buffer live from as early a task, not below `lowest`, as there is a gap for it; returns that."""
        number = self._numbers[buffer]
        low, high = min(lowest, int(self._start[number])), int(self._start[number])
        address = int(self._first[number])
        while low < high:
            middle = (low + high) // 2
            found = self._gap(number, middle)
            if found is None:
                low = middle + 1
            else:
                high, address = middle, found
        self._start[number], self._first[number] = high, address
        return min(max(high, lowest), position)

    def _gap(self, number: int, start: int) -> int | None:
        """The lowest address at which a buffer can live from `start`."""
        near = (self._start <= self._end[number]) & (self._end >= start)
        near[number] = False
        first = self._first[near]
        order = np.argsort(first)
        reached = np.maximum.accumulate((first + self._size[near])[order])
        begins = np.concatenate(([0], reached))
        room = np.concatenate((first[order], [self._capacity])) - begins
        fitting = np.flatnonzero(room >= self._size[number])
        return int(begins[fitting[0]]) if len(fitting) else None

"""Assign addresses to the buffers of a program: scratchpad, arena and constants.

```mlir
%x = npu.allocate : !npu.buffer<scratchpad, 784>  ->  %x = npu.allocate address 0 : !npu.buffer<scratchpad, 784>
%y = npu.allocate : !npu.buffer<scratchpad, 96>       %y = npu.allocate address 832 : !npu.buffer<scratchpad, 96>
```

Buffers live from their first task to their last in program order; two that are live at once do not overlap. Others may,
and `insert-tokens` then keeps their tasks apart. Addresses in the scratchpad that `overlap-transfers` has left stay, if
they are complete and still free of overlap. That no buffers overlap is checked each time, by a module that shares
nothing with the allocator. The attribute `npu.scratchpad` says how many bytes are used, and how many are live at once
at most, below which no allocation gets. Constants are laid out one after another. Buffers without tasks are erased.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp, i64
from xdsl.passes import ModulePass

from intaglio.dialects import npu
from intaglio.errors import UserError
from intaglio.ir.locations import where
from intaglio.passes.npu.allocation import ALIGNMENT, Allocation, allocate, live_ranges, present_allocation, tighten
from intaglio.passes.npu.overlap_check import overlapping_buffers
from intaglio.targets.target import load_target

SCRATCHPAD = "npu.scratchpad"
"""Attribute of a program: bytes of the scratchpad that it uses, and most bytes that are live at once."""


@dataclass(frozen=True)
class AllocateScratchpad(ModulePass):
    """Assign addresses to the buffers of each program, in scratchpad, arena and constants region."""

    name = "allocate-scratchpad"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Set the `address` of every constant and allocation.

        Raises:
            UserError: the buffers that are live at once exceed the scratchpad, or no addresses were found.
        """
        for program in op.ops:
            if isinstance(program, npu.ProgramOp):
                _allocate_program(program)


def _allocate_program(program: npu.ProgramOp) -> None:
    position = 0
    for child in list(program.body.block.ops):
        if isinstance(child, npu.ConstantOp | npu.AllocateOp) and child.result.first_use is None:
            child.detach()
            child.erase()
        elif isinstance(child, npu.ConstantOp):
            _set_address(child, position)
            position += -(-child.result.type.size // ALIGNMENT) * ALIGNMENT
    capacity = load_target(program.target.data).scratchpad_bytes
    ranges = live_ranges(program, npu.Space.SCRATCHPAD)
    scratchpad = present_allocation(ranges, capacity) or allocate(ranges, capacity)
    if scratchpad is not None:
        scratchpad = tighten(scratchpad, ranges)
    if scratchpad is None:
        needed = allocate(ranges)
        assert needed is not None
        raise UserError(
            f"the buffers of @{program.sym_name.data} need {needed.lower_bound} bytes at once, "
            f"addresses were found for {needed.peak}; the scratchpad has {capacity}",
            where=where(program.location),
            hint="nn-to-npu and overlap-transfers leave no more than fits: run them for this target",
        )
    arena = allocate(live_ranges(program, npu.Space.ARENA))
    assert arena is not None
    for allocation in (scratchpad, arena):
        _set_addresses(allocation)
    for problem in overlapping_buffers(program):
        raise AssertionError(f"buffers of @{program.sym_name.data} overlap: {problem}")
    program.attributes[SCRATCHPAD] = DictionaryAttr(
        {
            "bytes": IntegerAttr(scratchpad.peak, i64),
            "live_bytes": IntegerAttr(scratchpad.lower_bound, i64),
        }
    )


def _set_addresses(allocation: Allocation) -> None:
    for buffer, address in allocation.addresses.items():
        owner = buffer.owner
        assert isinstance(owner, npu.AllocateOp)
        _set_address(owner, address)


def _set_address(op: npu.ConstantOp | npu.AllocateOp, address: int) -> None:
    op.address = IntegerAttr(address, i64)

"""Addresses: no two buffers that are live at once share a byte, found by means of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import IntegerAttr, i64

from intaglio.dialects import npu
from intaglio.errors import UserError
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.npu.allocate_scratchpad import SCRATCHPAD, AllocateScratchpad
from intaglio.passes.npu.allocation import LiveRange, allocate
from intaglio.passes.npu.overlap_check import overlapping_buffers
from intaglio.targets.target import load_target


def overlaps(program: npu.ProgramOp) -> list[str]:
    """Every pair of buffers of one memory that share a byte at some task; walks the tasks and paints the bytes."""
    tasks = [op for op in program.body.block.ops if isinstance(op, npu.TaskOp)]
    found: list[str] = []
    for space in (npu.Space.SCRATCHPAD, npu.Space.ARENA):
        buffers = [
            op for op in program.body.block.ops if isinstance(op, npu.AllocateOp) and npu.space_of(op.result) is space
        ]
        uses = {op: [number for number, task in enumerate(tasks) if op.result in task.operands] for op in buffers}
        size = max((op.address.value.data + op.result.type.size for op in buffers), default=0)
        for number in range(len(tasks)):
            owner = np.full(size, -1)
            for index, op in enumerate(buffers):
                if uses[op][0] <= number <= uses[op][-1]:
                    painted = owner[op.address.value.data :][: op.result.type.size]
                    found += [f"task {number}: {space} buffers {index} and {other}" for other in set(painted) - {-1}]
                    painted[...] = index
    return found


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("scratchpad", [6_000, 24_000, 1 << 20])
def test_live_buffers_never_overlap(scratchpad: int, seed: int, regions: Any) -> None:
    builder = regions.builder(seed, 41)
    program = regions.to_npu(builder.module(*regions.random_network(builder, 12)), scratchpad)
    assert overlaps(program) == []
    allocations = [op for op in program.body.block.ops if isinstance(op, npu.AllocateOp)]
    assert len(allocations) > 1
    capacity = load_target("gen1").scratchpad_bytes
    for op in allocations:
        if npu.space_of(op.result) is npu.Space.SCRATCHPAD:
            assert op.address.value.data + op.result.type.size <= capacity


def test_the_check_finds_an_overlap(regions: Any) -> None:
    builder = regions.builder(1)
    program = regions.to_npu(builder.module(builder.conv2d(builder.input(1, 4, 4, 4), 8)))
    assert list(overlapping_buffers(program)) == []
    for op in program.body.block.ops:
        if isinstance(op, npu.AllocateOp):
            op.address = IntegerAttr(0, i64)
    assert overlaps(program)
    assert "of the scratchpad meet" in "\n".join(overlapping_buffers(program))
    for op in program.body.block.ops:
        if isinstance(op, npu.AllocateOp):
            op.address = None
    assert all("has no address" in problem for problem in overlapping_buffers(program))


@pytest.mark.parametrize("seed", range(12))
def test_the_check_finds_what_painting_finds(seed: int, regions: Any) -> None:
    rng = np.random.default_rng(seed)
    builder = regions.builder(seed, 42)
    program = regions.to_npu(builder.module(*regions.random_network(builder, 12)), 24_000)
    allocations = [op for op in program.body.block.ops if isinstance(op, npu.AllocateOp)]
    moved = allocations[rng.integers(len(allocations))]
    assert moved.address is not None
    moved.address = IntegerAttr(int(rng.integers(0, 24_000)), i64)
    assert bool(list(overlapping_buffers(program))) == bool(overlaps(program))


@pytest.mark.parametrize("scratchpad", [12_000, 24_000, 1 << 20])
@pytest.mark.parametrize("seed", range(6))
def test_allocations_are_close_to_their_lower_bound(seed: int, scratchpad: int, regions: Any) -> None:
    builder = regions.builder(seed, 43)
    program = regions.to_npu(builder.module(*regions.random_network(builder, 20)), scratchpad)
    said = {key: value.value.data for key, value in program.attributes[SCRATCHPAD].data.items()}
    tasks = [op for op in program.body.block.ops if isinstance(op, npu.TaskOp)]
    buffers = [op for op in program.body.block.ops if isinstance(op, npu.AllocateOp)]
    buffers = [op for op in buffers if npu.space_of(op.result) is npu.Space.SCRATCHPAD]
    uses = {op: [number for number, task in enumerate(tasks) if op.result in task.operands] for op in buffers}
    live = [
        sum(-(-op.result.type.size // 64) * 64 for op in buffers if uses[op][0] <= number <= uses[op][-1])
        for number in range(len(tasks))
    ]
    assert said["live_bytes"] == max(live)
    ends = [op.address.value.data + op.result.type.size for op in buffers if op.address is not None]
    assert max(ends) <= said["bytes"] <= max(ends) + 63
    assert said["bytes"] <= 1.05 * said["live_bytes"]


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 30), st.integers(0, 10)), min_size=1, max_size=40),
)
def test_allocation_of_any_ranges(triples: list[tuple[int, int, int]]) -> None:
    kinds = [npu.AllocateOp(npu.BufferType.of(npu.Space.SCRATCHPAD, size)) for size, _, _ in triples]
    ranges = [
        LiveRange(op.result, size, start, start + length)
        for op, (size, start, length) in zip(kinds, triples, strict=True)
    ]
    allocation = allocate(ranges)
    assert allocation is not None
    for a in ranges:
        for b in ranges:
            if a is not b and a.start <= b.end and b.start <= a.end:
                first, second = allocation.addresses[a.buffer], allocation.addresses[b.buffer]
                assert first + a.size <= second or second + b.size <= first
    live = max(sum(-(-r.size // 64) * 64 for r in ranges if r.start <= number <= r.end) for number in range(41))
    assert allocation.lower_bound == live <= allocation.peak
    assert allocate(ranges, live - 1) is None
    assert allocate(ranges, allocation.peak) is not None


def test_buffers_may_take_turns() -> None:
    kinds = [npu.AllocateOp(npu.BufferType.of(npu.Space.SCRATCHPAD, 64)) for _ in range(4)]
    ranges = [LiveRange(op.result, 64, 2 * index, 2 * index + 1) for index, op in enumerate(kinds)]
    allocation = allocate(ranges, 64)
    assert allocation is not None
    assert set(allocation.addresses.values()) == {0}


def test_a_program_that_does_not_fit_is_an_error() -> None:
    module = parse_module(
        """
        npu.program @large : (tensor<2000000xi8>) -> tensor<8xi8> target "gen1" {
        ^bb0(%in: !npu.buffer<dram, 2000000>, %out: !npu.buffer<dram, 8>):
          %a = npu.allocate : !npu.buffer<scratchpad, 2000000>
          %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 2000000> :
            !npu.buffer<dram, 2000000> to !npu.buffer<scratchpad, 2000000>
        }
        """,
        "large.mlir",
    )
    with pytest.raises(UserError, match=r"@large need 2000000 bytes at once.* the scratchpad has 1048576"):
        AllocateScratchpad().apply(make_context(), module)

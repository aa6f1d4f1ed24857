"""Tokens: enough of them that the simulator finds no race, and none that it would not miss."""

from __future__ import annotations

from typing import Any

import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects import npu
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.passes.npu import dependencies
from intaglio.passes.npu.allocate_scratchpad import AllocateScratchpad
from intaglio.passes.npu.dependencies import OUTSTANDING, find_dependencies
from intaglio.passes.npu.insert_tokens import InsertTokens
from intaglio.targets.encoding import ProgramError
from intaglio.targets.simulator import Program


def tasks_of(module: ModuleOp) -> list[npu.TaskOp]:
    return [op for op in module.walk() if isinstance(op, npu.TaskOp)]


def simulate(module: ModuleOp, regions: Any) -> Program:
    return Program(program_binary(regions.to_isa(module)))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("scratchpad", [4_000, 1 << 20])
def test_every_token_is_needed(scratchpad: int, seed: int, regions: Any) -> None:
    builder = regions.builder(seed, 17)
    module = builder.module(*regions.random_network(builder, 8))
    regions.to_npu(module, scratchpad)
    simulate(module.clone(), regions)
    tokens = [
        (number, index)
        for number, task in enumerate(tasks_of(module))
        for index in range(len(task.buffers), len(task.operands))
    ]
    assert tokens
    for number, index in tokens[:: max(1, len(tokens) // 12)]:
        without = module.clone()
        task = tasks_of(without)[number]
        task.operands = [operand for position, operand in enumerate(task.operands) if position != index]
        with pytest.raises(ProgramError, match="with no order between the two"):
            simulate(without, regions)


def test_tokens_are_replaced_and_the_same_again(regions: Any) -> None:
    builder = regions.builder(3, 17)
    module = builder.module(*regions.random_network(builder, 8))
    regions.to_npu(module)
    before = [[operand.owner for operand in task.after] for task in tasks_of(module)]
    InsertTokens().apply(make_context(), module)
    assert [[operand.owner for operand in task.after] for task in tasks_of(module)] == before
    assert any(before)


def through_the_arena(count: int) -> ModuleOp:
    """A program that stores a tensor in the arena byte by byte, and then loads it byte by byte."""
    dram, arena, local = (f"!npu.buffer<{space}, {count}>" for space in ("dram", "arena", "scratchpad"))
    whole = f"<source_offset 0, target_offset 0, run {count}>"
    offsets = [f"<source_offset {byte}, target_offset {byte}, run 1>" for byte in range(count)]
    lines = [
        f'npu.program @through : (tensor<{count}xi8>) -> tensor<{count}xi8> target "gen1" {{',
        f"^bb0(%in: {dram}, %out: {dram}):",
        f"%r = npu.allocate : {arena}",
        f"%a = npu.allocate : {local}",
        f"%b = npu.allocate : {local}",
        f"%first = npu.load %in to %a {whole} : {dram} to {local}",
        *(f"%s{byte}x = npu.store %a to %r {offset} : {local} to {arena}" for byte, offset in enumerate(offsets)),
        *(f"%l{byte}x = npu.load %r to %b {offset} : {arena} to {local}" for byte, offset in enumerate(offsets)),
        f"%last = npu.store %b to %out {whole} : {local} to {dram}",
        "}",
    ]
    return parse_module("\n".join(lines))


def test_semaphores_do_not_overflow(regions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = through_the_arena(OUTSTANDING + 50)
    AllocateScratchpad().apply(make_context(), module)
    unlimited = module.clone()
    InsertTokens().apply(make_context(), module)
    assert simulate(module, regions).profile().cycles > 0
    # Were all loads from the arena to wait for their own store, 305 signals would be outstanding before the first.
    monkeypatch.setattr(dependencies, "OUTSTANDING", 1 << 20)
    InsertTokens().apply(make_context(), unlimited)
    with pytest.raises(ProgramError, match="can reach 256"):
        simulate(unlimited, regions)


def test_waiting_for_the_last_implies_the_others(regions: Any) -> None:
    module = parse_module(
        """
        npu.program @p : (tensor<8xi8>) -> tensor<8xi8> target "gen1" {
        ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
          %a = npu.allocate address 0 : !npu.buffer<scratchpad, 8>
          %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 4> :
            !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
          %1 = npu.load %in to %a <source_offset 4, target_offset 4, run 4> :
            !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
          %2 = npu.store %a to %out <source_offset 4, target_offset 4, run 4> :
            !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
          %3 = npu.store %a to %out <source_offset 0, target_offset 0, run 4> :
            !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
          %4 = npu.load %in to %a <source_offset 0, target_offset 0, run 8> :
            !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
        }
        """
    )
    # The first store waits for the second load, which implies the first; the last load waits for the last store.
    assert find_dependencies(tasks_of(module)) == [[], [], [1], [], [3]]

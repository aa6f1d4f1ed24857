"""Moving transfers: the same results in fewer cycles."""

from __future__ import annotations

from typing import Any

import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects import npu
from intaglio.ir.context import make_context
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.lowering.nn_to_npu import NnToNpu
from intaglio.passes.npu.allocate_scratchpad import AllocateScratchpad
from intaglio.passes.npu.insert_tokens import InsertTokens
from intaglio.passes.npu.overlap_transfers import OverlapTransfers
from intaglio.targets.simulator import Program


def cycles(module: ModuleOp, regions: Any, *, overlap: bool) -> int:
    passes = [OverlapTransfers()] if overlap else []
    for scheduling in (*passes, AllocateScratchpad(), InsertTokens()):
        scheduling.apply(make_context(), module)
    return Program(program_binary(regions.to_isa(module))).profile().cycles


@pytest.mark.parametrize("scratchpad", [8_000, 1 << 20])
def test_transfers_hide_behind_work(scratchpad: int, regions: Any) -> None:
    builder = regions.builder(11)
    value = builder.input(1, 24, 24, 16)
    for _ in range(4):
        value = builder.conv2d(value, 16, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1))
    module = builder.module(value)
    NnToNpu(scratchpad=scratchpad).apply(make_context(), module)
    assert cycles(module.clone(), regions, overlap=True) < cycles(module.clone(), regions, overlap=False)


@pytest.mark.parametrize("seed", range(6))
def test_transfers_of_a_queue_and_other_tasks_keep_their_order(seed: int, regions: Any) -> None:
    builder = regions.builder(seed, 23)
    module = builder.module(*regions.random_network(builder, 10))
    NnToNpu(scratchpad=10_000).apply(make_context(), module)
    before = [op for op in module.walk() if isinstance(op, npu.TaskOp)]
    OverlapTransfers().apply(make_context(), module)
    after = [op for op in module.walk() if isinstance(op, npu.TaskOp)]
    for kinds in ((npu.LoadOp,), (npu.StoreOp,)):
        assert [op for op in after if isinstance(op, kinds)] == [op for op in before if isinstance(op, kinds)]
    works = [op for op in before if not isinstance(op, npu.TransferOp)]
    assert [op for op in after if not isinstance(op, npu.TransferOp)] == works
    assert len(after) == len(before)

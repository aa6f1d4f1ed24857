"""Interleaving layers: the same results in fewer cycles, whatever the network."""

from __future__ import annotations

from typing import Any

import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects import nn, npu
from intaglio.ir.context import make_context
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.lowering.nn_to_npu import NnToNpu
from intaglio.passes.npu.allocate_scratchpad import AllocateScratchpad
from intaglio.passes.npu.insert_tokens import InsertTokens
from intaglio.passes.npu.interleave_layers import InterleaveLayers
from intaglio.passes.npu.overlap_transfers import OverlapTransfers
from intaglio.passes.npu.task_graph import build_task_graph
from intaglio.targets.simulator import Program


def cycles(module: ModuleOp, regions: Any, *, interleave: bool) -> int:
    passes = [InterleaveLayers()] if interleave else []
    for scheduling in (*passes, OverlapTransfers(), AllocateScratchpad(), InsertTokens()):
        scheduling.apply(make_context(), module)
    return Program(program_binary(regions.to_isa(module))).profile().cycles


def inverted_residual(regions: Any, size: int = 14, channels: int = 64) -> ModuleOp:
    builder = regions.builder(1)
    source = builder.input(1, size, size, channels)
    point = {"kernel": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    wide = builder.conv2d(source, 6 * channels, **point)
    window = {"kernel": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}
    narrow = builder.conv2d(builder.depthwise(wide, **window), channels, **point)
    return builder.module(builder.binary(nn.AddOp, narrow, source))


def test_the_units_work_at_the_same_time(regions: Any) -> None:
    module = inverted_residual(regions)
    NnToNpu().apply(make_context(), module)
    apart = cycles(module.clone(), regions, interleave=False)
    together = cycles(module.clone(), regions, interleave=True)
    assert together < 0.9 * apart, (together, apart)


@pytest.mark.parametrize("seed", range(6))
def test_tasks_follow_what_they_need(seed: int, regions: Any) -> None:
    builder = regions.builder(seed, 41)
    module = builder.module(*regions.random_network(builder, 12))
    NnToNpu(scratchpad=20_000).apply(make_context(), module)
    before = [op for op in module.walk() if isinstance(op, npu.TaskOp)]
    graph = build_task_graph(before)
    assert graph is not None
    InterleaveLayers().apply(make_context(), module)
    after = {op: place for place, op in enumerate(op for op in module.walk() if isinstance(op, npu.TaskOp))}
    assert len(after) == len(before)
    for task, earlier in zip(before, graph.predecessors, strict=True):
        assert all(after[before[number]] < after[task] for number in earlier)


def test_sums_that_are_live_at_once_have_rows_of_their_own(regions: Any) -> None:
    module = inverted_residual(regions)
    NnToNpu().apply(make_context(), module)
    InterleaveLayers().apply(make_context(), module)
    live: dict[int, range] = {}
    for task in (op for op in module.walk() if isinstance(op, npu.MatrixMultiplyOp | npu.RequantizeOp)):
        row = task.accumulator.value.data
        rows = range(row, row + task.window.data.size)
        if isinstance(task, npu.RequantizeOp):
            assert live.pop(row) == rows
        elif task.accumulate is None:
            assert all(rows.stop <= other.start or other.stop <= rows.start for other in live.values())
            assert rows.start // 1024 == (rows.stop - 1) // 1024
            live[row] = rows
    assert not live

"""What tasks cost on an idle machine, by the formulas of `intaglio.targets.costs`."""

from __future__ import annotations

from typing import cast

from intaglio.dialects import npu
from intaglio.targets.costs import Cost, multiply_cost, run_bursts, transfer_cost, vector_cost
from intaglio.targets.target import Target


def cost_of(task: npu.TaskOp, target: Target) -> Cost:
    """What a task costs; transfers as if their runs began at the start of a burst.

    Args:
        task: the task, with or without addresses.
        target: the accelerator.
    """
    if isinstance(task, npu.TransferOp):
        transfer = task.transfer.data
        bursts = transfer.bytes // transfer.run * run_bursts(0, transfer.run, target)
        return transfer_cost(transfer.bytes, bursts, target, is_load=isinstance(task, npu.LoadOp))
    if isinstance(task, npu.MatrixMultiplyOp):
        inner, outer = task.inner.value.data, task.outer.value.data
        return multiply_cost(task.window.data.size, task.taps.data.size, inner, outer, target)
    kind = task.name.partition(".")[2]
    if isinstance(task, npu.RequantizeOp):
        return vector_cost(kind, task.window.data.size, task.channels.value.data, 1, target)
    vector = cast(npu.MapTaskOp, task)
    return vector_cost(kind, vector.window.data.size, vector.channels.value.data, vector.tap_grid.size, target)

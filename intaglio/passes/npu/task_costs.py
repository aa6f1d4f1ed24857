"""What tasks cost on an idle machine, by the formulas of `intaglio.targets.costs`."""

from __future__ import annotations

from typing import cast

from intaglio.dialects import npu
from intaglio.targets.costs import (
    Cost,
    ElementBytes,
    multiply_cost,
    run_bursts,
    transfer_cost,
    transpose_cost,
    vector_cost,
)
from intaglio.targets.instruction_format import BIAS_BYTES
from intaglio.targets.instructions import PARAMETER_BYTES, WIDE_PARAMETER_BYTES
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
        tiles = task.tiles.data
        elements = ElementBytes(task.map.data.element_bytes, weights=tiles.element_bytes, packed=bool(tiles.packed))
        return multiply_cost(task.window.data.size, task.taps.data.size, inner, outer, target, elements)
    if isinstance(task, npu.TransposeOp):
        return transpose_cost(task.window.data.rows, task.window.data.columns, task.channels.value.data, target)
    kind = task.name.partition(".")[2]
    if isinstance(task, npu.FloatCombineOp) and task.function.data == "divide":
        kind = "float_divide"
    taps = 1 if isinstance(task, npu.AccumulatorTaskOp) else cast(npu.MapTaskOp, task).tap_grid.size
    vector = cast("npu.AccumulatorTaskOp | npu.MapTaskOp", task)
    return vector_cost(kind, vector.window.data.size, vector.channels.value.data, taps, target, _element_bytes(vector))


def _element_bytes(task: npu.AccumulatorTaskOp | npu.MapTaskOp) -> ElementBytes:
    is_wide = isinstance(task, npu.RequantizeOp | npu.DepthwiseOp) and task.wide is not None
    is_float = isinstance(task, npu.FloatSumsOp | npu.FloatDepthwiseOp)
    integers = WIDE_PARAMETER_BYTES if is_wide else PARAMETER_BYTES
    return ElementBytes(
        input=1 if isinstance(task, npu.AccumulatorTaskOp) else task.map.data.element_bytes,
        operand=task.operand.data.element_bytes if isinstance(task, npu.OperandTaskOp) else 1,
        weights=task.tap_weights.data.element_bytes if isinstance(task, npu.DepthwiseOp | npu.FloatDepthwiseOp) else 1,
        output=task.placement.data.element_bytes,
        parameters=BIAS_BYTES if is_float else integers,
    )

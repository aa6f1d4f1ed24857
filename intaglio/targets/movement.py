"""Operations that only move elements, as boxes of their results."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import bf16
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import UniformQuantizedType
from intaglio.dialects.weights import array_of
from intaglio.numerics.bfloat16 import BFLOAT16, bits_of
from intaglio.numerics.quantization import quantize
from intaglio.targets.boxes import (
    Box,
    Loop,
    Sizes,
    broadcast,
    concatenated,
    exchanged_loops,
    gathered,
    is_identity,
    loops_of,
    padded,
    permuted,
    sliced,
)
from intaglio.targets.costs import transpose_cost, vector_cost
from intaglio.targets.target import Target

Movement = tuple[Sizes, list[Box], list[SSAValue]]
"""Dimensions and boxes of a result, in elements, and the tensors that the boxes read, by number."""


def _shape(value: SSAValue) -> Sizes:
    return tuple(nn.tensor_of(value).get_shape())


def _constant(value: SSAValue) -> npt.NDArray[np.int64]:
    assert isinstance(value.owner, nn.ConstantOp)
    values = array_of(value.owner.value)
    return (values.view(np.int16) if values.dtype == BFLOAT16 else values).astype(np.int64)


def movement_of(op: Operation) -> Movement:
    """How an operation of `MOVEMENT` moves elements."""
    return _MOVEMENTS[type(op)](op)


def movement_cycles(op: Operation, target: Target) -> int:
    """What the vector unit takes to move the elements of a result from one place of the scratchpad to another."""
    dimensions, boxes, values = movement_of(op)
    if is_identity(dimensions, boxes, [math.prod(_shape(value)) for value in values]):
        return 0
    cycles = 0
    for box in boxes:
        loops = loops_of(box, dimensions)
        if box.source is not None and (pair := exchanged_loops(loops)) is not None:
            columns, channels = pair
            rows = box.size // (columns.count * channels.count)
            cycles += transpose_cost(rows, columns.count, channels.count, target).cycles
            continue
        inner = next(iter(loops[-1:]), Loop(1, 1, 1))
        run = inner.count if inner.target == 1 and (inner.source == 1 or box.source is None) else 1
        cycles += vector_cost("convert", box.size // run, run, 1, target).cycles
    return cycles


def _transpose(op: nn.TransposeOp) -> Movement:
    return *permuted(_shape(op.input), op.permutation.get_values()), [op.input]


def _slice(op: nn.SliceOp) -> Movement:
    boxes = sliced(_shape(op.input), op.starts.get_values(), op.steps.get_values(), _shape(op.result))
    return *boxes, [op.input]


def _concat(op: nn.ConcatOp) -> Movement:
    dimensions, boxes = concatenated([_shape(value) for value in op.inputs], op.axis.value.data)
    # A constant of one value needs not be loaded: the address generators make it.
    values: list[SSAValue] = []
    found: list[Box] = []
    for box in boxes:
        value = op.inputs[box.source or 0]
        if isinstance(value.owner, nn.ConstantOp) and np.ptp(stored := _constant(value)) == 0:
            found.append(Box(None, box.start, box.shape, value=int(stored.reshape(-1)[0])))
            continue
        found.append(Box(len(values), box.start, box.shape, box.offset, box.strides))
        values.append(value)
    return dimensions, found, values


def _pad(op: nn.PadOp) -> Movement:
    kind = nn.tensor_of(op.input).get_element_type()
    value = 0
    if isinstance(kind, UniformQuantizedType):
        bounds = kind.storage_min, kind.storage_max
        value = int(quantize(np.float32(op.value.value.data), kind.scale, kind.zero_point, *bounds, np.int32))
    elif kind == bf16:
        value = int(bits_of(np.float64(op.value.value.data)))
    boxes = padded(_shape(op.input), op.low.get_values(), op.high.get_values(), value)
    return *boxes, [op.input]


def _broadcast(op: nn.BroadcastOp) -> Movement:
    return *broadcast(_shape(op.input), _shape(op.result)), [op.input]


def _gather(op: nn.GatherOp) -> Movement:
    shape, axis = _shape(op.input), op.axis.value.data
    numbers = _constant(op.indices).reshape(-1)
    numbers = np.clip(np.where(numbers < 0, numbers + shape[axis], numbers), 0, shape[axis] - 1)
    return *gathered(shape, {axis: numbers}), [op.input]


def _resize(op: nn.ResizeOp) -> Movement:
    axes = {1 + direction: op.taps(direction)[0][:, 0] for direction in range(2)}
    return *gathered(_shape(op.input), axes), [op.input]


_MOVEMENTS: dict[type[Operation], Callable[[Any], Movement]] = {
    nn.TransposeOp: _transpose,
    nn.SliceOp: _slice,
    nn.ConcatOp: _concat,
    nn.PadOp: _pad,
    nn.BroadcastOp: _broadcast,
    nn.GatherOp: _gather,
    nn.ResizeOp: _resize,
}

MOVEMENT: tuple[type[Operation], ...] = tuple(_MOVEMENTS)
"""The operations that only move elements, a gather if its indices are constants and a resize to the nearest ones."""


def is_movement(op: Operation) -> bool:
    """Whether an operation only moves elements, by steps that are known."""
    if isinstance(op, nn.GatherOp):
        return isinstance(op.indices.owner, nn.ConstantOp)
    if isinstance(op, nn.ResizeOp):
        return op.mode.data in nn.NEAREST
    return isinstance(op, MOVEMENT)

"""Observers, and what only moves or resamples elements."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import i64

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element, tensor_of
from intaglio.dialects.onnx import ints_of
from intaglio.dialects.quant import ObserveOp
from intaglio.frontend.nn_writer import TO_NCHW, TO_NHWC, Writer, exports


@exports(ObserveOp)
def _observe(writer: Writer, op: ObserveOp) -> None:
    writer.alias(op.input, op.result)


@exports(nn.ReshapeOp)
def _reshape(writer: Writer, op: nn.ReshapeOp) -> None:
    shape = tensor_of(op.result).get_shape()
    target = writer.constant(np.asarray(shape, np.int64), i64)
    # A dimension of 0 would be copied from the input.
    keeps_zero: dict[str, Any] = {"allowzero": 1} if 0 in shape and writer.opset >= 14 else {}
    writer.finish(writer.node("Reshape", [writer.name(op.input), target], **keeps_zero), op.result)


@exports(nn.TransposeOp)
def _transpose(writer: Writer, op: nn.TransposeOp) -> None:
    permutation = ints_of(op.permutation)
    if permutation == TO_NCHW:
        writer.finish(writer.nchw(op.input), op.result)
    elif permutation == TO_NHWC:
        writer.finish_nchw(writer.name(op.input), op.result)
    else:
        writer.finish(writer.node("Transpose", [writer.name(op.input)], perm=permutation), op.result)


@exports(nn.ConcatOp)
def _concat(writer: Writer, op: nn.ConcatOp) -> None:
    made = writer.node("Concat", map(writer.name, op.inputs), axis=op.axis.value.data)
    writer.finish(made, op.result)


@exports(nn.PadOp)
def _pad(writer: Writer, op: nn.PadOp) -> None:
    amounts = [*ints_of(op.low), *ints_of(op.high)]
    writer.finish(writer.padded(writer.name(op.input), amounts, op.value.value.data, op.input), op.result)


@exports(nn.SliceOp)
def _slice(writer: Writer, op: nn.SliceOp) -> None:
    starts, steps, counts = ints_of(op.starts), ints_of(op.steps), tensor_of(op.result).get_shape()
    ends = [start + step * count for start, step, count in zip(starts, steps, counts, strict=True)]
    # Before the first element is far below zero, where ONNX does not count from the end.
    ends = [end if end >= 0 else np.iinfo(np.int64).min for end in ends]
    if writer.opset < 10:
        writer.finish(writer.node("Slice", [writer.name(op.input)], starts=starts, ends=ends), op.result)
        return
    lists = (starts, ends, range(len(starts)), steps)
    inputs = [writer.constant(np.asarray(values, np.int64), i64) for values in lists]
    writer.finish(writer.node("Slice", [writer.name(op.input), *inputs]), op.result)


@exports(nn.BroadcastOp)
def _broadcast(writer: Writer, op: nn.BroadcastOp) -> None:
    shape = writer.constant(np.asarray(tensor_of(op.result).get_shape(), np.int64), i64)
    writer.finish(writer.node("Expand", [writer.name(op.input), shape]), op.result)


@exports(nn.GatherOp)
def _gather(writer: Writer, op: nn.GatherOp) -> None:
    writer.finish(writer.node("Gather", map(writer.name, op.operands), axis=op.axis.value.data), op.result)


@exports(nn.ResizeOp)
def _resize(writer: Writer, op: nn.ResizeOp) -> None:
    """Elements by their numbers, or products with the weights as matrices: exact positions in every opset."""
    value = writer.nchw(op.input)
    for direction in (1, 0):
        indices, weights = op.taps(direction)
        if op.mode.data in nn.NEAREST:
            index = writer.constant(indices[:, 0], i64)
            value = writer.node("Gather", [value, index], axis=2 + direction)
            continue
        size = tensor_of(op.input).get_shape()[1 + direction]
        matrix = np.zeros((indices.shape[0], size))
        for index, weight in zip(indices.T, weights.T, strict=True):
            matrix[range(len(index)), index] += weight
        if direction == 1:
            value = writer.node("MatMul", [value, writer.constant(matrix.T, element(op.input))])
        else:
            value = writer.node("MatMul", [writer.constant(matrix, element(op.input)), value])
    writer.finish_nchw(value, op.result)

"""Softmax and normalizations."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element, tensor_of
from intaglio.frontend.nn_writer import Writer, exports


@exports(nn.SoftmaxOp)
def _softmax(writer: Writer, op: nn.SoftmaxOp) -> None:
    axis, rank = op.axis.value.data, len(tensor_of(op.input).get_shape())
    source = writer.name(op.input)
    if writer.opset >= 13 or axis == rank - 1:
        writer.finish(writer.node("Softmax", [source], axis=axis), op.result)
        return
    # Before opset 13 Softmax flattens all dimensions from its axis on.
    swap = list(range(rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    last = writer.node("Softmax", [writer.node("Transpose", [source], perm=swap)], axis=rank - 1)
    writer.finish(writer.node("Transpose", [last], perm=swap), op.result)


@exports(nn.BatchNormOp)
def _batch_norm(writer: Writer, op: nn.BatchNormOp) -> None:
    rank = len(tensor_of(op.input).get_shape())
    parameters = map(writer.name, (op.scale, op.offset, op.mean, op.variance))
    epsilon = op.epsilon.value.data
    if rank == 4:
        made = writer.node("BatchNormalization", [writer.nchw(op.input), *parameters], epsilon=epsilon)
        writer.finish_nchw(made, op.result)
        return
    first = [0, rank - 1, *range(1, rank - 1)]
    last = [0, *range(2, rank), 1]
    source = writer.node("Transpose", [writer.name(op.input)], perm=first)
    made = writer.node("BatchNormalization", [source, *parameters], epsilon=epsilon)
    writer.finish(writer.node("Transpose", [made], perm=last), op.result)


def _root_mean_square(writer: Writer, op: nn.AxisNormOp, name: str) -> str:
    """The root of the mean square along the axis, epsilon added to the square."""
    mean = writer.reduced("ReduceMean", writer.node("Mul", [name, name]), [op.axis.value.data])
    epsilon = writer.constant(np.asarray(op.epsilon.value.data), element(op.result))
    return writer.node("Sqrt", [writer.node("Add", [mean, epsilon])])


def _along_axis(writer: Writer, op: nn.AxisNormOp, parameter: SSAValue) -> str:
    """A parameter with one element for each along the axis, in a shape that broadcasts over the input."""
    shape, axis = tensor_of(op.result).get_shape(), op.axis.value.data
    if axis == len(shape) - 1:
        return writer.name(parameter)
    target = writer.constant(np.asarray([shape[axis], *[1] * (len(shape) - 1 - axis)], np.int64), i64)
    return writer.node("Reshape", [writer.name(parameter), target])


@exports(nn.LayerNormOp)
def _layer_norm(writer: Writer, op: nn.LayerNormOp) -> None:
    source, axis = writer.name(op.input), op.axis.value.data
    if writer.opset >= 17 and axis == len(tensor_of(op.result).get_shape()) - 1:
        names = map(writer.name, op.operands)
        writer.finish(writer.node("LayerNormalization", names, axis=axis, epsilon=op.epsilon.value.data), op.result)
        return
    distance = writer.node("Sub", [source, writer.reduced("ReduceMean", source, [axis])])
    normalized = writer.node("Div", [distance, _root_mean_square(writer, op, distance)])
    scaled = writer.node("Mul", [normalized, _along_axis(writer, op, op.scale)])
    writer.finish(writer.node("Add", [scaled, _along_axis(writer, op, op.offset)]), op.result)


@exports(nn.RmsNormOp)
def _rms_norm(writer: Writer, op: nn.RmsNormOp) -> None:
    source = writer.name(op.input)
    normalized = writer.node("Div", [source, _root_mean_square(writer, op, source)])
    writer.finish(writer.node("Mul", [normalized, _along_axis(writer, op, op.scale)]), op.result)


@exports(nn.LocalResponseNormOp)
def _local_response_norm(writer: Writer, op: nn.LocalResponseNormOp) -> None:
    rank, source = len(tensor_of(op.input).get_shape()), writer.name(op.input)
    parameters = {name: getattr(op, name).value.data for name in ("size", "alpha", "beta", "bias")}
    if rank == 4:
        writer.finish_nchw(writer.node("LRN", [writer.nchw(op.input)], **parameters), op.result)
        return
    # LRN wants the channels second: all other dimensions become one in front of them.
    flat = writer.constant(np.asarray([-1, tensor_of(op.input).get_shape()[-1], 1, 1], np.int64), i64)
    made = writer.node("LRN", [writer.node("Reshape", [source, flat])], **parameters)
    shape = writer.constant(np.asarray(tensor_of(op.input).get_shape(), np.int64), i64)
    writer.finish(writer.node("Reshape", [made, shape]), op.result)

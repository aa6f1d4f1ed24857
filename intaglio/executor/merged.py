"""Operations on integers that go along dimensions: the interpreter's rule computes all samples at once.

On integers the order of additions does not matter, so the results are the same; floats, where it may, run one sample
at a time. The rule is asked for a *twin* of the operation, which has a dimension of samples before all others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, Block, Operation, Region

from intaglio.dialects import nn
from intaglio.dialects.nn.types import ints
from intaglio.dialects.quant import requantization_mode, set_requantization_mode
from intaglio.executor.registry import Array, Constants, Kernel, kernel
from intaglio.interpreter.registry import find_rule
from intaglio.interpreter.values import tensor_type, value_dtype, value_shape


@kernel(nn.SoftmaxOp, nn.LayerNormOp, nn.RmsNormOp)
def normalize(op: nn.SoftmaxOp | nn.LayerNormOp | nn.RmsNormOp, constants: Constants) -> Kernel | None:
    """Rows are along one dimension."""
    axis = op.axis.value.data % len(value_shape(op.operands[0]))
    return _by_twin(op, constants, {"axis": IntegerAttr(axis + 1, i64)})


@kernel(nn.ReduceMeanOp, nn.ReduceSumOp, nn.ReduceMaxOp, nn.ReduceMinOp, nn.ReduceL2Op)
def reduce(op: nn.ReduceOp, constants: Constants) -> Kernel | None:
    """Reduced are some dimensions."""
    return _by_twin(op, constants, {"axes": ints([int(axis) + 1 for axis in op.axes.get_values()])})


@kernel(nn.ResizeOp)
def resize(op: nn.ResizeOp, constants: Constants) -> Kernel | None:
    """Resized are the second and third dimension, so that samples are more images."""
    rule, shape = find_rule(op), value_shape(op.result)
    if rule is None or not _is_integral(op):
        return None

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        (result,) = rule(op, [x.reshape(-1, *x.shape[2:])])
        return [np.asarray(result, order="C").reshape(len(x), *shape)]

    return compute


@kernel(nn.GatherOp)
def gather(op: nn.GatherOp, constants: Constants) -> Kernel | None:
    """Slices of all samples by constant numbers, or of a constant by the numbers of all samples."""
    rule, axis = find_rule(op), op.axis.value.data
    if rule is None or len(constants) != 1:
        return None
    if 0 in constants:
        return (lambda operands: rule(op, operands)) if axis == 0 else None
    size = value_shape(op.operands[0])[axis]
    indices = np.clip(np.where(constants[1] < 0, constants[1] + size, constants[1]), 0, max(size - 1, 0))
    return (lambda operands: [np.take(operands[0], indices, axis=axis + 1)]) if size else None


@kernel(nn.BroadcastOp)
def broadcast(op: nn.BroadcastOp, constants: Constants) -> Kernel:
    """The input repeated."""
    shape = value_shape(op.result)

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        aligned = x.reshape(len(x), *[1] * (len(shape) + 1 - x.ndim), *x.shape[1:])
        return [np.ascontiguousarray(np.broadcast_to(aligned, (len(x), *shape)))]

    return compute


def _is_integral(op: Operation) -> bool:
    return all(value_dtype(value).kind in "iu" for value in (op.operands[0], *op.results))


def _by_twin(op: Operation, constants: Constants, properties: Mapping[str, Attribute]) -> Kernel | None:
    """The rule of an operation with a dimension more, if all operands but the first are constant."""
    rule = find_rule(op)
    others = range(1, len(op.operands))
    if rule is None or not _is_integral(op) or 0 in constants or not all(index in constants for index in others):
        return None
    first = tensor_type(op.operands[0])
    source = TensorType(first.get_element_type(), (1, *first.get_shape()))
    result = tensor_type(op.results[0])
    block = Block(arg_types=[source, *(operand.type for operand in op.operands[1:])])
    twin = type(op).create(
        operands=list(block.args),
        result_types=[TensorType(result.get_element_type(), (1, *result.get_shape()))],
        properties={**op.properties, **properties},
    )
    block.add_op(twin)
    function = func.FuncOp("twin", FunctionType.from_lists(list(block.arg_types), []), Region(block))
    set_requantization_mode(function, requantization_mode(op))
    return lambda operands: [np.asarray(array, order="C") for array in rule(twin, operands)]

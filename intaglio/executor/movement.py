"""Operations that only move elements, on all samples at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp, StorageCastOp
from intaglio.executor.registry import Constants, Kernel, kernel
from intaglio.interpreter.registry import evaluate
from intaglio.interpreter.values import tensor_type, value_dtype, value_shape

Array = np.ndarray[Any, np.dtype[Any]]


@kernel(nn.ReshapeOp)
def reshape(op: nn.ReshapeOp, constants: Constants) -> Kernel:
    """The same elements."""
    shape = value_shape(op.result)
    return lambda operands: [operands[0].reshape(len(operands[0]), *shape)]


@kernel(nn.TransposeOp)
def transpose(op: nn.TransposeOp, constants: Constants) -> Kernel:
    """Dimensions in another order, behind the samples."""
    order = (0, *(int(axis) + 1 for axis in op.permutation.get_values()))
    return lambda operands: [np.ascontiguousarray(np.transpose(operands[0], order))]


@kernel(nn.ConcatOp)
def concat(op: nn.ConcatOp, constants: Constants) -> Kernel:
    """The inputs one after another; constant ones once for each sample."""
    axis = op.axis.value.data % len(tensor_type(op.result).get_shape()) + 1

    def compute(operands: list[Array]) -> list[Array]:
        count = next(len(operand) for index, operand in enumerate(operands) if index not in constants)
        parts = [
            np.broadcast_to(operand, (count, *operand.shape)) if index in constants else operand
            for index, operand in enumerate(operands)
        ]
        return [np.concatenate(parts, axis=axis)]

    return compute


@kernel(nn.PadOp)
def pad(op: nn.PadOp, constants: Constants) -> Kernel:
    """Surround with the value as the interpreter stores it: what it makes of a tensor without elements but padding."""
    amounts = [(0, 0), *zip(op.low.get_values(), op.high.get_values(), strict=True)]
    dtype = value_dtype(op.input)
    # The rule pads by amounts, so that of nothing it makes at least one element where there is any padding.
    padded = evaluate(op, [np.zeros([0] * len(value_shape(op.input)), dtype)])[0]
    value = padded.reshape(-1)[0] if padded.size else None
    if value is None:
        row = next((axis for axis, (low, high) in enumerate(amounts[1:]) if low + high), None)
        if row is None:
            return lambda operands: [operands[0]]
        shape = [1] * len(value_shape(op.input))
        shape[row] = 0
        value = evaluate(op, [np.zeros(shape, dtype)])[0].reshape(-1)[0]
    return lambda operands: [np.pad(operands[0], amounts, constant_values=value)]


@kernel(nn.SliceOp)
def slice_elements(op: nn.SliceOp, constants: Constants) -> Kernel:
    """The elements at `starts + i * steps` in each dimension."""
    rows = zip(op.starts.get_values(), op.steps.get_values(), value_shape(op.result), strict=True)
    chosen = [start + step * np.arange(count) for start, step, count in rows]
    return lambda operands: [operands[0][np.ix_(np.arange(len(operands[0])), *chosen)]]


@kernel(StorageCastOp, ObserveOp)
def same_bits(op: StorageCastOp | ObserveOp, constants: Constants) -> Kernel:
    """The same bits in the dtype of the result."""
    dtype = value_dtype(op.results[0])
    return lambda operands: [operands[0] if operands[0].dtype == dtype else operands[0].view(dtype)]

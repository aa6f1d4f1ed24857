"""Rules of constants, of the operations that only move elements, and of resampling."""

from __future__ import annotations

import math

import numpy as np

from intaglio.dialects import nn
from intaglio.dialects.quant import requantization_mode
from intaglio.dialects.weights import array_of
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import (
    Array,
    bits_of,
    in_double,
    quantization,
    rounded,
    storage_bounds,
    value_dtype,
    value_shape,
)
from intaglio.numerics.quantization import quantize
from intaglio.numerics.rescaling import rescale, store


@rule(nn.ConstantOp)
def constant(op: nn.ConstantOp, operands: list[Array]) -> list[Array]:
    """The value, read-only; stored values when the type is quantized."""
    return [array_of(op.value)]


@rule(nn.ReshapeOp)
def reshape(op: nn.ReshapeOp, operands: list[Array]) -> list[Array]:
    """The same elements in row-major order."""
    return [operands[0].reshape(value_shape(op.result))]


@rule(nn.TransposeOp)
def transpose(op: nn.TransposeOp, operands: list[Array]) -> list[Array]:
    """Dimension `k` of the result is dimension `permutation[k]` of the input."""
    return [np.transpose(operands[0], op.permutation.get_values())]


@rule(nn.ConcatOp)
def concat(op: nn.ConcatOp, operands: list[Array]) -> list[Array]:
    """The inputs one after another."""
    return [np.concatenate(operands, axis=op.axis.value.data)]


@rule(nn.PadOp)
def pad(op: nn.PadOp, operands: list[Array]) -> list[Array]:
    """Surround with the value; quantized: with the value in the tensor's own parameters."""
    value = np.asarray(op.value.value.data, np.float32)
    kind = quantization(op.input)
    if kind is not None:
        value = quantize(value, kind.scale, kind.zero_point, kind.storage_min, kind.storage_max, value_dtype(op.input))
    amounts = list(zip(op.low.get_values(), op.high.get_values(), strict=True))
    return [np.pad(operands[0], amounts, constant_values=value.astype(value_dtype(op.input)))]


@rule(nn.SliceOp)
def slice_elements(op: nn.SliceOp, operands: list[Array]) -> list[Array]:
    """The elements at `starts + i * steps` in each dimension."""
    rows = zip(op.starts.get_values(), op.steps.get_values(), value_shape(op.result), strict=True)
    chosen = np.ix_(*(start + step * np.arange(count) for start, step, count in rows))
    return [operands[0][chosen]]


@rule(nn.BroadcastOp)
def broadcast(op: nn.BroadcastOp, operands: list[Array]) -> list[Array]:
    """The input repeated."""
    return [np.broadcast_to(operands[0], value_shape(op.result))]


@rule(nn.GatherOp)
def gather(op: nn.GatherOp, operands: list[Array]) -> list[Array]:
    """Slices by number, negative ones from the end; numbers outside are limited, as anything would do."""
    x, indices = operands
    axis = op.axis.value.data
    return [np.take(x, np.where(indices < 0, indices + x.shape[axis], indices), axis=axis, mode="clip")]


@rule(nn.ResizeOp)
def resize(op: nn.ResizeOp, operands: list[Array]) -> list[Array]:
    """Mix elements in rows, then in columns, in double precision or in integers; the nearest modes take one."""
    (rows, row_weights), (columns, column_weights) = op.taps(0), op.taps(1)
    if op.mode.data in nn.NEAREST:
        return [operands[0][:, rows[:, 0]][:, :, columns[:, 0]]]
    if (kind := quantization(op.input)) is not None:
        (rows, stored_rows), (columns, stored_columns) = op.integer_taps(0), op.integer_taps(1)
        total = np.einsum("nykxc,yk->nyxc", operands[0].astype(np.int64)[:, rows], stored_rows)
        total = np.einsum("nyxkc,xk->nyxc", total[:, :, columns], stored_columns)
        scaled = rescale(total, 1 / math.prod(op.units.get_values()), requantization_mode(op), wide=bits_of(kind) > 8)
        return [store(scaled, 0, *storage_bounds(kind, None)).astype(value_dtype(op.result))]
    mixed = np.einsum("nykxc,yk->nyxc", in_double(operands[0])[:, rows], row_weights)
    return [rounded(np.einsum("nyxkc,xk->nyxc", mixed[:, :, columns], column_weights), op.result)]

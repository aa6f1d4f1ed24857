"""Rules of constants, of the operations that only move elements, and of resampling."""

from __future__ import annotations

from functools import reduce
from math import prod

import numpy as np

from intaglio.dialects import nn
from intaglio.dialects.nn.types import storage_bits
from intaglio.dialects.quant import requantization_mode
from intaglio.dialects.weights import array_of
from intaglio.interpreter.values import quantization, value_dtype, value_shape
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr
from intaglio.numerics.quantization import quantize


@rule(nn.ConstantOp)
def constant(emitter: Emitter, op: nn.ConstantOp, operands: list[Expr]) -> list[Expr]:
    """The value, stored in the library."""
    return [emitter.constant(array_of(op.value), value_dtype(op.result))]


@rule(nn.ReshapeOp)
def reshape(emitter: Emitter, op: nn.ReshapeOp, operands: list[Expr]) -> list[Expr]:
    """The same elements in row-major order."""
    if 0 in value_shape(op.result):
        # TVM takes a size of 0 for that of the input.
        return [emitter.constant(np.zeros(value_shape(op.result)), value_dtype(op.result))]
    return [emitter.builder.operator("reshape", operands[0], value_shape(op.result))]


@rule(nn.TransposeOp)
def transpose(emitter: Emitter, op: nn.TransposeOp, operands: list[Expr]) -> list[Expr]:
    """Dimensions in another order."""
    permutation = [int(dimension) for dimension in op.permutation.get_values()]
    return [emitter.builder.operator("permute_dims", operands[0], permutation)]


@rule(nn.ConcatOp)
def concat(emitter: Emitter, op: nn.ConcatOp, operands: list[Expr]) -> list[Expr]:
    """The inputs one after another."""
    return [emitter.builder.operator("concat", operands, axis=op.axis.value.data)]


@rule(nn.PadOp)
def pad(emitter: Emitter, op: nn.PadOp, operands: list[Expr]) -> list[Expr]:
    """Surround with the value; quantized: with the value in the tensor's own parameters."""
    value = np.asarray(op.value.value.data, np.float32)
    kind = quantization(op.input)
    if kind is not None:
        value = quantize(value, kind.scale, kind.zero_point, kind.storage_min, kind.storage_max, value_dtype(op.input))
    low, high = (tuple(int(amount) for amount in amounts.get_values()) for amounts in (op.low, op.high))
    return [emitter.padded(operands[0], low, high, value.item(), value_dtype(op.input))]


@rule(nn.SliceOp)
def slice_elements(emitter: Emitter, op: nn.SliceOp, operands: list[Expr]) -> list[Expr]:
    """The elements at `starts + i * steps`."""
    shape = value_shape(op.result)
    starts, steps = ([int(value) for value in values.get_values()] for values in (op.starts, op.steps))
    te = emitter.builder.te

    def computation(tensor: Expr) -> Expr:
        def element(*index: Expr) -> Expr:
            return tensor[tuple(start + step * i for start, step, i in zip(starts, steps, index, strict=True))]

        return te.compute(shape, element, name="slice")

    return [emitter.builder.compute("slice", computation, operands[0])]


@rule(nn.BroadcastOp)
def broadcast(emitter: Emitter, op: nn.BroadcastOp, operands: list[Expr]) -> list[Expr]:
    """The input repeated."""
    return [emitter.builder.operator("broadcast_to", operands[0], value_shape(op.result))]


@rule(nn.GatherOp)
def gather(emitter: Emitter, op: nn.GatherOp, operands: list[Expr]) -> list[Expr]:
    """Slices by number, negative ones from the end."""
    x, indices = operands
    axis, dtype = op.axis.value.data, value_dtype(op.indices)
    from_end = emitter.add(indices, emitter.constant(value_shape(op.input)[axis], dtype))
    is_negative = emitter.builder.operator("less", indices, emitter.constant(0, dtype))
    numbers = emitter.builder.operator("where", is_negative, from_end, indices)
    return [emitter.builder.operator("take", x, numbers, axis=axis, mode="clip")]


@rule(nn.ResizeOp)
def resize(emitter: Emitter, op: nn.ResizeOp, operands: list[Expr]) -> list[Expr]:
    """Mix elements in rows, then in columns."""
    x, dtype, kind = operands[0], value_dtype(op.result), quantization(op.input)
    mixes = op.mode.data not in nn.NEAREST
    stored = kind is not None and mixes
    if stored:
        x, dtype = emitter.cast(x, np.int64), np.dtype(np.int64)
    for direction in (0, 1):
        indices, weights = op.integer_taps(direction) if stored else op.taps(direction)
        parts: list[Expr] = []
        for tap in range(indices.shape[1]):
            index = emitter.constant(indices[:, tap], "int64")
            part = emitter.builder.operator("take", x, index, axis=1 + direction, mode="clip")
            if mixes:
                column = weights[:, tap].reshape((-1, 1, 1) if direction == 0 else (-1, 1))
                part = emitter.multiply(part, emitter.constant(column, dtype))
            parts.append(part)
        x = reduce(emitter.add, parts)
    if kind is not None and mixes:
        # In units of the result, without its zero point, which all elements have in them.
        factor, wide = 1 / prod(op.units.get_values()), storage_bits(op.input) > 8
        scaled = emitter.rescale(x, factor, requantization_mode(op), wide=wide)
        limited = emitter.limit(scaled, kind.storage_min, kind.storage_max, "int64")
        x = emitter.cast(limited, value_dtype(op.result))
    return [x]

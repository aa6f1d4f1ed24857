"""Rules of constants and of the operations that only move elements."""

from __future__ import annotations

import numpy as np

from intaglio.dialects import nn
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

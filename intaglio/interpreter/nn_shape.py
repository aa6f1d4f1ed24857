"""Rules of constants and of the operations that only move elements."""

from __future__ import annotations

import numpy as np

from intaglio.dialects import nn
from intaglio.dialects.weights import array_of
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import Array, quantization, value_dtype, value_shape
from intaglio.numerics.quantization import quantize


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

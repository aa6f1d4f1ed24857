"""Rules of the activation functions.

On quantized tensors relu and clip are a requantization with limits, because they are linear between their
bounds; the others are a table with the result of each of the 256 stored values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from intaglio.dialects import nn
from intaglio.errors import UserError
from intaglio.interpreter.registry import rule
from intaglio.interpreter.table_functions import table_function
from intaglio.interpreter.values import (
    Array,
    centered,
    in_double,
    quantization,
    rounded,
    storage_bounds,
    value_dtype,
)
from intaglio.ir.locations import describe
from intaglio.numerics.requantization import quantize_multiplier, requantize
from intaglio.numerics.tables import table_int8


def clipped(op: nn.ReluOp | nn.ClipOp, x: Array, clamp: nn.ClampAttr) -> Array:
    """Limit to real bounds; quantized: bring to the result's scale and limit to the rounded bounds."""
    kind, result = quantization(op.input), quantization(op.result)
    if kind is None or result is None:
        return rounded(in_double(x), op.result, clamp)
    multiplier, shift = quantize_multiplier(kind.scale / result.scale)
    bounds = storage_bounds(result, clamp)
    return requantize(centered(x, kind), multiplier, shift, result.zero_point, *bounds).astype(value_dtype(op.result))


@rule(nn.ReluOp)
def relu(op: nn.ReluOp, operands: list[Array]) -> list[Array]:
    """Limit below at zero."""
    return [clipped(op, operands[0], nn.ClampAttr.of(0.0, np.inf))]


@rule(nn.ClipOp)
def clip(op: nn.ClipOp, operands: list[Array]) -> list[Array]:
    """Limit to the given bounds."""
    return [clipped(op, operands[0], op.clamp)]


def tabulated(op: nn.ActivationOp, x: Array, function: Callable[[Array], Array]) -> Array:
    """Apply a real function; quantized: look each stored value up in the function's table.

    Raises:
        UserError: the input is stored in another type than 8-bit integers.
    """
    kind, result = quantization(op.input), quantization(op.result)
    if kind is None or result is None:
        return rounded(function(in_double(x)), op.result)
    if value_dtype(op.input) != np.int8 or value_dtype(op.result) != np.int8:
        raise UserError(f"tables exist for signed 8-bit storage only, not for {describe(op)}")
    table = table_int8(
        function, kind.scale, kind.zero_point, result.scale, result.zero_point, *storage_bounds(result, None)
    )
    return table[x.astype(np.int64) + 128]


@rule(*nn.TABLE_OPS)
def table_activation(op: nn.ActivationOp, operands: list[Array]) -> list[Array]:
    """Apply the operation's function."""
    return [tabulated(op, operands[0], table_function(op))]

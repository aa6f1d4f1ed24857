"""Rules of the activation functions.

On quantized tensors relu and clip are a requantization with limits, because they are linear between their
bounds; the others are a table: with the result of each of the 256 stored values of 8 bits, or with 513 results for
16 bits, between which interpolation is linear.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from intaglio.dialects import nn
from intaglio.dialects.quant import requantization_mode
from intaglio.errors import UserError
from intaglio.interpreter.registry import rule
from intaglio.interpreter.table_functions import table_function
from intaglio.interpreter.values import (
    Array,
    bits_of,
    centered,
    in_double,
    quantization,
    rounded,
    storage_bounds,
    value_dtype,
)
from intaglio.ir.locations import describe
from intaglio.numerics.fixed_point import LOGARITHM_BITS, logarithm_offset, stored_logarithm
from intaglio.numerics.rescaling import rescale, store
from intaglio.numerics.tables import lookup_int16, table_int8, table_int16, table_int16_scale


def clipped(op: nn.ReluOp | nn.ClipOp, x: Array, clamp: nn.ClampAttr) -> Array:
    """Limit to real bounds; quantized: bring to the result's scale and limit to the rounded bounds."""
    kind, result = quantization(op.input), quantization(op.result)
    if kind is None or result is None:
        return rounded(in_double(x), op.result, clamp)
    scaled = rescale(centered(x, kind), kind.scale / result.scale, requantization_mode(op))
    return store(scaled, result.zero_point, *storage_bounds(result, clamp)).astype(value_dtype(op.result))


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
        UserError: values are stored in other integers than signed ones of 8 bits, or of 16 with the zero point 0.
    """
    kind, result = quantization(op.input), quantization(op.result)
    if kind is None or result is None:
        return rounded(function(in_double(x)), op.result)
    dtypes = value_dtype(op.input), value_dtype(op.result)
    if not {*dtypes} <= {np.dtype(np.int8), np.dtype(np.int16)} or (dtypes[0] == np.int16 and kind.zero_point):
        raise UserError(
            f"tables exist for signed 8-bit and symmetric 16-bit storage only, not for {describe(op)} of {kind}"
        )
    bounds = storage_bounds(result, None)
    if dtypes[0] == np.int8:
        table = table_int8(
            function, kind.scale, kind.zero_point, result.scale, result.zero_point, *bounds, dtype=dtypes[1]
        )
        return table[x.astype(np.int64) + 128]
    if isinstance(op, nn.LogOp):
        unit = 2.0**-LOGARITHM_BITS
        steps = stored_logarithm(x, logarithm_offset(kind.scale))
        scaled = rescale(steps, unit / result.scale, requantization_mode(op))
        return store(scaled, result.zero_point, *bounds).astype(dtypes[1])
    scale = table_int16_scale(result.scale, bits_of(result))
    # Interpolation leaves seven fraction bits.
    steps = lookup_int16(table_int16(function, kind.scale, scale), x)
    scaled = rescale(steps, scale / result.scale / 128, requantization_mode(op))
    return store(scaled, result.zero_point, *bounds).astype(dtypes[1])


@rule(*nn.TABLE_OPS)
def table_activation(op: nn.ActivationOp, operands: list[Array]) -> list[Array]:
    """Apply the operation's function."""
    return [tabulated(op, operands[0], table_function(op))]

"""Rules of the activation functions: of quantized tensors, a requantization with limits or a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from intaglio.dialects import nn
from intaglio.errors import UserError
from intaglio.interpreter.table_functions import table_function
from intaglio.interpreter.values import bits_of, quantization, storage_bounds, value_dtype
from intaglio.ir.locations import describe
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.fixed_point import FixedPoint, requantized
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr
from intaglio.numerics.fixed_point import LOGARITHM_BITS
from intaglio.numerics.tables import table_int8, table_int16, table_int16_scale


def _clipped(emitter: Emitter, op: nn.ReluOp | nn.ClipOp, x: Expr, clamp: nn.ClampAttr) -> list[Expr]:
    kind = quantization(op.input)
    if kind is None:
        return [emitter.clamped(x, op.result, clamp)]
    return [requantized(emitter, emitter.centered(x, kind), kind.scale, op.result, clamp)]


@rule(nn.ReluOp)
def relu(emitter: Emitter, op: nn.ReluOp, operands: list[Expr]) -> list[Expr]:
    """Limit below at zero."""
    return _clipped(emitter, op, operands[0], nn.ClampAttr.of(0.0, math.inf))


@rule(nn.ClipOp)
def clip(emitter: Emitter, op: nn.ClipOp, operands: list[Expr]) -> list[Expr]:
    """Limit to the bounds."""
    return _clipped(emitter, op, operands[0], op.clamp)


def _tabulated(emitter: Emitter, op: nn.ActivationOp, x: Expr) -> Expr:
    """Look stored values up in the table of their results."""
    kind, result = quantization(op.input), quantization(op.result)
    assert kind is not None and result is not None
    dtypes = value_dtype(op.input), value_dtype(op.result)
    if not {*dtypes} <= {np.dtype(np.int8), np.dtype(np.int16)} or (dtypes[0] == np.int16 and kind.zero_point):
        raise UserError(
            f"{describe(op)} is a table of int8 or symmetric int16 values, got {op.input.type} and {op.result.type}"
        )
    function, bounds = table_function(op), storage_bounds(result, None)
    if dtypes[0] == np.int16:
        if isinstance(op, nn.LogOp):
            unit = 2.0**-LOGARITHM_BITS
            logarithms = FixedPoint(emitter).logarithm(emitter.cast(x, np.int64), round(math.log(kind.scale) / unit))
            return requantized(emitter, logarithms, unit, op.result)
        scale = table_int16_scale(result.scale, bits_of(result))
        steps = _interpolated(emitter, table_int16(function, kind.scale, scale), x)
        return requantized(emitter, steps, scale / 128, op.result)
    table = table_int8(function, kind.scale, kind.zero_point, result.scale, result.zero_point, *bounds, dtype=dtypes[1])
    index = emitter.add(emitter.cast(x, "int32"), emitter.constant(128, "int32"))
    return _entries(emitter, emitter.constant(table, dtypes[1]), index)


def _entries(emitter: Emitter, table: Expr, index: Expr) -> Expr:
    return emitter.builder.operator("take", table, index, axis=0, mode="clip")


def _interpolated(emitter: Emitter, table: np.ndarray[Any, np.dtype[np.int16]], x: Expr) -> Expr:
    """`numerics.tables.lookup_int16` of stored int16 values, in int64."""
    wide = emitter.cast(x, "int32")
    place = emitter.add(wide, emitter.constant(32768, "int32"))
    index = emitter.apply("right_shift", place, emitter.constant(7, "int32"))
    fraction = emitter.cast(emitter.apply("bitwise_and", wide, emitter.constant(127, "int32")), "int64")
    entries = table.astype(np.int64)
    base = _entries(emitter, emitter.constant(entries[:-1] * 128, "int64"), index)
    slope = _entries(emitter, emitter.constant(np.diff(entries), "int64"), index)
    return emitter.add(base, emitter.multiply(slope, fraction))


@rule(*nn.TABLE_OPS)
def table_activation(emitter: Emitter, op: nn.ActivationOp, operands: list[Expr]) -> list[Expr]:
    """A table of quantized tensors, else the function in the tensor's own precision."""
    if quantization(op.input) is not None:
        return [_tabulated(emitter, op, operands[0])]
    real = _REAL.get(type(op), _relax_operator)
    return [real(_Real(emitter, op), op, operands[0])]


class _Real:
    """Arithmetic on floats of one type, with numbers as second operands.

    Args:
        emitter: emits the operations.
        op: an operation on floats.
    """

    def __init__(self, emitter: Emitter, op: nn.ActivationOp) -> None:
        self.emitter = emitter
        self.dtype = value_dtype(op.result)

    def __call__(self, name: str, *operands: Expr | float) -> Expr:
        """The result of a Relax operator on tensors and numbers."""
        tensors = [
            self.emitter.constant(operand, self.dtype) if isinstance(operand, float) else operand
            for operand in operands
        ]
        return self.emitter.builder.operator(name, *tensors)

    def positive(self, x: Expr, above: Expr, below: Expr) -> Expr:
        """`above` where `x` is above zero, else `below`."""
        return self("where", self("greater", x, 0.0), above, below)


def _hard_sigmoid(real: _Real, op: nn.HardSigmoidOp, x: Expr) -> Expr:
    shifted = real("add", real("multiply", x, op.alpha.value.data), op.beta.value.data)
    return real.emitter.limit(shifted, 0.0, 1.0, real.dtype)


def _hard_swish(real: _Real, op: nn.HardSwishOp, x: Expr) -> Expr:
    gate = real.emitter.limit(real("add", x, 3.0), 0.0, 6.0, real.dtype)
    return real("divide", real("multiply", x, gate), 6.0)


def _softplus(real: _Real, op: nn.ActivationOp, x: Expr) -> Expr:
    """`max(x, 0) + log1p(exp(-|x|))`, in which nothing overflows or cancels."""
    work = np.dtype(np.float64 if real.dtype == np.float64 else np.float32)
    small = real.emitter.cast(real("exp", real("multiply", real("abs", x), -1.0)), work)
    return real("add", real("maximum", x, 0.0), real.emitter.cast(real.emitter.log1p(small, work), real.dtype))


def _mish(real: _Real, op: nn.MishOp, x: Expr) -> Expr:
    return real("multiply", x, real("tanh", _softplus(real, op, x)))


def _elu(real: _Real, op: nn.EluOp, x: Expr) -> Expr:
    below = real("subtract", real("exp", real("minimum", x, 0.0)), 1.0)
    return real.positive(x, x, real("multiply", below, op.alpha.value.data))


def _leaky_relu(real: _Real, op: nn.LeakyReluOp, x: Expr) -> Expr:
    return real.positive(x, x, real("multiply", x, op.alpha.value.data))


def _gelu(real: _Real, op: nn.GeluOp, x: Expr) -> Expr:
    if op.approximate.data == "tanh":
        cube = real("multiply", real("multiply", x, real("multiply", x, x)), 0.044715)
        inner = real("tanh", real("multiply", real("add", x, cube), math.sqrt(2.0 / math.pi)))
    else:
        inner = real("erf", real("multiply", x, math.sqrt(0.5)))
    return real("multiply", real("multiply", x, 0.5), real("add", inner, 1.0))


def _relax_operator(real: _Real, op: nn.ActivationOp, x: Expr) -> Expr:
    """The operator of Relax that has the operation's name."""
    return real(op.name.removeprefix("nn."), x)


_REAL: dict[type[nn.ActivationOp], Callable[[_Real, Any, Expr], Expr]] = {
    nn.EluOp: _elu,
    nn.GeluOp: _gelu,
    nn.HardSigmoidOp: _hard_sigmoid,
    nn.HardSwishOp: _hard_swish,
    nn.LeakyReluOp: _leaky_relu,
    nn.MishOp: _mish,
    nn.ReciprocalOp: lambda real, op, x: real("divide", 1.0, x),
    nn.SiluOp: lambda real, op, x: real("multiply", x, real("sigmoid", x)),
    nn.SoftplusOp: _softplus,
}
"""How the functions that Relax has no operator for are computed in floats."""

"""Why an operation stays in floats although others of its kind are quantized: one small function a kind.

The integer arithmetic of some kinds has conditions: parameters that are constants, rows that are not too long for exact
sums. A function returns what is in the way, for people, or None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.weights import array_of
from intaglio.numerics.fixed_point import LONGEST_SUM_OF_SQUARES
from intaglio.numerics.normalization import LONGEST_ROW
from intaglio.numerics.softmax import LONGEST_SUM

Op = TypeVar("Op", bound=Operation)
Refusal = Callable[[Operation, int], str | None]

_LARGEST_UNITS = 1 << 22
"""Product of the units of a linear resampling, so that a sum of stored 8-bit values times weights has 30 bits."""

_REFUSALS: dict[type[Operation], Refusal] = {}


def _refusal(*kinds: type[Op]) -> Callable[[Callable[[Op, int], str | None]], Callable[[Op, int], str | None]]:
    """Register the decorated function for operations of the given classes and of those derived from them."""

    def register(function: Callable[[Op, int], str | None]) -> Callable[[Op, int], str | None]:
        def checked(op: Operation, bits: int) -> str | None:
            assert isinstance(op, kinds)
            return function(op, bits)

        _REFUSALS.update(dict.fromkeys(kinds, checked))
        return function

    return register


def refusal(op: Operation, bits: int = 8) -> str | None:
    """What keeps an operation of a quantized kind in floats, or None.

    Args:
        op: a float operation.
        bits: of the integers that its activations would be, 8 or 16.
    """
    return next((_REFUSALS[kind](op, bits) for kind in type(op).__mro__ if kind in _REFUSALS), None)


def constant_values(value: SSAValue) -> np.ndarray | None:
    """The array of a constant; None for any other value."""
    return array_of(value.owner.value) if isinstance(value.owner, nn.ConstantOp) else None


@_refusal(nn.ConvTranspose2dOp, nn.Conv2dOp, nn.DenseOp)
def _linear(op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp, bits: int) -> str | None:
    return _constants_only(op.operands[1:])


@_refusal(nn.AxisNormOp)
def _normalization(op: nn.AxisNormOp, bits: int) -> str | None:
    count = nn.tensor_of(op.operands[0]).get_shape()[op.axis.value.data]
    if not 0 < count <= LONGEST_ROW[bits]:
        return f"integer normalization is of 1 to {LONGEST_ROW[bits]} elements, not {count}"
    return _constants_only(op.operands[1:])


def _constants_only(parameters: Sequence[SSAValue]) -> str | None:
    constant = all(isinstance(parameter.owner, nn.ConstantOp) for parameter in parameters)
    return None if constant else "its parameters are computed, not constants"


@_refusal(nn.SoftmaxOp)
def _softmax(op: nn.SoftmaxOp, bits: int) -> str | None:
    count = nn.tensor_of(op.input).get_shape()[op.axis.value.data]
    return None if 0 < count <= LONGEST_SUM else f"integer softmax is over 1 to {LONGEST_SUM} elements, not {count}"


@_refusal(nn.ReduceL2Op)
def _root_of_squares(op: nn.ReduceL2Op, bits: int) -> str | None:
    shape = nn.tensor_of(op.input).get_shape()
    count = math.prod(shape[axis] for axis in op.axes.get_values())
    most = LONGEST_SUM_OF_SQUARES
    return None if 0 < count <= most else f"integer roots are of sums of 1 to {most} squares, not {count}"


@_refusal(nn.DivOp)
def _division(op: nn.DivOp, bits: int) -> str | None:
    divisor = constant_values(op.rhs)
    if divisor is None:
        return None
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        finite = bool(np.all(np.isfinite(np.float32(1) / divisor.astype(np.float32)) & np.isfinite(divisor)))
    return None if finite else "the constant divisor has no finite reciprocal"


@_refusal(nn.ResizeOp)
def _resampling(op: nn.ResizeOp, bits: int) -> str | None:
    if op.mode.data == "cubic":
        return "the weights of cubic resampling are no fractions of integers"
    units = list(op.units.get_values())
    if op.mode.data == "linear" and math.prod(units) > _LARGEST_UNITS:
        return f"integer resampling is by at most {_LARGEST_UNITS} parts, not {units[0]} by {units[1]}"
    return None


@_refusal(nn.CastOp)
def _conversion(op: nn.CastOp, bits: int) -> str | None:
    source = nn.tensor_of(op.input).get_element_type()
    return None if isinstance(source, IntegerType) else f"it converts {source}"

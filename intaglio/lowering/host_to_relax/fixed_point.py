"""The arithmetic of `intaglio.numerics.fixed_point` on Relax tensors of int64, equal to it in every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn import ClampAttr
from intaglio.dialects.quant import requantization_mode
from intaglio.interpreter.values import quantization
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.tvm import Expr
from intaglio.numerics.fixed_point import (
    LOGARITHM_OF_2,
    LOGARITHMS,
    QUOTIENT_BITS,
    RECIPROCAL_ESTIMATES,
    ROOT_ESTIMATES,
)
from intaglio.params import RequantizationMode

_ONE = 1 << 30
_LARGEST_MULTIPLIER = (1 << 31) - 1


class FixedPoint:
    """Emits fixed-point arithmetic; operands are tensors or numbers, of int64.

    Args:
        emitter: emits the operations.
    """

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter

    def __call__(self, name: str, *operands: Expr | int) -> Expr:
        """The result of an elementwise Relax operator."""
        tensors = [self.constant(operand) if isinstance(operand, int) else operand for operand in operands]
        return self._emitter.apply(name, *tensors)

    def constant(self, values: ArrayLike) -> Expr:
        """A constant tensor."""
        return self._emitter.constant(values, np.int64)

    def lookup(self, table: ArrayLike, index: Expr) -> Expr:
        """Entries of a table, as int64."""
        return self._emitter.apply("take", self.constant(np.asarray(table)), index, axis=0, mode="clip")

    def bit_length(self, value: Expr) -> Expr:
        """The number of bits of positive integers."""
        te, tirx = self._emitter.builder.te, self._emitter.builder.tirx

        def computation(x: Expr) -> Expr:
            def element(*index: Expr) -> Expr:
                return tirx.const(64, "int64") - tirx.Cast("int64", tirx.clz(x(*index)))

            return te.compute(x.shape, element, name="bit_length")

        return self._emitter.builder.compute("bit_length", computation, value)

    def rounding_shift(self, value: Expr, shift: Expr | int) -> Expr:
        """`value / 2^shift` rounded half up."""
        if isinstance(shift, int):
            return self("right_shift", self("add", value, 1 << (shift - 1)), shift)
        half = self("left_shift", self.constant(np.ones(_shape(shift))), self("subtract", shift, 1))
        return self("right_shift", self("add", value, half), shift)

    def _shifted_left(self, value: Expr, amount: Expr) -> Expr:
        left = self("left_shift", value, self("maximum", amount, 0))
        return self("right_shift", left, self("maximum", self("negative", amount), 0))

    def reciprocal(self, value: Expr) -> tuple[Expr, Expr]:
        """Multiplier and shift of `1 / value`."""
        bits = self.bit_length(value)
        x = self._shifted_left(value, self("subtract", self.constant(31), bits))
        estimates = RECIPROCAL_ESTIMATES.astype(np.int64) << 16
        y = self.lookup(estimates, self("right_shift", x, 23))
        for _ in range(2):
            product = self.rounding_shift(self("multiply", x, y), 31)
            y = self.rounding_shift(self("multiply", y, self("subtract", self.constant(2 * _ONE), product)), 30)
        return self._limited(y), self("add", bits, 30)

    def root(self, value: Expr) -> tuple[Expr, Expr, Expr]:
        """The shifted argument, half the bits it was shifted by, and its reciprocal square root."""
        half = self("right_shift", self("subtract", self.constant(32), self.bit_length(value)), 1)
        x = self._shifted_left(value, self("multiply", half, 2))
        y = self.lookup(ROOT_ESTIMATES.astype(np.int64) << 16, self("right_shift", x, 24))
        for _ in range(2):
            square = self.rounding_shift(self("multiply", y, y), 30)
            product = self.rounding_shift(self("multiply", x, square), 32)
            y = self.rounding_shift(self("multiply", y, self("subtract", self.constant(3 * _ONE), product)), 31)
        return x, half, self._limited(y)

    def reciprocal_sqrt(self, value: Expr) -> tuple[Expr, Expr]:
        """Multiplier and shift of `1 / sqrt(value)`."""
        _, half, y = self.root(value)
        return y, self("subtract", self.constant(46), half)

    def square_root(self, value: Expr, fraction_bits: int) -> Expr:
        """The square root with bits after the point."""
        x, half, y = self.root(self("maximum", value, 1))
        root = self.rounding_shift(self("multiply", x, y), 31)
        shifted = self.rounding_shift(root, self("add", half, 15 - fraction_bits))
        return self._emitter.select(self("greater", value, 0), shifted, self.constant(0))

    def quotient(self, dividend: Expr, divisor: Expr, bits: int) -> Expr:
        """Integers over integers; division by zero gives the largest magnitude."""
        multiplier, shift = self.reciprocal(self("maximum", self("abs", divisor), 1))
        zero = self.constant(0)
        signed = self._emitter.select(self("less", divisor, 0), self("negative", multiplier), multiplier)
        result = self.rounding_shift(self("multiply", dividend, signed), self("subtract", shift, QUOTIENT_BITS[bits]))
        sign = self("maximum", self("minimum", dividend, 1), -1)
        largest = self("multiply", sign, (1 << (31 if bits == 8 else 47)) - 1)
        return self._emitter.select(self("equal", divisor, zero), largest, result)

    def logarithm(self, value: Expr, summand: int) -> Expr:
        """The natural logarithm plus a number; of zero the smallest of 32 bits, of negative numbers zero."""
        positive = self("maximum", value, 1)
        bits = self.bit_length(positive)
        x = self._shifted_left(positive, self("subtract", self.constant(31), bits))
        index = self("subtract", self("right_shift", x, 22), 256)
        slope = self.lookup(np.diff(LOGARITHMS.astype(np.int64)), index)
        between = self.rounding_shift(self("multiply", slope, self("bitwise_and", x, (1 << 22) - 1)), 22)
        whole = self("multiply", self("subtract", bits, 1), LOGARITHM_OF_2)
        result = self("add", self("add", whole, self.lookup(LOGARITHMS, index)), self("add", between, summand))
        smallest, zero = self.constant(np.iinfo(np.int32).min), self.constant(0)
        other = self._emitter.select(self("equal", value, zero), smallest, zero)
        return self._emitter.select(self("greater", value, zero), result, other)

    def _limited(self, y: Expr) -> Expr:
        return self("maximum", self("minimum", y, _LARGEST_MULTIPLIER), _ONE)


def _shape(tensor: Expr) -> tuple[int, ...]:
    return tuple(int(extent) for extent in tensor.ty.shape)


def requantized(
    emitter: Emitter,
    value: Expr,
    unit: float | NDArray[Any],
    result: SSAValue,
    clamp: ClampAttr | None = None,
    *,
    wide: bool = False,
) -> Expr:
    """Store integers of a real unit as the result's type does.

    Args:
        emitter: emits the operations.
        value: int64, of 32 bits, or 48 when `wide`.
        unit: the real value of 1, or of 1 in each channel.
        result: of the operation.
        clamp: fused activation.
        wide: whether values have 48 bits.
    """
    kind = quantization(result)
    assert kind is not None
    mode = requantization_mode(result.owner) if isinstance(result.owner, Operation) else RequantizationMode.SHIFT
    once = isinstance(result.owner, nn.DenseOp)
    return emitter.store(emitter.rescale(value, unit / kind.scale, mode, wide=wide, once=once), result, clamp)

"""Products as exporters spell them: what a tree of multiplications and divisions multiplies."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from dataclasses import dataclass

from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.passes.graph.matching import constant_number

_TOLERANCE = 1e-4
_LARGEST_TREE = 12
"""Factors up to which a product is looked at, so that long chains of other arithmetic cost linear time."""


def close(value: float, expected: float) -> bool:
    """Whether a constant is what it is meant to be, as exporters round them."""
    return math.isclose(value, expected, rel_tol=_TOLERANCE)


@dataclass(frozen=True)
class Product:
    """`number * factors[0] * factors[1] ...`, all factors of the product's type."""

    number: float
    factors: tuple[SSAValue, ...]

    def is_number_times(self, number: float, *factors: SSAValue) -> bool:
        """Whether this is a number, as exporters round it, times the given factors in any order."""
        return close(self.number, number) and sorted(map(id, self.factors)) == sorted(map(id, factors))


def product_of(value: SSAValue, leaves: Container[SSAValue] = ()) -> Product | None:
    """The factors of a value; None when there are too many.

    Args:
        value: the result of multiplications, and of divisions by numbers, or anything else (a product of itself).
        leaves: values not to be taken apart.
    """
    number, factors = 1.0, list[SSAValue]()
    waiting = [value]
    while waiting:
        if len(waiting) + len(factors) > _LARGEST_TREE:
            return None
        current = waiting.pop()
        owner = current.owner
        if current not in leaves and isinstance(owner, nn.MulOp | nn.DivOp) and owner.clamp is None:
            divisor = constant_number(owner.rhs)
            if divisor and owner.lhs.type == current.type:
                number *= divisor if isinstance(owner, nn.MulOp) else 1.0 / divisor
                waiting.append(owner.lhs)
                continue
            multiplier = constant_number(owner.lhs)
            if isinstance(owner, nn.MulOp) and multiplier and owner.rhs.type == current.type:
                number *= multiplier
                waiting.append(owner.rhs)
                continue
            if isinstance(owner, nn.MulOp) and owner.lhs.type == owner.rhs.type == current.type:
                waiting += [owner.lhs, owner.rhs]
                continue
        factors.append(current)
    return Product(number, tuple(factors))


def multiples(value: SSAValue) -> Iterator[tuple[SSAValue, float]]:
    """Each `x` up the chain that a value is a number times, with that number, nearest first; the value itself not."""
    number = 1.0
    for _ in range(_LARGEST_TREE):
        op = value.owner
        if not isinstance(op, nn.MulOp | nn.DivOp) or op.clamp is not None:
            return
        factor, other = constant_number(op.rhs), op.lhs
        if factor is None and isinstance(op, nn.MulOp):
            factor, other = constant_number(op.lhs), op.rhs
        if not factor or other.type != value.type:
            return
        number, value = number * (factor if isinstance(op, nn.MulOp) else 1.0 / factor), other
        yield value, number


def number_and_summand(value: SSAValue) -> tuple[float, SSAValue] | None:
    """The number and the other operand of an addition, the latter of the sum's type."""
    owner = value.owner
    if not isinstance(owner, nn.AddOp) or owner.clamp is not None:
        return None
    for number, other in ((owner.lhs, owner.rhs), (owner.rhs, owner.lhs)):
        constant = constant_number(number)
        if constant is not None and other.type == value.type:
            return constant, other
    return None

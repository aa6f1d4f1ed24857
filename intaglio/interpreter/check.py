"""Rules of the `check` dialect: assertions that end the run, naming the op and the first element that is wrong."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from xdsl.ir import Operation

from intaglio.dialects.check import ExpectCloseOp, ExpectEqOp
from intaglio.errors import UserError
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import Array
from intaglio.ir.locations import describe, where


def fail(op: Operation, wrong: Array, actual: Array, expected: Array, relation: str) -> NoReturn:
    """Raise the error about the elements where `wrong` is set."""
    index = tuple(int(axis[0]) for axis in np.nonzero(wrong)) if wrong.ndim else ()
    raise UserError(
        f"{describe(op)} does not hold: element {list(index)} is {actual[index]}, expected {relation}"
        f"{expected[index]} ({np.count_nonzero(wrong)} of {wrong.size} elements differ)",
        where=where(op.location),
    )


@rule(ExpectEqOp)
def expect_eq(op: ExpectEqOp, operands: list[Array]) -> list[Array]:
    """Compare bits, so that NaN equals itself and the two zeros differ."""
    actual, expected = (np.ascontiguousarray(operand) for operand in operands)
    bits = np.dtype(f"u{actual.dtype.itemsize}")
    wrong = (actual.view(bits) != expected.view(bits)).reshape(operands[0].shape)
    if wrong.any():
        fail(op, wrong, operands[0], operands[1], "")
    return []


@rule(ExpectCloseOp)
def expect_close(op: ExpectCloseOp, operands: list[Array]) -> list[Array]:
    """Compare in double precision (integers exactly), NaN and infinities to themselves only."""
    tolerance = op.tolerance.value.data
    integral = operands[0].dtype.kind in "iub"
    actual, expected = (operand.astype(object if integral else np.float64) for operand in operands)
    near = np.asarray(abs(actual - expected) <= tolerance, np.bool_)
    same = np.asarray(actual == expected, np.bool_)
    if not integral:
        same |= np.isnan(actual) & np.isnan(expected)
        near &= np.isfinite(actual) & np.isfinite(expected)
    wrong = ~(near | same)
    if wrong.any():
        fail(op, wrong, operands[0], operands[1], f"within {tolerance} of ")
    return []

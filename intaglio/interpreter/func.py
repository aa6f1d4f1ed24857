"""Rules of the `func` dialect. A call runs the callee by its own rules, whatever level its operations are of."""

from __future__ import annotations

from xdsl.dialects import func

from intaglio.interpreter.interpreter import Interpreter
from intaglio.interpreter.registry import calling_rule, rule
from intaglio.interpreter.values import Array


@rule(func.ReturnOp)
def return_(op: func.ReturnOp, operands: list[Array]) -> list[Array]:
    """The function's results."""
    return operands


@calling_rule(func.CallOp)
def call(interpreter: Interpreter, op: func.CallOp, operands: list[Array]) -> list[Array]:
    """The results of the called function."""
    return interpreter.run(op.callee.string_value(), operands)

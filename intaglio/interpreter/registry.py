"""The table of rules: for each operation class, the function that computes its results.

```python
@rule(nn.ReluOp)
def relu(op: nn.ReluOp, operands: list[Array]) -> list[Array]:
    return [np.maximum(operands[0], 0)]
```

A rule of a base class serves the classes derived from it that have none of their own. Adding a dialect is
adding a module to this package: all of them are imported the first time a rule is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from xdsl.ir import Operation

from intaglio.errors import UserError
from intaglio.interpreter.values import Array
from intaglio.ir.locations import describe
from intaglio.ir.rules import Rules, of_class

if TYPE_CHECKING:
    from intaglio.interpreter.interpreter import Interpreter

Op = TypeVar("Op", bound=Operation)

Rule = Callable[[Op, list[Array]], list[Array]]
"""Computes the results of an operation from the values of its operands, without changing those."""

CallingRule = Callable[["Interpreter", Op, list[Array]], list[Array]]
"""A rule that runs other functions of the module, and is therefore given the interpreter."""

_RULES = Rules[type[Operation], Rule[Any]](package="intaglio.interpreter")
_CALLING_RULES = Rules[type[Operation], CallingRule[Any]](package="intaglio.interpreter")


def rule(*kinds: type[Op]) -> Callable[[Rule[Op]], Rule[Op]]:
    """Register the decorated function as the meaning of the given operation classes."""
    return _RULES.add(*kinds)


def calling_rule(*kinds: type[Op]) -> Callable[[CallingRule[Op]], CallingRule[Op]]:
    """Register the decorated function as the meaning of operations that run functions of the module."""
    return _CALLING_RULES.add(*kinds)


def find_rule(op: Operation) -> Rule[Operation] | None:
    """The rule of an operation that computes from its operands alone, or None."""
    return of_class(_RULES, op)


def find_calling_rule(op: Operation) -> CallingRule[Operation] | None:
    """The rule of an operation that runs other functions, or None."""
    return of_class(_CALLING_RULES, op)


def missing_rule(op: Operation) -> UserError:
    """The error for an operation that has no meaning here."""
    return UserError(
        f"the interpreter has no rule for {describe(op)}",
        hint="rules are functions decorated with @rule in intaglio/interpreter/",
    )


def evaluate(op: Operation, operands: list[Array]) -> list[Array]:
    """Compute one operation, as constant folding does.

    Args:
        op: the operation.
        operands: one array per operand.

    Returns:
        One array per result.

    Raises:
        UserError: the operation has no rule, or its rule cannot compute it.
    """
    function = find_rule(op)
    if function is None:
        raise missing_rule(op)
    with np.errstate(all="ignore"):
        return function(op, operands)

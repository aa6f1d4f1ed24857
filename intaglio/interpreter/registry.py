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

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from xdsl.ir import Operation

import intaglio.interpreter as package
from intaglio.errors import UserError
from intaglio.interpreter.values import Array
from intaglio.ir.locations import describe

if TYPE_CHECKING:
    from intaglio.interpreter.interpreter import Interpreter

Op = TypeVar("Op", bound=Operation)

Rule = Callable[[Op, list[Array]], list[Array]]
"""Computes the results of an operation from the values of its operands, without changing those."""

CallingRule = Callable[["Interpreter", Op, list[Array]], list[Array]]
"""A rule that runs other functions of the module, and is therefore given the interpreter."""

_RULES: dict[type[Operation], Rule[Any]] = {}
_CALLING_RULES: dict[type[Operation], CallingRule[Any]] = {}


def rule(*kinds: type[Op]) -> Callable[[Rule[Op]], Rule[Op]]:
    """Register the decorated function as the meaning of the given operation classes."""

    def register(function: Rule[Op]) -> Rule[Op]:
        for kind in kinds:
            assert kind not in _RULES, f"two rules for {kind.name}"
            _RULES[kind] = function
        return function

    return register


def calling_rule(*kinds: type[Op]) -> Callable[[CallingRule[Op]], CallingRule[Op]]:
    """Register the decorated function as the meaning of operations that run functions of the module."""

    def register(function: CallingRule[Op]) -> CallingRule[Op]:
        for kind in kinds:
            assert kind not in _CALLING_RULES, f"two rules for {kind.name}"
            _CALLING_RULES[kind] = function
        return function

    return register


@cache
def _load_rules() -> None:
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def _lookup(table: dict[type[Operation], Any], op: Operation) -> Any | None:
    return next((table[kind] for kind in type(op).__mro__ if kind in table), None)


def find_rule(op: Operation) -> Rule[Operation] | None:
    """The rule of an operation that computes from its operands alone, or None."""
    _load_rules()
    return cast("Rule[Operation] | None", _lookup(_RULES, op))


def find_calling_rule(op: Operation) -> CallingRule[Operation] | None:
    """The rule of an operation that runs other functions, or None."""
    _load_rules()
    return cast("CallingRule[Operation] | None", _lookup(_CALLING_RULES, op))


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

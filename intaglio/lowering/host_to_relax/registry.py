"""The table of rules: for each operation class, the function that emits it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

from xdsl.ir import Operation

import intaglio.lowering.host_to_relax as package
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.tvm import Expr

Op = TypeVar("Op", bound=Operation)

Rule = Callable[[Emitter, Op, list[Expr]], list[Expr]]
"""Emits an operation, given its operands, and returns its results."""

_RULES: dict[type[Operation], Rule[Any]] = {}


def rule(*kinds: type[Op]) -> Callable[[Rule[Op]], Rule[Op]]:
    """Register the decorated function as the lowering of the given operation classes."""

    def register(function: Rule[Op]) -> Rule[Op]:
        for kind in kinds:
            assert kind not in _RULES, f"two rules for {kind.name}"
            _RULES[kind] = function
        return function

    return register


@cache
def _load_rules() -> None:
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def find_rule(op: Operation) -> Rule[Operation] | None:
    """The rule of an operation, or None when the host cannot run it."""
    _load_rules()
    return cast("Rule[Operation] | None", _RULES.get(type(op)))

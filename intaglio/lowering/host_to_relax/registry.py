"""The tables of rules: for each operation class, and for each ONNX operator, the function that emits it.

```python
@onnx_rule("Ceil")
def ceil(node: HostNode) -> list[Expr]:
    return [node.emitter.builder.operator("ceil", node.operands[0])]
```
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

from xdsl.ir import Operation

import intaglio.lowering.host_to_relax as package
from intaglio.dialects.onnx import NodeOp, OnnxOp
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.tvm import Expr

Op = TypeVar("Op", bound=Operation)

Rule = Callable[[Emitter, Op, list[Expr]], list[Expr]]
"""Emits an operation, given its operands, and returns its results."""

OnnxRule = Callable[[HostNode], list[Expr]]
"""Emits an ONNX node and returns its outputs by their positions, of which trailing ones may be missing if absent."""

_RULES: dict[type[Operation], Rule[Any]] = {}
_ONNX_RULES: dict[tuple[str, str], OnnxRule] = {}


def rule(*kinds: type[Op]) -> Callable[[Rule[Op]], Rule[Op]]:
    """Register the decorated function as the lowering of the given operation classes."""

    def register(function: Rule[Op]) -> Rule[Op]:
        for kind in kinds:
            assert kind not in _RULES, f"two rules for {kind.name}"
            _RULES[kind] = function
        return function

    return register


def onnx_rule(*op_types: str, domain: str = "") -> Callable[[OnnxRule], OnnxRule]:
    """Register the decorated function as the lowering of some ONNX operators."""

    def register(function: OnnxRule) -> OnnxRule:
        for op_type in op_types:
            assert (domain, op_type) not in _ONNX_RULES, f"two rules for {op_type}"
            _ONNX_RULES[domain, op_type] = function
        return function

    return register


@cache
def _load_rules() -> None:
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def find_rule(op: Operation) -> Rule[Operation] | None:
    """The rule of an operation, or None when the host cannot run it."""
    _load_rules()
    if not isinstance(op, NodeOp):
        return cast("Rule[Operation] | None", _RULES.get(type(op)))
    function = _ONNX_RULES.get((op.domain, op.op_type))
    if function is None or not isinstance(op, OnnxOp):
        return None

    def emit(emitter: Emitter, op: OnnxOp, operands: list[Expr]) -> list[Expr]:
        outputs = function(HostNode(emitter, op, operands))
        pairs = zip(op.node_outputs(), outputs, strict=False)
        return [output for value, output in pairs if value is not None]

    return cast("Rule[Operation]", emit)


def host_operators() -> list[tuple[str, str]]:
    """Domain and name of every ONNX operator that has a rule, sorted."""
    _load_rules()
    return sorted(_ONNX_RULES)

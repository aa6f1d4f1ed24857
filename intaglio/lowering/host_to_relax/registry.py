"""The tables of rules: for each operation class, and for each ONNX operator, the function that emits it.

```python
@onnx_rule("Ceil")
def ceil(node: HostNode) -> list[Expr]:
    return [node.emitter.builder.operator("ceil", node.operands[0])]
```
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from xdsl.ir import Operation

from intaglio.dialects.onnx import NodeOp, OnnxOp
from intaglio.ir.rules import Rules, of_class
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.tvm import Expr

Op = TypeVar("Op", bound=Operation)

Rule = Callable[[Emitter, Op, list[Expr]], list[Expr]]
"""Emits an operation, given its operands, and returns its results."""

OnnxRule = Callable[[HostNode], list[Expr]]
"""Emits an ONNX node and returns its outputs by their positions, of which trailing ones may be missing if absent."""

_RULES = Rules[type[Operation], Rule[Any]](package="intaglio.lowering.host_to_relax")
_ONNX_RULES = Rules[tuple[str, str], OnnxRule](package="intaglio.lowering.host_to_relax")


def rule(*kinds: type[Op]) -> Callable[[Rule[Op]], Rule[Op]]:
    """Register the decorated function as the lowering of the given operation classes."""
    return _RULES.add(*kinds)


def onnx_rule(*op_types: str, domain: str = "") -> Callable[[OnnxRule], OnnxRule]:
    """Register the decorated function as the lowering of some ONNX operators."""
    return _ONNX_RULES.add(*((domain, op_type) for op_type in op_types))


def find_rule(op: Operation) -> Rule[Operation] | None:
    """The rule of an operation, or None when the host cannot run it."""
    if not isinstance(op, NodeOp):
        return of_class(_RULES, op)
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
    return sorted(_ONNX_RULES.keys())


def host_kinds() -> list[type[Operation]]:
    """Every class of operations that has a rule, by name."""
    return sorted(_RULES.keys(), key=lambda kind: kind.name)

"""Inlining the functions that a model defines, after checking that it ends.

ONNX's inliner does not check that functions do not call themselves, and calls within calls multiply: a file of a few
hundred bytes can stand for more nodes than fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, inliner

from intaglio.dialects.onnx.schema import canonical_domain
from intaglio.errors import UserError

MAX_NODES = 1_000_000
"""Models of more nodes after inlining are refused."""

MAX_DEPTH = 100
"""So deep may functions call each other."""

FunctionKey = tuple[str, str, str]
"""Domain, name and overload."""


def inline_functions(model: ModelProto, *, where: str | None = None) -> ModelProto:
    """The model with calls of its own functions replaced by their bodies.

    Args:
        model: any model; it is not changed.
        where: the model file, for messages.

    Raises:
        UserError: a function is defined twice or calls itself, or there would be too many nodes.
    """
    functions = {_key(function): function for function in model.functions}
    if len(functions) < len(model.functions):
        raise UserError("the model defines a function twice", where=where)
    if _Sizes(functions, where).of(model.graph.node) > MAX_NODES:
        raise UserError(f"the model has more than {MAX_NODES} nodes when its functions are inlined", where=where)
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:
        # The inliner is foreign code that raises what it pleases about models that are not valid.
        raise UserError(f"cannot inline the model's functions: {error}", where=where) from error


def _key(part: FunctionProto | NodeProto) -> FunctionKey:
    name = part.name if isinstance(part, FunctionProto) else part.op_type
    return canonical_domain(part.domain), name, part.overload


class _Sizes:
    """Numbers of nodes after inlining."""

    def __init__(self, functions: dict[FunctionKey, FunctionProto], where: str | None) -> None:
        self._functions = functions
        self._where = where
        self._known: dict[FunctionKey, int] = {}
        self._open: list[FunctionKey] = []

    def of(self, nodes: Iterable[NodeProto]) -> int:
        """The number of nodes that some nodes become, at most one more than allowed."""
        return min(sum(self._of_node(node) for node in _with_inner(nodes)), MAX_NODES + 1)

    def _of_node(self, node: NodeProto) -> int:
        key = _key(node)
        function = self._functions.get(key)
        if function is None:
            return 1
        if key not in self._known:
            if key in self._open:
                raise UserError(f'the function "{key[1]}" calls itself', where=self._where)
            if len(self._open) == MAX_DEPTH:
                raise UserError(f"functions call each other more than {MAX_DEPTH} deep", where=self._where)
            self._open.append(key)
            self._known[key] = self.of(function.node)
            self._open.pop()
        return self._known[key]


def _with_inner(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _with_inner(attribute.g.node)

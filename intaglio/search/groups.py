"""Quantizer groups: the operations whose precision is chosen as one.

The precision of an operation says how its activation operands and its weights are stored while it computes, and a
result is stored as wide as its widest reader asks for. Two readers of one tensor may therefore differ, at the price of
a requantization. What remains tied is this, and the rule is its transitive closure:

1. Operations that share an ONNX node's name: an assignment names nodes. A layer norm or a recurrent layer that became
   several operations is one group, and so are operations fused from several nodes.
2. Operations that read one constant as their weight: it is stored once.

Operations without arithmetic of their own (reshape, concat, max pool) take the parameters of what they hand on and
are in no group, and neither are operations that stay float.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from intaglio.ir.locations import names_in
from intaglio.passes.quantization.coverage import (
    KEEPS_RANGE,
    LAYERS,
    MOVES_ELEMENTS,
    Coverage,
    activations,
    constant_of,
    functions_with_body,
    unobserved,
)
from intaglio.search.work import elements_of, macs_of


@dataclass(frozen=True)
class Group:
    """Operations whose precision is chosen as one.

    Attributes:
        names: the ONNX names of its operations, in the order of the graph; the first names the group.
        kinds: the operations' names in the dialect, in order.
        macs: multiplications with accumulation of an inference.
        elements: elements of its operations' results.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    macs: int
    elements: int

    @property
    def name(self) -> str:
        """The group's name: that of its first operation."""
        return self.names[0]


@dataclass(frozen=True)
class Groups:
    """The groups of a module, in the order of the graph, and where values pass from one to another.

    Attributes:
        groups: the groups.
        edges: `(producer, reader, elements)` by index: a tensor of that many elements made in one group is read in
            another, operations without a group between them looked through. Each pair and tensor once.
    """

    groups: tuple[Group, ...]
    edges: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self.groups)

    @property
    def macs(self) -> int:
        """Multiplications with accumulation of an inference, in all groups."""
        return sum(group.macs for group in self.groups)


def quantizer_groups(module: ModuleOp) -> Groups:
    """The quantizer groups of a float module.

    Args:
        module: at the end of the phase `graph` or `calibrate`; observers are looked through.
    """
    by_group = grouped_operations(module)
    number_of = {op: number for number, operations in enumerate(by_group) for op in operations}
    groups = tuple(_group(operations, number) for number, operations in enumerate(by_group))
    return Groups(groups, tuple(_edges(list(functions_with_body(module)), number_of)))


def grouped_operations(module: ModuleOp) -> list[list[Operation]]:
    """The operations of each quantizer group of a float module, in the order of `quantizer_groups`."""
    members: list[Operation] = []
    for function in functions_with_body(module):
        members.extend(op for op in Coverage(function).quantized if not isinstance(op, KEEPS_RANGE + MOVES_ELEMENTS))
    parents = list(range(len(members)))

    def root(index: int) -> int:
        while parents[index] != index:
            index = parents[index]
        return index

    owners: dict[object, int] = {}
    for index, op in enumerate(members):
        for key in _ties(op):
            low, high = sorted((root(owners.setdefault(key, index)), root(index)))
            parents[high] = low
    by_root: dict[int, list[Operation]] = {}
    for index, op in enumerate(members):
        by_root.setdefault(root(index), []).append(op)
    return list(by_root.values())


def _ties(op: Operation) -> Iterable[object]:
    yield from names_in(op.location)
    if isinstance(op, LAYERS) and (weight := constant_of(op.weight)) is not None:
        yield weight


def _group(operations: list[Operation], number: int) -> Group:
    names = dict.fromkeys(name for op in operations for name in names_in(op.location))
    return Group(
        tuple(names) or (f"group {number}",),
        tuple(op.name for op in operations),
        sum(macs_of(op) for op in operations),
        sum(elements_of(result) for op in operations for result in op.results),
    )


def _edges(functions: list[func.FuncOp], number_of: dict[Operation, int]) -> Iterable[tuple[int, int, int]]:
    seen: dict[tuple[int, int, object], int] = {}
    for function in functions:
        for op in function.body.block.ops:
            if op not in number_of:
                continue
            for value in activations(op):
                waiting = [value]
                while waiting:
                    source = unobserved(waiting.pop())
                    owner = source.owner
                    if not isinstance(owner, Operation):
                        continue
                    if owner in number_of:
                        if number_of[owner] != number_of[op]:
                            seen.setdefault((number_of[owner], number_of[op], source), elements_of(source))
                    elif isinstance(owner, KEEPS_RANGE + MOVES_ELEMENTS):
                        waiting.extend(activations(owner))
    for (producer, reader, _), elements in seen.items():
        yield producer, reader, elements

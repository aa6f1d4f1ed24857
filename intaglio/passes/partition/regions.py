"""Which operations of the accelerator can be one region, and what crosses the boundaries then.

A region must not wait for the host in its middle. Each operation therefore has a level: the number of times that the
work before it goes from the accelerator to the host. Operations of one level form one region, whose inputs come from
lower levels and from host operations of its own level, so that the host can run level after level; there are as many
regions as the longest path needs, and no fewer would do. An operation that could be in several levels is in the one
in which the fewest bytes cross boundaries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from xdsl.ir import Block, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.targets.host_costs import stored_bytes

_SWEEPS = 8
"""Most times that all operations are looked at; moves stop long before."""


@dataclass(frozen=True)
class Tensor:
    """A value of a block, other than a constant.

    Attributes:
        bytes: its size in memory.
        producer: the number of the operation that computes it; None for an argument.
        consumers: numbers of the operations that read it.
        is_returned: whether the block returns it.
    """

    bytes: int
    producer: int | None
    consumers: tuple[int, ...]
    is_returned: bool


@dataclass(frozen=True)
class Graph:
    """The operations of a block but constants and the terminator, by number, and the tensors between them.

    Attributes:
        ops: in the order of the block, in which each stands behind those it depends on.
        tensors: in the order of their definition.
    """

    ops: tuple[Operation, ...]
    tensors: tuple[Tensor, ...]

    @staticmethod
    def of(block: Block) -> Graph:
        """The graph of a block."""
        terminator = block.last_op
        ops = tuple(op for op in block.ops if op is not terminator and not isinstance(op, nn.ConstantOp))
        numbers = {op: number for number, op in enumerate(ops)}
        readers: dict[SSAValue, dict[int, None]] = {}
        for op in ops:
            for value in _read_by(op):
                readers.setdefault(value, {})[numbers[op]] = None
        returned = set(terminator.operands) if terminator is not None else set[SSAValue]()
        values = [*block.args, *(result for op in ops for result in op.results)]
        tensors = tuple(
            Tensor(
                stored_bytes(value),
                numbers[value.owner] if isinstance(value.owner, Operation) else None,
                tuple(readers.get(value, ())),
                value in returned,
            )
            for value in values
        )
        return Graph(ops, tensors)

    @cached_property
    def read(self) -> tuple[tuple[int, ...], ...]:
        """For each operation the numbers of the tensors that it reads."""
        found: list[list[int]] = [[] for _ in self.ops]
        for number, tensor in enumerate(self.tensors):
            for consumer in tensor.consumers:
                found[consumer].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def made(self) -> tuple[tuple[int, ...], ...]:
        """For each operation the numbers of the tensors that it computes."""
        found: list[list[int]] = [[] for _ in self.ops]
        for number, tensor in enumerate(self.tensors):
            if tensor.producer is not None:
                found[tensor.producer].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def producers(self) -> tuple[tuple[int, ...], ...]:
        """For each operation those whose results it reads."""
        owners = [tensor.producer for tensor in self.tensors]
        return tuple(tuple({owner: None for t in read if (owner := owners[t]) is not None}) for read in self.read)

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each operation those that read its results."""
        return tuple(tuple({c: None for t in made for c in self.tensors[t].consumers}) for made in self.made)


def _read_by(op: Operation) -> Iterator[SSAValue]:
    """The values that an operation reads, in regions of its own too."""
    yield from op.operands
    for region in op.regions:
        for inner in region.walk():
            yield from inner.operands


def crossings(graph: Graph, tensor: Tensor, on_accelerator: Sequence[bool], levels: Sequence[int]) -> int:
    """How often a tensor crosses a boundary: once out of its region, and once into each other one that reads it."""
    made_in = tensor.producer
    home = levels[made_in] if made_in is not None and on_accelerator[made_in] else None
    regions = {levels[reader] for reader in tensor.consumers if on_accelerator[reader]}
    others = regions - {home}
    leaves = home is not None and (
        bool(others) or tensor.is_returned or not all(on_accelerator[reader] for reader in tensor.consumers)
    )
    return len(others) + leaves


def region_levels(graph: Graph, on_accelerator: Sequence[bool]) -> list[int]:
    """The level of each operation; those of the accelerator with the same level are one region.

    Args:
        graph: the operations.
        on_accelerator: for each operation whether the accelerator runs it.
    """
    first = earliest_levels(graph, on_accelerator)
    moved = [_settled(graph, on_accelerator, first, moves_ties=moves_ties) for moves_ties in (False, True)]
    return min((first, *moved), key=lambda levels: crossing_bytes(graph, on_accelerator, levels))


def earliest_levels(graph: Graph, on_accelerator: Sequence[bool]) -> list[int]:
    """For each operation the changes from accelerator to host on the longest path to it."""
    levels: list[int] = []
    for number, producers in enumerate(graph.producers):
        waits = not on_accelerator[number]
        levels.append(max((levels[p] + (waits and on_accelerator[p]) for p in producers), default=0))
    return levels


def crossing_bytes(graph: Graph, on_accelerator: Sequence[bool], levels: Sequence[int]) -> int:
    """Bytes that cross the boundaries of all regions."""
    return sum(tensor.bytes * crossings(graph, tensor, on_accelerator, levels) for tensor in graph.tensors)


def _settled(graph: Graph, on_accelerator: Sequence[bool], first: Sequence[int], *, moves_ties: bool) -> list[int]:
    """Levels after moving single operations, as long as bytes are saved.

    Args:
        graph: the operations.
        on_accelerator: which the accelerator runs.
        first: levels to begin with.
        moves_ties: whether to move operations to a later level for nothing; then others may follow.
    """
    levels, last = list(first), max(first, default=0)
    for _ in range(_SWEEPS):
        before = list(levels)
        for number in reversed(range(len(graph.ops))):
            latest = min(
                (levels[c] - (on_accelerator[number] and not on_accelerator[c]) for c in graph.consumers[number]),
                default=last,
            )
            if not on_accelerator[number]:
                # The host waits for nobody by being late, and leaves its producers the choice.
                levels[number] = latest
                continue
            earliest = max((levels[p] for p in graph.producers[number]), default=0)
            if earliest < latest:
                levels[number] = _cheapest(graph, on_accelerator, levels, number, earliest, latest, moves_ties)
        if levels == before:
            break
    return levels


def _cheapest(
    graph: Graph,
    on_accelerator: Sequence[bool],
    levels: list[int],
    number: int,
    earliest: int,
    latest: int,
    moves_ties: bool,
) -> int:
    touched = [graph.tensors[t] for t in (*graph.read[number], *graph.made[number])]
    present = levels[number]

    def moved(level: int) -> int:
        levels[number] = level
        return sum(tensor.bytes * crossings(graph, tensor, on_accelerator, levels) for tensor in touched)

    costs = {level: moved(level) for level in range(earliest, latest + 1)}
    levels[number] = present
    least = min(costs.values())
    if costs[present] == least and not moves_ties:
        return present
    return max(level for level, cost in costs.items() if cost == least)

"""Give to the host what the accelerator could run but what costs more than it saves there.

```mlir
%1 = nn.softmax %0 {device = "host"}                      %1 = nn.softmax %0 {device = "host"}
%2 = nn.relu %1    {device = "accelerator"}          ->   %2 = nn.relu %1    {device = "host", host_reason =
%3 = nn.resize %2  {device = "host"}                           "What the accelerator saves ..., got ..."}
                                                          %3 = nn.resize %2  {device = "host"}
```

The cost of a placement is the sum, in cycles of the accelerator, of

- each operation where it runs: on the accelerator the busier of its units or the load of its weights
  (`intaglio.targets.estimate`), on the host by `intaglio.targets.host_costs`;
- each region: a launch;
- each tensor that crosses a region's boundary: its transfer, and the host's caches.

Groups of operations are tried, the cheapest for the host first: what hangs together inside a region, and single
operations at its edge. A group goes to the host if the placement without it costs less; so it is also decided on which
side of a boundary a change of precision or of layout stands. What the user chose the accelerator for
stays, and so does the last region: who names an accelerator is given one, however small the network.

The model leaves out that host and accelerator could work at the same time, which the host's code does not do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Block
from xdsl.passes import ModulePass

from intaglio.passes.partition.backends import Backend, backend_of
from intaglio.passes.partition.placement import ACCELERATOR, DEVICE, HOST, HOST_REASON, TARGET, device_of
from intaglio.passes.partition.regions import Graph, crossings, earliest_levels
from intaglio.passes.quantization.coverage import functions_with_body
from intaglio.targets.estimate import accelerator_cycles
from intaglio.targets.host_costs import boundary_cycles, host_cycles, launch_cycles
from intaglio.targets.target import Target, load_target

_SWEEPS = 4
"""Most times that all groups are tried."""


@dataclass(frozen=True)
class PlaceByCost(ModulePass):
    """Move operations of the accelerator to the host where their boundaries cost more than they save.

    The devices are those that `assign-devices` has set, the target is the module's.
    """

    name = "place-by-cost"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Change the attributes.

        Raises:
            UserError: the module's target does not exist.
        """
        attribute = op.attributes.get(TARGET)
        if not isinstance(attribute, StringAttr) or attribute.data == HOST:
            return
        target = load_target(attribute.data)
        for function in functions_with_body(op):
            if device_of(function) != ACCELERATOR:
                _place(function.body.block, target)


def _place(block: Block, target: Target) -> None:
    graph = Graph.of(block)
    search = _Search(graph, target, [device_of(op) == ACCELERATOR for op in graph.ops])
    search.run()
    for number, reason in search.reasons.items():
        op = graph.ops[number]
        op.attributes[DEVICE] = StringAttr(HOST)
        op.attributes[HOST_REASON] = StringAttr(reason)


@dataclass
class _Search:
    graph: Graph
    target: Target
    on_accelerator: list[bool]
    reasons: dict[int, str] = field(default_factory=dict[int, str])

    def __post_init__(self) -> None:
        movable = [number for number, is_there in enumerate(self.on_accelerator) if is_there]
        self._pinned = {number for number in movable if backend_of(self.graph.ops[number]) is Backend.ACCELERATOR}
        self._there = {number: accelerator_cycles(self.graph.ops[number], self.target) for number in movable}
        self._here = {number: host_cycles(self.graph.ops[number], self.target) for number in movable}
        # Other tensors are the host's in any placement.
        self._tensors = [
            (tensor, boundary_cycles(tensor.bytes, self.target))
            for tensor in self.graph.tensors
            if tensor.producer in self._there or not self._there.keys().isdisjoint(tensor.consumers)
        ]
        self._launch = launch_cycles(self.target)

    def run(self) -> None:
        """Move groups as long as that saves cycles."""
        boundaries = self._boundaries()
        for _ in range(_SWEEPS):
            before = len(self.reasons)
            for group in self._groups():
                boundaries = self._tried(group, boundaries)
            if len(self.reasons) == before:
                return

    def _boundaries(self) -> int:
        """Cycles of all launches and of the tensors that cross."""
        levels = earliest_levels(self.graph, self.on_accelerator)
        regions = {level for level, is_there in zip(levels, self.on_accelerator, strict=True) if is_there}
        return self._launch * len(regions) + sum(
            cycles * crossings(self.graph, tensor, self.on_accelerator, levels) for tensor, cycles in self._tensors
        )

    def _groups(self) -> list[list[int]]:
        """What may be moved together, in the order in which it is tried."""
        found = {tuple(group): None for group in (*self._islands(), *self._edges())}
        return sorted(map(list, found), key=lambda group: (sum(self._here[number] for number in group), group))

    def _islands(self) -> Iterator[list[int]]:
        """The operations of each region that hang together."""
        levels = earliest_levels(self.graph, self.on_accelerator)
        left = {number: None for number, is_there in enumerate(self.on_accelerator) if is_there}
        while left:
            island: list[int] = []
            pending = [next(iter(left))]
            while pending:
                number = pending.pop()
                if number not in left:
                    continue
                del left[number]
                island.append(number)
                neighbours = (*self.graph.producers[number], *self.graph.consumers[number])
                pending += [other for other in neighbours if levels[other] == levels[number]]
            yield sorted(island)

    def _edges(self) -> Iterator[list[int]]:
        """Single operations without a producer or without a consumer on the accelerator."""
        for number, is_there in enumerate(self.on_accelerator):
            if is_there and not (
                any(self.on_accelerator[other] for other in self.graph.producers[number])
                and any(self.on_accelerator[other] for other in self.graph.consumers[number])
            ):
                yield [number]

    def _tried(self, group: Sequence[int], boundaries: int) -> int:
        """Move a group if that saves cycles; return what boundaries cost then."""
        if not self._pinned.isdisjoint(group) or not all(self.on_accelerator[number] for number in group):
            return boundaries
        self._set(group, False)
        there, here = (sum(costs[number] for number in group) for costs in (self._there, self._here))
        without = self._boundaries()
        if not any(self.on_accelerator) or here + without >= there + boundaries:
            self._set(group, True)
            return boundaries
        together = f" for {len(group)} operations together" if len(group) > 1 else ""
        reason = (
            f"What the accelerator saves is more than its boundaries cost, got {there:,} cycles there and "
            f"{boundaries - without:,} for boundaries against {here:,} on the host{together}"
        )
        self.reasons.update(dict.fromkeys(group, reason))
        return without

    def _set(self, group: Sequence[int], on_accelerator: bool) -> None:
        for number in group:
            self.on_accelerator[number] = on_accelerator

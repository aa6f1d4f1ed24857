"""Which tensors stay in the scratchpad, which layers form cascades, and the blocks in which other layers work.

All tensors stay at first. Where a layer then has too little room for those that it works on, it can become part of a
cascade with its neighbours (`intaglio.lowering.tiling.cascades`), or one of the tensors that are live can be sent to
DRAM: the one that costs the fewest transfers for each byte. Which layers form cascades is chosen by dynamic
programming over the sequence of layers, with the cycles that transfers, copies and refills of the array cost, and those
of the vector unit that the array has to wait for. A transfer costs less where work takes longer than the loads around
it, as the port is idle then.

A layer of its own with tensors in DRAM works in blocks (`intaglio.lowering.tiling.blocks`). The result of an
elementwise layer takes the place of an operand of its size that nobody needs any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from intaglio.lowering.tiling.blocks import LARGEST_ROW_BYTES, NO_WEIGHTS, Blocks, LayerPlan, Weights, aligned
from intaglio.lowering.tiling.cascades import (
    Stripe,
    StripeCosts,
    heights,
    internal_tensors,
    is_striped,
    overwrites_safely,
    stripe_costs,
    stripes,
)
from intaglio.lowering.tiling.fusion import MatrixSumLayer
from intaglio.lowering.tiling.geometry import divide_up
from intaglio.lowering.tiling.layers import (
    ConvertLayer,
    CopyLayer,
    FloatCombineLayer,
    FloatMapLayer,
    Layer,
    ProductLayer,
    SumLayer,
    TableLayer,
    Tensor,
)
from intaglio.lowering.tiling.network import Network

_LONGEST_CASCADE = 16
"""Most layers of a cascade."""

_NEAR = 8
"""Layers before and after a layer whose loads compete with its transfers."""

_HIDDEN_PRICE = 0.35
"""Cycles that a cycle costs which others hide: conflicts over banks, room for what is in transit, imperfect overlap.

Lower prices send more to DRAM than better schedules gain by it.
"""

_WORTHWHILE_ROWS = 2
"""Stripes of fewer rows are only made when there is no room for more."""

_ELEMENTWISE = (SumLayer, ProductLayer, ConvertLayer, TableLayer, FloatCombineLayer, FloatMapLayer)


@dataclass(frozen=True)
class CascadePlan:
    """Layers that are computed together."""

    first: int
    """Number of the first layer."""

    layers: tuple[Layer, ...]
    """With the shapes of images."""

    internal: frozenset[Tensor]
    """What only these layers see."""

    stripes: tuple[Stripe, ...]

    @property
    def last(self) -> int:
        """Number of the last layer."""
        return self.first + len(self.layers) - 1


@dataclass(frozen=True)
class Plan:
    """How a network is computed."""

    resident: frozenset[Tensor]
    """What stays in the scratchpad from the first layer that needs it to the last."""

    layers: tuple[LayerPlan, ...]
    """For each layer, how it is computed if it is not in a cascade."""

    cascades: tuple[CascadePlan, ...]

    aliases: Mapping[Tensor, Tensor]
    """Results that take the place of an operand, each with the operand."""


@dataclass(frozen=True)
class Machine:
    """What planning has to know of the accelerator."""

    array_size: int
    fill_cycles: int
    """To start a multiplication."""

    tile_rows: int
    """Accumulator rows of a tile."""

    dram_bytes_per_cycle: int


def plan_network(
    network: Network,
    images: Mapping[Layer, Layer],
    weights: Mapping[Layer, Weights],
    cycles: Mapping[Layer, tuple[int, int]],
    capacity: int,
    machine: Machine,
) -> Plan:
    """Decide what stays in the scratchpad, what becomes a cascade, and how each other layer is cut.

    Args:
        network: the layers.
        images: each layer with the shapes of images.
        weights: of the layers that have constants.
        cycles: of each layer's work.
        capacity: bytes of the scratchpad to use.
        machine: the accelerator.
    """
    planner = _Planner(network, images, weights, cycles, capacity, machine)
    planner.choose_groups()
    cascades = planner.cascades()
    inside = {tensor for cascade in cascades for tensor in cascade.internal}
    return Plan(
        frozenset(tensor for tensor in network.tensors if tensor not in planner.gone and tensor not in inside),
        tuple(planner.plan(index) for index in range(len(network.layers))),
        cascades,
        planner.aliases(cascades),
    )


@dataclass(frozen=True)
class _State:
    """A way to compute the first layers."""

    cost: float
    gone: frozenset[Tensor]
    """What does not stay."""

    previous: _State | None = None
    first: int = 0
    """The first layer of the last group."""


def _prices(
    layers: Sequence[Layer], weights: Mapping[Layer, Weights], cycles: Mapping[Layer, tuple[int, int]], machine: Machine
) -> list[float]:
    """For each layer, what a cycle of the DRAM port costs: little where work takes longer than the loads around it."""
    loads = [weights.get(layer, NO_WEIGHTS).total / machine.dram_bytes_per_cycle for layer in layers]
    prices: list[float] = []
    for index in range(len(layers)):
        near = range(max(0, index - _NEAR), min(len(layers), index + _NEAR + 1))
        work = max(1, sum(max(cycles[layers[other]]) for other in near))
        prices.append(min(1.0, max(_HIDDEN_PRICE, sum(loads[other] for other in near) / work)))
    return prices


class _Planner:
    def __init__(
        self,
        network: Network,
        images: Mapping[Layer, Layer],
        weights: Mapping[Layer, Weights],
        cycles: Mapping[Layer, tuple[int, int]],
        capacity: int,
        machine: Machine,
    ) -> None:
        self._layers = network.layers
        self._images = [images[layer] for layer in network.layers]
        self._weights = weights
        self._capacity = capacity
        self._machine = machine
        self.gone = _which_cannot_stay(network)
        self.blocks = Blocks(weights, capacity, machine.array_size, self.gone)
        self._live: list[list[Tensor]] = [[] for _ in network.layers]
        for tensor in network.tensors:
            for index in range(tensor.first, tensor.last + 1):
                if index < len(self._live):
                    self._live[index].append(tensor)
        self._replaced = _replaceable_operands(network.layers)
        self._groups = [(index, index) for index in range(len(network.layers))]
        self._cycles = cycles
        self._prices = _prices(self._layers, weights, cycles, machine)
        self._stripes: dict[tuple[int, int, int], tuple[Sequence[Stripe], StripeCosts]] = {}

    def room(self, first: int, last: int, stripes: Sequence[Stripe] = ()) -> int:
        """Bytes that the tensors which stay leave to the layers of a group."""
        internal = self._internal(first, last)
        live = {
            tensor: None
            for index in range(first, last + 1)
            for tensor in self._live[index]
            if tensor not in self.gone and tensor not in internal
        }
        used = sum(aligned(tensor.size) for tensor in live)
        for index in range(first, last + 1):
            if self._takes_place(index, first, last, internal, stripes):
                used -= aligned(self._layers[index].output.size)
        return self._capacity - used

    def _takes_place(self, index: int, first: int, last: int, internal: set[Tensor], stripes: Sequence[Stripe]) -> bool:
        """Whether a layer's result takes the place of an operand."""
        operand, result = self._replaced.get(index), self._layers[index].output
        if operand is None or any(tensor in self.gone or tensor in internal for tensor in (operand, result)):
            return False
        return first == last or overwrites_safely(self._images[first : last + 1], stripes, index - first, operand)

    def aliases(self, cascades: Sequence[CascadePlan]) -> dict[Tensor, Tensor]:
        """Results that take the place of an operand, each with the operand."""
        striped = {cascade.first: cascade.stripes for cascade in cascades}
        return {
            self._layers[index].output: operand
            for first, last in self._groups
            for index in range(first, last + 1)
            if (operand := self._replaced.get(index)) is not None
            and self._takes_place(index, first, last, self._internal(first, last), striped.get(first, ()))
        }

    def _internal(self, first: int, last: int) -> set[Tensor]:
        return internal_tensors(self._images[first : last + 1], first) if last > first else set()

    def choose_groups(self) -> None:
        """Group the layers such that transfers, copies and refills cost the fewest cycles.

        Dynamic programming over the sequence: of all ways to compute the first layers the cheapest is kept, with the
        tensors that it sends to DRAM. A cascade is considered only where its layers one by one cost something.
        """
        count = len(self._layers)
        best: list[_State | None] = [_State(0.0, frozenset(self.gone)), *[None] * count]
        for first in range(count):
            state = best[first]
            assert state is not None
            self._restore(state.gone)
            alone, gone_alone = 0.0, state.gone
            for last in range(first, min(first + _LONGEST_CASCADE, count)):
                if last > first and not is_striped(self._images[first : last + 1]):
                    break
                self._restore(gone_alone)
                alone += self._make_room_for_layer(last)
                gone_alone = frozenset(self.gone)
                cost: float | None = alone
                if last > first:
                    if not alone:
                        continue
                    self._restore(state.gone)
                    cost = self._make_room_for_cascade(first, last, alone)
                known = best[last + 1]
                if cost is not None and (known is None or state.cost + cost < known.cost):
                    best[last + 1] = _State(state.cost + cost, frozenset(self.gone), state, first)
        self._groups.clear()
        state, end = best[count], count
        assert state is not None
        self._restore(state.gone)
        while state.previous is not None:
            self._groups.append((state.first, end - 1))
            state, end = state.previous, state.first
        self._groups.reverse()

    def _restore(self, gone: Collection[Tensor]) -> None:
        self.gone.clear()
        self.gone.update(gone)

    def _exposed(self, index: int) -> float:
        """Cycles that the array and the vector unit wait for each other, as a layer has no room beside a neighbour."""
        matrix, vector = self._cycles[self._layers[index]]
        others = [other for other in (index - 1, index + 1) if 0 <= other < len(self._layers)]
        if vector <= matrix or any(self.room(min(index, other), max(index, other)) >= 0 for other in others):
            return 0.0
        return float(min(vector - matrix, sum(self._cycles[self._layers[other]][0] for other in others)))

    def _transfer_cycles(self, gone: Collection[Tensor], index: int) -> float:
        moved = sum(tensor.size * _extra_transfers(tensor) for tensor in gone)
        return moved / self._machine.dram_bytes_per_cycle * self._prices[index]

    def _make_room_for_cascade(self, first: int, last: int, limit: float) -> float | None:
        """Send tensors to DRAM as long as a cascade gains by it.

        Args:
            first: its first layer.
            last: its last layer.
            limit: cycles from which on the cascade is of no use.

        Returns:
            Cycles that it costs beyond its work, None if it has no room or costs too much.
        """
        internal = self._internal(first, last)
        live = dict.fromkeys(tensor for index in range(first, last + 1) for tensor in self._live[index])
        victims = sorted(
            (tensor for tensor in live if tensor not in self.gone and tensor not in internal),
            key=lambda tensor: _extra_transfers(tensor) * tensor.size,
        )
        sent: list[Tensor] = []
        found: tuple[float, frozenset[Tensor]] | None = None
        while (moved := self._transfer_cycles(sent, last)) < limit:
            height = self._height(first, last)
            if height is not None:
                cost = moved + self._stripe_cost(first, last, height)
                if cost < limit:
                    limit, found = cost, (cost, frozenset(self.gone))
            if not victims:
                break
            sent.append(victims.pop(0))
            self.gone.add(sent[-1])
        if found is None:
            return None
        self._restore(found[1])
        return found[0]

    def _stripe_cost(self, first: int, last: int, height: int) -> float:
        """Cycles for copies, and for refills of the array as far as the vector unit does not take longer anyway."""
        _, costs = self._cut(first, last, height)
        _, whole = self._cut(first, last, self._images[last].shape[1])
        refills = (costs.fills - whole.fills) * self._machine.fill_cycles
        copies = costs.copied / self._machine.array_size
        matrix, vector = (sum(self._cycles[layer][unit] for layer in self._layers[first : last + 1]) for unit in (0, 1))
        longer = max(matrix + refills, vector) - max(matrix, vector)
        return copies + longer + _HIDDEN_PRICE * (refills - longer) + 1

    def _cut(self, first: int, last: int, height: int) -> tuple[Sequence[Stripe], StripeCosts]:
        key = (first, last, height)
        if key not in self._stripes:
            layers, internal = self._images[first : last + 1], self._internal(first, last)
            found = stripes(layers, internal, height)
            costs = stripe_costs(layers, found, internal, self._machine.array_size, self._machine.tile_rows)
            self._stripes[key] = found, costs
        return self._stripes[key]

    def _demand(self, first: int, last: int, height: int, copies: int) -> int:
        """Bytes that a cascade needs, with room for so many stripes of each tensor that does not stay."""
        _, costs = self._cut(first, last, height)
        internal = self._internal(first, last)
        sizes = [aligned(size) for tensor, size in costs.sizes.items() if tensor in internal or tensor in self.gone]
        held = sum(
            aligned(self._weights[layer].total) for layer in self._layers[first : last + 1] if layer in self._weights
        )
        held += sum(
            self.blocks.temporary(layer, divide_up(self._images[last].shape[1], height))
            for layer in self._images[first : last + 1]
        )
        return held + (copies * sum(sizes) if copies > 1 else sum(sizes) + max(sizes, default=0))

    def _height(self, first: int, last: int) -> int | None:
        """The tallest stripes for which there is room: twice if possible, so that stripes can overlap."""
        tried = heights(self._images[last].shape[1])
        for copies in (2, 1):
            low, high = 0, len(tried)
            while low < high:
                middle = (low + high) // 2
                room = self.room(first, last, self._cut(first, last, tried[middle])[0])
                if self._demand(first, last, tried[middle], copies) <= room:
                    high = middle
                else:
                    low = middle + 1
            if low < len(tried) and (copies == 1 or tried[low] >= _WORTHWHILE_ROWS):
                return tried[low]
        return None

    def cascades(self) -> tuple[CascadePlan, ...]:
        """The groups of several layers, cut into stripes."""
        found: list[CascadePlan] = []
        for first, last in self._groups:
            if last > first:
                layers = tuple(self._images[first : last + 1])
                cut, _ = self._cut(first, last, self._height(first, last) or 1)
                found.append(CascadePlan(first, layers, frozenset(self._internal(first, last)), tuple(cut)))
        return tuple(found)

    def _make_room_for_layer(self, index: int) -> float:
        """Send tensors to DRAM until a layer has room to overlap transfers and work, or at least to work.

        Returns:
            Cycles that it costs beyond its work.
        """
        layer = self._layers[index]
        before = frozenset(self.gone)
        for demand in (self.blocks.comfortable, self.blocks.least):
            while (missing := demand(layer) - self.room(index, index)) > 0:
                victim = self._cheapest(index, missing, demand)
                if victim is None:
                    break
                self.gone.add(victim)
        return self._transfer_cycles(self.gone - before, index) + self._exposed(index)

    def plan(self, index: int) -> LayerPlan:
        """How a layer is computed if it is in no cascade."""
        return self.blocks.plan(self._layers[index], self.room(index, index))

    def _cheapest(self, index: int, missing: int, demand: Callable[[Layer], int]) -> Tensor | None:
        """The live tensor whose eviction costs the fewest transfers for each byte of room that it gives a layer."""
        layer = self._layers[index]
        used = {source.tensor for source in layer.sources} | {layer.output}
        best: tuple[tuple[float, int], Tensor] | None = None
        for tensor in self._live[index]:
            if tensor in self.gone:
                continue
            gain = aligned(tensor.size)
            if tensor in used:
                before = demand(layer)
                self.gone.add(tensor)
                gain -= demand(layer) - before
                self.gone.discard(tensor)
            if gain <= 0:
                continue
            score = (_extra_transfers(tensor) * tensor.size / min(gain, missing), tensor.size)
            if best is None or score < best[0]:
                best = score, tensor
        return best[1] if best is not None else None


def _which_cannot_stay(network: Network) -> set[Tensor]:
    """Constants, loaded where they are used, what only passes through in copies, and rows that are too long."""
    rows: dict[Tensor, int] = {}
    copies = set[Tensor]()
    for layer in network.layers:
        if isinstance(layer, CopyLayer):
            copies.add(layer.output)
        for source in layer.sources:
            rows[source.tensor] = max(rows.get(source.tensor, 0), layer.row_bytes(source))
    return {
        tensor
        for tensor in network.tensors
        if tensor.value is not None
        or tensor in copies
        or rows.get(tensor, 0) > LARGEST_ROW_BYTES
        or not (tensor.uses or tensor.outputs)
    }


def _replaceable_operands(layers: Sequence[Layer]) -> dict[int, Tensor]:
    """For elementwise layers an operand that is needed by no later layer and has the result's size, if there is one."""
    found: dict[int, Tensor] = {}
    for index, layer in enumerate(layers):
        if not isinstance(layer, (*_ELEMENTWISE, MatrixSumLayer)):
            continue
        for source in layer.sources[1:] if isinstance(layer, MatrixSumLayer) else layer.sources:
            tensor = source.tensor
            whole = source.shape == layer.shape and tensor.size == layer.output.size
            if whole and tensor.last == index and tensor.value is None and not tensor.outputs:
                found[index] = tensor
                break
    return found


def _extra_transfers(tensor: Tensor) -> int:
    """How often each byte of a tensor is transferred more when it does not stay."""
    if not tensor.is_result:
        return tensor.uses - 1
    return tensor.uses + (0 if tensor.outputs else 1)

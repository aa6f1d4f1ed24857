"""Which tensors stay in the scratchpad, which layers form cascades, and the blocks in which other layers work.

All tensors stay at first. Where a layer then has too little room for those that it works on, it can become part of a
cascade with its neighbours (`intaglio.lowering.tiling.cascades`), or one of the tensors that are live can be sent to
DRAM: the one that costs the fewest transfers for each byte. Which layers form cascades is chosen by dynamic
programming over the sequence of layers, with the cycles that transfers, copies and refills of the array cost.

A layer of its own with tensors in DRAM works in blocks of output rows (of columns and channels only when a row is too
much), large enough to be few, small enough that the next block can be loaded while one is computed. Weights are held
through all blocks when they fit, else they are loaded again for each; a cascade always holds them.

The result of an elementwise layer takes the place of an operand of its size that nobody needs any more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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
from intaglio.lowering.tiling.geometry import BlockSize, divide_up
from intaglio.lowering.tiling.layers import (
    ConvertLayer,
    CopyLayer,
    Layer,
    ProductLayer,
    SumLayer,
    TableLayer,
    Tensor,
)
from intaglio.lowering.tiling.network import Network

ALIGNMENT = 64
"""Of buffers, in bytes: the bursts of DRAM."""

LARGEST_BLOCK = 32_768
"""Rows or columns of a block, which instructions can count."""

LARGEST_ROW_BYTES = (1 << 20) - 1
"""Bytes of a row that the address generators can count."""

_WORTHWHILE_POSITIONS = 256
"""Output positions below which a block is all overhead, unless they are many bytes."""

_LONGEST_CASCADE = 16
"""Most layers of a cascade."""

_WORTHWHILE_ROWS = 2
"""Stripes of fewer rows are only made when there is no room for more."""

_ELEMENTWISE = (SumLayer, ProductLayer, ConvertLayer, TableLayer)


@dataclass(frozen=True)
class Weights:
    """The constants of a layer, as far as planning is concerned."""

    total: int
    """Bytes in all."""

    largest: int
    """Most bytes that are needed at once."""


@dataclass(frozen=True)
class LayerPlan:
    """How a layer is computed."""

    size: BlockSize
    """Its blocks."""

    holds_constants: bool
    """Whether its constants are loaded once, before the first block."""


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


def aligned(size: int) -> int:
    """A size rounded up to the alignment of buffers."""
    return divide_up(size, ALIGNMENT) * ALIGNMENT


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
    capacity: int,
    machine: Machine,
) -> Plan:
    """Decide what stays in the scratchpad, what becomes a cascade, and how each other layer is cut.

    Args:
        network: the layers.
        images: each layer with the shapes of images.
        weights: of the layers that have constants.
        capacity: bytes of the scratchpad to use.
        machine: the accelerator.
    """
    planner = _Planner(network, images, weights, capacity, machine)
    planner.choose_cascades()
    planner.evict()
    cascades = planner.cascades()
    return Plan(
        frozenset(planner.resident - {tensor for cascade in cascades for tensor in cascade.internal}),
        tuple(planner.plan(index) for index in range(len(network.layers))),
        cascades,
        planner.aliases(cascades),
    )


_NO_WEIGHTS = Weights(0, 0)


class _Planner:
    def __init__(
        self,
        network: Network,
        images: Mapping[Layer, Layer],
        weights: Mapping[Layer, Weights],
        capacity: int,
        machine: Machine,
    ) -> None:
        self._layers = network.layers
        self._images = [images[layer] for layer in network.layers]
        self._weights = weights
        self._capacity = capacity
        self._machine = machine
        self.resident = {tensor for tensor in network.tensors if _can_stay(tensor, network.layers)}
        self._live: list[list[Tensor]] = [[] for _ in network.layers]
        for tensor in network.tensors:
            for index in range(tensor.first, tensor.last + 1):
                if index < len(self._live):
                    self._live[index].append(tensor)
        self._replaced = _replaceable_operands(network.layers)
        self._groups = [(index, index) for index in range(len(network.layers))]
        self._stripes: dict[tuple[int, int, int], tuple[Sequence[Stripe], StripeCosts]] = {}

    def room(self, first: int, last: int, stripes: Sequence[Stripe] = ()) -> int:
        """Bytes that the tensors which stay leave to the layers of a group."""
        internal = self._internal(first, last)
        live = {
            tensor: None
            for index in range(first, last + 1)
            for tensor in self._live[index]
            if tensor in self.resident and tensor not in internal
        }
        used = sum(aligned(tensor.size) for tensor in live)
        for index in range(first, last + 1):
            if self._takes_place(index, first, last, internal, stripes):
                used -= aligned(self._layers[index].output.size)
        return self._capacity - used

    def _takes_place(self, index: int, first: int, last: int, internal: set[Tensor], stripes: Sequence[Stripe]) -> bool:
        """Whether a layer's result takes the place of an operand."""
        operand, result = self._replaced.get(index), self._layers[index].output
        if operand is None or not {operand, result} <= self.resident - internal:
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

    def choose_cascades(self) -> None:
        """Group the layers such that transfers, copies and refills cost the fewest cycles."""
        single = [self._single_cost(index) for index in range(len(self._layers))]
        best: list[tuple[float, int]] = [(0.0, 0)]
        for end in range(1, len(self._layers) + 1):
            options = [(best[end - 1][0] + single[end - 1], end - 1)]
            for start in range(end - 2, max(-1, end - 1 - _LONGEST_CASCADE), -1):
                if not is_striped(self._images[start:end]):
                    break
                if any(single[start:end]) and (cost := self._cascade_cost(start, end - 1)) is not None:
                    options.append((best[start][0] + cost, start))
            best.append(min(options))
        chosen: list[tuple[int, int]] = []
        end = len(self._layers)
        while end:
            start = best[end][1]
            chosen.append((start, end - 1))
            end = start
        self._groups = chosen[::-1]

    def _single_cost(self, index: int) -> float:
        """Cycles for transfers of what has to go for a layer to have room."""
        stays = set(self.resident)
        self._make_room(index, index)
        gone, self.resident = stays - self.resident, stays
        return self._transfer_cycles(gone)

    def _transfer_cycles(self, gone: Iterable[Tensor]) -> float:
        moved = sum(tensor.size * _extra_transfers(tensor) for tensor in gone)
        return moved / self._machine.dram_bytes_per_cycle

    def _cascade_cost(self, first: int, last: int) -> float | None:
        """Cycles for transfers, copies and refills of a cascade, None if it has no room at all."""
        stays = set(self.resident)
        self._make_room(first, last)
        height = self._height(first, last)
        gone, self.resident = stays - self.resident, stays
        if height is None:
            return None
        _, costs = self._cut(first, last, height)
        _, whole = self._cut(first, last, self._images[last].shape[1])
        refills = (costs.fills - whole.fills) * self._machine.fill_cycles
        return self._transfer_cycles(gone) + costs.copied / self._machine.array_size + refills + 1

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
        sizes = [
            aligned(size) for tensor, size in costs.sizes.items() if tensor in internal or tensor not in self.resident
        ]
        held = sum(
            aligned(self._weights[layer].total) for layer in self._layers[first : last + 1] if layer in self._weights
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

    def evict(self) -> None:
        """Send tensors to DRAM until every group has room to overlap transfers and work, or at least to work."""
        for first, last in self._groups:
            self._make_room(first, last)

    def _make_room(self, first: int, last: int) -> None:
        if first == last:
            for demand in (self._comfortable, self._least):
                while (missing := demand(first) - self.room(first, first)) > 0:
                    victim = self._cheapest(first, missing, demand)
                    if victim is None:
                        break
                    self.resident.discard(victim)
            return
        internal = self._internal(first, last)
        while self._height(first, last) is None:
            live = {tensor for index in range(first, last + 1) for tensor in self._live[index]}
            candidates = [tensor for tensor in live & self.resident if tensor not in internal]
            if not candidates:
                return
            order = {tensor: number for number, tensor in enumerate(dict.fromkeys(itertools.chain(*self._live)))}
            self.resident.discard(
                min(candidates, key=lambda tensor: (_extra_transfers(tensor), -tensor.size, order[tensor]))
            )

    def _comfortable(self, index: int) -> int:
        """Bytes with which a layer can overlap transfers and work."""
        layer = self._layers[index]
        constants = self._weights.get(layer, _NO_WEIGHTS)
        few = _small_block(layer, self._capacity // 16)
        blocks = min(2, few.count(layer.shape)) * self._block_bytes(layer, few)
        held = max(min(2 * constants.largest, constants.total), self._capacity // 4)
        return blocks + min(constants.total, held)

    def _least(self, index: int) -> int:
        """Bytes with which a layer can work at all, if only a little at a time."""
        layer = self._layers[index]
        constants = self._weights.get(layer, _NO_WEIGHTS)
        return self._block_bytes(layer, _small_block(layer, ALIGNMENT)) + constants.largest

    def _cheapest(self, index: int, missing: int, demand: Callable[[int], int]) -> Tensor | None:
        """The live tensor whose eviction costs the fewest transfers for each byte of room that it gives a layer."""
        layer = self._layers[index]
        used = {source.tensor for source in layer.sources} | {layer.output}
        best: tuple[tuple[int, int, int], Tensor] | None = None
        for tensor in self._live[index]:
            if tensor not in self.resident:
                continue
            gain = aligned(tensor.size)
            if tensor in used:
                before = demand(index)
                self.resident.discard(tensor)
                gain -= demand(index) - before
                self.resident.add(tensor)
            if gain <= 0:
                continue
            score = (_extra_transfers(tensor), -min(gain, missing), tensor.size)
            if best is None or score < best[0]:
                best = score, tensor
        return best[1] if best is not None else None

    def _streamed(self, layer: Layer) -> Iterator[int]:
        """Indices of the sources of a layer that do not stay, each tensor and shape once."""
        seen = set[object]()
        for index, source in enumerate(layer.sources):
            if source.tensor not in self.resident and (source.tensor, source.shape) not in seen:
                seen.add((source.tensor, source.shape))
                yield index

    def _streams(self, layer: Layer) -> bool:
        return layer.output not in self.resident or any(True for _ in self._streamed(layer))

    def _block_bytes(self, layer: Layer, size: BlockSize) -> int:
        """Bytes of the buffers of one block."""
        total = sum(aligned(layer.region_bytes(layer.sources[index], size)) for index in self._streamed(layer))
        if layer.output not in self.resident and not isinstance(layer, CopyLayer):
            total += aligned(size.rows * size.columns * size.channels * layer.output.element_bytes)
        return total

    def plan(self, index: int) -> LayerPlan:
        """Choose blocks, and whether constants are held, such that the fewest bytes are transferred."""
        layer = self._layers[index]
        room, constants = self.room(index, index), self._weights.get(layer, _NO_WEIGHTS)
        if not self._streams(layer):
            _, rows, columns, channels = layer.shape
            size = BlockSize(min(rows, LARGEST_BLOCK), min(columns, LARGEST_BLOCK), channels)
            # Holding weights lets the next layer start on the first rows, at the price of room.
            return LayerPlan(size, constants.total <= room // 2)
        held = self._choose_size(layer, room - constants.total)
        streamed = self._choose_size(layer, room - min(2 * constants.largest, constants.total))
        if held is not None and streamed is not None:
            costs = [self._traffic(layer, size) for size in (held, streamed)]
            costs[0] += constants.total
            costs[1] += constants.total * streamed.count(layer.shape)
            return LayerPlan(held, True) if costs[0] <= costs[1] else LayerPlan(streamed, False)
        if streamed is not None:
            return LayerPlan(streamed, False)
        size = self._choose_size(layer, room - constants.largest) or BlockSize(1, 1, self._least_channels(layer))
        return LayerPlan(size, False)

    def _traffic(self, layer: Layer, size: BlockSize) -> int:
        """Bytes of the feature maps that blocks of a size transfer."""
        return size.count(layer.shape) * self._block_bytes(layer, size)

    @staticmethod
    def _least_channels(layer: Layer) -> int:
        return 1 if layer.splits_channels else layer.shape[3]

    def _choose_size(self, layer: Layer, room: int) -> BlockSize | None:
        """The largest blocks of which two fit the room; one, if two would be all overlap of windows; None if none."""
        _, rows, columns, channels = layer.shape
        if max(map(layer.row_bytes, layer.sources)) > LARGEST_ROW_BYTES:
            columns = max(1, columns // 2)
        widest = min(columns, LARGEST_BLOCK)
        whole = BlockSize(min(rows, LARGEST_BLOCK), widest, channels)
        if whole.count(layer.shape) == 1 and self._block_bytes(layer, whole) <= room:
            return whole
        overlap = max(layer.window.y.extent - layer.window.y.stride, 0)
        for copies in (2, 1):
            share = room // copies
            fits = _largest(
                whole.rows, lambda n, share=share: self._block_bytes(layer, BlockSize(n, widest, channels)) <= share
            )
            enough = divide_up(2 * overlap, layer.window.y.stride)
            if fits and (copies == 1 or fits >= min(enough, rows)):
                return BlockSize(divide_up(rows, divide_up(rows, fits)), widest, channels)
        for share in (room // 2, room):
            fits = _largest(widest, lambda n, share=share: self._block_bytes(layer, BlockSize(1, n, channels)) <= share)
            if fits:
                return BlockSize(1, fits, channels)
        if layer.splits_channels:
            fits = _largest(channels, lambda n: self._block_bytes(layer, BlockSize(1, 1, n)) <= room)
            return BlockSize(1, 1, fits) if fits else None
        return None


def _small_block(layer: Layer, limit: int) -> BlockSize:
    """A block of about `limit` bytes of output, or of as many positions as are worthwhile if they are fewer."""
    _, rows, columns, channels = layer.shape
    limit //= layer.output.element_bytes
    if layer.splits_channels:
        channels = min(channels, limit)
    columns = max(1, min(columns, limit // channels))
    enough = divide_up(_WORTHWHILE_POSITIONS, columns)
    return BlockSize(max(1, min(rows, enough, limit // (columns * channels))), columns, channels)


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number from 1 to `limit` that fits, given that all smaller ones do; 0 if none does."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _can_stay(tensor: Tensor, layers: list[Layer]) -> bool:
    """Whether a tensor may stay: constants are loaded where they are used, copies only pass through."""
    if tensor.value is not None or any(isinstance(layer, CopyLayer) and layer.output is tensor for layer in layers):
        return False
    rows = [layer.row_bytes(source) for layer in layers for source in layer.sources if source.tensor is tensor]
    return all(size <= LARGEST_ROW_BYTES for size in rows) and (tensor.uses > 0 or bool(tensor.outputs))


def _replaceable_operands(layers: Sequence[Layer]) -> dict[int, Tensor]:
    """For elementwise layers an operand that is needed by no later layer and has the result's size, if there is one."""
    found: dict[int, Tensor] = {}
    for index, layer in enumerate(layers):
        if not isinstance(layer, _ELEMENTWISE):
            continue
        for source in layer.sources:
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

"""Which tensors stay in the scratchpad, and the blocks in which the others are streamed.

All tensors stay at first. Where a layer then has too little room for the others that it works on, one of those
that are live is sent to DRAM: the one that costs the fewest transfers for each byte. A layer with tensors in DRAM
works in blocks of output rows (of columns and channels only when a row is too much), large enough to be few, small
enough that the next block can be loaded while one is computed. Weights are held through all blocks when they fit,
else they are loaded again for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from intaglio.lowering.tiling.geometry import BlockSize, divide_up
from intaglio.lowering.tiling.layers import CopyLayer, Layer, Tensor
from intaglio.lowering.tiling.network import Network

ALIGNMENT = 64
"""Of buffers, in bytes: the bursts of DRAM."""

LARGEST_BLOCK = 32_768
"""Rows or columns of a block, which instructions can count."""

LARGEST_ROW_BYTES = (1 << 20) - 1
"""Bytes of a row that the address generators can count."""

_WORTHWHILE_POSITIONS = 256
"""Output positions below which a block is all overhead, unless they are many bytes."""


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
class Plan:
    """How a network is computed."""

    resident: frozenset[Tensor]
    """What stays in the scratchpad from the first layer that needs it to the last."""

    layers: tuple[LayerPlan, ...]


def aligned(size: int) -> int:
    """A size rounded up to the alignment of buffers."""
    return divide_up(size, ALIGNMENT) * ALIGNMENT


def plan_network(network: Network, weights: Mapping[Layer, Weights], capacity: int) -> Plan:
    """Decide what stays in the scratchpad and how each layer is cut.

    Args:
        network: the layers.
        weights: of the layers that have constants.
        capacity: bytes of the scratchpad to use.
    """
    planner = _Planner(network, weights, capacity)
    planner.evict()
    layers = tuple(planner.plan(index) for index in range(len(network.layers)))
    return Plan(frozenset(planner.resident), layers)


_NO_WEIGHTS = Weights(0, 0)


class _Planner:
    def __init__(self, network: Network, weights: Mapping[Layer, Weights], capacity: int) -> None:
        self._layers = network.layers
        self._weights = weights
        self._capacity = capacity
        self.resident = {tensor for tensor in network.tensors if _can_stay(tensor, network.layers)}
        self._live: list[list[Tensor]] = [[] for _ in network.layers]
        for tensor in network.tensors:
            for index in range(tensor.first, tensor.last + 1):
                if index < len(self._live):
                    self._live[index].append(tensor)

    def room(self, index: int) -> int:
        """Bytes that the tensors which stay leave to a layer."""
        return self._capacity - sum(aligned(tensor.size) for tensor in self._live[index] if tensor in self.resident)

    def evict(self) -> None:
        """Send tensors to DRAM until every layer has room to overlap transfers and work, or at least to work."""
        for index in range(len(self._layers)):
            for demand in (self._comfortable, self._least):
                while (missing := demand(index) - self.room(index)) > 0:
                    victim = self._cheapest(index, missing, demand)
                    if victim is None:
                        break
                    self.resident.discard(victim)

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
            total += aligned(size.rows * size.columns * size.channels)
        return total

    def plan(self, index: int) -> LayerPlan:
        """Choose blocks, and whether constants are held, such that the fewest bytes are transferred."""
        layer = self._layers[index]
        room, constants = self.room(index), self._weights.get(layer, _NO_WEIGHTS)
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
        if max(source.shape[2] * source.shape[3] for source in layer.sources) > LARGEST_ROW_BYTES:
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
    rows = [source for layer in layers for source in layer.sources if source.tensor is tensor]
    return all(source.shape[2] * source.shape[3] <= LARGEST_ROW_BYTES for source in rows) and (
        tensor.uses > 0 or bool(tensor.outputs)
    )


def _extra_transfers(tensor: Tensor) -> int:
    """How often each byte of a tensor is transferred more when it does not stay."""
    if not tensor.is_result:
        return tensor.uses - 1
    return tensor.uses + (0 if tensor.outputs else 1)

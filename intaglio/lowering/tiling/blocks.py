"""Blocks of output positions in which a layer works when some of its tensors are not in the scratchpad.

A block is some output rows (columns and channels only when a row is too much), large enough that blocks are few, small
enough that the next can be loaded while one is computed. Weights are held through all blocks when they fit, else they
are loaded again for each. A convolution whose input stays is cut by output channels instead, so that each weight is
loaded once; so is a depthwise convolution of so many channels that the parameters of all of them do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from intaglio.lowering.tiling.fusion import MatrixSumLayer
from intaglio.lowering.tiling.geometry import BlockSize, divide_up
from intaglio.lowering.tiling.layers import CopyLayer, Layer, MatrixLayer, Tensor

ALIGNMENT = 64
"""Of buffers, in bytes: the bursts of DRAM."""

LARGEST_BLOCK = 32_768
"""Rows or columns of a block, which instructions can count."""

LARGEST_ROW_BYTES = (1 << 20) - 1
"""Bytes of a row that the address generators can count."""

_WORTHWHILE_POSITIONS = 256
"""Output positions below which a block is all overhead, unless they are many bytes."""

_WORTHWHILE_BYTES = 16_384
"""Bytes below which a transfer is all latency."""


@dataclass(frozen=True)
class Weights:
    """The constants of a layer, as far as planning is concerned."""

    total: int
    """Bytes in all."""

    largest: int
    """Most bytes that are needed at once."""

    channel: int = 0
    """Bytes of one channel, where a block can load those of its channels alone."""


@dataclass(frozen=True)
class LayerPlan:
    """How a layer is computed."""

    size: BlockSize
    """Its blocks."""

    holds_constants: bool
    """Whether its constants are loaded once, before the first block."""


def aligned(size: int) -> int:
    """A size rounded up to the alignment of buffers."""
    return divide_up(size, ALIGNMENT) * ALIGNMENT


NO_WEIGHTS = Weights(0, 0)


class Blocks:
    """Chooses blocks, given what stays in the scratchpad.

    Args:
        weights: of the layers that have constants.
        capacity: bytes of the scratchpad to use.
        array_size: `D`.
        gone: tensors that do not stay; whoever holds the set may change it.
    """

    def __init__(self, weights: Mapping[Layer, Weights], capacity: int, array_size: int, gone: set[Tensor]) -> None:
        self._weights = weights
        self._capacity = capacity
        self._array_size = array_size
        self._gone = gone

    def temporary(self, layer: Layer, parts: int = 1) -> int:
        """Bytes of the tiles between a convolution and its sum."""
        return aligned(layer.tile_bytes * self._array_size // parts) if isinstance(layer, MatrixSumLayer) else 0

    def comfortable(self, layer: Layer) -> int:
        """Bytes with which a layer can overlap transfers and work."""
        constants = self._weights.get(layer, NO_WEIGHTS)
        few = _small_block(layer, self._capacity // 16)
        blocks = min(2, few.count(layer.shape)) * self._block_bytes(layer, few)
        held = max(min(2 * constants.largest, constants.total), self._capacity // 4)
        demand = blocks + min(constants.total, held)
        by_channels = self._channel_block(layer)
        if by_channels is not None:
            demand = min(
                demand, 2 * self._block_bytes(layer, by_channels) + min(4 * constants.largest, constants.total)
            )
        return demand + self.temporary(layer)

    def least(self, layer: Layer) -> int:
        """Bytes with which a layer can work at all, if only a little at a time."""
        constants = self._weights.get(layer, NO_WEIGHTS)
        return self._block_bytes(layer, _small_block(layer, ALIGNMENT)) + constants.largest + self.temporary(layer)

    def _streamed(self, layer: Layer) -> Iterator[int]:
        """Indices of the sources of a layer that do not stay, each tensor and shape once."""
        seen = set[object]()
        for index, source in enumerate(layer.sources):
            if source.tensor in self._gone and (source.tensor, source.shape) not in seen:
                seen.add((source.tensor, source.shape))
                yield index

    def streams(self, layer: Layer) -> bool:
        """Whether some tensor of a layer does not stay."""
        return layer.output in self._gone or any(True for _ in self._streamed(layer))

    def _block_bytes(self, layer: Layer, size: BlockSize) -> int:
        """Bytes of the buffers of one block."""
        total = sum(aligned(layer.region_bytes(layer.sources[index], size)) for index in self._streamed(layer))
        if layer.output in self._gone and not isinstance(layer, CopyLayer):
            total += aligned(size.rows * size.columns * size.channels * layer.output.element_bytes)
        return total

    def plan(self, layer: Layer, room: int) -> LayerPlan:
        """Choose blocks, and whether constants are held, such that the fewest bytes are transferred.

        Args:
            layer: the layer.
            room: bytes that the tensors which stay leave to it.
        """
        constants = self._weights.get(layer, NO_WEIGHTS)
        room -= self.temporary(layer)
        if constants.channel and constants.total > room // 2:
            return LayerPlan(self._by_channels(layer, room), False)
        if not self.streams(layer):
            _, rows, columns, channels = layer.shape
            size = BlockSize(min(rows, LARGEST_BLOCK), min(columns, LARGEST_BLOCK), channels)
            # Holding weights lets the next layer start on the first rows, at the price of room.
            return LayerPlan(size, constants.total <= room // 2)
        by_channels = self._channel_block(layer)
        if by_channels is not None and 2 * self._block_bytes(layer, by_channels) + 2 * constants.largest <= room:
            return LayerPlan(by_channels, False)
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

    def _channel_block(self, layer: Layer) -> BlockSize | None:
        """Blocks of some output channels, if a convolution's input stays and its other tensors do not.

        Weights are then loaded once. The blocks' rows are whole bursts of DRAM.
        """
        _, rows, columns, channels = layer.shape
        if not isinstance(layer, MatrixLayer) or layer.groups > 1 or layer.phases != (1, 1) or not self.streams(layer):
            return None
        if layer.sources[0].tensor in self._gone or channels % ALIGNMENT or layer.shape[0] > 1:
            return None
        if max(rows, columns) > LARGEST_BLOCK or self._array_size > ALIGNMENT:
            return None
        together = ALIGNMENT * divide_up(_WORTHWHILE_BYTES, rows * columns * ALIGNMENT)
        return BlockSize(rows, columns, min(together, channels))

    def _by_channels(self, layer: Layer, room: int) -> BlockSize:
        """Blocks of a layer that loads the constants of their channels with them.

        As many rows as fit with a few channels, then as many channels as fit with these rows: constants are loaded once
        if all rows fit.
        """
        constants = self._weights[layer]
        _, rows, columns, channels = layer.shape

        def demand(rows: int, columns: int, channels: int) -> int:
            return self._block_bytes(layer, BlockSize(rows, columns, channels)) + aligned(channels * constants.channel)

        few = min(channels, ALIGNMENT)
        for share, least in ((room // 2, few), (room, few), (room, 1)):
            wide = _largest(min(columns, LARGEST_BLOCK), lambda n, s=share, c=least: demand(1, n, c) <= s)
            if wide:
                limit = min(rows, LARGEST_BLOCK) if wide == columns else 1
                high = _largest(limit, lambda n, s=share, c=least, w=wide: demand(n, w, c) <= s)
                deep = _largest(channels, lambda n, s=share, h=high, w=wide: demand(h, w, n) <= s)
                return BlockSize(high, wide, deep if deep in (channels, least) else max(least, deep - deep % ALIGNMENT))
        return BlockSize(1, 1, 1)

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

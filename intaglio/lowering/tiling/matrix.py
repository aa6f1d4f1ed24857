"""Tasks of a layer on the matrix unit: multiplications into accumulators, and their requantization.

Output positions are cut into tiles that fit half of the accumulators, so that one tile is multiplied while another
is requantized. A tile's output channels are computed `D` at a time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from xdsl.ir import SSAValue

from intaglio.dialects import npu
from intaglio.lowering.tiling.emitter import UNIT, Emitter, View, compact_view
from intaglio.lowering.tiling.fusion import LAG, MatrixSumLayer
from intaglio.lowering.tiling.geometry import Block, divide_up
from intaglio.lowering.tiling.layers import MatrixLayer
from intaglio.lowering.tiling.packing import OutputGroup, PackedWeights, Piece
from intaglio.lowering.tiling.vector import VectorTasks
from intaglio.targets.target import Target

_WORTH_HALVING = 16
"""Positions, for each row of the array, from which a block is two tiles: work on the first can follow at once."""


@dataclass(frozen=True)
class LoadedSlice:
    """Consecutive output groups whose parameters and tiles are in one buffer."""

    buffer: SSAValue
    first_byte: int
    """Byte of the layer's constant that is at the start of the buffer."""

    groups: Sequence[OutputGroup]


class Accumulators:
    """Hands out accumulator rows in turn, no tile across the halves."""

    def __init__(self, rows: int) -> None:
        self._half = rows // 2
        self._next = 0

    def take(self, rows: int) -> int:
        """The first of `rows` rows."""
        first = self._next
        if first % self._half + rows > self._half:
            first = divide_up(first, self._half) * self._half % (2 * self._half)
        self._next = (first + rows) % (2 * self._half)
        return first


@dataclass(frozen=True)
class MatrixTasks:
    """Emits the tasks of one layer.

    Args:
        emitter: where tasks go.
        layer: the layer.
        target: the accelerator.
        accumulators: their rows in turn, for all layers of a program.
    """

    emitter: Emitter
    layer: MatrixLayer
    target: Target
    accumulators: Accumulators
    _pending: deque[tuple[View, View, View, Block]] = field(default_factory=deque[tuple[View, View, View, Block]])
    """Tiles that are to be added to another tensor: the tile, the other operand, the output, the positions."""

    def tiles(self, block: Block, groups: int) -> list[Block]:
        """Cut a block into tiles of output positions.

        More tiles let requantization overlap with multiplication, but each costs the array's fill for each of
        the groups: with `n` tiles `n * groups * fill + positions / n` cycles are not overlapped.
        """
        positions = block.rows * block.columns
        half = self.target.accumulator_rows // 2
        if isinstance(self.layer, MatrixSumLayer):
            half = min(half, self.layer.tile_positions)
        fill = self.target.array_rows * (self.target.fill_cycles_per_row + 1)
        wanted = round(math.sqrt(positions / (groups * fill)))
        if positions >= _WORTH_HALVING * self.target.array_rows:
            wanted = max(2, wanted)
        wanted = max(1, min(wanted, positions // self.target.array_rows))
        if block.columns > half:
            width = divide_up(block.columns, divide_up(block.columns, half))
            return list(_cut(block, 1, width))
        rows = max(1, min(half // block.columns, divide_up(block.rows, wanted)))
        rows = divide_up(block.rows, divide_up(block.rows, rows))
        return list(_cut(block, rows, block.columns))

    def compute(
        self, sources: Sequence[View], output: View, tile: Block, slices: Sequence[LoadedSlice], chunks: int = 1
    ) -> None:
        """Multiply and requantize a tile for the output groups of slices.

        Args:
            sources: what the tile reads.
            output: where its results go.
            tile: the output positions.
            slices: the weights.
            chunks: parts of the input channels; all groups are multiplied with the first before the second is read,
                if the accumulators hold a tile for each group.
        """
        groups = [(group, weights) for weights in slices for group in weights.groups]
        positions = tile.rows * tile.columns
        if chunks == 1 or positions * len(groups) > self.target.accumulator_rows // 2:
            for group, weights in groups:
                row = self.accumulators.take(positions)
                for index, piece in enumerate(group.pieces):
                    self._multiply_held(sources[0], tile, group, piece, weights, row, accumulate=index > 0)
                self._take_held(sources, output, tile, group, weights, row)
            return
        rows = [self.accumulators.take(positions) for _ in groups]
        for chunk in range(chunks):
            for (group, weights), row in zip(groups, rows, strict=True):
                (piece,) = group.pieces
                part = piece.columns_of(chunk, chunks, group.channels)
                self._multiply_held(sources[0], tile, group, part, weights, row, accumulate=chunk > 0)
        for (group, weights), row in zip(groups, rows, strict=True):
            self._take_held(sources, output, tile, group, weights, row)

    def _multiply_held(
        self,
        source: View,
        tile: Block,
        group: OutputGroup,
        piece: Piece,
        weights: LoadedSlice,
        row: int,
        *,
        accumulate: bool,
    ) -> None:
        offset = group.weights + piece.offset - weights.first_byte
        self.multiply(source, tile, group, piece, weights.buffer, offset, row, accumulate=accumulate)

    def _take_held(
        self, sources: Sequence[View], output: View, tile: Block, group: OutputGroup, weights: LoadedSlice, row: int
    ) -> None:
        offset = group.parameters - weights.first_byte
        self.take_results(sources, output, tile, group, weights.buffer, offset, row)

    def compute_by_pieces(
        self, sources: Sequence[View], output: View, tiles: Sequence[Block], group: OutputGroup, constant: SSAValue
    ) -> None:
        """Multiply and requantize tiles for a group whose weights are too large to be loaded at once."""
        parameters = self.emitter.load_run(constant, group.parameters, group.weights)
        for tile in tiles:
            row = self.accumulators.take(tile.rows * tile.columns)
            for index, piece in enumerate(group.pieces):
                start = group.weights + piece.offset
                buffer = self.emitter.load_run(constant, start, start + piece.size(group.channels))
                self.multiply(sources[0], tile, group, piece, buffer, 0, row, accumulate=index > 0)
            self.take_results(sources, output, tile, group, parameters, 0, row)

    def multiply(
        self,
        source: View,
        tile: Block,
        group: OutputGroup,
        piece: Piece,
        weights: SSAValue,
        weights_offset: int,
        row: int,
        *,
        accumulate: bool,
    ) -> None:
        """Multiply a tile with the weights of one piece."""
        y, x = self.layer.window.y, self.layer.window.x
        first = source.origin(tile.y0 * y.stride - y.before + piece.row * y.dilation, tile.x0 * x.stride - x.before)
        outer, row_bytes = group.channels, piece.row_bytes(group.channels)
        tiles = npu.WeightTiles(
            weights_offset,
            piece.inner * row_bytes,
            row_bytes,
            piece.weight_bytes,
            int(piece.packed),
            bfloat16=int(self.layer.parameters.is_float),
        )
        self.emitter.task(
            npu.MatrixMultiplyOp,
            [source.buffer, weights],
            map=npu.FeatureMapAttr(source.feature_map(self.layer.input_zero_point)),
            tiles=npu.WeightTilesAttr(tiles),
            window=npu.GridAttr(npu.Grid(tile.rows, tile.columns, y.stride, x.stride * source.column_stride)),
            taps=npu.GridAttr(npu.Grid(piece.rows, piece.columns, y.dilation, piece.step)),
            origin=npu.OriginAttr(npu.Origin(first.y0, first.x0 + piece.first_byte)),
            inner=piece.inner,
            outer=outer,
            accumulator=row,
            accumulate=UNIT if accumulate else None,
        )

    def take_results(
        self,
        sources: Sequence[View],
        output: View,
        tile: Block,
        group: OutputGroup,
        parameters: SSAValue,
        parameters_offset: int,
        row: int,
    ) -> None:
        """Requantize a tile's accumulators, and add what the layer adds; sums lag behind until `finish`."""
        if not isinstance(self.layer, MatrixSumLayer):
            self.requantize(output, tile, group, parameters, parameters_offset, row)
            return
        region = replace(tile, c0=group.first, c1=group.first + group.channels)
        width = self.layer.between.element_bytes
        view = compact_view(self.emitter.allocate(region.elements * width), region, width)
        self.requantize(view, tile, group, parameters, parameters_offset, row)
        self._pending.append((view, sources[1], output, region))
        if len(self._pending) > LAG:
            self._add()

    def finish(self) -> None:
        """Add all tiles that wait for it."""
        while self._pending:
            self._add()

    def _add(self) -> None:
        layer = self.layer
        assert isinstance(layer, MatrixSumLayer)
        result, other, output, tile = self._pending.popleft()
        views = [other if source.tensor is layer.sources[1].tensor else result for source in layer.sum.sources]
        location, self.emitter.location = self.emitter.location, layer.sum.location
        VectorTasks(self.emitter, layer.sum, self.target).compute_tile(views, output, tile)
        self.emitter.location = location

    def requantize(
        self, output: View, tile: Block, group: OutputGroup, parameters: SSAValue, parameters_offset: int, row: int
    ) -> None:
        """Rescale a tile's accumulators, or add the biases of bfloat16, and write the results."""
        is_float = self.layer.parameters.is_float
        self.emitter.task(
            npu.FloatSumsOp if is_float else npu.RequantizeOp,
            [parameters, output.buffer],
            parameters_offset=parameters_offset,
            wide=UNIT if self.layer.parameters.is_wide else None,
            placement=npu.PlacementAttr(self._placement(output, tile, group.first - output.region.c0)),
            window=npu.GridAttr(npu.Grid(tile.rows, tile.columns, 1, 1)),
            channels=group.channels,
            accumulator=row,
            zero_point=None if is_float else self.layer.zero_point,
            bounds=npu.BoundsAttr(self.layer.bounds),
        )

    def _placement(self, output: View, tile: Block, channel: int) -> npu.Placement:
        """Where a tile's results from an output channel on are written; phases lie beside each other."""
        rows, columns = self.layer.phases
        if (rows, columns) == (1, 1):
            return output.placement(tile.y0, tile.x0, channel)
        phase, channel = divmod(channel, self.layer.shape[3] // rows)
        first = output.at(tile.y0, output.region.x0) + phase * (output.row_stride // rows)
        column = output.column_stride // rows
        size = output.element_bytes
        offset = first + (tile.x0 - output.region.x0) * column + channel * size
        return npu.Placement(offset, output.row_stride, column, size)


def _cut(block: Block, rows: int, columns: int) -> Iterator[Block]:
    for y in range(block.y0, block.y1, rows):
        for x in range(block.x0, block.x1, columns):
            yield Block(block.n, y, min(y + rows, block.y1), x, min(x + columns, block.x1), block.c0, block.c1)


def slice_run(members: Sequence[OutputGroup]) -> tuple[int, int]:
    """First byte and one past the last of a slice in the layer's constant."""
    return members[0].parameters, members[-1].end


def largest_run(packed: PackedWeights, largest: int) -> int:
    """Most bytes of a layer's constant that are needed at once when slices have at most `largest` bytes."""
    needed = 0
    for members in packed.slices(largest):
        start, end = slice_run(members)
        if end - start > largest:
            group = members[0]
            piece = max(piece.size(group.channels) for piece in group.pieces)
            needed = max(needed, group.weights - group.parameters + piece)
        else:
            needed = max(needed, end - start)
    return needed

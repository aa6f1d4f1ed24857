"""Products of two activations: the second one takes the place of the weights.

Both zero points are subtracted at the array's edge, so that sums are exact whatever the values. The rows of the second
matrix are read where they lie: a tile is `inner` rows of as many columns as the array has. Where the rows are no
multiple of the array's, the last few are a multiplication of their own. If either matrix has elements of two bytes,
sums have 48 bits, and so have the parameters that requantize them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects import nn, npu
from intaglio.dialects.npu import Bounds, Scale
from intaglio.lowering.tiling.emitter import UNIT, Emitter, View
from intaglio.lowering.tiling.geometry import Block, BlockSize, divide_up, parts
from intaglio.lowering.tiling.layers import Array, Layer, Parameters, Source, Tensor
from intaglio.lowering.tiling.matrix import Accumulators
from intaglio.lowering.tiling.packing import parameter_bytes
from intaglio.lowering.tiling.values import (
    bounds_of,
    element_bytes_of,
    is_bfloat16,
    quantization_of,
    scale_of,
    shape_of,
)
from intaglio.lowering.tiling.vector import IDENTITY
from intaglio.targets.target import Target

_MOST_LANES = 64
"""Lanes of the widest array: as many channels need parameters at once, the same for all."""


@dataclass(eq=False)
class MatmulLayer(Layer):
    """A product of matrices, batch by batch: `N, M, 1, K` and `N, K, 1, C`."""

    scale: Scale
    input_zero_point: int
    weights_zero_point: int
    bounds: Bounds
    is_float: bool = field(default=False, kw_only=True)
    """Whether matrices are of bfloat16."""
    works_by_rows: ClassVar[bool] = False

    @property
    def constant_bytes(self) -> int:
        """Bytes of the parameters."""
        return self._columns().record_bytes * min(self.shape[3], _MOST_LANES)

    @property
    def is_wide(self) -> bool:
        """Whether sums have 48 bits."""
        return not self.is_float and max(source.tensor.element_bytes for source in self.sources) > 1

    def _columns(self) -> Parameters:
        """Bias, multiplier and shift of as many columns as need them at once."""
        count = min(self.shape[3], _MOST_LANES)
        if self.is_float:
            return Parameters(np.zeros(count, np.float32), np.empty(0, np.int32), np.empty(0, np.int32))
        bias = np.zeros(count, np.int64 if self.is_wide else np.int32)
        factors = (np.full(count, number, np.int32) for number in (self.scale.multiplier, self.scale.shift))
        return Parameters(bias, *factors)

    def parameters(self) -> Array:
        """The bytes of the parameters."""
        columns = self._columns()
        return parameter_bytes(columns, 0, len(columns.bias))

    def region(self, source: Source, block: Block) -> Block:
        """Of the first matrix the block's rows, of the second one its columns."""
        _, rows, _, depth = source.shape
        if source is self.sources[0]:
            return Block(block.n, block.y0, block.y1, 0, 1, 0, depth)
        return Block(block.n, 0, rows, 0, 1, block.c0, block.c1)

    def region_bytes(self, source: Source, size: BlockSize) -> int:
        """The number of bytes that a block of some size needs of a source."""
        _, rows, _, depth = source.shape
        if source is self.sources[0]:
            return min(size.rows, rows) * depth * source.tensor.element_bytes
        return rows * min(size.channels, depth) * source.tensor.element_bytes

    def flattened(self, lanes: int) -> Layer:
        """The layer itself, whose positions are rows already."""
        return self


def read_matmul(op: nn.MatmulOp, source: Callable[..., Source], output: Callable[[], Tensor]) -> Layer:
    """The layer of a product of two activations."""
    *batches, rows, depth = shape_of(op.lhs)
    columns = shape_of(op.rhs)[-1]
    count = int(np.prod(batches, dtype=np.int64))
    if is_bfloat16(op.result):
        return MatmulLayer(
            op.location,
            (source(op.lhs, (count, rows, 1, depth)), source(op.rhs, (count, depth, 1, columns))),
            output(),
            (count, rows, 1, columns),
            scale=IDENTITY,
            input_zero_point=0,
            weights_zero_point=0,
            bounds=bounds_of(op.result, op.clamp),
            is_float=True,
        )
    lhs, rhs, result = (quantization_of(value) for value in (op.lhs, op.rhs, op.result))
    is_wide = max(element_bytes_of(op.lhs), element_bytes_of(op.rhs)) > 1
    return MatmulLayer(
        op.location,
        (source(op.lhs, (count, rows, 1, depth)), source(op.rhs, (count, depth, 1, columns))),
        output(),
        (count, rows, 1, columns),
        scale=scale_of(lhs.scale * rhs.scale / result.scale, result.zero_point, wide=is_wide),
        input_zero_point=lhs.zero_point,
        weights_zero_point=rhs.zero_point,
        bounds=bounds_of(op.result, op.clamp),
    )


@dataclass(frozen=True)
class MatmulTasks:
    """Emits the tasks of one product.

    Args:
        emitter: where tasks go.
        layer: the product.
        target: the accelerator.
        accumulators: their rows in turn.
    """

    emitter: Emitter
    layer: MatmulLayer
    target: Target
    accumulators: Accumulators

    def compute(self, sources: list[View], output: View, block: Block, parameters: SSAValue) -> None:
        """Compute a block: rows in tiles that fit half of the accumulators, columns `D` at a time."""
        most = self.target.accumulator_rows // 2
        for y0, y1 in parts(block.rows, divide_up(block.rows, most)):
            for c0 in range(block.c0, block.c1, self.target.array_size):
                c1 = min(c0 + self.target.array_size, block.c1)
                tile = Block(block.n, block.y0 + y0, block.y0 + y1, 0, 1, c0, c1)
                row = self.accumulators.take(tile.rows)
                for index, piece in enumerate(self._pieces()):
                    self._multiply(sources, tile, piece, row, accumulate=index > 0)
                self.emitter.task(
                    npu.FloatSumsOp if self.layer.is_float else npu.RequantizeOp,
                    [parameters, output.buffer],
                    parameters_offset=0,
                    wide=UNIT if self.layer.is_wide else None,
                    placement=npu.PlacementAttr(output.placement(tile.y0, 0, c0 - output.region.c0)),
                    window=npu.GridAttr(npu.Grid(tile.rows, 1, 1, 1)),
                    channels=tile.channels,
                    accumulator=row,
                    zero_point=None if self.layer.is_float else self.layer.scale.zero_point,
                    bounds=npu.BoundsAttr(self.layer.bounds),
                )

    def _pieces(self) -> list[tuple[int, int, int]]:
        """First row of the second matrix, number of taps, and rows of each, of every multiplication."""
        depth, most = self.layer.sources[0].shape[3], self.target.array_rows
        taps = divide_up(depth, most)
        if depth % taps == 0:
            return [(0, taps, depth // taps)]
        return [(0, depth // most, most), (depth // most * most, 1, depth % most)]

    def _multiply(
        self, sources: list[View], tile: Block, piece: tuple[int, int, int], row: int, *, accumulate: bool
    ) -> None:
        first, taps, inner = piece
        left, right = sources
        origin = left.origin(tile.y0, 0)
        tiles = npu.WeightTiles(
            right.at(first, 0, tile.c0 - right.region.c0),
            inner * right.row_stride,
            right.row_stride,
            right.element_bytes,
            zero_point=self.layer.weights_zero_point,
            input_zero_point=self.layer.input_zero_point,
            bfloat16=int(self.layer.is_float),
        )
        self.emitter.task(
            npu.MatrixMultiplyOp,
            [left.buffer, right.buffer],
            map=npu.FeatureMapAttr(left.feature_map(self.layer.input_zero_point)),
            tiles=npu.WeightTilesAttr(tiles),
            window=npu.GridAttr(npu.Grid(tile.rows, 1, 1, left.column_stride)),
            taps=npu.GridAttr(npu.Grid(1, taps, 1, inner * left.element_bytes)),
            origin=npu.OriginAttr(npu.Origin(origin.y0, origin.x0 + first * left.element_bytes)),
            inner=inner,
            outer=tile.channels,
            accumulator=row,
            accumulate=UNIT if accumulate else None,
        )

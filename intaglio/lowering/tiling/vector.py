"""Tasks of layers on the vector unit: depthwise convolution, pooling, elementwise operations, tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdsl.ir import Attribute, SSAValue

from intaglio.dialects import npu
from intaglio.lowering.tiling.emitter import Emitter, View
from intaglio.lowering.tiling.geometry import Block, Shape, divide_up, parts
from intaglio.lowering.tiling.layers import (
    AveragePoolLayer,
    ConvertLayer,
    DepthwiseLayer,
    Layer,
    MaxPoolLayer,
    ProductLayer,
    SumLayer,
    TableLayer,
)
from intaglio.lowering.tiling.packing import depthwise_weights_offset
from intaglio.targets.target import Target

FULL = npu.Bounds(-128, 127)

_TILES = 4
_TILE_CYCLES = 512
"""Tiles shorter than this are not worth their start."""


@dataclass(frozen=True)
class Constants:
    """The constant of a layer in the scratchpad, or those of some channels."""

    buffer: SSAValue
    parameters: int
    """Byte of the first channel's parameters, or of the table."""

    weights: int
    """Byte of the first tap's first channel."""

    tap_stride: int


@dataclass(frozen=True)
class VectorTasks:
    """Emits the tasks of one layer.

    Args:
        emitter: where tasks go.
        layer: the layer.
        target: the accelerator.
    """

    emitter: Emitter
    layer: Layer
    target: Target

    def tiles(self, block: Block) -> list[Block]:
        """Cut a block by rows, so that tasks of the matrix unit can overlap with parts of the work."""
        taps = self.layer.window.y.kernel * self.layer.window.x.kernel
        groups = divide_up(block.channels, self.target.array_size)
        cycles = block.rows * block.columns * groups * divide_up(taps, self.target.depthwise_taps_per_cycle)
        count = max(1, min(_TILES, cycles // _TILE_CYCLES, block.rows))
        return [
            Block(block.n, block.y0 + y0, block.y0 + y1, block.x0, block.x1, block.c0, block.c1)
            for y0, y1 in parts(block.rows, count)
        ]

    def load_constants(self, constant: SSAValue, block: Block, *, whole: bool) -> Constants:
        """Load what a block needs of the layer's constant: the table, or parameters and weights of its channels.

        Args:
            constant: the layer's constant in DRAM.
            block: the block.
            whole: load those of all channels.
        """
        if not isinstance(self.layer, DepthwiseLayer):
            return Constants(self.emitter.load_run(constant, 0, npu.TABLE_BYTES), 0, 0, 0)
        channels = self.layer.shape[3]
        taps = self.layer.window.y.kernel * self.layer.window.x.kernel
        weights = depthwise_weights_offset(channels)
        if whole or block.channels == channels:
            buffer = self.emitter.load_run(constant, 0, weights + taps * channels)
            return Constants(buffer, 0, weights, channels)
        part = depthwise_weights_offset(block.channels)
        buffer = self.emitter.allocate(part + taps * block.channels)
        start = depthwise_weights_offset(block.c0)
        self.emitter.load(constant, buffer, npu.Transfer(start, 0, part))
        runs = npu.Transfer(weights + block.c0, part, block.channels, taps, channels, block.channels)
        self.emitter.load(constant, buffer, runs)
        return Constants(buffer, 0, part, block.channels)

    def compute(self, sources: list[View], output: View, block: Block, constants: Constants | None) -> None:
        """Compute a block."""
        for tile in self.tiles(block):
            _FAMILIES[type(self.layer)](self, sources, output, tile, constants)

    def emit(
        self,
        kind: type[npu.MapTaskOp],
        operands: list[SSAValue],
        source: View,
        output: View,
        tile: Block,
        pad: int = 0,
        **properties: Attribute | int,
    ) -> None:
        """Append a task for a tile, with what all tasks on a feature map have."""
        y, x = self.layer.window.y, self.layer.window.x
        self.emitter.task(
            kind,
            [source.buffer, *operands, output.buffer],
            map=npu.FeatureMapAttr(source.feature_map(pad)),
            placement=npu.PlacementAttr(output.placement(tile.y0, tile.x0)),
            window=npu.GridAttr(npu.Grid(tile.rows, tile.columns, y.stride, x.stride * source.column_stride)),
            origin=npu.OriginAttr(source.origin(tile.y0 * y.stride - y.before, tile.x0 * x.stride - x.before)),
            channels=tile.channels,
            **properties,
        )

    def taps(self, source: View) -> npu.GridAttr:
        """The taps of the layer's window."""
        y, x = self.layer.window.y, self.layer.window.x
        return npu.GridAttr(npu.Grid(y.kernel, x.kernel, y.dilation, x.dilation * source.column_stride))


def _operand(view: View, shape: Shape, tile: Block) -> npu.OperandAttr:
    """The second operand at a tile; dimensions of size 1 are broadcast."""
    _, rows, columns, channels = shape
    offset = view.at(tile.y0 if rows > 1 else 0, tile.x0 if columns > 1 else 0)
    return npu.OperandAttr(
        npu.Operand(
            offset,
            view.row_stride if rows > 1 else 0,
            view.column_stride if columns > 1 else 0,
            1 if channels > 1 else 0,
        )
    )


def _depthwise(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, DepthwiseLayer) and loaded is not None
    # All channels may have been loaded although the block has some of them only.
    first = tile.c0 if loaded.tap_stride != tile.channels else 0
    tasks.emit(
        npu.DepthwiseOp,
        [loaded.buffer, loaded.buffer],
        sources[0],
        output,
        tile,
        layer.input_zero_point,
        tap_weights=npu.TapWeightsAttr(npu.TapWeights(loaded.weights + first, loaded.tap_stride)),
        parameters_offset=loaded.parameters + depthwise_weights_offset(first),
        taps=tasks.taps(sources[0]),
        zero_point=layer.zero_point,
        bounds=npu.BoundsAttr(layer.bounds),
    )


def _max_pool(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    taps, bounds = tasks.taps(sources[0]), npu.BoundsAttr(FULL)
    tasks.emit(npu.MaxOp, [], sources[0], output, tile, FULL.low, taps=taps, bounds=bounds)


def _average_pool(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, AveragePoolLayer)
    tasks.emit(
        npu.SumOp,
        [],
        sources[0],
        output,
        tile,
        layer.input_zero_point,
        taps=tasks.taps(sources[0]),
        result_scale=npu.ScaleAttr(layer.scale),
        input_zero_point=layer.input_zero_point,
        bounds=npu.BoundsAttr(layer.bounds),
    )


def _sum(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, SumLayer)
    tasks.emit(
        npu.SubtractOp if layer.subtract else npu.AddOp,
        [sources[1].buffer],
        sources[0],
        output,
        tile,
        operand=_operand(sources[1], layer.sources[1].shape, tile),
        result_scale=npu.ScaleAttr(layer.scale),
        a_scale=npu.ScaleAttr(layer.a_scale),
        b_scale=npu.ScaleAttr(layer.b_scale),
        bounds=npu.BoundsAttr(layer.bounds),
    )


def _product(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, ProductLayer)
    tasks.emit(
        npu.MultiplyOp,
        [sources[1].buffer],
        sources[0],
        output,
        tile,
        operand=_operand(sources[1], layer.sources[1].shape, tile),
        result_scale=npu.ScaleAttr(layer.scale),
        a_zero_point=layer.a_zero_point,
        b_zero_point=layer.b_zero_point,
        bounds=npu.BoundsAttr(layer.bounds),
    )


def _convert(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, ConvertLayer)
    tasks.emit(
        npu.ConvertOp,
        [],
        sources[0],
        output,
        tile,
        result_scale=npu.ScaleAttr(layer.scale),
        input_zero_point=layer.input_zero_point,
        bounds=npu.BoundsAttr(layer.bounds),
    )


def _lookup(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    assert loaded is not None
    tasks.emit(
        npu.LookupOp,
        [loaded.buffer],
        sources[0],
        output,
        tile,
        table_offset=0,
        bounds=npu.BoundsAttr(FULL),
    )


_FAMILIES: dict[type[Layer], Callable[[VectorTasks, list[View], View, Block, Constants | None], Any]] = {
    DepthwiseLayer: _depthwise,
    MaxPoolLayer: _max_pool,
    AveragePoolLayer: _average_pool,
    SumLayer: _sum,
    ProductLayer: _product,
    ConvertLayer: _convert,
    TableLayer: _lookup,
}

"""Tasks of layers on the vector unit: depthwise convolution, pooling, elementwise operations, tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import FloatAttr, StringAttr, f64
from xdsl.ir import Attribute, SSAValue

from intaglio.dialects import npu
from intaglio.lowering.tiling.emitter import UNIT, Emitter, View
from intaglio.lowering.tiling.geometry import Block, Shape, Window, divide_up, parts
from intaglio.lowering.tiling.layers import (
    LARGEST_CHANNELS,
    AveragePoolLayer,
    ConvertLayer,
    DepthwiseLayer,
    ExtremeLayer,
    FloatCombineLayer,
    FloatMapLayer,
    FloatPoolLayer,
    InterpolatedLayer,
    Layer,
    LogarithmLayer,
    MaxPoolLayer,
    ProductLayer,
    QuotientLayer,
    RootLayer,
    SumLayer,
    TableLayer,
)
from intaglio.numerics.bfloat16 import LARGEST_ORDINAL
from intaglio.targets.costs import vector_cost
from intaglio.targets.target import Target

SMALLEST_PAD = -128
"""The padding that never is the largest element, whatever the width."""

_TILE_CYCLES = 1024
"""About how long a tile takes: short enough for tiles of neighbouring layers to take turns, long against its start."""


@dataclass(frozen=True)
class Constants:
    """The constant of a layer in the scratchpad, or those of some channels."""

    buffer: SSAValue
    parameters: int
    """Byte of the first channel's parameters, or of the table."""

    weights: int
    """Byte of the first tap's first channel."""

    tap_stride: int

    first_channel: int = 0
    """The channel whose parameters come first."""


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
        """Cut a block by rows, and by channels in groups of `D` where results of one do not depend on others.

        Tasks of the matrix unit overlap with parts of the work: those that make the operands of later tiles, and
        those that need the results of earlier ones.
        """
        size, window = self.target.array_size, self.layer.window
        taps = window.y.kernel * window.x.kernel
        kind = KINDS[type(self.layer)]
        channels, elements = min(size, block.channels), self.layer.element_bytes
        row = vector_cost(kind, block.columns, channels, taps, self.target, elements).work_cycles
        groups = divide_up(block.channels, size)
        rows = max(1, min(block.rows, _TILE_CYCLES // row))
        if groups > 1 and self.layer.splits_channels and (self.keeps_channels or rows == 1):
            together = max(1, _TILE_CYCLES // (row * min(rows, block.rows)))
        else:
            together = groups
            rows = max(1, min(block.rows, _TILE_CYCLES // (row * groups)))
        channels = divide_up(groups, divide_up(groups, together)) * size
        return [
            Block(block.n, block.y0 + y0, block.y0 + y1, block.x0, block.x1, c0, min(c0 + channels, block.c1))
            for y0, y1 in parts(block.rows, divide_up(block.rows, rows))
            for c0 in range(block.c0, block.c1, channels)
        ]

    @property
    def keeps_channels(self) -> bool:
        """Whether channels are those of the tensor, and not elements of merged rows."""
        return self.layer.window != Window() or self.layer.shape[3] % self.target.array_size == 0

    def load_constants(self, constant: SSAValue, block: Block, *, whole: bool) -> Constants:
        """Load what a block needs of the layer's constant: the table, or parameters and weights of its channels.

        Args:
            constant: the layer's constant in DRAM.
            block: the block.
            whole: load those of all channels.
        """
        layer = self.layer
        if not isinstance(layer, DepthwiseLayer):
            return Constants(self.emitter.load_run(constant, 0, layer.constant_bytes), 0, 0, 0)
        record, width = layer.parameters.record_bytes, layer.weight.itemsize
        taps = layer.window.y.kernel * layer.window.x.kernel
        weights, row = layer.shape[3] * record, layer.shape[3] * width
        if whole or block.channels == layer.shape[3]:
            buffer = self.emitter.load_run(constant, 0, weights + taps * row)
            return Constants(buffer, 0, weights, row)
        part, part_row = block.channels * record, block.channels * width
        buffer = self.emitter.allocate(part + taps * part_row)
        self.emitter.load(constant, buffer, npu.Transfer(block.c0 * record, 0, part))
        runs = npu.Transfer(weights + block.c0 * width, part, part_row, taps, row, part_row)
        self.emitter.load(constant, buffer, runs)
        return Constants(buffer, 0, part, part_row, block.c0)

    def compute(self, sources: list[View], output: View, block: Block, constants: Constants | None) -> None:
        """Compute a block."""
        for tile in self.tiles(block):
            self.compute_tile(sources, output, tile, constants)

    def compute_tile(self, sources: list[View], output: View, tile: Block, constants: Constants | None = None) -> None:
        """Compute a tile by one task."""
        FAMILIES[type(self.layer)](self, sources, output, tile, constants)

    def emit(
        self,
        kind: type[npu.MapTaskOp],
        operands: list[SSAValue],
        source: View,
        output: View,
        tile: Block,
        pad: int = 0,
        **properties: Attribute | int | None,
    ) -> None:
        """Append a task for a tile, with what all tasks on a feature map have."""
        y, x = self.layer.window.y, self.layer.window.x
        origin = source.origin(tile.y0 * y.stride - y.before, tile.x0 * x.stride - x.before)
        first = (tile.c0 - source.region.c0) * source.element_bytes
        self.emitter.task(
            kind,
            [source.buffer, *operands, output.buffer],
            map=npu.FeatureMapAttr(source.feature_map(pad)),
            placement=npu.PlacementAttr(output.placement(tile.y0, tile.x0, tile.c0 - output.region.c0)),
            window=npu.GridAttr(npu.Grid(tile.rows, tile.columns, y.stride, x.stride * source.column_stride)),
            origin=npu.OriginAttr(npu.Origin(origin.y0, origin.x0 + first)),
            channels=tile.channels,
            **properties,
        )

    def taps(self, source: View) -> npu.GridAttr:
        """The taps of the layer's window."""
        y, x = self.layer.window.y, self.layer.window.x
        return npu.GridAttr(npu.Grid(y.kernel, x.kernel, y.dilation, x.dilation * source.column_stride))


UNLIMITED = npu.Bounds(-LARGEST_ORDINAL, LARGEST_ORDINAL)
"""The ordinals of the infinities, which limit no bfloat16."""

IDENTITY = npu.Scale(1 << 30, 30, 0)
"""A rescaling that leaves values as they are."""


def copy_rows(emitter: Emitter, source: View, target: View, rows: Block) -> None:
    """Copy whole rows from one buffer to another.

    Args:
        emitter: where the task goes.
        source: a view without gaps that holds the rows.
        target: likewise.
        rows: which.
    """
    size, width = rows.columns * rows.channels, source.element_bytes
    run = next(size // count for count in range(1, size + 1) if size % count == 0 and size // count <= LARGEST_CHANNELS)
    runs, step = rows.rows * size // run, run * width
    emitter.task(
        npu.ConvertOp,
        [source.buffer, target.buffer],
        map=npu.FeatureMapAttr(npu.FeatureMap(source.at(rows.y0, rows.x0), runs, step, step, 0, width)),
        placement=npu.PlacementAttr(npu.Placement(target.at(rows.y0, rows.x0), step, step, width)),
        window=npu.GridAttr(npu.Grid(runs, 1, 1, step)),
        origin=npu.OriginAttr(npu.Origin(0, 0)),
        channels=run,
        result_scale=npu.ScaleAttr(IDENTITY),
        input_zero_point=0,
        bounds=npu.BoundsAttr(full_bounds(width)),
    )


def full_bounds(element_bytes: int) -> npu.Bounds:
    """The bounds that limit nothing."""
    limit = 1 << (8 * element_bytes - 1)
    return npu.Bounds(-limit, limit - 1)


def vector_layer_cycles(layer: Layer, target: Target) -> int:
    """Cycles of the vector unit for a whole layer."""
    taps = layer.window.y.kernel * layer.window.x.kernel
    images, rows, columns, channels = layer.shape
    positions = images * rows * columns
    return vector_cost(KINDS[type(layer)], positions, channels, taps, target, layer.element_bytes).work_cycles


def _operand(view: View, shape: Shape, tile: Block) -> npu.OperandAttr:
    """The second operand at a tile; dimensions of size 1 are broadcast."""
    _, rows, columns, channels = shape
    channel = tile.c0 - view.region.c0 if channels > 1 else 0
    offset = view.at(tile.y0 if rows > 1 else 0, tile.x0 if columns > 1 else 0, channel)
    return npu.OperandAttr(
        npu.Operand(
            offset,
            view.row_stride if rows > 1 else 0,
            view.column_stride if columns > 1 else 0,
            1 if channels > 1 else 0,
            view.element_bytes,
        )
    )


def _depthwise(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, DepthwiseLayer) and loaded is not None
    first, width = tile.c0 - loaded.first_channel, layer.weight.itemsize
    is_float = layer.parameters.is_float
    tasks.emit(
        npu.FloatDepthwiseOp if is_float else npu.DepthwiseOp,
        [loaded.buffer, loaded.buffer],
        sources[0],
        output,
        tile,
        layer.input_zero_point,
        tap_weights=npu.TapWeightsAttr(npu.TapWeights(loaded.weights + first * width, loaded.tap_stride, width)),
        parameters_offset=loaded.parameters + first * layer.parameters.record_bytes,
        wide=UNIT if layer.parameters.is_wide else None,
        taps=tasks.taps(sources[0]),
        zero_point=None if is_float else layer.zero_point,
        bounds=npu.BoundsAttr(layer.bounds),
    )


def _max_pool(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    taps, bounds = tasks.taps(sources[0]), npu.BoundsAttr(full_bounds(output.element_bytes))
    tasks.emit(npu.MaxOp, [], sources[0], output, tile, SMALLEST_PAD, taps=taps, bounds=bounds)


def _average_pool(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, AveragePoolLayer)
    tasks.emit(
        npu.RootOp if isinstance(layer, RootLayer) else npu.SumOp,
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
        _combination(layer),
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


def _combination(layer: SumLayer) -> type[npu.ScaledSumOp]:
    if isinstance(layer, ExtremeLayer):
        return npu.MaximumOp if layer.largest else npu.MinimumOp
    return npu.SubtractOp if layer.subtract else npu.AddOp


def _product(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, ProductLayer)
    tasks.emit(
        npu.DivideOp if isinstance(layer, QuotientLayer) else npu.MultiplyOp,
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


def _logarithm(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, LogarithmLayer)
    tasks.emit(
        npu.LogarithmOp,
        [],
        sources[0],
        output,
        tile,
        offset=layer.offset,
        result_scale=npu.ScaleAttr(layer.scale),
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
        bounds=npu.BoundsAttr(full_bounds(output.element_bytes)),
    )


def _interpolate(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, InterpolatedLayer) and loaded is not None
    tasks.emit(
        npu.InterpolateOp,
        [loaded.buffer],
        sources[0],
        output,
        tile,
        table_offset=0,
        result_scale=npu.ScaleAttr(layer.scale),
        bounds=npu.BoundsAttr(layer.bounds),
    )


def _float_pool(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, FloatPoolLayer)
    tasks.emit(
        npu.FloatPoolOp,
        [],
        sources[0],
        output,
        tile,
        layer.pad,
        function=StringAttr(layer.function),
        taps=tasks.taps(sources[0]),
        divisor=layer.divisor,
        bounds=npu.BoundsAttr(layer.bounds),
    )


def _float_combine(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Any) -> None:
    layer = tasks.layer
    assert isinstance(layer, FloatCombineLayer)
    tasks.emit(
        npu.FloatCombineOp,
        [sources[1].buffer],
        sources[0],
        output,
        tile,
        function=StringAttr(layer.function),
        operand=_operand(sources[1], layer.sources[1].shape, tile),
        bounds=npu.BoundsAttr(layer.bounds),
    )


def _float_map(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Any) -> None:
    layer = tasks.layer
    assert isinstance(layer, FloatMapLayer)
    tasks.emit(
        npu.FloatMapOp,
        [],
        sources[0],
        output,
        tile,
        function=StringAttr(layer.function),
        alpha=FloatAttr(layer.alpha, f64),
        beta=FloatAttr(layer.beta, f64),
        bounds=npu.BoundsAttr(UNLIMITED),
    )


KINDS: dict[type[Layer], str] = {
    DepthwiseLayer: "depthwise",
    MaxPoolLayer: "max",
    AveragePoolLayer: "sum",
    RootLayer: "root",
    SumLayer: "add",
    ExtremeLayer: "minimum",
    ProductLayer: "multiply",
    QuotientLayer: "divide",
    ConvertLayer: "convert",
    LogarithmLayer: "logarithm",
    TableLayer: "lookup",
    InterpolatedLayer: "interpolate",
    FloatPoolLayer: "float_pool",
    FloatCombineLayer: "float_combine",
    FloatMapLayer: "float_map",
}
"""The instruction of each kind of layer."""

FAMILIES: dict[type[Layer], Callable[[VectorTasks, list[View], View, Block, Constants | None], Any]] = {
    DepthwiseLayer: _depthwise,
    MaxPoolLayer: _max_pool,
    AveragePoolLayer: _average_pool,
    RootLayer: _average_pool,
    SumLayer: _sum,
    ExtremeLayer: _sum,
    ProductLayer: _product,
    QuotientLayer: _product,
    ConvertLayer: _convert,
    LogarithmLayer: _logarithm,
    TableLayer: _lookup,
    InterpolatedLayer: _interpolate,
    FloatPoolLayer: _float_pool,
    FloatCombineLayer: _float_combine,
    FloatMapLayer: _float_map,
}

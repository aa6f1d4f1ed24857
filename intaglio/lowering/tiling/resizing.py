"""Bilinear resizing: depthwise convolutions whose results lie between each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects import nn, npu
from intaglio.dialects.npu import Bounds, Scale
from intaglio.lowering.tiling.emitter import UNIT, Emitter, View
from intaglio.lowering.tiling.geometry import Block, BlockSize, divide_up, parts
from intaglio.lowering.tiling.layers import Array, Layer, Parameters, Source, Tensor, as_image
from intaglio.lowering.tiling.packing import as_bytes, parameter_bytes
from intaglio.lowering.tiling.values import bounds_of, element_bytes_of, scale_of, shape_of
from intaglio.lowering.tiling.vector import IDENTITY, full_bounds
from intaglio.targets.costs import ElementBytes, vector_cost
from intaglio.targets.resampling import MIXED_CHANNELS, Mixture, Run, mixtures_of
from intaglio.targets.target import Target

_WEIGHT_BYTES = 8_192
"""About how many bytes of weights are held, so that channels need few tasks."""

_TASK_CYCLES = 4_096
"""About how long a task takes, so that others can come between."""


@dataclass(eq=False)
class ResizeLayer(Layer):
    """Rows, columns or both mixed by twos."""

    mixture: Mixture
    scale: Scale
    bounds: Bounds
    is_wide: bool
    """Whether sums have 48 bits."""
    works_by_rows: ClassVar[bool] = False

    @cached_property
    def channels_at_once(self) -> int:
        """Channels of a task, all of which have the same weights."""
        groups = max(1, _WEIGHT_BYTES // (self.mixture.bytes_of_a_channel * MIXED_CHANNELS))
        return min(self.shape[3], groups * MIXED_CHANNELS)

    @cached_property
    def weight_offsets(self) -> dict[tuple[tuple[int, ...], tuple[int, ...]], int]:
        """Where in the constant the weights of each combination begin."""
        mixture, count = self.mixture, self.channels_at_once
        each = math.prod(mixture.taps) * mixture.weight_bytes
        first = self.parameters.record_bytes
        return {pair: count * (first + number * each) for pair, number in mixture.combinations.items()}

    @cached_property
    def parameters(self) -> Parameters:
        """Those of as many channels as are computed at once, all alike."""
        count = self.channels_at_once
        factors = (np.full(count, number, np.int32) for number in (self.scale.multiplier, self.scale.shift))
        return Parameters(np.zeros(count, np.int64 if self.is_wide else np.int32), *factors)

    @property
    def data(self) -> Array:
        """The bytes of parameters, and then of the weights of each combination, tap by tap."""
        count = self.channels_at_once
        products = [np.outer(rows, columns).reshape(-1, 1) for rows, columns in self.weight_offsets]
        weights = np.tile(np.concatenate(products), count).astype(f"<i{self.mixture.weight_bytes}")
        return np.concatenate((parameter_bytes(self.parameters, 0, count), as_bytes(weights)))

    @property
    def constant_bytes(self) -> int:
        """Bytes of parameters and weights."""
        record = self.parameters.record_bytes
        return self.channels_at_once * (record + self.mixture.bytes_of_a_channel)

    @property
    def element_bytes(self) -> ElementBytes:
        """Bytes of input, weights, results and parameters."""
        records = self.parameters.record_bytes
        return replace(super().element_bytes, weights=self.mixture.weight_bytes, parameters=records)

    def region(self, source: Source, block: Block) -> Block:
        """The rows and columns under the windows of a block."""
        y0, y1 = _reach(self.mixture.rows, block.y0, block.y1)
        x0, x1 = _reach(self.mixture.columns, block.x0, block.x1)
        return Block(block.n, y0, y1, x0, x1, block.c0, block.c1)

    def region_bytes(self, source: Source, size: BlockSize) -> int:
        """The largest number of bytes that a block of some size needs."""
        _, rows, columns, _ = self.shape
        height = _most(self.mixture.rows, rows, size.rows)
        width = _most(self.mixture.columns, columns, size.columns)
        return height * width * size.channels * source.tensor.element_bytes

    def flattened(self, lanes: int) -> Layer:
        """The layer itself."""
        return self

    def vector_cycles(self, target: Target) -> int:
        """Cycles of the vector unit."""
        positions, taps = math.prod(self.shape[:3]), math.prod(self.mixture.taps)
        return vector_cost("depthwise", positions, self.shape[3], taps, target, self.element_bytes).work_cycles


def _reach(runs: tuple[Run, ...], low: int, high: int) -> tuple[int, int]:
    """The elements from the first to the last that some positions read."""
    inside = [part for run in runs if (part := run.within(low, high)) is not None]
    ends = [part.start + (part.count - 1) * part.step + len(part.weights) for part in inside]
    return min(part.start for part in inside), max(ends)


def _most(runs: tuple[Run, ...], size: int, count: int) -> int:
    """Most elements that `count` consecutive positions of a block, or the rest of them, read."""
    reaches = (_reach(runs, low, min(low + count, size)) for low in range(0, size, count))
    return max(end - start for start, end in reaches)


def read_resize(op: nn.ResizeOp, source: Callable[..., Source], output: Callable[[], Tensor]) -> list[Layer]:
    """The layers of a bilinear resizing.

    Weights of each window are the product of the units in all, so that zero points stay what they are.
    """
    given, shape = source(op.input, as_image(shape_of(op.input))), as_image(shape_of(op.result))
    wide = element_bytes_of(op.input) > 1
    scale, bounds = scale_of(1 / math.prod(op.units.get_values()), 0, wide=wide), bounds_of(op.result, None)
    *first, last = mixtures_of(op)
    layers: list[Layer] = []
    for mixture in first:
        between = (shape[0], shape[1], given.shape[2], shape[3])
        made = Tensor(2 * math.prod(between), element_bytes=2)
        layers.append(ResizeLayer(op.location, (given,), made, between, mixture, IDENTITY, full_bounds(2), False))
        given = Source(made, between)
    return [*layers, ResizeLayer(op.location, (given,), output(), shape, last, scale, bounds, wide)]


@dataclass(frozen=True)
class ResizeTasks:
    """Emits the tasks of one bilinear resizing.

    Args:
        emitter: where tasks go.
        layer: the layer.
        target: the accelerator.
    """

    emitter: Emitter
    layer: ResizeLayer
    target: Target

    def compute(self, sources: list[View], output: View, block: Block, constant: SSAValue) -> None:
        """Compute a block: every combination of runs, some channels at a time."""
        (source,) = sources
        together = self.layer.channels_at_once
        for rows in self._cut(self.layer.mixture.rows, block.y0, block.y1, block.columns * block.channels):
            for columns in self._cut(self.layer.mixture.columns, block.x0, block.x1, 1):
                for c0 in range(block.c0, block.c1, together):
                    self._compute(source, output, rows, columns, (c0, min(c0 + together, block.c1)), constant)

    def _cut(self, runs: tuple[Run, ...], low: int, high: int, elements: int) -> Iterator[Run]:
        """The parts of runs inside a block, each about as long as a task may take.

        Args:
            runs: of rows or columns.
            low: first position of the block.
            high: one past its last.
            elements: results at each position.
        """
        for run in runs:
            inside = run.within(low, high)
            if inside is None:
                continue
            cycles = inside.count * elements // self.target.array_size
            for start, end in parts(inside.count, divide_up(cycles, _TASK_CYCLES) or 1):
                part = inside.within(inside.first + start * run.every, inside.first + (end - 1) * run.every + 1)
                assert part is not None
                yield part

    def _compute(
        self, source: View, output: View, rows: Run, columns: Run, channels: tuple[int, int], constant: SSAValue
    ) -> None:
        layer = self.layer
        (taps_y, taps_x), width = layer.mixture.taps, layer.mixture.weight_bytes
        weights = layer.weight_offsets[rows.weights, columns.weights]
        origin = source.origin(rows.start, columns.start)
        first = (channels[0] - source.region.c0) * source.element_bytes
        place = output.placement(rows.first, columns.first, channels[0] - output.region.c0)
        self.emitter.task(
            npu.DepthwiseOp,
            [source.buffer, constant, constant, output.buffer],
            map=npu.FeatureMapAttr(source.feature_map(0)),
            placement=npu.PlacementAttr(
                replace(
                    place,
                    row_stride=place.row_stride * rows.every,
                    column_stride=place.column_stride * columns.every,
                )
            ),
            window=npu.GridAttr(npu.Grid(rows.count, columns.count, rows.step, columns.step * source.column_stride)),
            origin=npu.OriginAttr(npu.Origin(origin.y0, origin.x0 + first)),
            channels=channels[1] - channels[0],
            taps=npu.GridAttr(npu.Grid(taps_y, taps_x, 1, source.column_stride)),
            tap_weights=npu.TapWeightsAttr(npu.TapWeights(weights, layer.channels_at_once * width, width)),
            parameters_offset=0,
            wide=UNIT if layer.is_wide else None,
            zero_point=0,
            bounds=npu.BoundsAttr(layer.bounds),
        )

"""What the accelerator has to know of each operation: shapes, windows, integers.

Shapes are `N, H, W, C` here whatever the rank of the tensors is. A layer can be flattened: positions that need no
neighbours are merged into rows, so that their number and not their arrangement decides about tiles.
"""

from __future__ import annotations

import math
from abc import ABC
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import LocationAttr
from xdsl.ir import SSAValue

from intaglio.dialects.npu import Bounds, Scale
from intaglio.lowering.tiling.geometry import Block, BlockSize, Shape, Window
from intaglio.targets.boxes import Box
from intaglio.targets.costs import ElementBytes
from intaglio.targets.instruction_format import BIAS_BYTES
from intaglio.targets.instructions import PARAMETER_BYTES, WIDE_PARAMETER_BYTES

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(eq=False)
class Tensor:
    """A feature map: int8 or int16, row-major."""

    size: int
    """Bytes."""

    origin: SSAValue | None = None
    """The region's argument or the constant that it is; None for results of layers."""

    value: Array | None = None
    """The bytes of a constant."""

    outputs: list[int] = field(default_factory=list[int])
    """Which outputs of the region it is."""

    first: int = 0
    """The first layer that needs it in the scratchpad."""

    last: int = 0
    """The last layer that does."""

    uses: int = 0
    """How many layers read it."""

    element_bytes: int = 1
    """Bytes of an element."""

    @property
    def is_result(self) -> bool:
        """Whether a layer computes it."""
        return self.origin is None


@dataclass(frozen=True)
class Source:
    """A tensor as a layer reads it."""

    tensor: Tensor
    shape: Shape


@dataclass(eq=False)
class Layer(ABC):
    """A step of the network."""

    location: LocationAttr
    sources: tuple[Source, ...]
    output: Tensor
    shape: Shape
    """Of the output."""

    window: Window = field(default=Window(), kw_only=True)
    splits_channels: bool = field(default=True, init=False)
    """Whether a block may have some channels only, which it reads from the same channels of its sources."""

    works_by_rows: ClassVar[bool] = True
    """Whether some rows of the output need some rows of each source, those under the window."""

    def window_of(self, source: Source) -> Window:
        """The window through which the layer reads a source."""
        return self.window

    def splits(self, source: Source) -> bool:
        """Whether a block of some channels reads only these of a source."""
        return self.splits_channels

    def region(self, source: Source, block: Block) -> Block:
        """The part of a source that a block of the output needs; dimensions of size 1 are broadcast."""
        images, rows, columns, channels = source.shape
        window = self.window_of(source)
        y0, y1 = window.y.reach(block.y0, block.y1, rows) if rows > 1 else (0, 1)
        x0, x1 = window.x.reach(block.x0, block.x1, columns) if columns > 1 else (0, 1)
        c0, c1 = (block.c0, block.c1) if self.splits(source) and channels > 1 else (0, channels)
        return Block(block.n if images > 1 else 0, y0, y1, x0, x1, c0, c1)

    def region_bytes(self, source: Source, size: BlockSize) -> int:
        """The largest number of bytes that a block of some size needs of a source."""
        _, rows, columns, channels = source.shape
        window = self.window_of(source)
        needed = window.y.span(size.rows, rows) * window.x.span(size.columns, columns)
        needed *= min(size.channels, channels) if self.splits(source) else channels
        return needed * source.tensor.element_bytes

    def row_bytes(self, source: Source) -> int:
        """Bytes of a row of a source."""
        return source.shape[2] * source.shape[3] * source.tensor.element_bytes

    @property
    def element_bytes(self) -> ElementBytes:
        """Bytes of the elements that it works on, for the cost of its instructions."""
        first, last = self.sources[0].tensor, self.sources[-1].tensor
        return ElementBytes(first.element_bytes, last.element_bytes, output=self.output.element_bytes)

    @property
    def constant_bytes(self) -> int:
        """Bytes of weights, parameters and tables."""
        return 0

    @property
    def needs_no_neighbours(self) -> bool:
        """Whether each output position reads the input position of the same number in all sources."""
        return self.window.is_pointwise and all(source.shape[:3] == self.shape[:3] for source in self.sources)

    def flattened(self, lanes: int) -> Layer:
        """The layer with positions that need no neighbours merged into rows, where that is possible.

        Args:
            lanes: of the vector unit.
        """
        if not self.needs_no_neighbours or any(source.shape != self.shape for source in self.sources):
            return self
        shape = as_rows(self.shape, lanes)
        return replace(self, sources=tuple(Source(source.tensor, shape) for source in self.sources), shape=shape)


@dataclass(eq=False)
class Parameters:
    """Bias, multiplier and shift of each output channel; the input's zero point is folded into the bias."""

    bias: Array
    """int32, int64 for sums of 48 bits, or float32 for those of bfloat16, which have nothing else."""
    multiplier: Array
    shift: Array

    @property
    def is_wide(self) -> bool:
        """Whether they are for sums of 48 bits."""
        return self.bias.dtype == np.int64

    @property
    def is_float(self) -> bool:
        """Whether they are for sums of bfloat16."""
        return self.bias.dtype == np.float32

    @property
    def record_bytes(self) -> int:
        """Bytes of those of one channel."""
        if self.is_float:
            return BIAS_BYTES
        return WIDE_PARAMETER_BYTES if self.is_wide else PARAMETER_BYTES


@dataclass(eq=False)
class LinearLayer(Layer, ABC):
    """Base of the layers with weights."""

    weight: Array
    """int8 or int16, `O, KH, KW, C / groups`."""

    parameters: Parameters
    input_zero_point: int
    zero_point: int
    bounds: Bounds

    @property
    def constant_bytes(self) -> int:
        """Bytes of weights and parameters, padding of the tiles left out."""
        return self.weight.nbytes + self.parameters.record_bytes * self.weight.shape[0]

    @property
    def element_bytes(self) -> ElementBytes:
        """Bytes of input, weights, results and parameters."""
        records = self.parameters.record_bytes
        return replace(super().element_bytes, weights=self.weight.itemsize, parameters=records)


@dataclass(eq=False)
class MatrixLayer(LinearLayer):
    """A convolution or dense layer on the matrix unit."""

    groups: int
    packs_weights: bool = field(default=False, kw_only=True)
    """Whether weights have 4 bits, of which the machine reads two in a byte."""

    phases: tuple[int, int] = (1, 1)
    """Rows and columns of the tensor for each of the shape: output channels are row phase, column phase, channel."""

    def __post_init__(self) -> None:
        self.splits_channels = False

    @property
    def constant_bytes(self) -> int:
        """Bytes of weights and parameters, padding of the tiles left out."""
        parameters = self.parameters.record_bytes * self.weight.shape[0]
        return self.weight.nbytes // (2 if self.packs_weights else 1) + parameters

    @property
    def element_bytes(self) -> ElementBytes:
        """Bytes of input, weights, results and parameters."""
        return replace(super().element_bytes, packed=self.packs_weights)

    def flattened(self, lanes: int) -> Layer:
        """A pointwise convolution as rows of one column; others as they are."""
        # Padding behind the image alone leaves the window pointwise, but there are more positions than are read.
        if not self.needs_no_neighbours or self.groups != 1 or self.phases != (1, 1):
            return self
        sources = tuple(Source(source.tensor, positions(source.shape)) for source in self.sources)
        return replace(self, sources=sources, shape=positions(self.shape))


@dataclass(eq=False)
class DepthwiseLayer(LinearLayer):
    """A convolution of each channel with its own kernel, on the vector unit."""

    def flattened(self, lanes: int) -> Layer:
        """With one tap, rows of one column: positions need no neighbours, and channels keep their weights."""
        if not self.needs_no_neighbours:
            return self
        shape = positions(self.shape)
        return replace(self, sources=(Source(self.sources[0].tensor, shape),), shape=shape)


@dataclass(eq=False)
class MaxPoolLayer(Layer):
    """Largest element of each window."""


@dataclass(eq=False)
class AveragePoolLayer(Layer):
    """Mean of each window."""

    scale: Scale
    input_zero_point: int
    bounds: Bounds


@dataclass(eq=False)
class RootLayer(AveragePoolLayer):
    """Root of the sum of the squares of each window."""


@dataclass(eq=False)
class SumLayer(Layer):
    """Sum or difference of two tensors."""

    subtract: bool
    scale: Scale
    a_scale: Scale
    b_scale: Scale
    bounds: Bounds


@dataclass(eq=False)
class ExtremeLayer(SumLayer):
    """The smaller or larger elements of two tensors, both in the scale of the result."""

    largest: bool


@dataclass(eq=False)
class ProductLayer(Layer):
    """Product of two tensors."""

    scale: Scale
    a_zero_point: int
    b_zero_point: int
    bounds: Bounds


@dataclass(eq=False)
class QuotientLayer(ProductLayer):
    """The first tensor over the second one."""


@dataclass(eq=False)
class ConvertLayer(Layer):
    """A tensor in another scale."""

    scale: Scale
    input_zero_point: int
    bounds: Bounds


@dataclass(eq=False)
class LogarithmLayer(ConvertLayer):
    """The logarithm of a tensor of two-byte elements."""

    offset: int
    """The logarithm of its scale."""


@dataclass(eq=False)
class TableLayer(Layer):
    """A tensor through a table."""

    table: Array

    @property
    def constant_bytes(self) -> int:
        """Bytes of the table."""
        return self.table.nbytes


@dataclass(eq=False)
class InterpolatedLayer(TableLayer):
    """A tensor of two-byte elements between the entries of a table."""

    scale: Scale
    bounds: Bounds


@dataclass(eq=False)
class FloatPoolLayer(Layer):
    """The largest or smallest bfloat16 of each window, or their sum over a divisor."""

    function: str
    bounds: Bounds
    divisor: int = 1
    pad: int = 0


@dataclass(eq=False)
class FloatCombineLayer(Layer):
    """Two tensors of bfloat16 combined, element by element."""

    function: str
    bounds: Bounds


@dataclass(eq=False)
class FloatMapLayer(Layer):
    """A function of the elements of a tensor of bfloat16."""

    function: str
    alpha: float
    beta: float


@dataclass(eq=False)
class CopyLayer(Layer):
    """A tensor that is one output more, or an output although no layer computes it."""

    works_by_rows: ClassVar[bool] = False


@dataclass(eq=False)
class MoveLayer(Layer):
    """Elements of other tensors, or one value, in another order.

    The layer is cut into runs of its output in memory; the size of a block says how many bytes one has at most.
    """

    dimensions: tuple[int, ...]
    """Of the output, in bytes."""

    boxes: tuple[Box, ...]
    """What is moved, in bytes."""

    works_by_rows: ClassVar[bool] = False

    def region_bytes(self, source: Source, size: BlockSize) -> int:
        """The largest number of bytes that a block of some size needs of a source: none needs more than it has."""
        return min(source.tensor.size, size.rows * size.columns * size.channels * source.tensor.element_bytes)

    def flattened(self, lanes: int) -> Layer:
        """The layer itself, as its shape makes no difference."""
        return self


def positions(shape: Shape) -> Shape:
    """Positions without neighbours as rows of one column."""
    return (1, math.prod(shape[:-1]), 1, shape[-1])


def as_image(shape: tuple[int, ...]) -> Shape:
    """A shape of rank at most 4, with ones in front; higher ranks with their leading dimensions merged."""
    if len(shape) > 4:
        shape = (math.prod(shape[:-3]), *shape[-3:])
    n, h, w, c = (1,) * (4 - len(shape)) + tuple(shape)
    return n, h, w, c


LARGEST_CHANNELS = 65_535
"""Most channels of a vector instruction."""

SMALL_ROW = 1024
"""Rows of fewer elements are merged, so that lanes are idle at the end of few rows only."""


def as_rows(shape: tuple[int, ...], lanes: int) -> Shape:
    """The shape `1, rows, 1, channels` in which elements that need no neighbours are computed.

    Channels that fill the lanes stay channels, so that work can follow that of a producer channel by channel.

    Args:
        shape: of the tensor.
        lanes: of the vector unit.
    """
    n, h, w, c = as_image(shape)
    row, rows = w * c, n * h
    if row > LARGEST_CHANNELS or (c % lanes == 0 and n * h * w > 1):
        return (1, rows * w, 1, c)
    merged = next((d for d in range(SMALL_ROW // row, 1, -1) if rows % d == 0), 1)
    return (1, rows // merged, 1, merged * row)

"""Sums taken together with the convolution that makes one of their operands.

A convolution's result that nobody but the sum behind it reads need not exist as a whole. Each tile of `D` channels is
requantized to a buffer of its own, added from there, and forgotten; the sum's result can take the place of its other
operand. What this saves is the largest tensor of a residual block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from intaglio.lowering.tiling.geometry import Window
from intaglio.lowering.tiling.layers import FloatCombineLayer, Layer, MatrixLayer, Source, SumLayer, Tensor, positions
from intaglio.targets.target import Target

LAG = 3
"""Tiles that are requantized before the first of them is added: accumulators come free early."""

_SHARE = 32
"""The part of the scratchpad that one tile between a convolution and its sum may take."""


@dataclass(eq=False, kw_only=True)
class MatrixSumLayer(MatrixLayer):
    """A convolution or dense layer with a sum behind it; its second source is the sum's other operand."""

    sum: SumLayer | FloatCombineLayer
    """Its sources in the order of the operation, one of them the convolution's result."""

    tile_positions: int
    """Most output positions of a tile."""

    def window_of(self, source: Source) -> Window:
        """The convolution's window over its input, positions as they are for the other operand."""
        return self.window if source.tensor is self.sources[0].tensor else Window()

    def splits(self, source: Source) -> bool:
        """Whether a block of some channels reads only these of a source."""
        return source.tensor is not self.sources[0].tensor

    def flattened(self, lanes: int) -> Layer:
        """A pointwise convolution and its sum as rows of one column; others as they are."""
        layer = super().flattened(lanes)
        assert isinstance(layer, MatrixSumLayer)
        if layer is self:
            return self
        sources = tuple(Source(source.tensor, positions(source.shape)) for source in self.sum.sources)
        return replace(layer, sum=replace(self.sum, sources=sources, shape=positions(self.sum.shape)))

    @property
    def between(self) -> Tensor:
        """The convolution's result, of which there are only tiles."""
        return next(source.tensor for source in self.sum.sources if source.tensor is not self.sources[1].tensor)

    @property
    def tile_bytes(self) -> int:
        """Bytes between the convolution and the sum, for each lane of the vector unit."""
        images, rows, columns, _ = self.shape
        return (LAG + 1) * min(self.tile_positions, images * rows * columns) * self.between.element_bytes


def fuse_sums(layers: Sequence[Layer], target: Target, capacity: int) -> list[Layer]:
    """Join each sum with the convolution right before it, if that makes an operand for it alone.

    Args:
        layers: in order.
        target: the accelerator.
        capacity: bytes of the scratchpad.
    """
    most = min(target.accumulator_rows // 4, capacity // _SHARE // target.array_size)
    result: list[Layer] = []
    for layer in layers:
        producer = result[-1] if result else None
        if (
            isinstance(layer, SumLayer | FloatCombineLayer)
            and type(producer) is MatrixLayer
            and _is_fusible(producer, layer)
        ):
            (other,) = (source for source in layer.sources if source.tensor is not producer.output)
            fields = {name: value for name, value in vars(producer).items() if name != "splits_channels"}
            fields.update(sources=(*producer.sources, other), output=layer.output)
            result[-1] = MatrixSumLayer(**fields, sum=layer, tile_positions=max(most, target.array_size))
        else:
            result.append(layer)
    return result


def _is_fusible(producer: MatrixLayer, layer: SumLayer | FloatCombineLayer) -> bool:
    """Whether a sum reads a convolution's result that nobody else does, position by position with another tensor."""
    between = producer.output
    others = [source.tensor for source in layer.sources if source.tensor is not between]
    return (
        producer.phases == (1, 1)
        and between.uses == 1
        and not between.outputs
        and len(others) == 1
        and others[0].value is None
        and others[0] is not producer.sources[0].tensor
        and all(source.shape == producer.shape for source in layer.sources)
    )

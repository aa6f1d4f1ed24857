"""Cascades: several layers computed stripe by stripe, so that what lies between them never exists as a whole.

A stripe is some rows of the last layer's output, and the rows of all the others that have become necessary for
them. Of a tensor inside the cascade only the rows of one stripe are in the scratchpad, in a buffer of its own; rows
that windows need again (the overlap of a kernel) are copied from the buffer of the stripe before.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from intaglio.lowering.tiling.fusion import MatrixSumLayer
from intaglio.lowering.tiling.geometry import divide_up
from intaglio.lowering.tiling.layers import Layer, MatrixLayer, Source, Tensor

Rows = tuple[int, int]
"""The first row, and one past the last."""

_MAXIMUM_STRIPES = 64


@dataclass(frozen=True)
class Stripe:
    """What is computed between two points of a cascade."""

    rows: tuple[Rows, ...]
    """New rows of each layer's output; none where both are equal."""

    needs: Mapping[Tensor, Rows]
    """Rows of each tensor that the layers read."""


def is_striped(layers: Sequence[Layer]) -> bool:
    """Whether layers, with the shapes of images, can be computed stripe by stripe."""
    images = layers[-1].shape[0]
    produced: dict[Tensor, Layer] = {}
    for layer in layers:
        if not layer.works_by_rows or layer.shape[0] != images:
            return False
        for source in layer.sources:
            producer = produced.get(source.tensor)
            if producer is not None and (producer.shape != source.shape or _reads_all(layer, source)):
                return False
        produced[layer.output] = layer
    return True


def _reads_all(layer: Layer, source: Source) -> bool:
    """Whether a source is broadcast, so that every output row needs the same ones."""
    return source.shape[0] != layer.shape[0] or (source.shape[1] == 1 and layer.shape[1] > 1)


def needed_rows(layer: Layer, source: Source, rows: Rows) -> Rows:
    """The rows of a source under some rows of a layer's output."""
    height = source.shape[1]
    if height == 1:
        return 0, 1
    return layer.window_of(source).y.reach(*rows, height)


def internal_tensors(layers: Sequence[Layer], first: int) -> set[Tensor]:
    """What layers, the first of which has the number `first`, compute and nobody else reads."""
    last = first + len(layers) - 1
    return {layer.output for layer in layers if not layer.output.outputs and first < layer.output.last <= last}


def stripes(layers: Sequence[Layer], internal: set[Tensor], height: int) -> list[Stripe]:
    """Cut a cascade into stripes of `height` rows of the last layer's output.

    Args:
        layers: with the shapes of images.
        internal: the tensors that only these layers see.
        height: rows.
    """
    total = layers[-1].shape[1]
    consumers: dict[Tensor, list[tuple[int, Layer, Source]]] = {}
    for number, layer in enumerate(layers):
        for source in layer.sources:
            consumers.setdefault(source.tensor, []).append((number, layer, source))
    reached = [0] * len(layers)
    found: list[Stripe] = []
    for end in [*range(height, total, height), total]:
        before, reached = reached, list(reached)
        reached[-1] = end
        for number in reversed(range(len(layers) - 1)):
            layer = layers[number]
            wanted = [
                needed_rows(consumer, source, (0, reached[index]))[1]
                for index, consumer, source in consumers.get(layer.output, [])
                if reached[index]
            ]
            if layer.output not in internal:
                wanted.append(divide_up(layer.shape[1] * end, total))
            reached[number] = max([before[number], *wanted])
        rows = tuple(zip(before, reached, strict=True))
        needs: dict[Tensor, Rows] = {}
        for tensor, readers in consumers.items():
            spans = [
                needed_rows(consumer, source, rows[index])
                for index, consumer, source in readers
                if rows[index][0] < rows[index][1]
            ]
            if spans:
                needs[tensor] = min(span[0] for span in spans), max(span[1] for span in spans)
        found.append(Stripe(rows, needs))
    return _with_retained(layers, internal, found)


def _with_retained(layers: Sequence[Layer], internal: set[Tensor], found: Sequence[Stripe]) -> list[Stripe]:
    """Let tensors of the cascade keep all rows from the first that is needed now or later to the last computed."""
    numbers = {layer.output: number for number, layer in enumerate(layers)}
    lowest: dict[Tensor, int] = {}
    result: list[Stripe] = []
    for stripe in reversed(found):
        needs = {tensor: rows for tensor, rows in stripe.needs.items() if tensor not in internal}
        for tensor in internal:
            if tensor in stripe.needs:
                lowest[tensor] = min(stripe.needs[tensor][0], lowest.get(tensor, stripe.needs[tensor][0]))
            start, reached = stripe.rows[numbers[tensor]]
            if lowest.get(tensor, reached) < reached:
                # Windows that are further apart than they are long skip rows, which are computed all the same.
                needs[tensor] = min(lowest[tensor], start), reached
        result.append(Stripe(stripe.rows, needs))
    return result[::-1]


@dataclass(frozen=True)
class StripeCosts:
    """What cutting into stripes takes."""

    sizes: Mapping[Tensor, int]
    """Most bytes of each tensor that a stripe needs."""

    copied: int
    """Elements that are copied from stripe to stripe."""

    fills: int
    """How often the array is filled for a tile of a stripe, for each group of output channels."""


def stripe_costs(
    layers: Sequence[Layer], found: Sequence[Stripe], internal: set[Tensor], array_size: int, tile_rows: int
) -> StripeCosts:
    """What stripes take.

    Args:
        layers: with the shapes of images.
        found: the stripes.
        internal: the tensors that only these layers see.
        array_size: `D`.
        tile_rows: accumulator rows of a tile.
    """
    rows = {source.tensor: source.shape[2] * source.shape[3] for layer in layers for source in layer.sources}
    rows.update({layer.output: layer.shape[2] * layer.shape[3] for layer in layers})
    row_bytes = {tensor: elements * tensor.element_bytes for tensor, elements in rows.items()}
    sizes: dict[Tensor, int] = {}
    copied, fills = 0, 0
    numbers = {layer.output: number for number, layer in enumerate(layers)}
    for stripe in found:
        for tensor, (low, high) in stripe.needs.items():
            sizes[tensor] = max(sizes.get(tensor, 0), (high - low) * row_bytes[tensor])
            if tensor in internal:
                copied += max(0, stripe.rows[numbers[tensor]][0] - low) * rows[tensor]
        for layer, (start, end) in zip(layers, stripe.rows, strict=True):
            if layer.output not in internal:
                size = (end - start) * row_bytes[layer.output]
                sizes[layer.output] = max(sizes.get(layer.output, 0), size)
            if isinstance(layer, MatrixLayer) and end > start:
                largest = min(tile_rows, layer.tile_positions) if isinstance(layer, MatrixSumLayer) else tile_rows
                tiles = divide_up((end - start) * layer.shape[2], largest)
                fills += tiles * divide_up(layer.shape[3], array_size)
    images = layers[-1].shape[0]
    return StripeCosts(sizes, copied * images, fills * images)


def heights(total: int) -> list[int]:
    """Stripe heights worth trying, the tallest first."""
    counts = range(1, min(total, _MAXIMUM_STRIPES) + 1)
    return sorted({divide_up(total, count) for count in counts}, reverse=True)


def overwrites_safely(layers: Sequence[Layer], found: Sequence[Stripe], number: int, operand: Tensor) -> bool:
    """Whether a layer of a cascade may write its rows over those of an operand that nobody reads afterwards.

    Args:
        layers: of the cascade.
        found: its stripes.
        number: the layer, an elementwise one.
        operand: a tensor from outside of the cascade.
    """
    for stripe, later in itertools.pairwise(found):
        written = stripe.rows[number][1]
        for reader, layer in enumerate(layers):
            if reader == number or later.rows[reader][0] == later.rows[reader][1]:
                continue
            for source in layer.sources:
                if source.tensor is operand and needed_rows(layer, source, later.rows[reader])[0] < written:
                    return False
    # Within a stripe, readers that stand behind the layer would see its results.
    return not any(source.tensor is operand for layer in layers[number + 1 :] for source in layer.sources)

"""Moments of what the rows of a layer's weight meet: single elements, or windows of feature maps.

A row of a weight `[O, KH, KW, C / groups]` meets `KH * KW * C / groups` elements, in that order. Layers are taken as
many at a time as their moments fit into memory, so that large networks are run more than once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects import nn
from intaglio.passes.calibration.float_graph import FloatGraph

Array = np.ndarray[Any, np.dtype[Any]]
Floats = npt.NDArray[np.float64]

RoundedLayer = nn.Conv2dOp | nn.DenseOp

_MOST_ELEMENTS = 1 << 25
"""Second moments kept at once, in numbers: 256 MB."""

_MOST_POSITIONS = 256
"""Windows of a sample that are looked at; neighbouring ones say the same."""


class Moments:
    """First and second moments of what the rows of a layer meet.

    Args:
        layer: the layer.
    """

    def __init__(self, layer: RoundedLayer) -> None:
        self._layer = layer
        groups, length = shape_of_moments(layer)
        self._count = 0
        self._sums = np.zeros((groups, length))
        self._products = np.zeros((groups, length, length))

    def update(self, values: Array) -> None:
        """Take in the input of the layer for one sample or several."""
        rows = windows(self._layer, values)
        self._count += rows.shape[1]
        self._sums += rows.sum(axis=1, dtype=np.float64)
        self._products += rows.transpose(0, 2, 1) @ rows

    @property
    def means(self) -> Floats:
        """`[G, K]`."""
        return self._sums / max(self._count, 1)

    @property
    def squares(self) -> Floats:
        """`[G, K, K]`."""
        return self._products / max(self._count, 1)


def shape_of_moments(layer: RoundedLayer) -> tuple[int, int]:
    """The number of groups, and of elements that a row meets."""
    groups = layer.groups.value.data if isinstance(layer, nn.Conv2dOp) else 1
    return groups, int(np.prod(nn.tensor_of(layer.weight).get_shape()[1:]))


def windows(layer: RoundedLayer, values: Array) -> Array:
    """What the rows of a layer meet, `[G, positions, K]`, at positions evenly spread over its input."""
    if isinstance(layer, nn.DenseOp):
        rows = values.reshape(-1, values.shape[-1])
        return rows[:: -(-len(rows) // _MOST_POSITIONS)][None]
    groups, length = shape_of_moments(layer)
    top, left, bottom, right = layer.pads.get_values()
    (step_y, step_x), (apart_y, apart_x) = layer.strides.get_values(), layer.dilations.get_values()
    _, height, width, _ = nn.tensor_of(layer.weight).get_shape()
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0)))
    spans = ((height - 1) * apart_y + 1, (width - 1) * apart_x + 1)
    views = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=(1, 2))
    views = views[:, ::step_y, ::step_x, :, ::apart_y, ::apart_x]
    samples, rows, columns, channels = views.shape[:4]
    total = samples * rows * columns
    positions: npt.NDArray[np.int64] = np.arange(0, total, -(-total // _MOST_POSITIONS), dtype=np.int64)
    picked = views[np.unravel_index(positions, (samples, rows, columns))]
    by_group = picked.reshape(len(positions), groups, channels // groups, height, width)
    return np.ascontiguousarray(by_group.transpose(1, 0, 3, 4, 2)).reshape(groups, len(positions), length)


def moments_of(
    module: ModuleOp, layers: Sequence[RoundedLayer], samples: Iterable[Mapping[str, Array]]
) -> Iterator[tuple[RoundedLayer, Moments]]:
    """Yield each layer with the moments of its input in the float network.

    Args:
        module: the float network; it may be changed as layers are yielded, and is run as it was.
        layers: in its `@main`.
        samples: checked, and iterated several times.
    """
    parts = list(_parts(layers))
    graphs = [FloatGraph(module, [layer.input for layer in part]) for part in parts]
    for part, graph in zip(parts, graphs, strict=True):
        found = [Moments(layer) for layer in part]
        for sample in samples:
            for moments, values in zip(found, graph.run(sample)[1], strict=True):
                moments.update(values)
        yield from zip(part, found, strict=True)


def _parts(layers: Sequence[RoundedLayer]) -> Iterator[list[RoundedLayer]]:
    part: list[RoundedLayer] = []
    size = 0
    for layer in layers:
        groups, length = shape_of_moments(layer)
        if part and size + groups * length**2 > _MOST_ELEMENTS:
            yield part
            part, size = [], 0
        part.append(layer)
        size += groups * length**2
    if part:
        yield part

"""Geometry of sliding windows in any number of dimensions, and reductions over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.onnx_node import resolve_pads
from intaglio.lowering.tvm import Expr


@dataclass(frozen=True)
class Window:
    """A window that slides over the spatial dimensions of `[N, C, ...]`.

    Args:
        kernel: its extents.
        strides: steps between positions.
        dilations: distances between its elements.
        low: padding before each dimension.
        high: padding after each dimension; the last positions may reach further with ceiling mode.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]

    @property
    def rank(self) -> int:
        """Number of spatial dimensions."""
        return len(self.kernel)

    def places(self, position: Sequence[Expr], taps: Sequence[Expr]) -> list[Expr]:
        """Where in the input an element of the window is, at a position; outside it in the padding."""
        return [
            index * stride + tap * dilation - low
            for index, tap, stride, dilation, low in zip(
                position, taps, self.strides, self.dilations, self.low, strict=True
            )
        ]


def window_of(node: HostNode, spatial: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of a node with the usual attributes.

    Raises:
        UserError: its padding is negative or unknown.
    """
    ones = [1] * len(kernel)
    strides = node.integers("strides") or ones
    dilations = node.integers("dilations") or ones
    pads = resolve_pads(node, spatial, kernel, strides, dilations)
    if pads is None:
        raise node.refuse("its padding is negative or unknown")
    return Window(tuple(kernel), tuple(strides), tuple(dilations), tuple(pads[0]), tuple(pads[1]))


def reduced_windows(
    node: HostNode,
    x: Expr,
    shape: Sequence[int],
    window: Window,
    outside: float,
    combine: Callable[[list[Expr], Expr], Expr],
    dtype: str,
) -> Expr:
    """Reduce each window of `[N, C, ...]`.

    Args:
        node: for the builder and the result's shape.
        x: the input.
        shape: its shape.
        window: the window.
        outside: what elements in the padding count as.
        combine: given the reduction axes and an element, the reduction.
        dtype: element type of `x`.
    """
    te, tirx = node.emitter.builder.te, node.emitter.builder.tirx
    result = node.output_shape()

    def computation(tensor: Expr) -> Expr:
        taps = [te.reduce_axis((0, extent), name=f"k{axis}") for axis, extent in enumerate(window.kernel)]

        def element(*index: Expr) -> Expr:
            places = window.places(index[2:], taps)
            tests = inside(places, shape[2:], window, result[2:])
            value = tensor(*index[:2], *places)
            if tests:
                value = tirx.if_then_else(tirx.all(*tests), value, tirx.const(outside, dtype))
            return combine(taps, value)

        return te.compute(result, element, name="window")

    return node.emitter.builder.compute("window", computation, x)


def inside(places: Sequence[Expr], extents: Sequence[int], window: Window, positions: Sequence[int]) -> list[Expr]:
    """Conditions that places are inside the input, those left out that always hold."""
    tests: list[Expr] = []
    for axis, (place, extent) in enumerate(zip(places, extents, strict=True)):
        reach = (window.kernel[axis] - 1) * window.dilations[axis] - window.low[axis]
        last = (positions[axis] - 1) * window.strides[axis] + reach
        if window.low[axis] > 0:
            tests.append(place >= 0)
        if last >= extent:
            tests.append(place < extent)
    return tests


def window_counts(
    window: Window, spatial: Sequence[int], positions: Sequence[int], *, padded: bool
) -> NDArray[np.int64]:
    """How many elements each window has inside the input, or inside input and padding, of the positions' shape."""
    counts: list[NDArray[np.int64]] = []
    for axis, extent in enumerate(spatial):
        first = np.arange(positions[axis]) * window.strides[axis] - window.low[axis]
        places = first[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
        begin, end = (-window.low[axis], extent + window.high[axis]) if padded else (0, extent)
        counts.append(((places >= begin) & (places < end)).sum(axis=1))
    shape = [len(count) for count in counts]
    grid = np.ones(shape, np.int64)
    for axis, count in enumerate(counts):
        grid *= count.reshape([-1 if index == axis else 1 for index in range(len(shape))])
    return grid

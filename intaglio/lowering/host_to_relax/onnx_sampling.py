"""Rules of sampling at places that are inputs: `GridSample` and `RoiAlign`."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.tvm import Expr

_CUBIC = -0.75
"""The coefficient of the cubic kernel."""


@onnx_rule("GridSample")
def grid_sample(node: HostNode) -> list[Expr]:
    """Interpolation at the places of a grid, whose coordinates -1 and 1 are the edges of the input."""
    emitter = node.emitter
    te, tirx = emitter.builder.te, emitter.builder.tirx
    shape, result = node.shape("X"), node.output_shape()
    rank = len(shape) - 2
    extents = shape[2:]
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(node.text("mode", "linear"), node.text("mode", "linear"))
    padding, aligned = node.text("padding_mode", "zeros"), bool(node.integer("align_corners"))
    kind = node.dtype("X").name

    def number(value: float) -> Expr:
        return tirx.const(value, kind)

    def reflected(place: Expr, axis: int) -> Expr:
        low, high = (0.0, extents[axis] - 1.0) if aligned else (-0.5, extents[axis] - 0.5)
        span = high - low
        if span == 0:
            return number(0.0)
        distance = tirx.abs(place - number(low))
        turns = tirx.floor(distance / number(span))
        rest = distance - turns * number(span)
        odd = turns - number(2.0) * tirx.floor(turns / number(2.0)) > number(0.5)
        return tirx.Select(odd, number(high) - rest, number(low) + rest)

    def limited(place: Expr, axis: int) -> Expr:
        return tirx.max(tirx.min(place, number(extents[axis] - 1.0)), number(0.0))

    def moved_inside(place: Expr, axis: int) -> Expr:
        if padding == "border":
            return limited(place, axis)
        return reflected(place, axis) if padding == "reflection" else place

    def weights(ratio: Expr) -> list[tuple[int, Expr]]:
        one = number(1.0)
        if mode == "nearest":
            return [(0, one)]
        if mode == "linear":
            return [(0, one - ratio), (1, ratio)]
        found: list[tuple[int, Expr]] = []
        for offset in (-1, 0, 1, 2):
            distance = ratio - number(offset) if offset <= 0 else number(offset) - ratio
            if offset in (0, 1):
                value = ((number(_CUBIC + 2) * distance - number(_CUBIC + 3)) * distance) * distance + one
            else:
                inner = (number(_CUBIC) * distance - number(5 * _CUBIC)) * distance + number(8 * _CUBIC)
                value = inner * distance - number(4 * _CUBIC)
            found.append((offset, value))
        return found

    def computation(x: Expr, grid: Expr) -> Expr:
        def pixel(index: tuple[Expr, ...], places: list[Expr]) -> Expr:
            """The element at whole places, which may be outside."""
            tests: list[Expr] = []
            whole: list[Expr] = []
            for axis, place in enumerate(places):
                if padding == "zeros":
                    tests += [place >= number(0.0), place <= number(extents[axis] - 1.0)]
                    whole.append(tirx.Cast("int32", limited(place, axis)))
                else:
                    whole.append(tirx.Cast("int32", limited(moved_inside(place, axis), axis)))
            value = x(index[0], index[1], *whole)
            return tirx.if_then_else(tirx.all(*tests), value, number(0.0)) if tests else value

        def element(*index: Expr) -> Expr:
            bases: list[Expr] = []
            factors: list[list[tuple[int, Expr]]] = []
            for axis in range(rank):
                # The last coordinate is that of the last dimension.
                coordinate = grid(index[0], *index[2:], rank - 1 - axis)
                size = extents[axis]
                place = (coordinate + number(1.0)) * number((size - 1) / 2 if aligned else size / 2)
                place = place if aligned else place - number(0.5)
                if mode == "nearest":
                    place = tirx.nearbyint(place)
                place = moved_inside(place, axis)
                base = tirx.nearbyint(place) if mode == "nearest" else tirx.floor(place)
                bases.append(base)
                factors.append(weights(place - base))
            total: Any = number(0.0)
            for taps in itertools.product(*factors):
                weight: Any = None
                for _, value in taps:
                    weight = value if weight is None else weight * value
                places = [base + number(offset) for base, (offset, _) in zip(bases, taps, strict=True)]
                total = total + weight * pixel(index, places)
            return total

        return te.compute(result, element, name="grid_sample")

    grid = emitter.cast(node.operand("grid"), node.dtype("X"))
    return [emitter.builder.compute("grid_sample", computation, node.operand("X"), grid)]


@onnx_rule("RoiAlign")
def roi_align(node: HostNode) -> list[Expr]:
    """The mean or maximum of bilinear samples in each cell of regions.

    Raises:
        UserError: the number of samples is left to the size of each region.
    """
    emitter = node.emitter
    te, tirx = emitter.builder.te, emitter.builder.tirx
    shape, result = node.shape("X"), node.output_shape()
    samples = node.integer("sampling_ratio")
    if samples < 1:
        raise node.refuse("the number of samples depends on the sizes of regions, which are inputs")
    scale = node.real("spatial_scale", 1.0)
    half = node.since >= 16 and node.text("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    largest = node.text("mode", "avg") == "max"
    kind = node.dtype("X").name
    height, width = shape[2:]

    def number(value: float) -> Expr:
        return tirx.const(value, kind)

    def along(place: Expr, extent: int) -> tuple[Expr, Expr, Expr]:
        """Lower and upper element and the share of the upper one."""
        place = tirx.max(place, number(0.0))
        low = tirx.min(tirx.Cast("int32", place), extent - 1)
        high = tirx.min(low + 1, extent - 1)
        share = tirx.Select(low >= extent - 1, number(0.0), place - tirx.Cast(kind, low))
        return low, high, share

    def computation(x: Expr, regions: Expr, batch: Expr) -> Expr:
        row, column = te.reduce_axis((0, samples), name="row"), te.reduce_axis((0, samples), name="column")

        def element(r: Expr, c: Expr, i: Expr, j: Expr) -> Expr:
            offset = number(0.5 if half else 0.0)
            begin = [regions(r, k) * number(scale) - offset for k in (1, 0)]
            end = [regions(r, k) * number(scale) - offset for k in (3, 2)]
            spans = [last - first for first, last in zip(begin, end, strict=True)]
            if not half:
                spans = [tirx.max(span, number(1.0)) for span in spans]
            places: list[Expr] = []
            for first, span, index, tap, count in zip(begin, spans, (i, j), (row, column), result[2:], strict=True):
                cell = span / number(float(count))
                step = (tirx.Cast(kind, tap) + number(0.5)) * cell / number(float(samples))
                places.append(first + tirx.Cast(kind, index) * cell + step)
            outside = tirx.any(
                places[0] < number(-1.0),
                places[0] > number(float(height)),
                places[1] < number(-1.0),
                places[1] > number(float(width)),
            )
            low_y, high_y, share_y = along(places[0], height)
            low_x, high_x, share_x = along(places[1], width)
            n = tirx.Cast("int32", batch(r))
            terms = [
                (number(1.0) - share_y) * (number(1.0) - share_x) * x(n, c, low_y, low_x),
                (number(1.0) - share_y) * share_x * x(n, c, low_y, high_x),
                share_y * (number(1.0) - share_x) * x(n, c, high_y, low_x),
                share_y * share_x * x(n, c, high_y, high_x),
            ]
            if largest:
                # ONNX takes the maximum of the weighted neighbours, not of the samples.
                met: Any = terms[0]
                for term in terms[1:]:
                    met = tirx.max(met, term)
                return te.max(tirx.Select(outside, number(0.0), met), axis=[row, column])
            total = terms[0] + terms[1] + terms[2] + terms[3]
            return te.sum(tirx.Select(outside, number(0.0), total), axis=[row, column])

        return te.compute(result, element, name="roi_align")

    pooled = emitter.builder.compute("roi_align", computation, *node.operands[:3])
    count = emitter.constant(samples * samples, node.dtype("X"))
    return [pooled if largest or not math.prod(result) else emitter.divide(pooled, count)]


def cubic_kernel(distance: NDArray[np.float64], coefficient: float) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel."""
    t = np.abs(distance)
    inner = (coefficient + 2) * t**3 - (coefficient + 3) * t**2 + 1
    outer = coefficient * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t <= 1, inner, np.where(t < 2, outer, 0.0))

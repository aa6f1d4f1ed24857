"""Resize and Upsample: coordinate modes become fractions of integers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.lowering.onnx_node import Builder, Node, Shape, is_float, lowers, normal_axis, static_shape

Line = tuple[Fraction, Fraction]
"""Step and offset of the positions that a dimension of the result reads."""


@lowers("Resize", "Upsample")
def resize(node: Node, build: Builder) -> SSAValue | None:
    """Resampling of rows and columns, wherever they stand in a tensor of 3 or 4 dimensions."""
    source, result = node.inputs()[0], node.result_shape
    shape, mode = static_shape(source), _mode(node)
    if shape is None or result is None or mode is None or not is_float(source) or len(shape) != len(result):
        return None
    if 0 in (*shape, *result) or node.integer("antialias"):
        return None
    scales = _scales(node, shape, result)
    if scales is None:
        return None
    lines = [_line(node, *dimension) for dimension in zip(scales, shape, result, strict=True)]
    if any(line is None for line in lines):
        return None
    known = [line for line in lines if line is not None]
    # A single element is itself whatever position it is read at.
    resampled = [
        axis
        for axis, (line, before, after) in enumerate(zip(known, shape, result, strict=True))
        if before != after or (line != (1, 0) and before != 1)
    ]
    order = _order(len(shape), resampled)
    return None if order is None else _resample(node, build, mode, known, order)


def _order(rank: int, resampled: Sequence[int]) -> list[int] | None:
    """The dimensions as `[N, H, W, C]`, `rank` standing for one of a single element; None if there is no such order."""
    if rank == 4 and set(resampled) <= {1, 2}:
        return [0, 1, 2, 3] if resampled else [0, 2, 3, 1]
    if rank == 4 and set(resampled) <= {2, 3}:
        return [0, 2, 3, 1]
    if rank == 3 and set(resampled) <= {2}:
        return [0, 3, 2, 1]
    if rank == 3 and set(resampled) <= {1}:
        return [0, 3, 1, 2]
    if rank == 2 and set(resampled) <= {0, 1}:
        return [2, 0, 1, 3]
    return None


def _resample(node: Node, build: Builder, mode: str, lines: list[Line], order: list[int]) -> SSAValue:
    source, result = node.inputs()[0], node.result_shape
    shape = static_shape(source)
    assert shape is not None and result is not None
    rank = len(shape)
    present = [axis for axis in order if axis < rank]
    images = [shape[axis] if axis < rank else 1 for axis in order]
    resized = [result[axis] if axis < rank else 1 for axis in order]
    rows, columns = (lines[axis] if axis < rank else (Fraction(1), Fraction(0)) for axis in order[1:3])
    units = [int(np.lcm(line[0].denominator, line[1].denominator)) for line in (rows, columns)]
    value = build.reshape(build.transpose(source, present), images)
    made = nn.ResizeOp(
        value,
        build.typed(value, resized),
        mode,
        steps=[int(line[0] * unit) for line, unit in zip((rows, columns), units, strict=True)],
        offsets=[int(line[1] * unit) for line, unit in zip((rows, columns), units, strict=True)],
        units=units,
        cubic_coefficient=node.real("cubic_coeff_a", -0.75),
        exclude_outside=bool(node.integer("exclude_outside")),
    )
    back = build.reshape(build.add(made), [result[axis] for axis in present])
    return build.transpose(back, [present.index(axis) for axis in range(rank)])


def _mode(node: Node) -> str | None:
    """The mode in the words of `nn.resize`."""
    mode = node.text("mode", "nearest")
    if mode == "nearest":
        # Resize of opset 10 and Upsample round down.
        return node.text("nearest_mode", "round_prefer_floor") if _has_coordinate_modes(node) else "floor"
    if mode == "cubic" and not node.has("cubic_coeff_a"):
        return "cubic"
    return mode if mode in ("linear", "cubic") else None


def _has_coordinate_modes(node: Node) -> bool:
    return node.op.op_type == "Resize" and node.since >= 11


def _scales(node: Node, shape: Shape, result: Shape) -> list[Fraction] | None:
    """How many times larger each dimension becomes; None when it is not known."""
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        return None
    given = node.reals("scales")
    if not given:
        # Sizes, whose values the result's shape tells.
        return [Fraction(after, before) for before, after in zip(shape, result, strict=True)]
    axes = node.integers("axes")
    axes = list(range(len(shape))) if axes is None else [normal_axis(axis, len(shape)) for axis in axes]
    scales = [Fraction(1)] * len(shape)
    for axis, scale in zip(axes, given, strict=True):
        if not scale > 0:
            return None
        scales[axis] = _fraction(scale)
    return scales


def _fraction(scale: float) -> Fraction:
    """The simple fraction that a float32 was rounded from, or the float itself."""
    simple = Fraction(scale).limit_denominator(4096)
    return simple if np.float32(float(simple)) == np.float32(scale) else Fraction(scale)


def _line(node: Node, scale: Fraction, before: int, after: int) -> Line | None:
    """Step and offset of a dimension by the node's coordinate mode; None for one that is not of that form."""
    half = Fraction(1, 2)
    mode = "asymmetric"
    if _has_coordinate_modes(node):
        mode = node.text("coordinate_transformation_mode", "half_pixel")
    match mode:
        case "half_pixel":
            return 1 / scale, half / scale - half
        case "pytorch_half_pixel":
            return (1 / scale, half / scale - half) if after > 1 else (Fraction(0), Fraction(0))
        case "half_pixel_symmetric":
            adjustment = after / (scale * before)
            return 1 / scale, half / scale - half + Fraction(before, 2) * (1 - adjustment)
        case "asymmetric":
            return 1 / scale, Fraction(0)
        case "align_corners":
            # By the standard's formula the resized length is not rounded when scales are given.
            length = scale * before
            return (Fraction(before - 1) / (length - 1), Fraction(0)) if length > 1 else (Fraction(0), Fraction(0))
        case "tf_half_pixel_for_nn":
            return 1 / scale, half / scale
        case _:
            return None

"""Rules of `Resize` and `Upsample`: along each axis a weighted sum of elements, chosen and weighted at compile time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.onnx_sampling import cubic_kernel
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.onnx_node import normal_axis
from intaglio.lowering.tvm import Expr

Floats = NDArray[np.float64]


def _coordinates(mode: str, extent: int, count: int, scale: float, region: tuple[float, float]) -> Floats:
    """Where in the input each element of the result is."""
    x = np.arange(count, dtype=np.float64)
    width = scale * extent
    match mode:
        case "align_corners":
            return np.zeros(count) if width == 1 else x * (extent - 1) / (width - 1)
        case "asymmetric":
            return x / scale
        case "tf_crop_and_resize":
            start, end = region
            span = (end - start) * (extent - 1)
            inside = np.full(count, span / 2) if width == 1 else x * span / (width - 1)
            return inside + start * (extent - 1)
        case "pytorch_half_pixel" if width == 1:
            return np.full(count, -0.5)
        case "half_pixel_symmetric":
            return extent / 2 * (1 - count / width) + (x + 0.5) / scale - 0.5
        case _:
            return (x + 0.5) / scale - 0.5


def _nearest(places: Floats, mode: str) -> NDArray[np.int64]:
    match mode:
        case "floor":
            chosen = np.floor(places)
        case "ceil":
            chosen = np.ceil(places)
        case "round_prefer_ceil":
            chosen = np.floor(places + 0.5)
        case _:
            chosen = np.ceil(places - 0.5)
    return chosen.astype(np.int64)


def _taps(node: HostNode, places: Floats, extent: int, scale: float, mode: str) -> tuple[NDArray[np.int64], Floats]:
    """Indices and weights of the elements that each element of the result is made of, `[count, taps]`."""
    if mode == "nearest":
        chosen = np.clip(_nearest(places, node.text("nearest_mode", "round_prefer_floor")), 0, extent - 1)
        return chosen[:, None], np.ones((len(places), 1))
    shrink = min(scale, 1.0) if node.integer("antialias") else 1.0
    reach = 1 if mode == "linear" else 2
    first = int(np.floor(-reach / shrink)) + 1
    offsets = np.arange(first, 2 - first - 1 + 1)
    indices = np.floor(places)[:, None].astype(np.int64) + offsets
    distances = (indices - places[:, None]) * shrink
    if mode == "linear":
        weights = np.clip(1 - np.abs(distances), 0, 1)
    else:
        weights = cubic_kernel(distances, node.real("cubic_coeff_a", -0.75))
    if node.integer("exclude_outside"):
        weights = np.where((indices >= 0) & (indices < extent), weights, 0.0)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(indices, 0, extent - 1), weights


def _along(
    node: HostNode, x: Expr, axis: int, indices: NDArray[np.int64], weights: Floats, work: np.dtype[Any]
) -> Expr:
    """Weighted sums along one axis."""
    emitter = node.emitter
    if indices.shape[1] == 1:
        return emitter.apply("take", x, emitter.constant(indices[:, 0], np.int64), axis=axis, mode="clip")
    te = emitter.builder.te

    def computation(tensor: Expr, places: Expr, factors: Expr) -> Expr:
        k = te.reduce_axis((0, indices.shape[1]), name="k")
        shape = [len(indices) if dimension == axis else int(extent) for dimension, extent in enumerate(tensor.shape)]

        def element(*index: Expr) -> Expr:
            at = [places(index[axis], k) if i == axis else place for i, place in enumerate(index)]
            return te.sum(tensor(*at) * factors(index[axis], k), axis=[k])

        return te.compute(shape, element, name="resize")

    return emitter.builder.compute(
        "resize", computation, x, emitter.constant(indices, np.int64), emitter.constant(weights, work)
    )


def _scales(node: HostNode, axes: list[int]) -> list[float]:
    """The factor along each of the axes."""
    shape, result = node.shape(0), node.output_shape()
    given = node.known("scales") if node.input("scales") is not None else node.reals("scales")
    if given is not None and len(given):
        return [float(value) for value in given]
    sizes = node.known_integers("sizes")
    assert sizes is not None
    factors = [size / shape[axis] for axis, size in zip(axes, sizes, strict=True)]
    match node.text("keep_aspect_ratio_policy", "stretch"):
        case "not_larger":
            return [min(factors)] * len(axes)
        case "not_smaller":
            return [max(factors)] * len(axes)
        case _:
            return [result[axis] / shape[axis] for axis in axes]


@onnx_rule("Resize", "Upsample")
def resize(node: HostNode) -> list[Expr]:
    """Interpolation to another size; positions outside the cropped region get the extrapolation value."""
    emitter, dtype = node.emitter, node.dtype(0)
    shape, result = node.shape(0), node.output_shape()
    upsample = node.op.op_type == "Upsample" or node.since < 11
    axes = [normal_axis(axis, len(shape)) for axis in node.integers("axes") or range(len(shape))]
    mode = {"bilinear": "linear"}.get(node.text("mode", "nearest"), node.text("mode", "nearest"))
    coordinates = "asymmetric" if upsample else node.text("coordinate_transformation_mode", "half_pixel")
    region = node.known("roi") if coordinates == "tf_crop_and_resize" else None
    work = dtype if mode == "nearest" else np.dtype(np.float64 if dtype == np.float64 else np.float32)
    x = node.operands[0] if work == dtype else emitter.cast(node.operands[0], work)
    outside: list[tuple[int, NDArray[np.bool_]]] = []
    for place, (axis, scale) in enumerate(zip(axes, _scales(node, axes), strict=True)):
        bounds = (0.0, 1.0) if region is None else (float(region[place]), float(region[place + len(axes)]))
        if shape[axis] == result[axis] and scale == 1 and region is None:
            continue
        places = _coordinates(coordinates, shape[axis], result[axis], scale, bounds)
        if region is not None:
            outside.append((axis, (places < 0) | (places > shape[axis] - 1)))
        if upsample and mode == "nearest":
            indices = np.clip(np.floor(places).astype(np.int64), 0, shape[axis] - 1)[:, None]
            weights: Floats = np.ones(indices.shape)
        else:
            indices, weights = _taps(node, places, shape[axis], scale, mode)
        x = _along(node, x, axis, indices, weights, work)
    for axis, mask in outside:
        if mask.any():
            condition = mask.reshape([-1 if index == axis else 1 for index in range(len(shape))])
            value = emitter.constant(node.real("extrapolation_value", 0.0), work)
            x = emitter.select(emitter.constant(condition, np.bool_), value, x)
    return [x if work == dtype else emitter.cast(x, dtype)]

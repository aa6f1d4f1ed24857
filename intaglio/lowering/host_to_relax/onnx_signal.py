"""Rules of Fourier transforms: products with the matrix of the transform, real and imaginary parts apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.onnx_node import normal_axis
from intaglio.lowering.tvm import Expr


def _rotations(rows: int, columns: int, size: int, *, inverse: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cosines and sines of the transform's matrix, `[columns, rows]`: row `k` of the result is from all columns."""
    # Reduced modulo the size before the angle is taken, which keeps large products exact.
    steps = (np.arange(columns)[:, None] * np.arange(rows)) % size
    angles = (2 if inverse else -2) * np.pi * steps / size
    factor = 1 / size if inverse else 1.0
    return np.cos(angles) * factor, np.sin(angles) * factor


def _transformed(
    node: HostNode, real: Expr, imaginary: Expr | None, matrices: tuple[NDArray[Any], NDArray[Any]]
) -> tuple[Expr, Expr]:
    """Both parts of the product of `[..., columns]` with the matrix."""
    emitter, dtype = node.emitter, node.dtype(0)
    cosine, sine = (emitter.constant(matrix, dtype) for matrix in matrices)
    parts = [emitter.apply("matmul", real, matrix) for matrix in (cosine, sine)]
    if imaginary is not None:
        parts[0] = emitter.subtract(parts[0], emitter.apply("matmul", imaginary, sine))
        parts[1] = emitter.add(parts[1], emitter.apply("matmul", imaginary, cosine))
    return parts[0], parts[1]


def _part(node: HostNode, x: Expr, shape: tuple[int, ...], index: int) -> Expr:
    part = node.emitter.apply("strided_slice", x, axes=[len(shape) - 1], begin=[index], end=[index + 1])
    return node.emitter.reshape(part, shape[:-1])


@onnx_rule("DFT")
def discrete_fourier_transform(node: HostNode) -> list[Expr]:
    """The transform along an axis, of the signal cut or padded with zeros to its length."""
    emitter = node.emitter
    shape = node.shape(0)
    axis_values = node.known("axis") if node.input("axis") is not None else None
    default = -2 if node.since >= 20 else 1
    axis = node.integer("axis", default) if axis_values is None else int(axis_values.reshape(-1)[0])
    axis = normal_axis(axis, len(shape))
    inverse, onesided = bool(node.integer("inverse")), bool(node.integer("onesided"))
    given = node.known("dft_length") if node.input("dft_length") is not None else None
    result = node.output_shape()
    size = shape[axis] if given is None else int(given.reshape(-1)[0])
    if inverse and onesided and given is None:
        size = 2 * (shape[axis] - 1)
    parts = [_part(node, node.operands[0], shape, index) for index in range(shape[-1])]
    order = [dimension for dimension in range(len(shape) - 1) if dimension != axis] + [axis]
    back = [order.index(dimension) for dimension in range(len(shape) - 1)]
    parts = [emitter.apply("permute_dims", part, order) for part in parts]
    if inverse and onesided:
        return [_real_signal(node, parts, shape[axis], size, back)]
    columns = min(shape[axis], size)
    if columns < shape[axis]:
        last = len(order) - 1
        parts = [emitter.apply("strided_slice", part, axes=[last], begin=[0], end=[columns]) for part in parts]
    matrices = _rotations(result[axis], columns, size, inverse=inverse)
    both = _transformed(node, parts[0], parts[1] if len(parts) > 1 else None, matrices)
    stacked = [emitter.reshape(emitter.apply("permute_dims", part, back), (*result[:-1], 1)) for part in both]
    return [emitter.apply("concat", stacked, axis=len(result) - 1)]


def _real_signal(node: HostNode, parts: list[Expr], bins: int, size: int, back: list[int]) -> Expr:
    """The real signal of a one-sided spectrum: bins but the first and middle one count for their mirror images."""
    emitter, dtype, result = node.emitter, node.dtype(0), node.output_shape()
    cosine, sine = _rotations(size, bins, size, inverse=True)
    weights = np.full((bins, 1), 2.0)
    weights[0] = 1.0
    if size % 2 == 0 and bins > size // 2:
        weights[size // 2] = 1.0
    signal = emitter.apply("matmul", parts[0], emitter.constant(cosine * weights, dtype))
    if len(parts) > 1:
        signal = emitter.subtract(signal, emitter.apply("matmul", parts[1], emitter.constant(sine * weights, dtype)))
    return emitter.reshape(emitter.apply("permute_dims", signal, back), result)


@onnx_rule("STFT")
def short_time_fourier_transform(node: HostNode) -> list[Expr]:
    """The transform of each frame of the signal, weighted by the window."""
    emitter = node.emitter
    shape, result = node.shape(0), node.output_shape()
    step = node.known("frame_step")
    given = node.known("frame_length") if node.input("frame_length") is not None else None
    assert step is not None
    size = int(given.reshape(-1)[0]) if given is not None else node.shape("window")[0]
    places = np.arange(result[1])[:, None] * int(step.reshape(-1)[0]) + np.arange(size)
    window = node.expression("window")
    parts: list[Expr] = []
    for index in range(shape[-1] if len(shape) == 3 else 1):
        part = _part(node, node.operands[0], shape, index) if len(shape) == 3 else node.operands[0]
        frames = emitter.apply("take", part, emitter.constant(places, np.int64), axis=1, mode="clip")
        parts.append(frames if window is None else emitter.multiply(frames, window))
    matrices = _rotations(result[2], size, size, inverse=False)
    both = _transformed(node, parts[0], parts[1] if len(parts) > 1 else None, matrices)
    stacked = [emitter.reshape(part, (*result[:-1], 1)) for part in both]
    return [emitter.apply("concat", stacked, axis=len(result) - 1)]

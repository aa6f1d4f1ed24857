"""Convolution and dense layers with constant weights, compiled."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from intaglio.dialects import nn
from intaglio.dialects.quant import requantization_mode
from intaglio.executor.convolution import centered_and_padded, chunks, convolve, convolve_depthwise
from intaglio.executor.registry import Constants, Kernel, kernel
from intaglio.executor.rescaling import Rescale, rescale_of
from intaglio.executor.tiles import pack_columns
from intaglio.interpreter.nn_linear import weight_scales
from intaglio.interpreter.values import quantization, storage_bounds, tensor_type, value_dtype, value_shape

Array = np.ndarray[Any, np.dtype[Any]]

_INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True)
class _Packed:
    """Weights in the order of the kernel, see `convolution.convolve`."""

    columns: NDArray[np.int16]
    ends: NDArray[np.int64]
    sums_of_magnitudes: NDArray[np.int64]


_CACHE_BYTES = 256 << 20
_cache: OrderedDict[tuple[Any, ...], _Packed | None] = OrderedDict()


def _packed(weights: Array, groups: int, largest: int) -> _Packed | None:
    """Pack weights, or find them packed: modules that differ in other layers share them.

    Args:
        weights: integers `[O, KH, KW, C / groups]`.
        groups: of the convolution.
        largest: largest magnitude of an input element.

    Returns:
        None where the products leave 32 bits.
    """
    digest = hashlib.blake2b(np.ascontiguousarray(weights).tobytes(), digest_size=16).digest()
    key = (digest, weights.shape, weights.dtype.str, groups, largest)
    if key in _cache:
        _cache.move_to_end(key)
        return _cache[key]
    matrices = weights.astype(np.int64).reshape(groups, weights.shape[0] // groups, -1)
    ends = chunks(matrices, largest)
    fits = matrices.size == 0 or int(np.abs(matrices).max()) < 1 << 15
    packed = None
    if ends is not None and fits:
        packed = _Packed(pack_columns(matrices), ends, np.abs(matrices).sum(axis=2).reshape(-1))
    _cache[key] = packed
    while len(_cache) > 1 and sum(p.columns.nbytes for p in _cache.values() if p is not None) > _CACHE_BYTES:
        _cache.popitem(last=False)
    return packed


@dataclass(frozen=True)
class _Layer:
    """What convolution and dense layers have in common, once the weights are known."""

    zero_point: int
    largest: int
    weights: Array
    bias: NDArray[np.int64]
    rescale: Rescale
    result_dtype: np.dtype[Any]


def _layer(op: nn.Conv2dOp | nn.DenseOp, constants: Constants) -> _Layer | None:
    """The layer, if it is quantized to 8 bits, its weights are constant and its sums are sure to fit 32 bits."""
    if nn.is_accumulator(op.result):
        return None
    kind, result = quantization(op.input), quantization(op.result)
    weights = constants.get(1)
    if kind is None or result is None or weights is None or (op.bias is not None and 2 not in constants):
        return None
    if value_dtype(op.input).itemsize > 1 or value_dtype(op.result).itemsize > 1:
        return None
    outputs = weights.shape[0]
    bias = constants[2].astype(np.int64) if op.bias is not None else np.zeros(outputs, np.int64)
    limits = np.iinfo(value_dtype(op.input))
    largest = max(abs(int(limits.min) - kind.zero_point), abs(int(limits.max) - kind.zero_point))
    stored = weights.astype(np.int64)
    sums = np.abs(stored).reshape(outputs, -1).sum(axis=1) * largest + np.abs(bias)
    if sums.size and int(sums.max()) > _INT32_MAX:
        return None
    mode = requantization_mode(op)
    factors = kind.scale * weight_scales(op.weight) / result.scale
    rescale = rescale_of(
        factors, mode, result.zero_point, storage_bounds(result, op.clamp), wide=False, channels=outputs
    )
    if rescale.two_roundings and int((sums << np.maximum(rescale.shift, 0)).max(initial=0)) > _INT32_MAX:
        return None
    return _Layer(kind.zero_point, largest, weights, bias, rescale, value_dtype(op.result))


@kernel(nn.Conv2dOp)
def conv2d(op: nn.Conv2dOp, constants: Constants) -> Kernel | None:
    """Gather, multiply and requantize; one filter a channel has a kernel of its own."""
    layer = _layer(op, constants)
    if layer is None:
        return None
    groups = op.groups.value.data
    strides, dilations = _pair(op.strides.get_values()), _pair(op.dilations.get_values())
    top, left, bottom, right = (int(pad) for pad in op.pads.get_values())
    if groups == tensor_type(op.input).get_shape()[3] == layer.weights.shape[0] and groups > 1:
        return _depthwise(op, layer, strides, dilations, (top, left, bottom, right))
    return _dense_convolution(op, layer, groups, strides, dilations, (top, left))


def _pair(values: Any) -> tuple[int, int]:
    first, second = values
    return int(first), int(second)


def _dense_convolution(
    op: nn.Conv2dOp,
    layer: _Layer,
    groups: int,
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, int],
) -> Kernel | None:
    packed = _packed(layer.weights, groups, layer.largest)
    if packed is None:
        return None
    kernel_size = _pair(layer.weights.shape[1:3])
    shape = value_shape(op.result)

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        result = np.empty((len(x), *shape), layer.result_dtype)
        convolve(
            x.reshape(-1, *x.shape[2:]),
            layer.zero_point,
            packed.columns,
            packed.ends,
            layer.bias,
            True,
            kernel_size,
            strides,
            pads,
            dilations,
            *layer.rescale.arguments,
            result.reshape(-1, *shape[1:]),
        )
        return [result]

    return compute


def _depthwise(
    op: nn.Conv2dOp,
    layer: _Layer,
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, int, int, int],
) -> Kernel:
    top, left, bottom, right = pads
    batch, height, width, channels = value_shape(op.input)
    weights = np.ascontiguousarray(np.moveaxis(layer.weights[..., 0], 0, -1).astype(np.int32))
    bias = layer.bias.astype(np.int32)
    shape = value_shape(op.result)

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        result = np.empty((len(x), *shape), layer.result_dtype)
        padded = np.empty((len(x) * batch, top + height + bottom, left + width + right, channels), np.int16)
        centered_and_padded(x.reshape(-1, height, width, channels), layer.zero_point, (top, left), padded)
        convolve_depthwise(
            padded, weights, bias, strides, dilations, *layer.rescale.arguments, result.reshape(-1, *shape[1:])
        )
        return [result]

    return compute


@kernel(nn.DenseOp)
def dense(op: nn.DenseOp, constants: Constants) -> Kernel | None:
    """A convolution of one position: all leading dimensions of the input are positions."""
    layer = _layer(op, constants)
    if layer is None:
        return None
    outputs, depth = layer.weights.shape
    packed = _packed(cast(Array, layer.weights.reshape(outputs, 1, 1, depth)), 1, layer.largest)
    if packed is None:
        return None
    shape = value_shape(op.result)

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        result = np.empty((len(x), *shape), layer.result_dtype)
        convolve(
            x.reshape(1, 1, -1, depth),
            layer.zero_point,
            packed.columns,
            packed.ends,
            layer.bias,
            True,
            (1, 1),
            (1, 1),
            (0, 0),
            (1, 1),
            *layer.rescale.arguments,
            result.reshape(1, 1, -1, outputs),
        )
        return [result]

    return compute

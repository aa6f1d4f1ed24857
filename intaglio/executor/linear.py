"""Convolution and dense layers with constant weights, compiled."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.dialects import nn
from intaglio.dialects.quant import requantization_mode
from intaglio.executor.convolution import (
    centered_and_padded,
    chunks,
    convolve,
    convolve_depthwise,
    convolve_depthwise_to_bytes,
    multiply,
)
from intaglio.executor.registry import Constants, Kernel, kernel
from intaglio.executor.rescaling import ONCE_UP, TWICE, Rescale, Scaling, in_blocks, rescale_of
from intaglio.executor.tiles import COLUMNS, pack_parts
from intaglio.interpreter.nn_linear import accumulator_bits, weight_scales
from intaglio.interpreter.values import quantization, storage_bounds, value_dtype, value_shape

Array = np.ndarray[Any, np.dtype[Any]]

_INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True)
class _Packed:
    """Weights in the order of the kernel, see `convolution.convolve`."""

    columns: NDArray[np.int16]
    ends: NDArray[np.int64]


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
    # The lower part of wide weights is in -128 to 127, the upper one smaller than the weights.
    parts = np.minimum(np.abs(matrices), 128) if int(np.abs(matrices).max(initial=0)) > 255 else matrices
    ends = chunks(parts, largest)
    packed = _Packed(pack_parts(matrices), ends) if ends is not None else None
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
    is_narrow: bool
    rescale: Rescale

    def in_blocks(self, groups: int) -> tuple[Array, Scaling]:
        """Bias and rescaling as the kernels take them."""
        bias = self.bias.astype(np.int32) if self.is_narrow else self.bias
        return in_blocks(bias, groups, COLUMNS), self.rescale.blocks(groups, COLUMNS).arguments


def _layer(op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp, constants: Constants) -> _Layer | None:
    """The layer, if it is quantized, its weights are constant, and its sums are sure to fit the accumulator."""
    if nn.is_accumulator(op.result):
        return None
    kind, result = quantization(op.input), quantization(op.result)
    weights = constants.get(1)
    if kind is None or result is None or weights is None or (op.bias is not None and 2 not in constants):
        return None
    outputs = weights.shape[0]
    bias = constants[2].astype(np.int64) if op.bias is not None else np.zeros(outputs, np.int64)
    limits = np.iinfo(value_dtype(op.input))
    largest = max(abs(int(limits.min) - kind.zero_point), abs(int(limits.max) - kind.zero_point))
    bits = accumulator_bits(kind)
    sums = np.abs(weights.astype(np.int64)).reshape(outputs, -1).sum(axis=1) * largest + np.abs(bias)
    worst = int(sums.max(initial=0))
    if largest > 1 << 15 or worst >= 1 << (bits - 1):
        return None
    rescale = rescale_of(
        kind.scale * weight_scales(op.weight) / result.scale,
        requantization_mode(op),
        result.zero_point,
        storage_bounds(result, op.clamp),
        wide=bits > 32,
        channels=outputs,
        is_dense=isinstance(op, nn.DenseOp),
    )
    if rescale.rounding == TWICE and int((sums << np.maximum(rescale.shift, 0)).max(initial=0)) > _INT32_MAX:
        return None
    return _Layer(kind.zero_point, largest, weights, bias, worst <= _INT32_MAX, rescale)


@kernel(nn.Conv2dOp)
def conv2d(op: nn.Conv2dOp, constants: Constants) -> Kernel | None:
    """Gather, multiply and requantize; one filter a channel has a kernel of its own, and so have single elements."""
    layer = _layer(op, constants)
    if layer is None:
        return None
    groups, channels = op.groups.value.data, value_shape(op.input)[3]
    pads = tuple(int(pad) for pad in op.pads.get_values())
    if groups == channels == layer.weights.shape[0] and groups > 1:
        return _depthwise(op, layer, pads)
    if layer.weights.shape[1:3] == (1, 1) and groups == 1 and set(op.strides.get_values()) == {1} and not any(pads):
        return _product(op, layer)
    packed = _packed(layer.weights, groups, layer.largest)
    if packed is None:
        return None
    bias, scaling = layer.in_blocks(groups)
    kernel_size = _pair(layer.weights.shape[1:3])
    strides, dilations = _pair(op.strides.get_values()), _pair(op.dilations.get_values())
    shape, dtype = value_shape(op.result), value_dtype(op.result)

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        result = np.empty((len(x), *shape), dtype)
        convolve(
            x.reshape(-1, x.shape[2], x.shape[3] * channels),
            channels,
            layer.zero_point,
            packed.columns,
            packed.ends,
            shape[1:3],
            kernel_size,
            strides,
            pads[:2],
            dilations,
            bias,
            scaling,
            result.reshape(-1, shape[3]),
        )
        return [result]

    return compute


def _pair(values: Any) -> tuple[int, int]:
    first, second = values
    return int(first), int(second)


def _depthwise(op: nn.Conv2dOp, layer: _Layer, pads: tuple[int, ...]) -> Kernel:
    top, left, bottom, right = pads
    batch, height, width, channels = value_shape(op.input)
    padded_height, padded_width = top + height + bottom, left + width + right
    strides, dilations = _pair(op.strides.get_values()), _pair(op.dilations.get_values())
    shape, dtype = value_shape(op.result), value_dtype(op.result)
    filters = np.moveaxis(layer.weights[..., 0], 0, -1)

    def padded(x: Array) -> Array:
        # More elements than these, because kernels read whole blocks of channels.
        memory = np.empty(len(x) * batch * padded_height * padded_width * channels + COLUMNS, np.int16)
        result = memory[:-COLUMNS].reshape(-1, padded_height, padded_width, channels)
        centered_and_padded(x.reshape(-1, height, width, channels), layer.zero_point, (top, left), result)
        return result

    if layer.is_narrow and layer.rescale.rounding == ONCE_UP and dtype.itemsize == 1:
        places = np.indices(filters.shape[:2]).reshape(2, -1)
        rows, columns = places[0] * dilations[0], places[1] * dilations[1]
        offsets = (rows * padded_width + columns) * channels * np.dtype(np.int16).itemsize
        lower_halves = filters.reshape(-1, channels).astype(np.int32) & 0xFFFF
        weights = np.zeros((len(lower_halves), -(-channels // COLUMNS) * COLUMNS), np.int32)
        weights[:, :channels] = lower_halves
        bias, (multiplier, shift, *others) = layer.in_blocks(1)
        scaling = (multiplier[0], shift[0], *others)

        def compute_bytes(operands: list[Array]) -> list[Array]:
            x = operands[0]
            result = np.empty((len(x), *shape), dtype)
            images = padded(x)
            convolve_depthwise_to_bytes(
                images.reshape(len(images), padded_height, padded_width * channels),
                offsets,
                weights,
                strides,
                bias[0],
                scaling,
                result.reshape(-1, *shape[1:]),
            )
            return [result]

        return compute_bytes
    dtype_of_sums = np.int32 if layer.is_narrow else np.int64
    wide_filters = np.ascontiguousarray(filters.astype(dtype_of_sums))
    bias_of_sums, arguments = layer.bias.astype(dtype_of_sums), layer.rescale.arguments

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        result = np.empty((len(x), *shape), dtype)
        images = result.reshape(-1, *shape[1:])
        convolve_depthwise(padded(x), wide_filters, bias_of_sums, strides, dilations, arguments, images)
        return [result]

    return compute


@kernel(nn.ConvTranspose2dOp)
def conv_transpose2d(op: nn.ConvTranspose2dOp, constants: Constants) -> Kernel | None:
    """As convolutions: the elements of the result that are a stride apart meet the same taps of the kernel.

    An element in row `y` has the taps `r, r + stride, ...` for `r = (y + top) % stride`, each a row of the input higher
    than the one before. So elements of one `r` are a convolution of stride 1 with these taps in reverse order.
    """
    layer = _layer(op, constants)
    if layer is None or set(op.dilations.get_values()) != {1}:
        return None
    groups, channels, shape = op.groups.value.data, value_shape(op.input)[3], value_shape(op.result)
    dtype = value_dtype(op.result)
    strides, pads = _pair(op.strides.get_values()), _pair(op.pads.get_values()[:2])
    bias, scaling = layer.in_blocks(groups)
    parts: list[tuple[tuple[int, int], tuple[int, int], _Packed, tuple[int, int], tuple[int, int]]] = []
    for offset in np.ndindex(*strides):
        taps = [(offset[k] + pads[k]) % strides[k] for k in range(2)]
        weights = layer.weights[:, taps[0] :: strides[0], taps[1] :: strides[1]][:, ::-1, ::-1]
        packed = _packed(weights, groups, layer.largest)
        if packed is None:
            return None
        kernel_size = _pair(weights.shape[1:3])
        # Row `m` of the input, for `y + top = stride * m + r`, meets the first tap, which is the last in reverse.
        first = [(offset[k] + pads[k] - taps[k]) // strides[k] for k in range(2)]
        size = _pair(max(0, -(-(shape[1 + k] - offset[k]) // strides[k])) for k in range(2))
        parts.append((_pair(offset), size, packed, kernel_size, _pair(kernel_size[k] - 1 - first[k] for k in range(2))))

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0].reshape(-1, value_shape(op.input)[1], value_shape(op.input)[2] * channels)
        result = np.empty((len(x), *shape[1:]), dtype)
        for offset, size, packed, kernel_size, before in parts:
            part = np.empty((len(x), *size, shape[3]), dtype)
            convolve(
                x,
                channels,
                layer.zero_point,
                packed.columns,
                packed.ends,
                size,
                kernel_size,
                (1, 1),
                before,
                (1, 1),
                bias,
                scaling,
                part.reshape(-1, shape[3]),
            )
            result[:, offset[0] :: strides[0], offset[1] :: strides[1]] = part
        return [result.reshape(-1, *shape)]

    return compute


@kernel(nn.DenseOp)
def dense(op: nn.DenseOp, constants: Constants) -> Kernel | None:
    """Multiply rows and requantize: all leading dimensions of the input are rows."""
    layer = _layer(op, constants)
    return _product(op, layer) if layer is not None else None


def _product(op: nn.Conv2dOp | nn.DenseOp, layer: _Layer) -> Kernel | None:
    packed = _packed(layer.weights, 1, layer.largest)
    if packed is None:
        return None
    bias, scaling = layer.in_blocks(1)
    depth = layer.weights[0].size
    shape, dtype = value_shape(op.result), value_dtype(op.result)

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        result = np.empty((len(x), *shape), dtype)
        multiply(
            x.reshape(-1, depth),
            layer.zero_point,
            packed.columns,
            packed.ends,
            bias,
            scaling,
            result.reshape(-1, shape[-1]),
        )
        return [result]

    return compute

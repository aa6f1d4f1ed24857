"""Quantized types inside tensors: what a tensor stores, what it stands for, and which tensors may hold which."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AnyFloat,
    IntegerType,
    Signedness,
    TensorType,
    UnrankedTensorType,
    f32,
)
from xdsl.ir import Attribute
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.quant import formats
from intaglio.dialects.quant.types import (
    StoredType,
    UniformQuantizedPerAxisType,
    UniformQuantizedSubChannelType,
    UniformQuantizedType,
    UniformType,
)


def element_type_of(type: Attribute) -> Attribute:
    """The element type of a tensor, ranked or not; the type itself when it is no tensor."""
    if isinstance(type, TensorType | UnrankedTensorType):
        return cast(TensorType[Any] | UnrankedTensorType[Any], type).element_type
    return type


def is_quantized(type: Attribute) -> bool:
    """Whether `type` is a ranked tensor whose elements are uniform quantized."""
    return isinstance(type, TensorType) and isinstance(cast(TensorType[Any], type).element_type, UniformType)


def storage_dtype(quantized: StoredType) -> np.dtype[np.generic]:
    """NumPy type of stored values: `int8` for 2- to 8-bit, `int64` for 48-bit, `bfloat16` of ml_dtypes ..."""
    return formats.storage_dtype_of(quantized.storage_type)


def storage_tensor_type(type: TensorType[Any]) -> TensorType[Any]:
    """The tensor of stored values: same shape, storage element type.

    Raises:
        TypeError: when the elements are not quantized.
    """
    return TensorType(_stored(type).storage_type, type.shape, type.encoding)


def expressed_tensor_type(type: TensorType[Any]) -> TensorType[Any]:
    """The tensor of real values that a quantized tensor stands for: same shape, expressed element type.

    Raises:
        TypeError: when the elements are not quantized or do not say what they express.
    """
    expressed = _stored(type).expressed_type
    if expressed is None:
        raise TypeError(f"{type} has no expressed type")
    return TensorType(expressed, type.shape, type.encoding)


def _stored(type: TensorType[Any]) -> StoredType:
    if not isinstance(type.element_type, StoredType):
        raise TypeError(f"{type} is not a tensor of a quantized type")
    return type.element_type


def uniform(
    bits: int,
    scale: float,
    zero_point: int = 0,
    *,
    signed: bool = True,
    storage_min: int | None = None,
    storage_max: int | None = None,
    expressed: AnyFloat = f32,
) -> UniformQuantizedType:
    """The per-tensor type with integer storage of `bits` bits."""
    storage = _integer(bits, signed)
    return UniformQuantizedType(storage, expressed, scale, zero_point, storage_min, storage_max)


def uniform_per_axis(
    bits: int,
    axis: int,
    scales: npt.ArrayLike,
    zero_points: npt.ArrayLike | None = None,
    *,
    signed: bool = True,
    storage_min: int | None = None,
    storage_max: int | None = None,
    expressed: AnyFloat = f32,
) -> UniformQuantizedPerAxisType:
    """The per-axis type with integer storage of `bits` bits; zero points default to 0."""
    storage = _integer(bits, signed)
    return UniformQuantizedPerAxisType(storage, expressed, axis, scales, zero_points, storage_min, storage_max)


def _integer(bits: int, signed: bool) -> IntegerType:
    return IntegerType(bits, Signedness.SIGNLESS if signed else Signedness.UNSIGNED)


def check_container(quantized: UniformType, container: Attribute) -> None:
    """Raise a VerifyException unless a value of type `container` may have elements of type `quantized`.

    Per-tensor types fit everything, scalars included. Source: `verifyPerAxisQuantization` and
    `verifySubChannelQuantization` in MLIR's `QuantOps.cpp`.
    """
    if isinstance(quantized, UniformQuantizedPerAxisType):
        _check_per_axis(quantized, container)
    elif isinstance(quantized, UniformQuantizedSubChannelType):
        _check_sub_channel(quantized, container)


def _check_per_axis(quantized: UniformQuantizedPerAxisType, container: Attribute) -> None:
    if isinstance(container, UnrankedTensorType):
        return
    if not isinstance(container, TensorType):
        raise VerifyException("scalar types may not use per-axis quantization")
    shape = container.get_shape()
    if quantized.axis >= len(shape):
        raise VerifyException(
            f"quantized dimension must be less than tensor rank, got {quantized.axis} and {len(shape)}"
        )
    (channels,) = quantized.parameter_shape
    if shape[quantized.axis] not in (DYNAMIC_INDEX, channels):
        raise VerifyException(
            f"quantized dimension size does not match number of scales: {shape[quantized.axis]} and {channels}"
        )


def _check_sub_channel(quantized: UniformQuantizedSubChannelType, container: Attribute) -> None:
    if not isinstance(container, TensorType | UnrankedTensorType):
        raise VerifyException("scalar types may not use sub-channel quantization")
    if not isinstance(container, TensorType):
        raise VerifyException("tensor containing the sub-channel quantized type must be ranked")
    shape = container.get_shape()
    if 0 in shape:
        raise VerifyException("tensor dimension size of zero is not allowed with sub-channel quantization")
    if len(shape) != len(quantized.parameter_shape):
        raise VerifyException(
            f"rank of scales {len(quantized.parameter_shape)} must match the rank of the tensor {len(shape)}"
        )
    expected = [1] * len(shape)
    for axis, size in quantized.block_sizes.items():
        if axis >= len(shape):
            raise VerifyException(f"quantized dimension {axis} must be less than tensor rank {len(shape)}")
        if shape[axis] == DYNAMIC_INDEX:
            expected[axis] = quantized.parameter_shape[axis]
        elif shape[axis] % size:
            raise VerifyException(
                f"tensor dimension size {shape[axis]} at axis {axis} must be divisible by the corresponding "
                f"block size {size}"
            )
        else:
            expected[axis] = shape[axis] // size
    if quantized.parameter_shape != tuple(expected):
        raise VerifyException(
            f"dimensions of scales {list(quantized.parameter_shape)} should match the numbers of blocks {expected}"
        )

"""How values of the IR look as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import IntegerType, TensorType
from xdsl.ir import Attribute, SSAValue

from intaglio.dialects.nn import ClampAttr
from intaglio.dialects.quant import UniformQuantizedType, is_quantized, storage_tensor_type
from intaglio.dialects.weights import dtype_of
from intaglio.numerics.bfloat16 import BFLOAT16, round_to_bfloat16
from intaglio.numerics.clamp import clamp_bounds

Array = np.ndarray[Any, np.dtype[Any]]


def tensor_type(value: SSAValue | Attribute) -> TensorType[Attribute]:
    """The tensor type of a value (or a type given as such)."""
    kind = value.type if isinstance(value, SSAValue) else value
    assert isinstance(kind, TensorType)
    return kind  # pyright: ignore[reportUnknownVariableType]  # xDSL's type parameter is not narrowed


def value_shape(value: SSAValue | Attribute) -> tuple[int, ...]:
    """The static shape of a tensor value."""
    return tuple(tensor_type(value).get_shape())


def value_dtype(value: SSAValue | Attribute) -> np.dtype[Any]:
    """The dtype of the array that holds a tensor value: of its storage type when it is quantized.

    Raises:
        UserError: no array holds elements of that type.
    """
    kind = tensor_type(value)
    return dtype_of((storage_tensor_type(kind) if is_quantized(kind) else kind).get_element_type())


def quantization(value: SSAValue) -> UniformQuantizedType | None:
    """The parameters of a tensor quantized per tensor, or None when its elements are not quantized."""
    kind = tensor_type(value).get_element_type()
    if not is_quantized(tensor_type(value)):
        return None
    assert isinstance(kind, UniformQuantizedType), "the verifier admits per-tensor parameters only"
    return kind


def bits_of(kind: UniformQuantizedType) -> int:
    """The width of the integers that store values of a type."""
    assert isinstance(kind.storage_type, IntegerType)
    return kind.storage_type.width.data


def centered(array: Array, kind: UniformQuantizedType) -> Array:
    """Stored values minus their zero point, in int64: the real values in units of the scale."""
    return array.astype(np.int64) - kind.zero_point


def storage_bounds(kind: UniformQuantizedType, clamp: ClampAttr | None) -> tuple[int, int]:
    """Smallest and largest stored value of a result, given the fused activation."""
    low, high = clamp.bounds if clamp is not None else (None, None)
    return clamp_bounds(low, high, kind.scale, kind.zero_point, kind.storage_min, kind.storage_max)


def in_double(array: Array) -> Array:
    """A float array in double precision, in which all float rules compute."""
    return array.astype(np.float64)


def rounded(array: Array, result: SSAValue, clamp: ClampAttr | None = None) -> Array:
    """A double-precision result, limited by the fused activation and rounded once to the result's type."""
    if clamp is not None:
        low, high = clamp.bounds
        array = np.clip(array, low, high)
    dtype = value_dtype(result)
    return round_to_bfloat16(array) if dtype == BFLOAT16 else np.asarray(array).astype(dtype)

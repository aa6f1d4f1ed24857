"""ONNX tensor types, and the types of the `onnx` dialect that stand for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from onnx import TensorProto, TypeProto
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ComplexType,
    IntegerType,
    Signedness,
    TensorType,
    UnrankedTensorType,
    bf16,
    f4E2M1FN,
    f8E4M3FN,
    f8E4M3FNUZ,
    f8E5M2,
    f8E5M2FNUZ,
    f8E8M0FNU,
    f16,
    f32,
    f64,
    i1,
    i8,
    i16,
    i32,
    i64,
)
from xdsl.ir import Attribute, TypeAttribute

from intaglio.dialects.onnx import UNKNOWN_TYPE, MapType, OptionalType, SequenceType, StringType
from intaglio.errors import UserError


def _unsigned(width: int) -> IntegerType:
    return IntegerType(width, Signedness.UNSIGNED)


ELEMENT_TYPES: Mapping[int, TypeAttribute] = {
    TensorProto.FLOAT: f32,
    TensorProto.UINT8: _unsigned(8),
    TensorProto.INT8: i8,
    TensorProto.UINT16: _unsigned(16),
    TensorProto.INT16: i16,
    TensorProto.INT32: i32,
    TensorProto.INT64: i64,
    TensorProto.STRING: StringType(),
    TensorProto.BOOL: i1,
    TensorProto.FLOAT16: f16,
    TensorProto.DOUBLE: f64,
    TensorProto.UINT32: _unsigned(32),
    TensorProto.UINT64: _unsigned(64),
    TensorProto.COMPLEX64: ComplexType(f32),
    TensorProto.COMPLEX128: ComplexType(f64),
    TensorProto.BFLOAT16: bf16,
    TensorProto.FLOAT8E4M3FN: f8E4M3FN,
    TensorProto.FLOAT8E4M3FNUZ: f8E4M3FNUZ,
    TensorProto.FLOAT8E5M2: f8E5M2,
    TensorProto.FLOAT8E5M2FNUZ: f8E5M2FNUZ,
    TensorProto.UINT4: _unsigned(4),
    TensorProto.INT4: IntegerType(4),
    TensorProto.FLOAT4E2M1: f4E2M1FN,
    TensorProto.FLOAT8E8M0: f8E8M0FNU,
    TensorProto.UINT2: _unsigned(2),
    TensorProto.INT2: IntegerType(2),
}
"""Element type by `TensorProto.DataType`."""

DATA_TYPES: Mapping[Attribute, int] = {kind: data_type for data_type, kind in ELEMENT_TYPES.items()}
"""`TensorProto.DataType` by element type."""


def data_type_name(data_type: int) -> str:
    """Name of a `TensorProto.DataType` for messages, such as `float16`."""
    known = data_type in cast("Sequence[int]", TensorProto.DataType.values())
    return TensorProto.DataType.Name(cast("TensorProto.DataType", data_type)).lower() if known else str(data_type)


def element_type(data_type: int, what: str, *, where: str | None = None) -> TypeAttribute:
    """The element type of a `TensorProto.DataType`.

    Args:
        data_type: the number that the model has.
        what: the tensor, for the message.
        where: the model file, for the message.

    Raises:
        UserError: ONNX has no such data type.
    """
    found = ELEMENT_TYPES.get(data_type)
    if found is None:
        raise UserError(f"{what} has the unknown data type {data_type}", where=where)
    return found


def type_from_proto(proto: TypeProto | None, what: str, *, where: str | None = None) -> TypeAttribute:
    """The IR type of an ONNX type; dimensions that are not numbers become dynamic.

    Raises:
        UserError: a data type in it is unknown.
    """
    match proto.WhichOneof("value") if proto is not None else None:
        case "tensor_type":
            assert proto is not None
            return _tensor_type(proto.tensor_type, what, where)
        case "sequence_type":
            assert proto is not None
            return SequenceType(type_from_proto(proto.sequence_type.elem_type, what, where=where))
        case "optional_type":
            assert proto is not None
            return OptionalType(type_from_proto(proto.optional_type.elem_type, what, where=where))
        case "map_type":
            assert proto is not None
            key = element_type(proto.map_type.key_type, what, where=where)
            return MapType(key, type_from_proto(proto.map_type.value_type, what, where=where))
        case "sparse_tensor_type":
            raise UserError(f"{what} is a sparse tensor, which is not supported", where=where)
        case _:
            return UNKNOWN_TYPE


def _tensor_type(proto: TypeProto.Tensor, what: str, where: str | None) -> TypeAttribute:
    if proto.elem_type == TensorProto.UNDEFINED:
        return UNKNOWN_TYPE
    kind = element_type(proto.elem_type, what, where=where)
    if not proto.HasField("shape"):
        return UnrankedTensorType(kind)
    extents = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in proto.shape.dim]
    return TensorType(kind, [extent if extent >= 0 else DYNAMIC_INDEX for extent in extents])


def type_to_proto(kind: Attribute) -> TypeProto | None:
    """The ONNX type of an IR type; None for a type that says nothing.

    Raises:
        UserError: ONNX has no such type.
    """
    proto = TypeProto()
    if kind == UNKNOWN_TYPE:
        return None
    if isinstance(kind, TensorType | UnrankedTensorType):
        element = cast("Attribute", kind.element_type)  # pyright: ignore[reportUnknownMemberType]  # type parameter
        if element not in DATA_TYPES:
            raise UserError(f"ONNX has no tensors of {element}")
        proto.tensor_type.elem_type = DATA_TYPES[element]
        if isinstance(kind, TensorType):
            proto.tensor_type.shape.SetInParent()
            for extent in cast("Sequence[int]", kind.get_shape()):
                dim = proto.tensor_type.shape.dim.add()
                if extent != DYNAMIC_INDEX:
                    dim.dim_value = extent
        return proto
    if isinstance(kind, MapType):
        proto.map_type.key_type = DATA_TYPES[kind.key_type]
        inner, target = kind.value_type, proto.map_type.value_type
    elif isinstance(kind, SequenceType):
        inner, target = kind.element_type, proto.sequence_type.elem_type
    elif isinstance(kind, OptionalType):
        inner, target = kind.element_type, proto.optional_type.elem_type
    else:
        raise UserError(f"ONNX has no type {kind}")
    target.SetInParent()
    if (inner_proto := type_to_proto(inner)) is not None:
        target.CopyFrom(inner_proto)
    return proto

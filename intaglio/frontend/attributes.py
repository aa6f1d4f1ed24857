"""ONNX node attributes and tensors as IR attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from onnx import AttributeProto, SparseTensorProto, TensorProto
from xdsl.dialects.builtin import ArrayAttr, FloatAttr, IntegerAttr, StringAttr, TensorType, f32, i64
from xdsl.ir import Attribute

from intaglio.dialects.onnx import OctetsAttr, SparseTensorAttr, StringsAttr, floats_attr, ints_attr
from intaglio.dialects.weights import constant_attr
from intaglio.errors import UserError
from intaglio.frontend.model_file import ModelFile, string_values, tensor_values
from intaglio.frontend.types import element_type, type_from_proto


def text_attr(text: bytes) -> StringAttr | OctetsAttr:
    """An ONNX string: text if it is UTF-8, octets otherwise."""
    try:
        return StringAttr(text.decode())
    except UnicodeDecodeError:
        return OctetsAttr(text)


def tensor_attr(tensor: TensorProto, key: str, what: str, file: ModelFile) -> Attribute:
    """A constant of a tensor's values.

    Args:
        tensor: the tensor.
        key: the name that its weights get.
        what: the tensor, for messages.
        file: the model it is in.

    Raises:
        UserError: the data type is unknown or the values are damaged.
    """
    kind = element_type(tensor.data_type, what, where=file.where)
    if tensor.data_type == TensorProto.STRING:
        texts = ArrayAttr([text_attr(text) for text in string_values(tensor, what, file)])
        return StringsAttr(texts, TensorType(kind, list(tensor.dims)))
    return constant_attr(key, tensor_values(tensor, what, file), kind)


def sparse_tensor_attr(tensor: SparseTensorProto, key: str, what: str, file: ModelFile) -> SparseTensorAttr:
    """A constant of a sparse tensor's values and indices.

    Raises:
        UserError: as `tensor_attr`.
    """
    return SparseTensorAttr(
        tensor_attr(tensor.values, key, what, file),
        tensor_attr(tensor.indices, f"{key}.indices", f"the indices of {what}", file),
        ints_attr(list(tensor.dims)),
    )


def attribute_from_proto(attribute: AttributeProto, key: str, what: str, file: ModelFile) -> Attribute:
    """The IR attribute of a node attribute that is no graph.

    Args:
        attribute: the attribute.
        key: the name that its weights get if it is a tensor.
        what: attribute and node, for messages.
        file: the model it is in.

    Raises:
        UserError: its kind is not supported, or the values are damaged.
    """
    match attribute.type:
        case AttributeProto.INT:
            return IntegerAttr(attribute.i, i64)
        case AttributeProto.FLOAT:
            return FloatAttr(attribute.f, f32)
        case AttributeProto.STRING:
            return text_attr(attribute.s)
        case AttributeProto.INTS:
            return ints_attr(list(attribute.ints))
        case AttributeProto.FLOATS:
            return floats_attr(attribute.floats)
        case AttributeProto.STRINGS:
            return ArrayAttr([text_attr(text) for text in attribute.strings])
        case AttributeProto.TENSOR:
            return tensor_attr(attribute.t, key, what, file)
        case AttributeProto.SPARSE_TENSOR:
            return sparse_tensor_attr(attribute.sparse_tensor, key, what, file)
        case AttributeProto.TYPE_PROTO:
            return type_from_proto(attribute.tp, what, where=file.where)
        case AttributeProto.TENSORS if attribute.tensors:
            return ArrayAttr(
                tensor_attr(tensor, f"{key}.{index}", what, file) for index, tensor in enumerate(attribute.tensors)
            )
        case AttributeProto.SPARSE_TENSORS if attribute.sparse_tensors:
            return ArrayAttr(
                sparse_tensor_attr(tensor, f"{key}.{index}", what, file)
                for index, tensor in enumerate(attribute.sparse_tensors)
            )
        case AttributeProto.TYPE_PROTOS if attribute.type_protos:
            return ArrayAttr(type_from_proto(kind, what, where=file.where) for kind in attribute.type_protos)
        case _:
            known = attribute.type in cast("Sequence[int]", AttributeProto.AttributeType.values())
            kind = AttributeProto.AttributeType.Name(attribute.type) if known else str(attribute.type)
            raise UserError(f"{what} is of kind {kind}, which is not supported", where=file.where)

"""Reading ONNX files: the protobuf, and tensor values inside it or in external files beside it.

Nothing is trusted: sizes are checked before values are read, and external data must lie in the model's folder.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, TensorProto, helper, numpy_helper

from intaglio.errors import UserError
from intaglio.frontend.types import data_type_name

Array = np.ndarray[Any, np.dtype[Any]]

_SUB_BYTE: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
    TensorProto.FLOAT4E2M1: 4,
}
"""Bits of the data types of which several elements share a byte."""

_TYPED_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


@dataclass(frozen=True)
class ModelFile:
    """A parsed model and where it came from.

    Args:
        proto: the model.
        name: the file's stem, or `model` for bytes.
        where: the path as the user gave it, for messages; None for bytes.
        folder: the folder that external data must lie in; None for bytes.
    """

    proto: ModelProto
    name: str
    where: str | None
    folder: Path | None
    ranges: dict[tuple[Path, int, int], bytes] = field(
        default_factory=dict[tuple[Path, int, int], bytes], compare=False
    )
    """What has been read of external files, by path, offset and length."""

    read_bytes: Counter[Path] = field(default_factory=Counter[Path], compare=False)
    """How much that is by path."""


def read_model(source: str | Path | bytes) -> ModelFile:
    """Read a model from a path or from the bytes of a file.

    Raises:
        UserError: the file is missing, cannot be read, or is no ONNX model.
    """
    if isinstance(source, bytes):
        return ModelFile(_parse(source, None), "model", None, None)
    path = Path(source)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError("no such file", where=str(path)) from None
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror or error}", where=str(path)) from error
    return ModelFile(_parse(data, str(path)), path.stem, str(path), path.parent)


def _parse(data: bytes, where: str | None) -> ModelProto:
    hint = "expected a model exported to ONNX, complete"
    try:
        model = ModelProto.FromString(data)
    except DecodeError:
        raise UserError("not an ONNX model, or a truncated one", where=where, hint=hint) from None
    if not model.HasField("graph") or not model.ir_version:
        raise UserError("not an ONNX model: it has no graph", where=where, hint=hint)
    _check_texts(model, where)
    return model


def _check_texts(message: Message, where: str | None) -> None:
    """Check that every text of a model is UTF-8; protobuf hands others over as bytes."""
    if isinstance(message, TensorProto):
        texts = [message.name, message.doc_string]
    else:
        texts: list[object] = []
        for field, value in message.ListFields():
            if field.type not in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING):
                continue
            entries: list[object] = [value] if isinstance(value, str | bytes | Message) else list(value)
            for entry in entries:
                if isinstance(entry, Message):
                    _check_texts(entry, where)
            texts += entries
    for text in texts:
        if isinstance(text, bytes):
            raise UserError(f"the model has a text that is not UTF-8: {text[:40]!r}", where=where)


def element_count(tensor: TensorProto) -> int:
    """Number of elements that a tensor's shape asks for; 0 when a dimension is negative."""
    return math.prod(tensor.dims) if all(extent >= 0 for extent in tensor.dims) else 0


def byte_count(tensor: TensorProto) -> int:
    """Number of bytes that a tensor's values take in raw form."""
    bits = _SUB_BYTE.get(tensor.data_type)
    count = element_count(tensor)
    if bits is not None:
        return -(-count * bits // 8)
    return count * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize


def tensor_values(tensor: TensorProto, what: str, file: ModelFile) -> Array:
    """The values of a tensor; integers below 8 bits as int8 or uint8.

    Args:
        tensor: of a data type that is not strings.
        what: the tensor, for messages.
        file: the model it is in.

    Raises:
        UserError: the values are not as many as the shape asks for, or external data is missing, too short, or
            outside the model's folder.
    """
    if any(extent < 0 for extent in tensor.dims):
        raise UserError(f"{what} has the negative shape {list(tensor.dims)}", where=file.where)
    raw = tensor.raw_data if tensor.HasField("raw_data") else None
    if tensor.data_location == TensorProto.EXTERNAL:
        raw = _external_bytes(tensor, what, file)
    expected = byte_count(tensor)
    if raw is not None and len(raw) != expected:
        raise UserError(
            f"{what} has {len(raw)} bytes, but {data_type_name(tensor.data_type)} of shape {list(tensor.dims)} "
            f"takes {expected}",
            where=file.where,
        )
    if raw is None and element_count(tensor) and not any(len(getattr(tensor, name)) for name in _TYPED_FIELDS):
        raise UserError(f"{what} of shape {list(tensor.dims)} has no values", where=file.where)
    try:
        values = numpy_helper.to_array(tensor) if raw is None else _from_raw(raw, tensor)
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{what} is damaged: {error}", where=file.where) from error
    if values.dtype in (np.dtype(ml_dtypes.int4), np.dtype(ml_dtypes.int2)):
        return values.astype(np.int8)
    if values.dtype in (np.dtype(ml_dtypes.uint4), np.dtype(ml_dtypes.uint2)):
        return values.astype(np.uint8)
    return values


def _from_raw(raw: bytes, tensor: TensorProto) -> Array:
    """An array that lies in the bytes, but for types below a byte, which are spread out."""
    if tensor.data_type in _SUB_BYTE:
        return numpy_helper.to_array(TensorProto(dims=tensor.dims, data_type=tensor.data_type, raw_data=raw))
    if tensor.data_type == TensorProto.BOOL:
        return (np.frombuffer(raw, np.uint8) != 0).reshape(tensor.dims)
    return np.frombuffer(raw, helper.tensor_dtype_to_np_dtype(tensor.data_type)).reshape(tensor.dims)


def string_values(tensor: TensorProto, what: str, file: ModelFile) -> Sequence[bytes]:
    """The values of a tensor of strings, row-major.

    Raises:
        UserError: they are not as many as the shape asks for.
    """
    if any(extent < 0 for extent in tensor.dims):
        raise UserError(f"{what} has the negative shape {list(tensor.dims)}", where=file.where)
    if len(tensor.string_data) != element_count(tensor):
        raise UserError(f"{what} of shape {list(tensor.dims)} has {len(tensor.string_data)} strings", where=file.where)
    return tensor.string_data


def _external_bytes(tensor: TensorProto, what: str, file: ModelFile) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if file.folder is None:
        raise UserError(f"{what} lies in the external file {location!r}, but the model was given as bytes")
    path = _inside(file.folder, location, what, file.where)
    expected = byte_count(tensor)
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(expected)))
    except ValueError:
        raise UserError(f"{what} has a damaged place in external data: {entries}", where=file.where) from None
    if offset < 0 or length != expected:
        raise UserError(
            f"{what} takes {expected} bytes, the model says {length} at offset {offset} of {location!r}",
            where=file.where,
        )
    if (known := file.ranges.get((path, offset, length))) is not None:
        return known
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            if offset + length > size:
                raise UserError(
                    f"{what} needs bytes {offset} to {offset + length} of {location!r}, which has {size}",
                    where=file.where,
                    hint="the external data file is truncated or belongs to another model",
                )
            # Tensors may share their values, but a file whose parts overlap could ask for any amount of memory.
            file.read_bytes[path] += length
            if file.read_bytes[path] > size:
                raise UserError(f"tensors overlap in the external file {location!r}: {what}", where=file.where)
            stream.seek(offset)
            content = file.ranges[path, offset, length] = stream.read(length)
            return content
    except OSError as error:
        raise UserError(
            f"cannot read external data of {what}: {location!r}: {error.strerror or error}",
            where=file.where,
            hint="keep the external data file beside the model",
        ) from error


def _inside(folder: Path, location: str, what: str, where: str | None) -> Path:
    root = folder.resolve()
    outside = UserError(
        f"{what} names external data outside the model's folder: {location[:80]!r}",
        where=where,
        hint="external data must lie beside the model or below it",
    )
    try:
        path = (root / location).resolve()
    except (OSError, ValueError):
        raise outside from None
    if not location or Path(location).is_absolute() or not path.is_relative_to(root) or path == root:
        raise outside
    return path

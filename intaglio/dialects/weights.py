"""Constants by content: the `#nn.weights` attribute and the safetensors files its values live in.

```mlir
#nn.weights<"stem.weight", "4f0c53c3a3f20c6e9d1f6d7c3f6f0f53"> : tensor<16x3x3x1xf32>
```

The first string is a name for people, the second the blake2b-128 digest of the values. Two constants are
equal when digest and type are, whatever they are called. Values are in a `.safetensors` file beside the
`.mlir` whose keys are the digests, so that several modules share one file, and they are read when somebody
asks for them: passes that only look at structure run without the file.

Element types map to arrays as `dtype_of` says: integers of up to 8, 16, 32 and 64 bits have the signed or
unsigned type of that width (`i4` is int8, `i48` is int64), `i1` is bool, `bf16` and the 8-bit floats are
those of `ml_dtypes`, also for 4-bit floats, one a byte. In the file floats of up to 8 bits are stored as their
bits (U8), complex numbers as pairs of floats along the last dimension.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from weakref import WeakValueDictionary

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file  # pyright: ignore[reportUnknownVariableType] (PathLike is bare in it)
from xdsl.dialects.builtin import (
    BytesAttr,
    ComplexType,
    DenseIntOrFPElementsAttr,
    IndexType,
    IntegerType,
    Signedness,
    TensorType,
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
)
from xdsl.ir import Attribute, Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from intaglio.errors import UserError
from intaglio.files import replacing

INLINE_LIMIT = 100
"""Constants of more elements than this are `#nn.weights`; smaller ones are `dense<...>` in the text."""

Array = np.ndarray[Any, np.dtype[Any]]

_DIGEST = re.compile(r"[0-9a-f]{32}")
_DTYPES: dict[Attribute, np.dtype[Any]] = {
    f64: np.dtype(np.float64),
    f32: np.dtype(np.float32),
    f16: np.dtype(np.float16),
    bf16: np.dtype(ml_dtypes.bfloat16),
    f8E4M3FN: np.dtype(ml_dtypes.float8_e4m3fn),
    f8E5M2: np.dtype(ml_dtypes.float8_e5m2),
    f8E4M3FNUZ: np.dtype(ml_dtypes.float8_e4m3fnuz),
    f8E5M2FNUZ: np.dtype(ml_dtypes.float8_e5m2fnuz),
    f8E8M0FNU: np.dtype(ml_dtypes.float8_e8m0fnu),
    f4E2M1FN: np.dtype(ml_dtypes.float4_e2m1fn),
    ComplexType(f32): np.dtype(np.complex64),
    ComplexType(f64): np.dtype(np.complex128),
}
_STORED_AS: dict[np.dtype[Any], np.dtype[Any]] = {
    **{dtype: np.dtype(np.uint8) for dtype in _DTYPES.values() if dtype.itemsize == 1},
    np.dtype(np.complex64): np.dtype(np.float32),
    np.dtype(np.complex128): np.dtype(np.float64),
}
"""What arrays are viewed as in the file, for dtypes that the format does not have."""


def dtype_of(element_type: Attribute) -> np.dtype[Any]:
    """Return the dtype of arrays that hold elements of `element_type`.

    Raises:
        UserError: no array holds this type (a quantized type has its storage type's arrays instead).
    """
    if (dtype := _DTYPES.get(element_type)) is not None:
        return dtype
    if isinstance(element_type, IndexType):
        return np.dtype(np.int64)
    if isa(element_type, IntegerType) and 0 < (width := element_type.bitwidth) <= 64:
        if width == 1:
            return np.dtype(np.bool_)
        kind = "u" if element_type.signedness.data == Signedness.UNSIGNED else "i"
        return np.dtype(f"{kind}{next(size for size in (1, 2, 4, 8) if width <= 8 * size)}")
    raise UserError(f"constants of element type {element_type} are not supported")


def element_type_of(dtype: np.dtype[Any]) -> Attribute:
    """Return the element type of an array: signless for signed integers, `i1` for bool.

    Raises:
        UserError: the dtype has no element type (strings, objects).
    """
    for element_type, known in _DTYPES.items():
        if known == dtype:
            return element_type
    if dtype == np.bool_:
        return IntegerType(1)
    if dtype.kind == "i":
        return IntegerType(8 * dtype.itemsize)
    if dtype.kind == "u":
        return IntegerType(8 * dtype.itemsize, Signedness.UNSIGNED)
    raise UserError(f"arrays of dtype {dtype} cannot be constants")


def _in_bytes(array: Array) -> bool:
    base: object = array
    while isinstance(base, np.ndarray):
        base = cast("object", base.base)
    return isinstance(base, bytes)


def _fills(element_type: Attribute, dtype: np.dtype[Any]) -> bool:
    """Whether every value of a dtype is one of the element type."""
    return not isa(element_type, IntegerType) or element_type.bitwidth == 8 * dtype.itemsize


def _digest(array: Array) -> str:
    digest = hashlib.blake2b(f"{array.dtype.name}{list(array.shape)}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _converted(array: Array, element_type: Attribute) -> Array:
    """Return `array` in the dtype of `element_type`, C-ordered and read-only, checking integer ranges.

    It is a copy unless the array lies in a `bytes` object, which nobody can change.
    """
    dtype = dtype_of(element_type)
    if array.dtype == dtype and array.flags.c_contiguous and _in_bytes(array) and _fills(element_type, dtype):
        return array
    if isa(element_type, IntegerType) and element_type.bitwidth > 1 and array.size:
        if array.dtype.kind not in "iub":
            raise UserError(f"{array.dtype} values cannot be stored as {element_type}")
        signed = element_type.signedness.data != Signedness.UNSIGNED
        width = element_type.bitwidth
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
        if int(array.min()) < low or int(array.max()) > high:
            raise UserError(f"values from {array.min()} to {array.max()} do not fit {element_type} ({low} to {high})")
    copy = np.array(array, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True)
class Weights:
    """What a `#nn.weights` attribute holds; compared by `digest` and `type` alone."""

    digest: str
    """32 hexadecimal digits: blake2b-128 of the dtype's name, the shape and the little-endian bytes."""

    type: TensorType[Attribute]
    """Static shape, integer or float element type."""

    key: str = field(compare=False)
    """A name for people, as a rule the tensor's name in the ONNX model."""

    values: Array | None = field(default=None, compare=False, repr=False)
    """The values when they are in memory."""


@irdl_attr_definition
class WeightsAttr(Data[Weights]):
    """A constant tensor by digest: `#nn.weights<"key", "digest"> : tensor<16x3x3x1xf32>`."""

    name = "nn.weights"

    @staticmethod
    def from_array(key: str, array: Array, element_type: Attribute | None = None) -> WeightsAttr:
        """Make the attribute of an array.

        Args:
            key: a name for people; any text.
            array: the values; copied if anybody could change them.
            element_type: the type of an element; by default that of the array's dtype.

        Raises:
            UserError: the values do not fit the element type.
        """
        if element_type is None:
            element_type = element_type_of(array.dtype)
        values = _converted(array, element_type)
        digest = _digest(values)
        values = _LOADED.setdefault(digest, values)
        return WeightsAttr(Weights(digest, TensorType(element_type, values.shape), key, values))

    @property
    def key(self) -> str:
        """The name for people."""
        return self.data.key

    @property
    def digest(self) -> str:
        """The 32 hexadecimal digits of the values' digest."""
        return self.data.digest

    @property
    def type(self) -> TensorType[Attribute]:
        """The tensor type."""
        return self.data.type

    def get_type(self) -> TensorType[Attribute]:
        """Return the tensor type, under the name that xDSL's typed attributes have it."""
        return self.data.type

    def array(self) -> Array:
        """Return the values, read-only, from memory or from a registered file.

        Raises:
            UserError: no registered file has the values, or what the file has is something else.
        """
        if self.data.values is not None:
            return self.data.values
        if (values := _LOADED.get(self.digest)) is None:
            values = _load(self)
            _LOADED[self.digest] = values
        return values

    def is_available(self) -> bool:
        """Return whether the values are in memory or a registered file claims to have them."""
        return self.data.values is not None or self.digest in _LOADED or self.digest in _FILES

    def verify(self) -> None:
        """Check the digest's form and that the type is a static tensor of storable elements."""
        if not _DIGEST.fullmatch(self.digest):
            raise VerifyException(f"expected a digest of 32 hexadecimal digits, got {self.digest[:40]!r}")
        if not self.type.has_static_shape():
            raise VerifyException(f"weights need a static shape, got {self.type}")
        try:
            dtype_of(self.type.element_type)
        except UserError as error:
            raise VerifyException(error.what) from error

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Weights:
        """Parse `<"key", "digest"> : type`."""
        with parser.in_angle_brackets():
            key = parser.parse_str_literal(" for the key of weights")
            parser.parse_punctuation(",", " between key and digest of weights")
            digest = parser.parse_str_literal(" for the digest of weights")
        parser.parse_punctuation(":", " before the type of weights")
        start = parser.pos
        tensor_type = parser.parse_type()
        if not isinstance(tensor_type, TensorType):
            parser.raise_error(f"weights need a tensor type, got {tensor_type}", start, parser.pos)
        return Weights(digest, cast(TensorType[Attribute], tensor_type), key)

    def print_parameter(self, printer: Printer) -> None:
        """Print `<"key", "digest"> : type`."""
        with printer.in_angle_brackets():
            printer.print_string_literal(self.key)
            printer.print_string(f', "{self.digest}"')
        printer.print_string(" : ")
        printer.print_attribute(self.type)


Constant = WeightsAttr | DenseIntOrFPElementsAttr
"""The two forms of a constant tensor."""


def constant_attr(key: str, array: Array, element_type: Attribute | None = None) -> Constant:
    """Return the attribute of a constant: `dense` for up to 100 elements, `#nn.weights` above.

    Raises:
        UserError: the values do not fit the element type.
    """
    if array.size > INLINE_LIMIT:
        return WeightsAttr.from_array(key, array, element_type)
    return dense_attr(array, element_type)


def dense_attr(array: Array, element_type: Attribute | None = None) -> DenseIntOrFPElementsAttr:
    """Return the `dense` attribute of an array of any size.

    Raises:
        UserError: the values do not fit the element type.
    """
    if element_type is None:
        element_type = element_type_of(array.dtype)
    values = _converted(array, element_type)
    if values.dtype == np.bool_:
        # xDSL normalises a signless true to -1, and attributes are compared by their bytes.
        values = -values.astype(np.int8)
    tensor_type: TensorType[Any] = TensorType(element_type, array.shape)
    return DenseIntOrFPElementsAttr(tensor_type, BytesAttr(values.tobytes()))


def array_of(attribute: Attribute) -> Array:
    """Return the values of a constant attribute in either form, read-only, in the shape of its type.

    Raises:
        UserError: it is no constant, or its values are not available.
    """
    if isinstance(attribute, WeightsAttr):
        return attribute.array()
    if not isinstance(attribute, DenseIntOrFPElementsAttr):
        raise UserError(f"expected a constant, got {attribute}")
    dense = cast("DenseIntOrFPElementsAttr[Any]", attribute)
    element_type: Attribute = dense.get_element_type()
    shape = dense.get_shape()
    dtype = dtype_of(element_type)
    values: Array
    if dtype == np.bool_:
        values = np.frombuffer(dense.data.data, dtype=np.int8) != 0
    else:
        values = np.frombuffer(dense.data.data, dtype=dtype)
    if values.size == 1 and math.prod(shape) != 1:
        return np.broadcast_to(values, shape)
    values = values.reshape(shape)
    values.setflags(write=False)
    return values


_FILES: dict[str, dict[Path, None]] = {}
"""Digest -> files that have it, oldest first. Process-wide, which is safe: a digest has one content."""

_MISSING: dict[Path, None] = {}
"""Files that modules named but that were not there."""

_LOADED: WeakValueDictionary[str, Array] = WeakValueDictionary()


def register_weights_file(path: str | Path, *, required: bool = True) -> None:
    """Make the values of a safetensors file available to every `#nn.weights` with its digests.

    Args:
        path: the file.
        required: whether its absence is an error now or only when somebody asks for a value.

    Raises:
        UserError: the file is absent although required, or is not a safetensors file.
    """
    path = Path(path).absolute()
    if not required and not path.exists():
        _MISSING[path] = None
        return
    for digest in _digests_in(path):
        paths = _FILES.setdefault(digest, {})
        paths.pop(path, None)
        paths[path] = None


def write_weights_file(path: str | Path, constants: Iterable[WeightsAttr]) -> int:
    """Add the constants that a safetensors file does not have yet, and register it.

    The file is replaced in one step, and untouched when nothing is missing. Its bytes depend on the set of
    constants only.

    Args:
        path: the file; created if absent.
        constants: what it must hold afterwards.

    Returns:
        The number of constants added.

    Raises:
        UserError: values are not available, the existing file is damaged, or it cannot be written.
    """
    path = Path(path).absolute()
    present = set(_digests_in(path)) if path.exists() else set[str]()
    missing = {constant.digest: constant for constant in constants if constant.digest not in present}
    if missing:
        stored = {digest: _as_stored(constant.array()) for digest, constant in missing.items()}
        if present:
            with _opened(path) as file:
                stored.update({digest: file.get_tensor(digest) for digest in present})
        with replacing(path) as temporary:
            save_file(dict(sorted(stored.items())), temporary)
    if path.exists():
        register_weights_file(path)
    return len(missing)


def _as_stored(array: Array) -> Array:
    """Return the array as it is in the file."""
    return array.view(_STORED_AS.get(array.dtype, array.dtype))


def _opened(path: Path) -> Any:
    """Open a safetensors file; the library checks sizes and offsets of its header before anything else."""
    try:
        return safe_open(path, framework="np")
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"cannot read weights: {error}", where=str(path), hint="the file is absent, damaged or no safetensors"
        ) from error


def _digests_in(path: Path) -> list[str]:
    with _opened(path) as file:
        return [key for key in file.keys() if _DIGEST.fullmatch(key)]  # noqa: SIM118 (not a mapping)


def _load(attribute: WeightsAttr) -> Array:
    dtype = dtype_of(attribute.type.element_type)
    shape = attribute.type.get_shape()
    for path in reversed(_FILES.get(attribute.digest, {})):
        if not path.exists():
            continue
        with _opened(path) as file:
            try:
                stored: Array = file.get_tensor(attribute.digest)
            except SafetensorError:
                continue
        if stored.dtype == _STORED_AS.get(dtype):
            stored = stored.view(dtype)
        if stored.dtype != dtype or stored.shape != shape or _digest(stored) != attribute.digest:
            raise UserError(
                f'weights "{attribute.key}" in the file ({stored.dtype}, shape {list(stored.shape)}) are not those '
                f"of digest {attribute.digest} ({attribute.type})",
                where=str(path),
                hint="the file is damaged; compile again from an earlier phase",
            )
        stored.setflags(write=False)
        return stored
    absent = ", ".join(str(path) for path in [*_MISSING, *_FILES.get(attribute.digest, {})] if not path.exists())
    raise UserError(
        f'the values of weights "{attribute.key}" ({attribute.digest}) are not available',
        hint=f"{absent} is missing" if absent else "name the safetensors file with --weights",
    )

"""Types and attributes of ONNX that the builtin dialect has no words for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from xdsl.dialects.builtin import (
    ArrayAttr,
    BytesAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    NoneType,
    StringAttr,
    TensorType,
    UnrankedTensorType,
    f32,
    i64,
)
from xdsl.ir import Attribute, Data, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from intaglio.dialects.weights import WeightsAttr

UNKNOWN_TYPE = UnrankedTensorType(NoneType())
"""Type of a value about which shape inference found nothing: `tensor<*xnone>`."""


@irdl_attr_definition
class StringType(ParametrizedAttribute, TypeAttribute):
    """Element type of string tensors: `tensor<2x!onnx.string>`."""

    name = "onnx.string"


@irdl_attr_definition
class SequenceType(ParametrizedAttribute, TypeAttribute):
    """A list of values of one type: `!onnx.sequence<tensor<*xf32>>`."""

    name = "onnx.sequence"
    element_type: TypeAttribute = param_def()


@irdl_attr_definition
class OptionalType(ParametrizedAttribute, TypeAttribute):
    """A value that may be absent: `!onnx.optional<tensor<2xf32>>`."""

    name = "onnx.optional"
    element_type: TypeAttribute = param_def()


@irdl_attr_definition
class MapType(ParametrizedAttribute, TypeAttribute):
    """A dictionary: `!onnx.map<i64, tensor<f32>>`."""

    name = "onnx.map"
    key_type: TypeAttribute = param_def()
    value_type: TypeAttribute = param_def()


@irdl_attr_definition
class OctetsAttr(Data[bytes]):
    """An ONNX string attribute that is not UTF-8, in hexadecimal: `#onnx.octets<"00ff">`."""

    name = "onnx.octets"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> bytes:
        """Parse `<"hexadecimal digits">`."""
        with parser.in_angle_brackets():
            start = parser.pos
            digits = parser.parse_str_literal(" of hexadecimal digits")
            try:
                return bytes.fromhex(digits)
            except ValueError:
                parser.raise_error("expected an even number of hexadecimal digits", start, parser.pos)

    def print_parameter(self, printer: Printer) -> None:
        """Print `<"hexadecimal digits">`."""
        with printer.in_angle_brackets():
            printer.print_string_literal(self.data.hex())


@irdl_attr_definition
class StringsAttr(ParametrizedAttribute):
    """A constant string tensor: `#onnx.strings<["a", "b"], tensor<2x!onnx.string>>`, row-major."""

    name = "onnx.strings"
    values: ArrayAttr[StringAttr | OctetsAttr] = param_def()
    type: TensorType[Attribute] = param_def()

    def verify(self) -> None:
        """Check that there are as many strings as the shape says."""
        if math.prod(self.type.get_shape()) != len(self.values):
            raise VerifyException(f"{len(self.values)} strings do not fill {self.type}")


@irdl_attr_definition
class SparseTensorAttr(ParametrizedAttribute):
    """A constant sparse tensor (ONNX `SparseTensorProto`).

    `values` and `indices` are constants, of shapes `[NNZ]` and `[NNZ]` (row-major) or `[NNZ, rank]`; `shape` is
    that of the dense tensor. Text: `#onnx.sparse<dense<...> : tensor<...>, dense<...> : tensor<...>, array<i64: 2, 3>>`.
    """

    name = "onnx.sparse"
    values: Attribute = param_def()
    indices: Attribute = param_def()
    shape: DenseArrayBase = param_def()

    def dense_type(self) -> TensorType[Attribute]:
        """Type of the tensor that it stands for."""
        return TensorType(constant_type(self.values).get_element_type(), ints_of(self.shape))


def constant_type(value: Attribute) -> TensorType[Attribute]:
    """Tensor type of a constant: `dense<...>`, `#nn.weights`, `#onnx.strings` or `#onnx.sparse`.

    Raises:
        VerifyException: the attribute is none of these.
    """
    if isinstance(value, SparseTensorAttr):
        return value.dense_type()
    if isinstance(value, WeightsAttr | StringsAttr):
        return value.type
    if isa(value, DenseIntOrFPElementsAttr) and isinstance(value.type, TensorType):
        return value.type
    raise VerifyException(f"expected a constant tensor, got {value}")


def ints_of(attribute: DenseArrayBase) -> list[int]:
    """The integers of an `array<i64: ...>`."""
    return np.frombuffer(attribute.data.data, "<i8").tolist()


def floats_of(attribute: DenseArrayBase) -> list[float]:
    """The floats of an `array<f32: ...>`, exactly."""
    return np.frombuffer(attribute.data.data, "<f4").tolist()


def ints_attr(values: Sequence[int]) -> DenseArrayBase:
    """`array<i64: ...>`, as ONNX integer lists are held."""
    return DenseArrayBase(i64, BytesAttr(np.asarray(values, "<i8").tobytes()))


def floats_attr(values: Iterable[float]) -> DenseArrayBase:
    """`array<f32: ...>`, as ONNX float lists are held."""
    return DenseArrayBase(f32, BytesAttr(np.asarray(list(values), "<f4").tobytes()))

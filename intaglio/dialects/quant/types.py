"""Quantized types, in the text and with the meaning of upstream MLIR's `quant` dialect.

A uniform quantized value stands for `scale * (stored - zero_point)`. Scales are doubles and compared bit for
bit; arithmetic on them is defined in `intaglio.numerics`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, cast

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import AnyFloat, ArrayAttr, BytesAttr, FloatAttr, IntAttr, NoneAttr, f64
from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.quant import formats, text
from intaglio.dialects.quant.formats import StorageType


class QuantizedType(ParametrizedAttribute, TypeAttribute, ABC):
    """Any type of the `quant` dialect."""

    @property
    @abstractmethod
    def expressed_type(self) -> AnyFloat | None:
        """The float type that values stand for; None only for `!quant.any` without one."""


@dataclass(frozen=True, init=False)
class StoredType(QuantizedType, ABC):
    """A quantized type that says how values are stored."""

    storage_type: StorageType
    storage_minimum: IntAttr
    storage_maximum: IntAttr

    @property
    def storage_min(self) -> int:
        """Smallest stored value."""
        return self.storage_minimum.data

    @property
    def storage_max(self) -> int:
        """Largest stored value."""
        return self.storage_maximum.data

    @property
    def is_signed(self) -> bool:
        """Whether stored values may be negative."""
        return formats.is_signed(self.storage_type)

    def verify(self) -> None:
        """Check storage type, storage range and expressed type."""
        formats.check_storage_type(self.storage_type)  # C1
        formats.check_storage_range(self.storage_type, self.storage_min, self.storage_max)  # C2
        if self.expressed_type is not None:
            formats.check_expressed_type(self.expressed_type)  # C3


def _bounds(storage_type: StorageType, minimum: int | None, maximum: int | None) -> tuple[IntAttr, IntAttr]:
    formats.check_storage_type(storage_type)
    low, high = formats.default_storage_range(storage_type)
    return IntAttr(low if minimum is None else minimum), IntAttr(high if maximum is None else maximum)


def _scale_bytes(scales: npt.ArrayLike) -> BytesAttr:
    return BytesAttr(np.asarray(scales, "<f8").tobytes())


def _zero_point_bytes(zero_points: npt.ArrayLike) -> BytesAttr:
    return BytesAttr(np.asarray(zero_points).astype("<i8", casting="same_kind").tobytes())


@dataclass(frozen=True, init=False)
class UniformType(StoredType, ABC):
    """`!quant.uniform`: per tensor, per axis or sub-channel, told apart by the text after the expressed type.

    Text: `!quant.uniform<STORAGE(<MIN:MAX>)?:EXPRESSED(:AXIS | :{AXIS:BLOCK, ...})?, PARAMETERS>`.

    Constraints:
        C1: storage is an integer of 1 to 64 bits, or one of the storage floats (`formats`).
        C2: the storage range is not empty and lies within the storage type.
        C3: the expressed type is a float.
        C4: there are as many zero points as scales, at least one; nested lists have one shape at each level.
        C5: every scale is positive, finite and in the range of the expressed type.
        C6: every zero point lies in the storage range (upstream accepts any).
        C7: axes are not negative and not repeated.
        C8: block sizes are positive.

    Source: MLIR `QuantTypes.cpp`, `TypeParser.cpp`.
    """

    name = "quant.uniform"

    expressed: AnyFloat
    scale_data: BytesAttr
    zero_point_data: BytesAttr

    @property
    def expressed_type(self) -> AnyFloat:
        """The float type that values stand for."""
        return self.expressed

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """Shape of `scales` and `zero_points`: `()` per tensor, `(channels,)` per axis."""
        return ()

    @property
    def scales(self) -> npt.NDArray[np.float64]:
        """Scales, f64 of `parameter_shape`, read-only."""
        return np.frombuffer(self.scale_data.data, "<f8").reshape(self.parameter_shape)

    @property
    def zero_points(self) -> npt.NDArray[np.int64]:
        """Zero points, i64 of `parameter_shape`, read-only."""
        return np.frombuffer(self.zero_point_data.data, "<i8").reshape(self.parameter_shape)

    def broadcast_parameters(self, shape: Sequence[int]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Scales and zero points that broadcast against a tensor of `shape`.

        Args:
            shape: static shape of a tensor that may hold this type (see `check_container`).
        """
        return self.scales, self.zero_points

    def verify(self) -> None:
        """Check storage, expressed type and parameters."""
        super().verify()
        # C4
        count = int(np.prod(self.parameter_shape))
        if not count or not len(self.scale_data.data) == len(self.zero_point_data.data) == 8 * count:
            raise VerifyException(
                f"illegal number of scales and zero points: {len(self.scale_data.data) // 8}, "
                f"{len(self.zero_point_data.data) // 8}, expected {count} of each"
            )
        formats.check_scales(self.scales.reshape(-1), self.expressed)  # C5
        formats.check_zero_points(self.zero_points.reshape(-1), self.storage_min, self.storage_max)  # C6

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        """Parse whichever of the three kinds the text has; the one element returned is the whole type."""
        start = parser.pos
        parsed = text.parse_uniform(parser)
        with text.errors_from(parser, start):
            return [_from_text(parsed)]

    @classmethod
    def new(cls, params: Sequence[Attribute]) -> Self:
        """The type from its parameters, or from what `parse_parameters` returned.

        The three kinds share one name in the text, and xDSL looks up one class by name.
        """
        if cls is UniformType:
            (parsed,) = params
            return cast(Self, parsed)
        return super().new(params)

    def print_parameters(self, printer: Printer) -> None:
        """Print in upstream's form."""
        printer.print_string("<")
        text.print_storage(printer, self.storage_type, self.storage_min, self.storage_max)
        printer.print_string(":")
        printer.print_attribute(self.expressed)
        self._print_layout(printer)
        printer.print_string(">")

    @abstractmethod
    def _print_layout(self, printer: Printer) -> None: ...


@irdl_attr_definition
class UniformQuantizedType(UniformType):
    """One scale and zero point for the whole tensor: `!quant.uniform<i8:f32, 0.05:3>`."""

    def __init__(
        self,
        storage_type: StorageType,
        expressed_type: AnyFloat,
        scale: float,
        zero_point: int = 0,
        storage_min: int | None = None,
        storage_max: int | None = None,
    ) -> None:
        bounds = _bounds(storage_type, storage_min, storage_max)
        super().__init__(storage_type, *bounds, expressed_type, _scale_bytes(scale), _zero_point_bytes(zero_point))

    @property
    def scale(self) -> float:
        """The real value of one step."""
        return float(self.scales)

    @property
    def zero_point(self) -> int:
        """The stored value that stands for real zero."""
        return int(self.zero_points)

    def _print_layout(self, printer: Printer) -> None:
        printer.print_string(", ")
        text.print_parameters(printer, self.scales, self.zero_points, ",")


@irdl_attr_definition
class UniformQuantizedPerAxisType(UniformType):
    """A scale and zero point for each index of one axis: `!quant.uniform<i8<-127:127>:f32:0, {0.1,0.2:1}>`."""

    axis_index: IntAttr

    def __init__(
        self,
        storage_type: StorageType,
        expressed_type: AnyFloat,
        axis: int,
        scales: npt.ArrayLike,
        zero_points: npt.ArrayLike | None = None,
        storage_min: int | None = None,
        storage_max: int | None = None,
    ) -> None:
        bounds = _bounds(storage_type, storage_min, storage_max)
        if zero_points is None:
            zero_points = np.zeros(np.shape(scales), np.int64)
        super().__init__(
            storage_type,
            *bounds,
            expressed_type,
            _scale_bytes(scales),
            _zero_point_bytes(zero_points),
            IntAttr(axis),
        )

    @property
    def axis(self) -> int:
        """The axis of the tensor along which parameters differ."""
        return self.axis_index.data

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """`(channels,)`."""
        return (len(self.scale_data.data) // 8,)

    def broadcast_parameters(self, shape: Sequence[int]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Scales and zero points as arrays of rank `len(shape)`, of length 1 on all axes but `axis`."""
        along = tuple(-1 if index == self.axis else 1 for index in range(len(shape)))
        return self.scales.reshape(along), self.zero_points.reshape(along)

    def verify(self) -> None:
        """Check the axis besides what every uniform type checks."""
        if self.axis < 0:  # C7
            raise VerifyException(f"illegal quantized dimension: {self.axis}")
        super().verify()

    def _print_layout(self, printer: Printer) -> None:
        printer.print_string(f":{self.axis}, ")
        text.print_parameters(printer, self.scales, self.zero_points, ",")


@irdl_attr_definition
class UniformQuantizedSubChannelType(UniformType):
    """Parameters for each block of a tensor.

    `!quant.uniform<i8:f32:{0:1, 1:2}, {{1.0, 2.0}, {1.0:3, 2.0}}>` has blocks of 1 x 2 elements in a `2x4`
    tensor. Scales are rounded to the expressed type, as upstream keeps them.
    """

    axes: ArrayAttr[IntAttr]
    blocks: ArrayAttr[IntAttr]
    shape: ArrayAttr[IntAttr]

    def __init__(
        self,
        storage_type: StorageType,
        expressed_type: AnyFloat,
        block_sizes: Mapping[int, int],
        scales: npt.ArrayLike,
        zero_points: npt.ArrayLike | None = None,
        storage_min: int | None = None,
        storage_max: int | None = None,
    ) -> None:
        bounds = _bounds(storage_type, storage_min, storage_max)
        formats.check_expressed_type(expressed_type)
        rounded = formats.round_to_expressed(np.asarray(scales, np.float64), expressed_type)
        if zero_points is None:
            zero_points = np.zeros(rounded.shape, np.int64)
        super().__init__(
            storage_type,
            *bounds,
            expressed_type,
            _scale_bytes(rounded),
            _zero_point_bytes(zero_points),
            ArrayAttr(IntAttr(axis) for axis in block_sizes),
            ArrayAttr(IntAttr(size) for size in block_sizes.values()),
            ArrayAttr(IntAttr(size) for size in rounded.shape),
        )

    @property
    def block_sizes(self) -> dict[int, int]:
        """Block size by quantized axis, in the order of the text; an axis not in it is one block."""
        pairs = zip(self.axes.data, self.blocks.data, strict=True)
        return {axis.data: size.data for axis, size in pairs}

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """Number of blocks along each axis of the tensor."""
        return tuple(size.data for size in self.shape.data)

    def broadcast_parameters(self, shape: Sequence[int]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Scales and zero points of rank `len(shape)`, repeated over their blocks."""
        scales, zero_points = self.scales, self.zero_points
        for axis, size in self.block_sizes.items():
            scales, zero_points = scales.repeat(size, axis), zero_points.repeat(size, axis)
        return scales, zero_points

    def verify(self) -> None:
        """Check axes and block sizes besides what every uniform type checks."""
        axes = [axis.data for axis in self.axes.data]
        if any(axis < 0 for axis in axes) or len(set(axes)) < len(axes):  # C7
            raise VerifyException(f"illegal quantized dimensions: {axes}")
        if any(size.data < 1 for size in self.blocks.data):  # C8
            raise VerifyException(f"illegal block sizes: {list(self.block_sizes.values())}")
        if not self.parameter_shape:  # C4
            raise VerifyException("sub-channel scales must have at least one dimension")
        super().verify()

    def _print_layout(self, printer: Printer) -> None:
        blocks = ", ".join(f"{axis}:{size}" for axis, size in self.block_sizes.items())
        printer.print_string(f":{{{blocks}}}, ")
        text.print_parameters(printer, self.scales, self.zero_points, ", ")


def _from_text(parsed: text.UniformText) -> UniformType:
    storage = parsed.storage
    bounds = storage.minimum, storage.maximum
    if parsed.layout is None:
        scale, zero_point = float(parsed.scales), int(parsed.zero_points)
        return UniformQuantizedType(storage.type, parsed.expressed, scale, zero_point, *bounds)
    if isinstance(parsed.layout, int):
        return UniformQuantizedPerAxisType(
            storage.type, parsed.expressed, parsed.layout, parsed.scales, parsed.zero_points, *bounds
        )
    return UniformQuantizedSubChannelType(
        storage.type, parsed.expressed, parsed.layout, parsed.scales, parsed.zero_points, *bounds
    )


@irdl_attr_definition
class AnyQuantizedType(StoredType):
    """Quantized in some way that is not uniform or not known: `!quant.any<i8<-8:7>:f32>`, `!quant.any<u8>`.

    Constraints:
        C1: storage is an integer of 1 to 64 bits, or one of the storage floats (`formats`).
        C2: the storage range is not empty and lies within the storage type.
        C3: the expressed type, if any, is a float.

    Source: MLIR `QuantTypes.cpp`, `TypeParser.cpp`.
    """

    name = "quant.any"

    expressed: AnyFloat | NoneAttr

    def __init__(
        self,
        storage_type: StorageType,
        expressed_type: AnyFloat | None = None,
        storage_min: int | None = None,
        storage_max: int | None = None,
    ) -> None:
        bounds = _bounds(storage_type, storage_min, storage_max)
        super().__init__(storage_type, *bounds, NoneAttr() if expressed_type is None else expressed_type)

    @property
    def expressed_type(self) -> AnyFloat | None:
        """The float type that values stand for, when the type says."""
        return None if isinstance(self.expressed, NoneAttr) else self.expressed

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        """Parse `<storage(:expressed)?>`."""
        with parser.in_angle_brackets():
            storage = text.parse_storage(parser)
            expressed: Attribute = NoneAttr()
            if parser.parse_optional_punctuation(":") is not None:
                expressed = text.parse_expressed(parser)
        return [storage.type, IntAttr(storage.minimum), IntAttr(storage.maximum), expressed]

    def print_parameters(self, printer: Printer) -> None:
        """Print in upstream's form."""
        with printer.in_angle_brackets():
            text.print_storage(printer, self.storage_type, self.storage_min, self.storage_max)
            if self.expressed_type is not None:
                printer.print_string(":")
                printer.print_attribute(self.expressed_type)


@irdl_attr_definition
class CalibratedQuantizedType(QuantizedType):
    """A float value known to lie in a range: `!quant.calibrated<f32<-0.998:1.2321>>`.

    Constraints:
        C1: the expressed type is a float.
        C2: the range is finite and not empty.

    Source: MLIR `QuantTypes.cpp`, `TypeParser.cpp`.
    """

    name = "quant.calibrated"

    expressed: AnyFloat
    minimum: FloatAttr
    maximum: FloatAttr

    def __init__(self, expressed_type: AnyFloat, minimum: float, maximum: float) -> None:
        super().__init__(expressed_type, FloatAttr(minimum, f64), FloatAttr(maximum, f64))

    @property
    def expressed_type(self) -> AnyFloat:
        """The float type of the values."""
        return self.expressed

    @property
    def min(self) -> float:
        """Smallest value seen."""
        return self.minimum.value.data

    @property
    def max(self) -> float:
        """Largest value seen."""
        return self.maximum.value.data

    def verify(self) -> None:
        """Check the expressed type and that the range is finite and not empty."""
        formats.check_expressed_type(self.expressed)  # C1
        if not (np.isfinite(self.min) and np.isfinite(self.max) and self.min < self.max):  # C2
            raise VerifyException(f"illegal min and max: ({self.min}:{self.max})")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        """Parse `<expressed<min:max>>`."""
        with parser.in_angle_brackets():
            expressed = text.parse_expressed(parser)
            with parser.in_angle_brackets():
                start = parser.pos
                low = text.parse_float(parser)
                parser.parse_punctuation(":")
                high = text.parse_float(parser)
                if not low < high:
                    parser.raise_error(f"illegal min and max: ({low}:{high})", start, parser.pos)
        return [expressed, FloatAttr(low, f64), FloatAttr(high, f64)]

    def print_parameters(self, printer: Printer) -> None:
        """Print in upstream's form."""
        with printer.in_angle_brackets():
            printer.print_attribute(self.expressed)
            printer.print_string(f"<{text.float_text(self.min)}:{text.float_text(self.max)}>")

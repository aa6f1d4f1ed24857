"""Descriptions of data and of its layout that tasks of the `npu` dialect carry; all lengths are in bytes.

Each is a frozen dataclass of integers, and an attribute whose text lists its fields by name:
`<offset 0, row_stride 64, column_stride 16>`. The quantities are those of `docs/accelerator.md`; addresses are
offsets into a buffer here.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from typing import ClassVar, Generic, TypeVar

from xdsl.ir import Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

Fields = TypeVar("Fields")


@dataclass(frozen=True)
class FeatureMap:
    """A feature map as the address generators see it: rows of bytes, `pad` outside."""

    offset: int
    """Byte of the buffer where row 0 starts."""
    rows: int
    """Valid rows."""
    row_bytes: int
    """Valid bytes in a row."""
    row_stride: int
    """Bytes from a row to the next; 0 repeats one row."""
    pad: int
    """The stored value outside, -128 to 127; of two-byte elements the high byte, the low one is 0."""
    element_bytes: int = 1
    """Bytes of an element."""


@dataclass(frozen=True)
class Grid:
    """Output positions of a task, or the taps of its kernel."""

    rows: int
    columns: int
    step_y: int
    """Input rows from a row of the grid to the next."""
    step_x: int
    """Input bytes from a column of the grid to the next."""

    @property
    def size(self) -> int:
        """Number of positions or taps."""
        return self.rows * self.columns


@dataclass(frozen=True)
class Origin:
    """Where the first output position's first tap reads; may lie in the padding."""

    y0: int
    """Input row."""
    x0: int
    """Byte within the row."""


@dataclass(frozen=True)
class WeightTiles:
    """Weight tiles of the matrix unit, one for each tap."""

    offset: int
    """Byte of the buffer where the first tap's tile starts."""
    tap_stride: int
    """Bytes from a tap's tile to the next."""
    row_stride: int
    """Bytes from a row of a tile to the next."""
    element_bytes: int = 1
    """Bytes of a weight."""
    packed: int = 0
    """1 if weights have 4 bits, two in a byte."""
    zero_point: int = 0
    """Subtracted from weights."""
    input_zero_point: int = 0
    """Subtracted from what is read of the input, padding included."""
    bfloat16: int = 0
    """1 if values and weights are bfloat16, and sums float32."""


@dataclass(frozen=True)
class TapWeights:
    """Weights of a depthwise convolution, one a channel for each tap."""

    offset: int
    """Byte of the buffer where the first tap's first channel is."""
    tap_stride: int
    """Bytes from a tap to the next."""
    element_bytes: int = 1
    """Bytes of a weight."""


@dataclass(frozen=True)
class Placement:
    """Where results are written: channels are contiguous."""

    offset: int
    """Byte of the buffer for the first position's first channel."""
    row_stride: int
    """Bytes between output rows."""
    column_stride: int
    """Bytes between output positions in a row."""
    element_bytes: int = 1
    """Bytes of a result."""


@dataclass(frozen=True)
class Operand:
    """Where the second operand of an elementwise task is; a stride of 0 broadcasts."""

    offset: int
    """Byte of the buffer for the first position and channel."""
    row_stride: int
    """Bytes between output rows."""
    column_stride: int
    """Bytes between output positions in a row."""
    channel_stride: int
    """1, or 0 to use one element for all channels."""
    element_bytes: int = 1
    """Bytes of an element."""


@dataclass(frozen=True)
class Scale:
    """A scale in integers, as `intaglio.numerics.requantization` computes it, and a zero point."""

    multiplier: int
    shift: int
    zero_point: int


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest stored result."""

    low: int
    high: int


@dataclass(frozen=True)
class Transfer:
    """A contiguous run of bytes, repeated by three loops, the innermost first; a count of 1 is no loop."""

    source_offset: int
    target_offset: int
    run: int
    count0: int = 1
    source_stride0: int = 0
    target_stride0: int = 0
    count1: int = 1
    source_stride1: int = 0
    target_stride1: int = 0
    count2: int = 1
    source_stride2: int = 0
    target_stride2: int = 0

    @cached_property
    def loops(self) -> tuple[tuple[int, int, int], ...]:
        """Count, source stride and target stride of each loop, the innermost first."""
        return (
            (self.count0, self.source_stride0, self.target_stride0),
            (self.count1, self.source_stride1, self.target_stride1),
            (self.count2, self.source_stride2, self.target_stride2),
        )

    @property
    def bytes(self) -> int:
        """Bytes moved."""
        return self.run * self.count0 * self.count1 * self.count2


class FieldsAttr(Data[Fields], ABC, Generic[Fields]):
    """Base of attributes over a dataclass of integers; fields equal to their default are left out of the text."""

    kind: ClassVar[type]

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Fields:
        """Parse `<name value, ...>` with the fields in any order."""
        known = {field.name for field in fields(cls.kind)}
        found: dict[str, int] = {}
        start = parser.pos

        def parse_field() -> None:
            position = parser.pos
            name = parser.parse_identifier()
            if name not in known or name in found:
                problem = "twice" if name in found else f"unknown: fields are {', '.join(sorted(known))}"
                parser.raise_error(f"field {name} is {problem}", position, parser.pos)
            found[name] = parser.parse_integer(allow_boolean=False)

        parser.parse_comma_separated_list(parser.Delimiter.ANGLE, parse_field)
        try:
            return cls.kind(**found)
        except TypeError:
            required = [field.name for field in fields(cls.kind) if not hasattr(cls.kind, field.name)]
            missing = ", ".join(name for name in required if name not in found)
            parser.raise_error(f"missing fields: {missing}", start, parser.pos)

    def print_parameter(self, printer: Printer) -> None:
        """Print `<name value, ...>`."""
        shown: list[str] = []
        for field, value in zip(fields(self.kind), astuple(self.data), strict=True):  # pyright: ignore[reportArgumentType]  # every `kind` is a dataclass
            if not hasattr(self.kind, field.name) or value != getattr(self.kind, field.name):
                shown.append(f"{field.name} {value}")
        printer.print_string(f"<{', '.join(shown)}>")


@irdl_attr_definition
class FeatureMapAttr(FieldsAttr[FeatureMap]):
    """`#npu.map<offset 0, rows 28, row_bytes 84, row_stride 84, pad -3>`."""

    name = "npu.map"
    kind = FeatureMap


@irdl_attr_definition
class GridAttr(FieldsAttr[Grid]):
    """`#npu.grid<rows 28, columns 28, step_y 1, step_x 3>`."""

    name = "npu.grid"
    kind = Grid


@irdl_attr_definition
class OriginAttr(FieldsAttr[Origin]):
    """`#npu.origin<y0 -1, x0 -3>`."""

    name = "npu.origin"
    kind = Origin


@irdl_attr_definition
class WeightTilesAttr(FieldsAttr[WeightTiles]):
    """`#npu.weight_tiles<offset 0, tap_stride 144, row_stride 16>`."""

    name = "npu.weight_tiles"
    kind = WeightTiles


@irdl_attr_definition
class TapWeightsAttr(FieldsAttr[TapWeights]):
    """`#npu.tap_weights<offset 0, tap_stride 16>`."""

    name = "npu.tap_weights"
    kind = TapWeights


@irdl_attr_definition
class PlacementAttr(FieldsAttr[Placement]):
    """`#npu.placement<offset 0, row_stride 448, column_stride 16>`."""

    name = "npu.placement"
    kind = Placement


@irdl_attr_definition
class OperandAttr(FieldsAttr[Operand]):
    """`#npu.operand<offset 0, row_stride 448, column_stride 16, channel_stride 1>`."""

    name = "npu.operand"
    kind = Operand


@irdl_attr_definition
class ScaleAttr(FieldsAttr[Scale]):
    """`#npu.scale<multiplier 1073741824, shift 30, zero_point 3>`."""

    name = "npu.scale"
    kind = Scale


@irdl_attr_definition
class BoundsAttr(FieldsAttr[Bounds]):
    """`#npu.bounds<low -128, high 127>`."""

    name = "npu.bounds"
    kind = Bounds


@irdl_attr_definition
class TransferAttr(FieldsAttr[Transfer]):
    """`#npu.transfer<source_offset 0, target_offset 0, run 84>`."""

    name = "npu.transfer"
    kind = Transfer

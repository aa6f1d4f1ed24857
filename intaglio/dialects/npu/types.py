"""Types of the `npu` dialect: buffers in a memory, and tokens of finished tasks."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntAttr
from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from intaglio.compat import EnumAttribute, SpacedOpaqueSyntaxAttribute, StrEnum


class Space(StrEnum):
    """A memory, as a task sees it."""

    DRAM = "dram"
    """An input or output of the program, in a DRAM region of its own."""

    CONSTANTS = "constants"
    """DRAM region 0: weights, parameters and tables, read-only."""

    ARENA = "arena"
    """DRAM region 1: tensors that do not stay in the scratchpad."""

    SCRATCHPAD = "scratchpad"
    """The memory that the matrix and vector units work on."""


@irdl_attr_definition
class SpaceAttr(EnumAttribute[Space], SpacedOpaqueSyntaxAttribute):
    """A memory."""

    name = "npu.space"


@irdl_attr_definition
class BufferType(ParametrizedAttribute, TypeAttribute):
    """A run of bytes in a memory: `!npu.buffer<scratchpad, 4096>`; its address is assigned by `allocate-scratchpad`."""

    name = "npu.buffer"
    space_attr: SpaceAttr
    size_attr: IntAttr

    @classmethod
    def of(cls, space: Space, size: int) -> BufferType:
        """The type of a buffer of `size` bytes."""
        return cls(SpaceAttr(space), IntAttr(size))

    @property
    def space(self) -> Space:
        """The memory it lies in."""
        return self.space_attr.data

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.size_attr.data

    def verify(self) -> None:
        """Check the size."""
        if self.size < 1:
            raise VerifyException(f"a buffer holds at least one byte, got {self.size}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        """Parse `<space, bytes>`."""
        with parser.in_angle_brackets():
            space = parser.parse_str_enum(Space)
            parser.parse_punctuation(",")
            position = parser.pos
            size = parser.parse_integer(allow_boolean=False, allow_negative=False)
            if size < 1:
                parser.raise_error(f"a buffer holds at least one byte, got {size}", position, parser.pos)
        return [SpaceAttr(space), IntAttr(size)]

    def print_parameters(self, printer: Printer) -> None:
        """Print `<space, bytes>`."""
        printer.print_string(f"<{self.space.value}, {self.size}>")


@irdl_attr_definition
class TokenType(ParametrizedAttribute, TypeAttribute):
    """That a task has finished: `!npu.token`."""

    name = "npu.token"


TOKEN = TokenType()

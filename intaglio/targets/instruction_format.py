"""What the table of instructions is made of: queues, fields, instructions, and the fields that many have.

A word has 128 bits, little endian: `opcode` in bits 0-7, `wait` in 8-23, `signal` in 24-39, operands from bit 40
upwards in the order given here, the rest zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

WORD_BITS = 128
OPERAND_BITS = WORD_BITS - 40

BIAS_BYTES = 4
"""Bytes of one channel's bias of bfloat16 sums, a little-endian float32."""


class Queue(Enum):
    """The four in-order queues, and the sequencer that feeds them."""

    SEQUENCER = "sequencer"
    LOAD = "load"
    STORE = "store"
    MATRIX = "matrix"
    VECTOR = "vector"


@dataclass(frozen=True)
class Field:
    """An operand of an instruction.

    Args:
        name: its name in assembly and in the `isa` dialect.
        bits: its width.
        doc: what it means, with its unit.
        signed: two's complement if true.
        offset: added on decoding, so that a count of 1 to 2**n fits n bits.
        least: smallest legal value, where not all that can be encoded are.
        most: largest legal value, where not all that can be encoded are.
        default: the value that text leaves out; None for one that is always written.
    """

    name: str
    bits: int
    doc: str
    signed: bool = False
    offset: int = 0
    least: int | None = None
    most: int | None = None
    default: int | None = None

    @cached_property
    def minimum(self) -> int:
        """Smallest legal value."""
        encodable = (-(1 << (self.bits - 1)) if self.signed else 0) + self.offset
        return encodable if self.least is None else self.least

    @cached_property
    def maximum(self) -> int:
        """Largest legal value."""
        encodable = (1 << (self.bits - 1 if self.signed else self.bits)) - 1 + self.offset
        return encodable if self.most is None else self.most


@dataclass(frozen=True)
class Instruction:
    """One instruction: mnemonic, opcode, the queue that executes it and its operands.

    Args:
        mnemonic: its name.
        opcode: its number.
        queue: what executes it.
        doc: what it does, in a sentence.
        fields: its operands, from bit 40 upwards.
        configures: the sticky state it sets (None for one that does work); setting it again to the same value
            has no effect.
        selector: the field that says which of several states it sets: `vector.scale` with operand 2 sets
            `vector.scale[2]`.
        uses: the states that it works with, all of which must have been set.
    """

    mnemonic: str
    opcode: int
    queue: Queue
    doc: str
    fields: tuple[Field, ...] = ()
    configures: str | None = None
    selector: str | None = None
    uses: tuple[str, ...] = ()

    @cached_property
    def positions(self) -> dict[str, int]:
        """Index of each field by its name."""
        return {field.name: index for index, field in enumerate(self.fields)}

    @cached_property
    def shifts(self) -> tuple[int, ...]:
        """Bit position of each field."""
        position, positions = 40, list[int]()
        for field in self.fields:
            positions.append(position)
            position += field.bits
        if position > WORD_BITS:
            raise ValueError(f"{self.mnemonic}: operands need {position - 40} bits, a word has {OPERAND_BITS}")
        return tuple(positions)


def scratchpad_field(name: str, doc: str) -> Field:
    """An address in the scratchpad."""
    return Field(name, 22, doc + " (bytes)")


def count_field(name: str, bits: int, doc: str) -> Field:
    """A number that is at least 1."""
    return Field(name, bits, doc, offset=1)


def element_bytes_field(doc: str) -> Field:
    """A width of elements; text leaves it out where they are bytes."""
    return Field("element_bytes", 1, doc + ", 1 or 2", offset=1, default=1)


ORIGIN = (
    Field("x0", 21, "byte within the row of the first position and tap; may lie in the padding", signed=True),
    Field("y0", 17, "input row of the first position and tap; may lie in the padding", signed=True),
)
CHANNELS = count_field("channels", 16, "channels; the lanes take them in groups of D")


def vector_states(*uses: str) -> tuple[str, ...]:
    """States of a vector instruction: all are given a window and write clamped results."""
    return tuple(f"vector.{name}" for name in ("window", "output", "clamp", *uses))

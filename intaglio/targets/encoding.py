"""Words to bytes and back, from the instruction table.

A `Word` is an instruction with its operand values and semaphore masks. The layout is that of
`intaglio.targets.instructions`; `encode(decode(x)) == x` for every stream that `decode` accepts, because unused
bits must be zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from intaglio.errors import UserError
from intaglio.targets.instructions import BY_MNEMONIC, BY_OPCODE, SEMAPHORES, WORD_BYTES, Instruction

_MASK = (1 << SEMAPHORES) - 1


class ProgramError(UserError):
    """An instruction stream that the accelerator could not execute; the message names the instruction."""


class Word(NamedTuple):
    """One instruction of a stream.

    Args:
        instruction: its entry in the table.
        values: operand values in the order of the table's fields.
        wait: mask of the semaphores it takes one from before it begins.
        signal: mask of the semaphores it adds one to when it has finished.
    """

    instruction: Instruction
    values: tuple[int, ...]
    wait: int = 0
    signal: int = 0

    @property
    def operands(self) -> dict[str, int]:
        """Operand values by field name."""
        return {field.name: value for field, value in zip(self.instruction.fields, self.values, strict=True)}

    def text(self) -> str:
        """Return the word in assembly: `matrix.multiply inner=9 outer=16 ... wait=1,3 signal=6`."""
        parts = [self.instruction.mnemonic]
        parts += [
            f"{field.name}={value}"
            for field, value in zip(self.instruction.fields, self.values, strict=True)
            if value != field.default
        ]
        if self.wait:
            parts.append("wait=" + ",".join(map(str, semaphores_of(self.wait))))
        if self.signal:
            parts.append("signal=" + ",".join(map(str, semaphores_of(self.signal))))
        return " ".join(parts)


def semaphores_of(mask: int) -> tuple[int, ...]:
    """Return the numbers of the semaphores in a mask, ascending."""
    return tuple(number for number in range(SEMAPHORES) if mask >> number & 1)


def mask_of(semaphores: Iterable[int]) -> int:
    """Return the mask of semaphore numbers.

    Raises:
        UserError: a number is out of range or given twice.
    """
    mask = 0
    for number in semaphores:
        if not 0 <= number < SEMAPHORES:
            raise UserError(f"semaphore {number} does not exist, there are {SEMAPHORES}")
        if mask >> number & 1:
            raise UserError(f"semaphore {number} is given twice")
        mask |= 1 << number
    return mask


def word(mnemonic: str, *, wait: Iterable[int] = (), signal: Iterable[int] = (), **operands: int) -> Word:
    """Return a word from names.

    Args:
        mnemonic: the instruction.
        wait: semaphore numbers it takes from.
        signal: semaphore numbers it adds to.
        operands: its operands; those with a default may be left out.

    Raises:
        UserError: unknown mnemonic, a missing, unknown or out-of-range operand, or a bad semaphore.
    """
    instruction = BY_MNEMONIC.get(mnemonic)
    if instruction is None:
        raise UserError(f"there is no instruction {mnemonic!r}")
    made = Word(instruction, ordered(instruction, operands), mask_of(wait), mask_of(signal))
    check_operands(instruction, made.values)
    return made


def ordered(instruction: Instruction, operands: Mapping[str, int]) -> tuple[int, ...]:
    """Return operand values in the table's order, with defaults for those that are left out.

    Raises:
        UserError: one is missing or unknown.
    """
    for name in operands:
        if name not in instruction.positions:
            raise UserError(f"{instruction.mnemonic} has no operand {name!r}")
    values: list[int] = []
    for field in instruction.fields:
        value = operands.get(field.name, field.default)
        if value is None:
            raise UserError(f"{instruction.mnemonic} needs the operand {field.name!r}")
        values.append(value)
    return tuple(values)


def check_operands(instruction: Instruction, values: Sequence[int]) -> None:
    """Check the bounds of every operand.

    Raises:
        UserError: one is out of bounds; the message names the field.
    """
    if len(values) != len(instruction.fields):
        raise UserError(f"{instruction.mnemonic} has {len(instruction.fields)} operands, got {len(values)}")
    for field, value in zip(instruction.fields, values, strict=True):
        if not field.minimum <= value <= field.maximum:
            raise UserError(
                f"{field.name} of {instruction.mnemonic} must be {field.minimum} to {field.maximum}, got {value}"
            )


def encode(words: Iterable[Word]) -> bytes:
    """Return the bytes of a stream.

    Raises:
        ProgramError: an operand or a mask is out of bounds; the message names instruction and field.
    """
    return b"".join(_encoded(index, item) for index, item in enumerate(words))


def _encoded(index: int, item: Word) -> bytes:
    instruction = item.instruction
    where = f"instruction {index}"
    try:
        check_operands(instruction, item.values)
    except UserError as error:
        raise ProgramError(error.what, where=where) from error
    for name, mask in (("wait", item.wait), ("signal", item.signal)):
        if not 0 <= mask <= _MASK:
            raise ProgramError(f"{name} of {instruction.mnemonic} must be 0 to {_MASK:#x}, got {mask:#x}", where=where)
    bits = instruction.opcode | item.wait << 8 | item.signal << 24
    for field, shift, value in zip(instruction.fields, instruction.shifts, item.values, strict=True):
        bits |= (value - field.offset & (1 << field.bits) - 1) << shift
    return bits.to_bytes(WORD_BYTES, "little")


def decode(stream: bytes) -> list[Word]:
    """Return the words of a stream.

    Raises:
        ProgramError: a truncated stream, an unknown opcode, an operand out of bounds or an unused bit that is set.
    """
    if len(stream) % WORD_BYTES:
        raise ProgramError(
            f"the stream is truncated: {len(stream)} bytes are not a whole number of {WORD_BYTES}-byte words",
            where=f"instruction {len(stream) // WORD_BYTES}",
        )
    return [
        _decoded(start // WORD_BYTES, int.from_bytes(stream[start : start + WORD_BYTES], "little"))
        for start in range(0, len(stream), WORD_BYTES)
    ]


def _decoded(index: int, bits: int) -> Word:
    instruction = BY_OPCODE.get(bits & 0xFF)
    if instruction is None:
        raise ProgramError(f"unknown opcode {bits & 0xFF:#04x}", where=f"instruction {index}")
    rest = bits >> 40
    values: list[int] = []
    for field in instruction.fields:
        value = rest & (1 << field.bits) - 1
        rest >>= field.bits
        if field.signed and value >> field.bits - 1:
            value -= 1 << field.bits
        values.append(value + field.offset)
    if rest:
        raise ProgramError(f"unused bits of {instruction.mnemonic} are not zero", where=f"instruction {index}")
    try:
        check_operands(instruction, values)
    except UserError as error:
        raise ProgramError(error.what, where=f"instruction {index}") from error
    return Word(instruction, tuple(values), bits >> 8 & _MASK, bits >> 24 & _MASK)

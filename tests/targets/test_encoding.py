"""Words, bytes and assembly text are three forms of the same thing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import UserError
from intaglio.targets.assembler import assemble, disassemble
from intaglio.targets.encoding import ProgramError, Word, decode, encode, mask_of, semaphores_of, word
from intaglio.targets.instructions import BY_MNEMONIC, INSTRUCTIONS, WORD_BYTES, Field, Instruction

FIELDS = [(instruction, field) for instruction in INSTRUCTIONS for field in instruction.fields]
IDS = [f"{instruction.mnemonic}-{field.name}" for instruction, field in FIELDS]


def with_field(instruction: Instruction, field: Field, value: int) -> Word:
    """A word whose other operands have their smallest values."""
    return Word(instruction, tuple(value if each is field else each.minimum for each in instruction.fields))


def words() -> st.SearchStrategy[Word]:
    masks = st.integers(0, 0xFFFF)

    def of(instruction: Instruction) -> st.SearchStrategy[Word]:
        values = st.tuples(*(st.integers(field.minimum, field.maximum) for field in instruction.fields))
        return st.builds(Word, st.just(instruction), values, masks, masks)

    return st.sampled_from(INSTRUCTIONS).flatmap(of)


@pytest.mark.parametrize(("instruction", "field"), FIELDS, ids=IDS)
def test_bounds_of_every_field_survive(instruction: Instruction, field: Field) -> None:
    for value in (field.minimum, field.maximum):
        made = [with_field(instruction, field, value)]
        stream = encode(made)
        assert decode(stream) == made
        assert assemble(disassemble(stream)) == stream


@pytest.mark.parametrize(("instruction", "field"), FIELDS, ids=IDS)
def test_values_beyond_the_bounds_are_refused(instruction: Instruction, field: Field) -> None:
    for value in (field.minimum - 1, field.maximum + 1):
        with pytest.raises(ProgramError, match=f"{field.name} of {instruction.mnemonic} must be .*, got {value}"):
            encode([with_field(instruction, field, value)])


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(words(), max_size=8))
def test_random_words_survive(stream: list[Word]) -> None:
    encoded = encode(stream)
    assert len(encoded) == WORD_BYTES * len(stream)
    assert decode(encoded) == stream
    text = disassemble(encoded)
    assert text.splitlines() == [item.text() for item in stream]
    assert assemble(text) == encoded


def test_a_word_has_the_documented_layout() -> None:
    made = word("load.run", region=3, dram_offset=0x12345678, scratchpad=0x2ABCDE, bytes=1, wait=[0], signal=[15])
    bits = 0x11 | 1 << 8 | 1 << (24 + 15) | 3 << 40 | 0x12345678 << 44 | 0x2ABCDE << 76 | 0 << 98
    assert encode([made]) == bits.to_bytes(16, "little")


def test_opcodes_and_mnemonics_are_unique() -> None:
    assert len({instruction.opcode for instruction in INSTRUCTIONS}) == len(INSTRUCTIONS)
    assert len(BY_MNEMONIC) == len(INSTRUCTIONS)


def test_all_state_that_is_used_can_be_set() -> None:
    configured = {instruction.configures for instruction in INSTRUCTIONS}
    for instruction in INSTRUCTIONS:
        for key in instruction.uses:
            assert key.partition("[")[0] in configured
            assert key.startswith(instruction.queue.value)


def test_truncated_streams_are_refused() -> None:
    stream = encode([word("end"), word("end")])
    with pytest.raises(ProgramError, match="truncated: 31 bytes") as error:
        decode(stream[:-1])
    assert error.value.where == "instruction 1"


def test_unknown_opcodes_are_refused() -> None:
    with pytest.raises(ProgramError, match="unknown opcode 0xee") as error:
        decode(encode([word("end")]) + b"\xee" + bytes(15))
    assert error.value.where == "instruction 1"


@pytest.mark.parametrize("instruction", INSTRUCTIONS, ids=lambda instruction: instruction.mnemonic)
def test_unused_bits_must_be_zero(instruction: Instruction) -> None:
    used = 40 + sum(field.bits for field in instruction.fields)
    if used == 8 * WORD_BYTES:
        return
    stream = encode([Word(instruction, tuple(field.minimum for field in instruction.fields))])
    for bit in (used, 127):
        changed = int.from_bytes(stream, "little") | 1 << bit
        with pytest.raises(ProgramError, match=f"unused bits of {instruction.mnemonic} are not zero"):
            decode(changed.to_bytes(16, "little"))


def test_encodable_but_illegal_values_are_refused_on_decoding() -> None:
    stream = bytearray(encode([word("vector.scale", operand=2, multiplier=1, shift=2, zero_point=0)]))
    stream[5] |= 3
    with pytest.raises(ProgramError, match=r"operand of vector\.scale must be 0 to 2, got 3"):
        decode(bytes(stream))


def test_masks() -> None:
    assert semaphores_of(mask_of([3, 0, 15])) == (0, 3, 15)
    with pytest.raises(UserError, match="semaphore 16 does not exist"):
        mask_of([16])
    with pytest.raises(UserError, match="semaphore 1 is given twice"):
        mask_of([1, 1])
    with pytest.raises(ProgramError, match="wait of end must be 0 to 0xffff"):
        encode([Word(BY_MNEMONIC["end"], (), wait=1 << 16)])


def test_names_are_comments_where_they_change() -> None:
    stream = encode([word("vector.table", base=1)] * 3 + [word("end")])
    text = disassemble(stream, ["a", "a", "b\n", None])
    assert text == ("vector.table base=1  ; a\nvector.table base=1\nvector.table base=1  ; b?\nend\n")
    assert assemble(text) == stream


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("vector.tabel base=1", "no instruction 'vector.tabel'"),
        ("vector.table", "needs the operand 'base'"),
        ("vector.table base=1 top=2", "no operand 'top'"),
        ("vector.table base=1 base=1", "base is given twice"),
        ("vector.table base=1 wait=1 wait=2", "wait is given twice"),
        ("vector.table base=4194304", "base of vector.table must be 0 to 4194303, got 4194304"),
        ("vector.table base=one", "expected an integer, got 'one'"),
        ("vector.table base", "expected name=value, got 'base'"),
        ("end wait=", "expected an integer, got ''"),
        ("end signal=16", "semaphore 16 does not exist"),
    ],
)
def test_wrong_lines_are_named(line: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        assemble(f"; a comment\n\n{line}\n", where="x.s")
    assert error.value.where == "x.s:3"


def test_a_misspelt_mnemonic_gets_a_suggestion() -> None:
    with pytest.raises(UserError) as error:
        assemble("matrix.multply inner=1")
    assert error.value.hint == "did you mean matrix.multiply?"


def test_hexadecimal_operands() -> None:
    assert assemble("vector.table base=0x40") == assemble("vector.table base=64")

"""Instruction streams as text that people read and write.

One instruction a line, comments after `;`:

```
matrix.window columns=28 rows=28 step_x=16 step_y=1
matrix.multiply inner=9 outer=16 x0=-1 y0=-1 accumulator=0 accumulate=0 wait=1,3 signal=6  ; stem/Conv
```

`disassemble(assemble(text))` gives the text back without its comments, and `assemble(disassemble(stream))`
gives back every stream that decodes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from intaglio.errors import UserError
from intaglio.targets.encoding import Word, check_operands, decode, encode, mask_of, ordered
from intaglio.targets.instructions import BY_MNEMONIC

_INTEGER = re.compile(r"-?(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,20})")


def assemble(text: str, *, where: str = "<assembly>") -> bytes:
    """Return the bytes of a stream written as text.

    Args:
        text: one instruction a line; operands in any order, decimal or `0x` hexadecimal.
        where: what messages call the text.

    Raises:
        UserError: a line is not an instruction; the message names the line.
    """
    words: list[Word] = []
    for number, line in enumerate(text.splitlines(), start=1):
        code = line.partition(";")[0].strip()
        if code:
            try:
                words.append(_parsed(code))
            except UserError as error:
                raise UserError(error.what, where=f"{where}:{number}", hint=error.hint) from error
    return encode(words)


def disassemble(stream: bytes, names: Sequence[str | None] = ()) -> str:
    """Return a stream as text, one instruction a line.

    Args:
        stream: whole words.
        names: for each word the ONNX name it comes from, or None; written as a comment where it changes.

    Raises:
        ProgramError: the stream does not decode.
    """
    lines: list[str] = []
    previous = None
    for index, item in enumerate(decode(stream)):
        name = names[index] if index < len(names) else None
        shown = f"  ; {_one_line(name)}" if name and name != previous else ""
        lines.append(f"{item.text()}{shown}\n")
        previous = name
    return "".join(lines)


def _one_line(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)


def _parsed(code: str) -> Word:
    mnemonic, *parts = code.split()
    instruction = BY_MNEMONIC.get(mnemonic)
    if instruction is None:
        close = difflib.get_close_matches(mnemonic, BY_MNEMONIC, n=1)
        raise UserError(f"there is no instruction {mnemonic!r}", hint=f"did you mean {close[0]}?" if close else None)
    operands: dict[str, int] = {}
    masks = {"wait": 0, "signal": 0}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise UserError(f"expected name=value, got {part!r}")
        if name in operands or masks.get(name):
            raise UserError(f"{name} is given twice")
        if name in masks:
            masks[name] = mask_of(_integer(number) for number in value.split(","))
        else:
            operands[name] = _integer(value)
    values = ordered(instruction, operands)
    check_operands(instruction, values)
    return Word(instruction, values, masks["wait"], masks["signal"])


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise UserError(f"expected an integer, got {text!r}")
    return int(text, 0) if "x" in text else int(text)

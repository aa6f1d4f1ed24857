"""The one exception for what is wrong with the user's input, and how it is worded.

Commands print it as one short message and exit with code 2; a traceback appears only under `--debug`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_LINES = 6
"""Of a message with its hint; text from elsewhere, such as names in a model, may have many."""


class UserError(Exception):
    """Something is wrong with a model, a data file, IR text, an option or a package.

    Args:
        what: what is wrong, with the offending value.
        where: file, `file:line:column`, ONNX node or option it concerns.
        hint: what the user can do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        prefix = f"{self.where}: " if self.where else ""
        lines = f"{prefix}error: {self.what}".splitlines()
        hint = f"  hint: {self.hint}".splitlines()[:2] if self.hint else []
        room = _MOST_LINES - len(hint)
        shown = lines if len(lines) <= room else [*lines[: room - 1], "  ..."]
        return "\n".join([*shown, *hint])


class CheckFailedError(UserError):
    """A check that the user asked for failed; the input itself is sound. Commands exit with code 1."""


def suggestion(name: str, known: Iterable[str]) -> str | None:
    """Return `did you mean ...?` for a misspelt name, or None."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.65)
    return f"did you mean {' or '.join(close)}?" if close else None

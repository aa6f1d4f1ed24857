"""Messages to the user: what they have, and that none is longer than six lines."""

from __future__ import annotations

import pytest

from intaglio.errors import UserError, suggestion


def test_a_message_says_where_what_and_what_to_do() -> None:
    error = UserError("there is no x", where="a.mlir:1:2", hint="did you mean y?")
    assert str(error) == "a.mlir:1:2: error: there is no x\n  hint: did you mean y?"
    assert str(UserError("no")) == "error: no"


@pytest.mark.parametrize(
    ("lines", "hint", "expected"),
    [
        (6, None, ["error: 0", "1", "2", "3", "4", "5"]),
        (7, None, ["error: 0", "1", "2", "3", "4", "  ..."]),
        (5, "h", ["error: 0", "1", "2", "3", "4", "  hint: h"]),
        (9, "h", ["error: 0", "1", "2", "3", "  ...", "  hint: h"]),
        (9, "h\ni\nj", ["error: 0", "1", "2", "  ...", "  hint: h", "i"]),
    ],
)
def test_long_messages_are_cut(lines: int, hint: str | None, expected: list[str]) -> None:
    assert str(UserError("\n".join(map(str, range(lines))), hint=hint)).splitlines() == expected


def test_suggestions_are_near() -> None:
    assert suggestion("relu_", ["relu", "elu", "conv2d"]) == "did you mean relu or elu?"
    assert suggestion("softmax", ["relu", "conv2d"]) is None

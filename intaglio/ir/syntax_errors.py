"""How an error in IR text is worded: what was expected, what stands there, the line, and what to do.

xDSL's parser words its errors for its own developers, and one of them is a template that it forgets to fill in. Here
they get one form:

```
model.mlir:2:8: error: operation nn.rellu is not registered
    %y = nn.rellu %x : (tensor<2xf32>) -> tensor<2xf32>
         ^
  hint: did you mean nn.relu?
```
"""

from __future__ import annotations

import re

from xdsl.context import Context
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError
from xdsl.utils.lexer import Span

from intaglio.errors import UserError, suggestion
from intaglio.ir.verification import one_line, shorten

_WHOLE_MESSAGES = {
    "Could not parse entire input!": "expected an operation",
    "in block definition": "expected an operation or the end of the region",
    "expect symbol name": "expected a symbol name",
}
"""What xDSL says where an operation or a name should start."""

_WORDS = re.compile(r"(?:Expected|Unexpected|Invalid|Duplicate|Operation|Integer|Unknown|End)\b")
"""First words of xDSL's messages; names and types keep their capitals."""

_EXPECTS = re.compile(r"^expected\b|\bexpected(?: in\b.*)?$")
_SAYS_WHAT_IS_THERE = re.compile(r"\b(?:found|got|had|name after)\b")

_TOKEN = re.compile(r'[%@#!^]?[\w.$-]+|"[^"\n]{0,40}"?|->|\S')
_COMMENTS = re.compile(r"(?:\s|//[^\n]*)*")
_NAMED_VALUE = re.compile(r"%([A-Za-z_$.-][\w$.-]*)(?:\s*:(?!:)|\s*=(?!=))")
_MAX_NAMES = 1000


class HintedParseError(ParseError):
    """An error of the parser that says what the user can do about it.

    Args:
        error: the error as the parser raised it.
        hint: what to do.
    """

    def __init__(self, error: ParseError, hint: str | None) -> None:
        super().__init__(error.span, error.msg)
        self.hint = hint


def syntax_error(error: ParseError, file_name: str, line_offset: int = 0) -> UserError:
    """Return the error for the user: with its position, and the line it is in with a caret under the place.

    Args:
        error: what the parser raised.
        file_name: the file that the text is from.
        line_offset: lines before the text in that file.
    """
    location = error.span.get_location()
    content = error.span.input.content
    text = content if isinstance(content, str) else content.decode(errors="replace")
    lines = text.split("\n")
    line = lines[location.line - 1].rstrip("\r") if location.line <= len(lines) else ""
    first = max(0, location.col - 61)
    shown = line[first : first + 100].replace("\t", " ")
    message = shorten(_worded(error.msg, text, error.span.start))
    caret = " " * (location.col - 1 - first) + "^"
    hint = error.hint if isinstance(error, HintedParseError) else None
    if hint is None and _is_first(text, error.span.start):
        hint = "the file is not MLIR text, which begins with a module or a function"
    return UserError(
        f"{message}\n  {shown}\n  {caret}" if shown.strip() else message,
        where=f"{file_name}:{location.line + line_offset}:{location.col}",
        hint=hint,
    )


def unexpected_token(parser: Parser) -> ParseError:
    """The error for text where xDSL asserts what comes next rather than looking."""
    return ParseError(Span(parser.pos, parser.pos, parser.lexer.input), "expected something else")


def operation_hint(name: str, context: Context) -> str | None:
    """What to do about an operation that does not exist: the nearest name of its dialect, or the dialects there are."""
    dialect = context.get_optional_dialect(name.partition(".")[0])
    if dialect is None:
        return f"dialects: {', '.join(context.registered_dialect_names)}"
    return suggestion(name, [op.name for op in dialect.operations])


def value_hint(name: str, text: str, position: int) -> str | None:
    """What to do about a value that is not defined: the nearest name in the function around `position`, or None.

    Numbers have no near names: `%12` is not a misspelt `%13`.
    """
    if name.isdigit():
        return None
    start = max(text.rfind("func.func", 0, position), 0)
    end = text.find("func.func", position)
    found = _NAMED_VALUE.finditer(text, start, end if end >= 0 else len(text))
    names = dict.fromkeys(match[1] for match, _ in zip(found, range(_MAX_NAMES), strict=False))
    hint = suggestion(name, (other for other in names if other != name))
    return hint and re.sub(r"(mean | or )", r"\1%", hint)


def _worded(message: str, text: str, position: int) -> str:
    """Return a message in our form: it begins with a small letter and says what stands there if it was not expected."""
    message = one_line(message)
    message = _WHOLE_MESSAGES.get(message, message).replace("{first_char}", f"'{text[position : position + 1]}'")
    message = message.replace("Expected suffix identifier after", "expected a name after").rstrip("!.")
    if _WORDS.match(message):
        message = message[0].lower() + message[1:]
    if not _EXPECTS.search(message) or _SAYS_WHAT_IS_THERE.search(message):
        return message
    return f"{message}, found {_token(text, position)}"


def _token(text: str, position: int) -> str:
    """What a message calls the token at a position."""
    start = _end_of_comments(text, position)
    token = _TOKEN.match(text, start)
    return f"'{shorten(token[0], 60)}'" if token is not None else "the end of the text"


def _is_first(text: str, position: int) -> bool:
    """Whether nothing but comments stands before a position."""
    return _end_of_comments(text, 0) >= position


def _end_of_comments(text: str, position: int) -> int:
    match = _COMMENTS.match(text, position)
    assert match is not None, "it matches the empty text"
    return match.end()

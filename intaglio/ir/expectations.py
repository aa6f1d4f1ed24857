"""Expected diagnostics in tests: `// expected-error {{text}}` on the line that is wrong.

```mlir
%0 = nn.relu %x : tensor<4xf32> // expected-error {{different shape}}
// expected-error @+1 {{C2}}
%1 = nn.relu %x : tensor<4xf32>
```

`@+N` and `@-N` mean lines below and above the comment, `@above` and `@below` the next one, `@unknown` an error
without a position. A diagnostic matches when it contains the text. An expectation that nothing matches is a
failure, and so is an error that nothing expects; remarks and warnings (`expected-remark`, `expected-warning`) may
come unexpected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from intaglio.errors import UserError
from intaglio.remarks import Remark

_EXPECTED = re.compile(
    r"expected-(error|warning|remark|note)\s*(@(?:[+-]\d+|above|below|unknown))?\s*(?:\{\{(.*?)\}\})?"
)
_PLACE = re.compile(r"(?P<file>.*):(?P<line>\d+):(?P<column>\d+)")


@dataclass(frozen=True)
class Expectation:
    """A diagnostic that a test expects."""

    severity: str
    """`error`, `warning` or `remark`; `note` is never produced, so expecting one is a failure."""

    line: int | None
    """The one-based line it must be on; None for one without a position."""

    text: str
    """What its message must contain."""

    written_at: int
    """The line of the comment."""


@dataclass(frozen=True)
class Diagnostic:
    """An error, a warning or a remark as a test sees it."""

    line: int | None
    message: str
    severity: str = "error"

    @staticmethod
    def of(error: UserError) -> Diagnostic:
        """Return the line and message of an error; its line is None when it has no position."""
        return Diagnostic(_line_in(error.where), error.what)

    @staticmethod
    def of_remark(remark: Remark) -> Diagnostic:
        """Return the line, message and severity of a remark; its line is None when it has no position."""
        return Diagnostic(_line_in(remark.where), remark.message, remark.severity)


def _line_in(where: str | None) -> int | None:
    match = _PLACE.fullmatch(where or "")
    return int(match["line"]) if match else None


def parse_expectations(text: str, file_name: str, line_offset: int = 0) -> list[Expectation]:
    """Return the expectations in the comments of a text.

    Raises:
        UserError: a comment starts one but does not say it right, so that it would be ignored.
    """
    found: list[Expectation] = []
    for number, line in enumerate(text.split("\n"), start=1 + line_offset):
        _, slashes, comment = line.partition("//")
        if not slashes:
            continue
        for match in _EXPECTED.finditer(comment):
            if match[3] is None:
                raise UserError("an expected diagnostic needs {{its text}}", where=f"{file_name}:{number}:1")
            found.append(Expectation(match[1], _line_of(match[2], number), match[3], number))
    return found


def _line_of(designator: str | None, number: int) -> int | None:
    if designator is None:
        return number
    if designator == "@unknown":
        return None
    offsets = {"@above": -1, "@below": 1}
    return number + (offsets[designator] if designator in offsets else int(designator[1:]))


def mismatches(expectations: Sequence[Expectation], diagnostics: Iterable[Diagnostic], file_name: str) -> list[str]:
    """Return one line for every expectation that no diagnostic meets and every error that nobody expects."""
    open_expectations = list(expectations)
    failures: list[str] = []
    for diagnostic in diagnostics:
        met = next(
            (
                expectation
                for expectation in open_expectations
                if expectation.severity == diagnostic.severity
                and expectation.line == diagnostic.line
                and expectation.text in diagnostic.message
            ),
            None,
        )
        if met is not None:
            open_expectations.remove(met)
        elif diagnostic.severity == "error":
            place = file_name if diagnostic.line is None else f"{file_name}:{diagnostic.line}"
            first_line = diagnostic.message.split("\n", 1)[0]
            failures.append(f"{place}: error: unexpected error: {first_line}")
    for expectation in open_expectations:
        failures.append(
            f"{file_name}:{expectation.written_at}: error: expected {expectation.severity} "
            f'"{expectation.text}" was not produced'
        )
    return failures

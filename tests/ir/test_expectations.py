"""Expected diagnostics."""

from __future__ import annotations

import pytest

from intaglio.errors import UserError
from intaglio.ir.expectations import Diagnostic, Expectation, mismatches, parse_expectations


@pytest.mark.parametrize(
    ("comment", "line"),
    [
        ("x // expected-error {{text}}", 3),
        ("// expected-error @+1 {{text}}", 4),
        ("// expected-error@-2 {{text}}", 1),
        ("// expected-error @above {{text}}", 2),
        ("// expected-error @below {{text}}", 4),
        ("// expected-error @unknown {{text}}", None),
    ],
)
def test_the_line_meant(comment: str, line: int | None) -> None:
    assert parse_expectations(f"\n\n{comment}", "t.mlir") == [Expectation("error", line, "text", 3)]


def test_several_in_a_line_and_an_offset() -> None:
    found = parse_expectations("// expected-error {{a}} expected-warning {{b}}", "t.mlir", line_offset=10)
    assert [(item.severity, item.text, item.line) for item in found] == [("error", "a", 11), ("warning", "b", 11)]


def test_one_without_text_is_an_error_instead_of_ignored() -> None:
    with pytest.raises(UserError, match="needs "):
        parse_expectations("// expected-error @+1 {text}", "t.mlir")


def test_met_expectations_are_no_mismatch() -> None:
    expectations = [Expectation("error", 3, "bad", 2), Expectation("error", None, "worse", 2)]
    diagnostics = [Diagnostic(None, "much worse"), Diagnostic(3, "this is bad")]
    assert mismatches(expectations, diagnostics, "t.mlir") == []


@pytest.mark.parametrize(
    ("expectation", "diagnostic"),
    [
        (Expectation("error", 3, "bad", 2), Diagnostic(4, "bad")),
        (Expectation("error", 3, "bad", 2), Diagnostic(3, "good")),
        (Expectation("warning", 3, "bad", 2), Diagnostic(3, "bad")),
        (Expectation("error", 3, "bad", 2), Diagnostic(None, "bad")),
    ],
    ids=["other line", "other text", "other severity", "no position"],
)
def test_both_sides_of_a_mismatch_are_named(expectation: Expectation, diagnostic: Diagnostic) -> None:
    unexpected, missing = mismatches([expectation], [diagnostic], "t.mlir")
    assert f"unexpected error: {diagnostic.message}" in unexpected
    assert missing == f't.mlir:2: error: expected {expectation.severity} "bad" was not produced'


def test_each_expectation_is_met_once() -> None:
    expectation = Expectation("error", 1, "bad", 1)
    assert len(mismatches([expectation], [Diagnostic(1, "bad"), Diagnostic(1, "bad")], "t.mlir")) == 1
    assert len(mismatches([expectation, expectation], [Diagnostic(1, "bad")], "t.mlir")) == 1


def test_the_line_of_an_error() -> None:
    assert Diagnostic.of(UserError("x", where="a:b.mlir:7:1")).line == 7
    assert Diagnostic.of(UserError("x", where="pipeline")).line is None
    assert Diagnostic.of(UserError("x")).line is None

"""Dominance and the form of verifier errors."""

from __future__ import annotations

import pytest

from intaglio.errors import UserError
from intaglio.ir.parsing import parse_module
from intaglio.ir.verification import one_line, shorten, verify_module, violations

BRANCHES = """
func.func @f(%c: i1) {{
  "test.termop"() [^a, ^b] : () -> ()
^a:
  %x = "test.op"() : () -> i32
  "test.termop"() [^join] : () -> ()
^b:
  "test.termop"() [^join] : () -> ()
^join:
  {use}
  "test.termop"() : () -> ()
}}
"""


def messages(text: str) -> list[str]:
    return [violation.message for violation in violations(parse_module(text, verify=False))]


@pytest.mark.parametrize(
    "text",
    [
        '%x = "test.op"() : () -> i32\n"test.op"(%x) : (i32) -> ()',
        '%x = "test.op"() : () -> i32\n"test.op"() ({\n  "test.termop"(%x) : (i32) -> ()\n}) : () -> ()',
        '"test.op"() ({\n^bb0(%x: i32):\n  "test.termop"(%x) : (i32) -> ()\n}) : () -> ()',
        BRANCHES.format(use='"test.op"(%c) : (i1) -> ()'),
        'func.func @f() {\n  "test.termop"() : () -> ()\n^dead:\n  "test.termop"(%y) : (i32) -> ()\n^other:\n'
        '  %y = "test.op"() : () -> i32\n  "test.termop"() : () -> ()\n}',
    ],
    ids=["order", "nested region", "block argument", "dominating block", "unreachable block"],
)
def test_defined_before_use_is_valid(text: str) -> None:
    assert messages(text) == []


@pytest.mark.parametrize(
    "text",
    [
        '"test.op"(%x) : (i32) -> ()\n%x = "test.op"() : () -> i32',
        '%x = "test.op"(%x) : (i32) -> i32',
        '"test.op"() ({\n  %x = "test.op"() : () -> i32\n  "test.termop"() : () -> ()\n}) : () -> ()\n'
        '"test.op"(%x) : (i32) -> ()',
        BRANCHES.format(use='"test.op"(%x) : (i32) -> ()'),
        '%x = "test.op"() : () -> i32\nfunc.func @f() {\n  "test.op"(%x) : (i32) -> ()\n  func.return\n}',
    ],
    ids=["order", "itself", "out of its region", "one branch only", "from outside a function"],
)
def test_a_use_that_is_not_dominated_is_reported_once(text: str) -> None:
    # xDSL resolves uses of a value out of its region by scope already while parsing.
    try:
        found = messages(text)
    except UserError as error:
        found = [error.what]
    assert len(found) == 1
    assert "%x" in found[0]


def test_all_violations_are_found_and_the_first_is_raised() -> None:
    text = "func.func @f() -> i32 {\n  func.return\n}\nfunc.func @g() -> i64 {\n  func.return\n}"
    assert len(messages(text)) == 2
    with pytest.raises(UserError) as info:
        verify_module(parse_module(text, "m.mlir", verify=False))
    assert info.value.where == "m.mlir:2:3"


def test_the_name_in_the_model_is_in_the_message() -> None:
    text = 'func.func @f() -> i32 {\n  func.return loc("the/end")\n}'
    with pytest.raises(UserError, match=r'func\.return "the/end": Expected arguments'):
        parse_module(text)


def test_an_empty_block_is_a_violation() -> None:
    assert messages("func.func @f() {\n^bb0:\n}") == ["has an empty block where at least a terminator is expected"]


def test_messages_become_one_short_line() -> None:
    assert one_line("operand does not verify:\n  expected i32\n  got f32\n") == (
        "operand does not verify: expected i32; got f32"
    )
    assert shorten("x" * 1000, 100) == "x" * 50 + " ... " + "x" * 50
    assert shorten("short") == "short"

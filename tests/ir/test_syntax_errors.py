"""The wording of errors in IR text."""

from __future__ import annotations

import pytest

from intaglio.errors import UserError
from intaglio.ir.parsing import parse_module

NOT_MLIR = "the file is not MLIR text, which begins with a module or a function"


def error_of(text: str) -> UserError:
    with pytest.raises(UserError) as info:
        parse_module(text, "m.mlir")
    return info.value


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("func.func @f() {\n  # no comment\n}", "2:3", "expected a name after '#'"),
        ("func.func @f() {\n  % = nn.relu\n}", "2:3", "expected a name after '%'"),
        ("func.func @f() {\n", "2:1", "expected an operation or the end of the region, found the end of the text"),
        ("func.func @f() {\n}\n}", "3:1", "expected an operation, found '}'"),
        ("func.func @f(%x: tensor<2xf32) {\n}", "1:30", "expected '>' after builtin parameter list, found ')'"),
        ('"test.op"() {a = } : () -> ()', "1:18", "attribute expected, found '}'"),
        ('"test.op"() : () -> ( // comment', "1:33", "type expected, found the end of the text"),
        ("func.func @f() {\n  $\n}", "2:3", "unexpected character: $"),
        ("func.func 3() {\n}", "1:11", "expected a symbol name, found '3'"),
        (
            '"test.op"() {a = dense<[(1, 2]> : tensor<1xcomplex<f32>>} : () -> ()',
            "1:30",
            "expected something else, found ']'",
        ),
        ("func.func @f(%x: !npu.buffer<dram, 0>) {\n}", "1:36", "a buffer holds at least one byte, got 0"),
        ('"test.op"() {a = "x\n} : () -> ()', "1:18", "end of file reached before closing string literal"),
    ],
)
def test_messages_say_what_was_expected_and_what_stands_there(text: str, place: str, message: str) -> None:
    error = error_of(text)
    assert error.where == f"m.mlir:{place}"
    assert error.what.splitlines()[0] == message


@pytest.mark.parametrize("text", ["# A heading", '{"a": 1}', "", "// comment\n\n[section]\n", '"text'])
def test_a_file_that_is_no_mlir_at_all(text: str) -> None:
    assert error_of(text).hint == NOT_MLIR


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("%y = nn.tanhh %input : (tensor<2xf32>) -> tensor<2xf32>", "did you mean nn.tanh"),
        ("%y = nnn.tanh %input", "dialects: builtin, func, "),
        ("%y = nn.tanh %inptu : (tensor<2xf32>) -> tensor<2xf32>", "did you mean %input or %input.2?"),
        ("%y = nn.tanh %hidden : (tensor<2xf32>) -> tensor<2xf32>", None),
        ("%y = nn.tanh %17 : (tensor<2xf32>) -> tensor<2xf32>", None),
    ],
)
def test_hints_name_what_is_near(line: str, hint: str | None) -> None:
    error = error_of(
        "func.func @other(%hiddem: tensor<2xf32>) {\n  func.return\n}\n"
        "func.func @f(%input: tensor<2xf32>, %input.2: tensor<2xf32>, %18: tensor<2xf32>) {\n"
        f"  {line}\n  func.return\n}}"
    )
    assert (error.hint or "").startswith(hint) if hint else error.hint is None
    assert len(str(error).splitlines()) <= 6

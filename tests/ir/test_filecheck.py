"""The RUN line runner: what it runs, and that it fails when it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from intaglio.ir.filecheck import FileCheckError, run_lines, run_test


def echo(arguments: list[str], stdin: str) -> tuple[int, str, str]:
    return 0, " ".join(arguments) + "\n", ""


def fail(arguments: list[str], stdin: str) -> tuple[int, str, str]:
    return 3, "partial\n", "reason\n"


def upper(arguments: list[str], stdin: str) -> tuple[int, str, str]:
    return 0, stdin.upper(), ""


COMMANDS = {"echo": echo, "fail": fail, "upper": upper}


def run(tmp_path: Path, text: str) -> None:
    path = tmp_path / "test.mlir"
    path.write_text(text)
    run_test(path, COMMANDS, tmp_path / "test.tmp")


@pytest.mark.parametrize(
    "text",
    [
        "// RUN: echo hello | filecheck %s\n// CHECK: hello",
        "// RUN: echo hello \\\n// RUN:   | upper | filecheck %s\n// CHECK: HELLO",
        "// RUN: echo 'a | b' \"c;d\" | filecheck %s\n// CHECK: a | b c;d",
        "// RUN: not fail",
        "// RUN: not fail 2>&1 | filecheck %s\n// CHECK: reason",
        "// RUN: echo one > %t && echo two >> %t\n// RUN: cat %t | filecheck %s\n// CHECK: one\n// CHECK-NEXT: two",
        "// RUN: not fail 2> %t.err; cat %t.err | filecheck %s\n// CHECK: reason",
        "// RUN: echo x > %t; upper < %t | filecheck %s\n// CHECK: X",
        "// RUN: echo A | filecheck %s --check-prefix=A\n// A: A",
        "// RUN: echo B | filecheck %s --check-prefixes=B,C\n// A: A\n// B: B",
        "// RUN: echo x > %t\n// RUN: echo x | diff %t -",
        "// RUN: echo 100%% %S | filecheck %s\n// CHECK: 100% {{/.+}}",
    ],
)
def test_passes(tmp_path: Path, text: str) -> None:
    run(tmp_path, text)
    assert run_lines(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "has no RUN line"),
        ("// RUN: fail", "test.mlir:1: exit code 3: fail\nreason"),
        ("\n// RUN: fail | upper", "test.mlir:2: exit code 3"),
        ("// RUN: not echo x", "not: echo x succeeded"),
        ("// RUN: echo a | filecheck %s\n// CHECK: b", "exit code 1"),
        ("// RUN: echo a | filecheck %s\n// CHEKC: a", "No check strings found"),
        ("// RUN: true | filecheck %s\n// CHECK: a", "is empty"),
        ("// RUN: rm -rf /", "command 'rm' is not known"),
        ("// RUN: echo a || fail", "'||' is not supported"),
        ("// RUN: echo 'a", "No closing quotation"),
        ("// RUN: echo a > %t\n// RUN: echo b | diff %t -", "exit code 1"),
        ("// RUN: fail && echo x", "exit code 3"),
        ("// RUN: echo x |", "empty command"),
        ("// RUN: echo x >", "redirection needs a file"),
        ("// RUN: echo a | filecheck absent.mlir", "absent.mlir"),
    ],
)
def test_fails(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FileCheckError) as info:
        run(tmp_path, text)
    assert message in str(info.value)


def test_run_lines_keep_the_line_they_start_on() -> None:
    lines = run_lines("// RUN: a \\\n// text\n// RUN: b\n// RUN: c")
    assert [(line.line, line.text) for line in lines] == [(1, "a b"), (4, "c")]

"""Refreshing CHECK lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from intaglio.tools.update_checks import main

CURRENT = """\
// RUN: intaglio-opt %s | filecheck %s

// The first case.
// CHECK-LABEL: func.func @a(%x: i32) {
// Something about the op.
// CHECK-NEXT:    %y = "test.op"(%x) : (i32) -> i32
// CHECK-NEXT:    func.return
func.func @a(%x: i32) {
  %y = "test.op"(%x) : (i32) -> i32
  func.return
}
"""


def refresh(path: Path, *options: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [str(path), *options])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def test_file(tmp_path: Path) -> Path:
    return tmp_path / "test.mlir"


def test_a_passing_file_stays(test_file: Path) -> None:
    test_file.write_text(CURRENT)
    assert refresh(test_file) == (0, "", "")
    assert refresh(test_file, "--all") == (0, "", "")
    assert test_file.read_text() == CURRENT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('%y = "test.op"(%x) : (i32) -> i32\n// CHECK-NEXT:    func', "%y = something\n// CHECK-NEXT:    func"),
        ("// CHECK-NEXT:    func.return\n", ""),
        ("// CHECK-NEXT:    func.return\n", "// CHECK-NEXT:    func.return\n// CHECK-NEXT: more\n"),
        ("@a(%x: i32) {\n// Some", "@a(%x: i64)\n// Some"),
    ],
    ids=["changed", "too few", "too many", "label"],
)
def test_lines_are_refreshed_and_comments_kept(test_file: Path, old: str, new: str) -> None:
    assert old in CURRENT
    test_file.write_text(CURRENT.replace(old, new, 1))
    # With too few lines the test passes.
    code, diff, _ = refresh(test_file, "--all")
    assert code == 0
    assert test_file.read_text() == CURRENT
    assert any(line.startswith("+// CHECK") or line.startswith("-// CHECK") for line in diff.splitlines())


def test_a_dry_run_writes_nothing(test_file: Path) -> None:
    stale = CURRENT.replace("CHECK-NEXT:    func.return", "CHECK-NEXT:    old")
    test_file.write_text(stale)
    code, diff, _ = refresh(test_file, "--dry-run")
    assert code == 1
    assert "-// CHECK-NEXT:    old" in diff
    assert test_file.read_text() == stale


def test_other_prefixes_and_whole_outputs(test_file: Path) -> None:
    test_file.write_text(
        "// RUN: intaglio-opt %s --print-op-generic | filecheck %s --check-prefix=GENERIC\n"
        '// GENERIC: old\n"test.op"() {a = "{{x}}", b = dense<[[1, 2]]> : tensor<1x2xi8>} : () -> ()\n'
    )
    assert refresh(test_file)[0] == 0
    text = test_file.read_text()
    assert '// GENERIC: "builtin.module"() ({\n// GENERIC-NEXT{LITERAL}:    "test.op"() {a = "{{x}}"' in text
    assert refresh(test_file, "--all")[:2] == (0, "")


def test_lines_with_a_meaning_of_their_own_are_left_alone(test_file: Path) -> None:
    text = (
        CURRENT + "// CHECK-LABEL: func.func @b\n// CHECK-NOT: x\n// CHECK: gone\nfunc.func @b() {\n  func.return\n}\n"
    )
    test_file.write_text(text)
    code, diff, err = refresh(test_file)
    assert (code, diff) == (0, "")
    assert "has CHECK-NOT, left alone" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the file"),
        ("// RUN: intaglio-opt absent.mlir | filecheck %s\n// CHECK: x", "exit code 2"),
        ("// RUN: rm x | filecheck %s\n// CHECK: x", "not known"),
    ],
)
def test_what_cannot_be_run_is_an_error(test_file: Path, content: str | None, message: str) -> None:
    if content is not None:
        test_file.write_text(content)
    code, _, err = refresh(test_file)
    assert code == 2
    assert message in err

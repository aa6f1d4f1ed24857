"""`python -m intaglio.tools.update_checks FILE...`: refresh the CHECK lines of FileCheck tests.

For every RUN line that pipes into filecheck the command is run again. CHECK lines are rewritten function by
function: after `CHECK-LABEL: func.func @name` come `CHECK-NEXT` lines with the function as it is printed now. In a
file without labels the lines cover the whole output. Lines of functions that no longer exist are dropped, labels
are never added, and comments stay where they are. Files that pass are left alone unless `--all` is given.

The difference is printed; read it before committing it. With `--dry-run` nothing is written, and the exit code is 1
if anything would be. Blocks with other directives than LABEL, NEXT, SAME and plain CHECK were written by hand to say
something particular; they are left alone and named.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from intaglio.errors import UserError
from intaglio.files import write_atomically
from intaglio.ir.filecheck import FileCheckError, RunLine, Shell, run_filecheck, run_lines
from intaglio.ir.parsing import read_text
from intaglio.tools.opt import run_opt

_FILECHECK = re.compile(r"\|\s*filecheck\s+%s(?P<options>.*)$")
_PREFIX = re.compile(r"--?check-prefix(?:es)?[= ](\S+)")
_SIMPLE = {"", "LABEL", "NEXT", "SAME", "EMPTY"}
_SPECIAL = re.compile(r"\{\{|\[\[\$?[#a-zA-Z_]")


@dataclass
class _Directive:
    """A CHECK line."""

    line: int
    kind: str
    text: str


def refresh(text: str, path: Path) -> tuple[str, list[str]]:
    """Return the text of a test with its CHECK lines refreshed, and what was left alone and why.

    Args:
        text: the content of the test.
        path: where it is; commands read it from there.

    Raises:
        FileCheckError: a RUN line cannot be run, or fails before its output gets to filecheck.
    """
    left_alone: list[str] = []
    with TemporaryDirectory(prefix="update-checks-") as folder:
        shell = Shell(
            {"intaglio-opt": run_opt},
            {"%s": str(path), "%S": str(path.parent), "%t": f"{folder}/{path.stem}.tmp", "%%": "%"},
        )
        for line in run_lines(text):
            match = _FILECHECK.search(line.text)
            if match is None:
                shell.run(line.text)
                continue
            prefix_match = _PREFIX.search(match["options"])
            for prefix in prefix_match[1].split(",") if prefix_match else ["CHECK"]:
                output = _output(shell, line, line.text[: match.start()])
                text = _with_new_checks(text, prefix, output, left_alone)
    return text, left_alone


def _output(shell: Shell, line: RunLine, command: str) -> str:
    code, out, err = shell.run(command)
    if code != 0:
        raise FileCheckError(f"line {line.line}: exit code {code}: {command}\n{err}")
    return out


def _with_new_checks(text: str, prefix: str, output: str, left_alone: list[str]) -> str:
    lines = text.split("\n")
    directives = _directives(lines, prefix)
    replacements: dict[int, list[str]] = {}
    for block in _blocks(directives):
        odd = sorted({item.kind for item in block if item.kind not in _SIMPLE})
        if odd:
            left_alone.append(f"line {block[0].line + 1}: has {prefix}-{odd[0]}, left alone")
            continue
        new = _new_lines(block, output, prefix)
        # New lines take the places of old ones, so that comments between them stay.
        for index, item in enumerate(block):
            replacements[item.line] = new[index : index + 1]
        replacements[block[-1].line] += new[len(block) :]
    result: list[str] = []
    for number, line in enumerate(lines):
        indent = line[: len(line) - len(line.lstrip())]
        result += [indent + item for item in replacements[number]] if number in replacements else [line]
    return "\n".join(result)


def _directives(lines: Sequence[str], prefix: str) -> list[_Directive]:
    pattern = re.compile(rf"^\s*//\s*{re.escape(prefix)}(?:-([A-Z]+)(?:-\d+)?)?(?:\{{LITERAL\}})?:(.*)$")
    found: list[_Directive] = []
    for number, line in enumerate(lines):
        if match := pattern.match(line):
            found.append(_Directive(number, match[1] or "", match[2].strip()))
    return found


def _blocks(directives: Sequence[_Directive]) -> list[list[_Directive]]:
    """Return the directives cut before every label."""
    blocks: list[list[_Directive]] = []
    for item in directives:
        if item.kind == "LABEL" or not blocks:
            blocks.append([])
        blocks[-1].append(item)
    return blocks


def _new_lines(block: Sequence[_Directive], output: str, prefix: str) -> list[str]:
    """Return the directives that replace a block; none if its function is gone."""
    if block[0].kind != "LABEL":
        return _next_lines([line for line in output.splitlines() if line.strip()], prefix, first="")
    symbol = re.search(r"@[\w.$-]+", block[0].text)
    wanted = f"{symbol[0]}(" if symbol else block[0].text
    lines = output.splitlines()
    start = next((index for index, line in enumerate(lines) if wanted in line), None)
    if start is None:
        return []
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > indent:
        end += 1
    return _next_lines(lines[start:end], prefix, first="LABEL")


def _next_lines(lines: Sequence[str], prefix: str, *, first: str) -> list[str]:
    margin = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
    kinds = [first] + ["NEXT"] * (len(lines) - 1)
    result: list[str] = []
    for kind, line in zip(kinds, lines, strict=True):
        literal = "{LITERAL}" if _SPECIAL.search(line) else ""
        directive = (f"{prefix}-{kind}" if kind else prefix) + literal
        result.append(f"// {directive}:{' ' if kind != 'NEXT' else '  '}{line[margin:]}".rstrip())
    return result


def _passes(text: str, path: Path) -> bool:
    """Return whether all RUN lines that pipe into filecheck succeed."""
    with TemporaryDirectory(prefix="update-checks-") as folder:
        shell = Shell(
            {"intaglio-opt": run_opt, "filecheck": run_filecheck},
            {"%s": str(path), "%S": str(path.parent), "%t": f"{folder}/{path.stem}.tmp", "%%": "%"},
        )
        return all(shell.run(line.text)[0] == 0 for line in run_lines(text))


@click.command(help="Refresh the CHECK lines of FileCheck tests and print the difference.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Write nothing; exit with 1 if something would change.")
@click.option("--all", "refresh_all", is_flag=True, help="Also rewrite files that pass.")
def main(files: tuple[Path, ...], dry_run: bool, refresh_all: bool) -> None:
    """Refresh tests; exit code 2 when a file cannot be read or a command in it fails."""
    changed = failed = False
    for path in files:
        try:
            old = read_text(path)
            if not refresh_all and _passes(old, path):
                continue
            new, left_alone = refresh(old, path)
        except (UserError, FileCheckError) as error:
            click.echo(f"{path}: {error}", err=True)
            failed = True
            continue
        for reason in left_alone:
            click.echo(f"{path}: {reason}", err=True)
        if new == old:
            continue
        changed = True
        diff = difflib.unified_diff(old.splitlines(), new.splitlines(), f"a/{path}", f"b/{path}", lineterm="")
        click.echo("\n".join(diff))
        if not dry_run:
            write_atomically(path, new)
    sys.exit(2 if failed else int(dry_run and changed))


if __name__ == "__main__":
    main()

"""Walk-throughs in `docs/` are carried out as written, on a copy of the tree; what pages name exists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from intaglio.tools.cli import cli

ROOT = Path(__file__).resolve().parents[1]
WALK_THROUGHS = ("adding-a-pass.md", "adding-an-op.md", "analysis.md", "mixed-precision.md")
# As in Markdown, a fence that is indented by four spaces closes nothing: docstrings have them.
FENCE = re.compile(
    r"(?:<!-- (?P<directive>file: [^\n]*) -->\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```\n", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a walk-through, with the file directive before it."""

    directive: str | None
    language: str
    body: str


def blocks(name: str) -> list[Block]:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return [Block(m["directive"], m["language"], m["body"]) for m in FENCE.finditer(text)]


def write(tree: Path, directive: str, body: str) -> None:
    """Carry out `file: PATH`, `file: PATH, at the end` or `file: PATH, after: LINE`."""
    path, _, where = directive.removeprefix("file: ").partition(", ")
    target = tree / path
    if not where:
        assert not target.exists(), f"{path} exists already"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(body, encoding="utf-8")
        return
    text = target.read_text(encoding="utf-8")
    if where == "at the end":
        target.write_text(f"{text}\n\n{body}", encoding="utf-8")
        return
    line = where.removeprefix("after: ")
    assert text.count(line + "\n") == 1, f"{path} must have one line {line!r}"
    target.write_text(text.replace(line + "\n", line + "\n" + body), encoding="utf-8")


def run(tree: Path, body: str) -> None:
    """Run each `$` command, and expect the lines that follow it in what it prints."""
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PYTHONPATH": str(tree), "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    for step in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, expected = step.partition("\n")
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"{command}\n{printed}"
        for line in filter(None, expected.splitlines()):
            assert line in printed, f"{command} did not print {line!r} but\n{printed}"


@pytest.mark.parametrize(("name", "most"), [("adding-a-pass.md", 1), ("adding-an-op.md", 3)])
def test_what_is_added_touches_few_files(name: str, most: int) -> None:
    paths = {step.directive.removeprefix("file: ").partition(", ")[0] for step in blocks(name) if step.directive}
    assert len([path for path in paths if path.startswith("intaglio/")]) <= most
    assert any(path.startswith("filecheck/") for path in paths)


@pytest.mark.parametrize("name", WALK_THROUGHS)
def test_walk_through(name: str, tmp_path: Path) -> None:
    for folder in ("intaglio", "filecheck", "tests", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "Output"))
    for file in ("pyproject.toml", "conftest.py", "README.md"):
        shutil.copy(ROOT / file, tmp_path / file)
    steps = blocks(name)
    assert any(step.language == "console" for step in steps), f"{name} runs nothing"
    for step in steps:
        if step.directive is not None:
            write(tmp_path, step.directive, step.body)
        elif step.language == "console":
            run(tmp_path, step.body)


PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
FOLDERS = "benchmarks|docs|examples|filecheck|intaglio|tests"
OPTIONS = {
    name: {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    | {"--help"}
    for name, command in cli.commands.items()
}


def stale(text: str, folder: Path) -> Iterator[str]:
    """Yield the links, files, modules, commands and options that a page names and that do not exist."""
    text = text.replace("\\\n", " ")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        if not (folder / target).exists():
            yield target
    for path in re.findall(rf"(?:`|python )((?:{FOLDERS})/[\w./-]+)", text):
        if not (ROOT / path).exists():
            yield path
    yield from (name for name in re.findall(r"python -m (intaglio[\w.]*\w)", text) if find_spec(name) is None)
    for command, rest in re.findall(r"(?:^\$? ?|`)intaglio ([a-z]+)\b([^`\n]*)", text, re.MULTILINE):
        if command not in OPTIONS:
            yield command
        else:
            given = re.findall(r"(?<!\S)(--?[a-z][\w-]*)", rest)
            yield from (option for option in given if option not in OPTIONS[command])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_exists(page: Path) -> None:
    assert list(stale(page.read_text(encoding="utf-8"), page.parent)) == []


def test_stale_names_are_found() -> None:
    text = (
        "[a](no.md) [b](../README.md#x) `tests/no.py` `docs/phases.md` `python -m intaglio.no`\n"
        "$ intaglio compil x\n$ intaglio compile x -o y \\\n  --no-such 1\n`intaglio run --inputs`"
    )
    assert list(stale(text, ROOT / "docs")) == ["no.md", "tests/no.py", "intaglio.no", "compil", "--no-such"]

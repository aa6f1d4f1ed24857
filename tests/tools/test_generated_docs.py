"""The generated pages of `docs/` say what the code says now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from intaglio.passes.base import pass_modules
from intaglio.targets.instructions import INSTRUCTIONS
from intaglio.tools.docs import PAGES, instructions_page, main, passes_page

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_fresh(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_every_instruction_and_pass_has_its_section() -> None:
    headings = re.findall(r"^## (\S+)$", instructions_page(), re.MULTILINE)
    assert sorted(headings) == sorted(item.mnemonic for item in INSTRUCTIONS)
    assert sorted(re.findall(r"^### (\S+)$", passes_page(), re.MULTILINE)) == list(pass_modules())


def test_links_in_the_instruction_page_lead_to_headings() -> None:
    page = instructions_page()
    anchors = {heading.replace(".", "") for heading in re.findall(r"^## (\S+)$", page, re.MULTILINE)}
    links = re.findall(r"\]\(#(\w+)\)", page)
    assert links and set(links) == anchors


def test_check_finds_stale_pages_and_writes_nothing(tmp_path: Path) -> None:
    for name, make in PAGES.items():
        (tmp_path / name).write_text(make(), encoding="utf-8")
    arguments = ["--folder", str(tmp_path)]
    assert CliRunner().invoke(main, [*arguments, "--check"]).exit_code == 0
    (tmp_path / "passes.md").write_text("stale\n")
    result = CliRunner().invoke(main, [*arguments, "--check"])
    assert result.exit_code == 1 and "-stale" in result.output
    assert (tmp_path / "passes.md").read_text() == "stale\n"
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert (tmp_path / "passes.md").read_text() == passes_page()

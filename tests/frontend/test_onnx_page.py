"""What `docs/onnx.md` shows is so."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

from intaglio.frontend import exporter, functions, importer, interface
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.passes.graph import upgrade_opset

PAGE = Path(__file__).resolve().parents[2] / "docs" / "onnx.md"


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(), re.DOTALL | re.MULTILINE)


def test_the_python_examples_run():
    examples = doctest.DocTestParser().get_doctest("".join(fences("python")), {}, PAGE.name, str(PAGE), 0)
    assert len(examples.examples) > 15
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report: list[str] = []
    runner.run(examples, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_the_modules_parse_and_print_back():
    (module,) = fences("mlir")
    printed = print_module(parse_module(module))
    assert print_module(parse_module(printed)) == printed


def test_the_normal_form_is_the_documented_one():
    documentation = exporter.__doc__
    assert documentation is not None
    listed = re.findall(r"^- .*?[;.]$", documentation, re.DOTALL | re.MULTILINE)
    assert len(listed) >= 6
    assert [item for item in listed if item not in text()] == []


def test_the_limits_are_those_of_the_code():
    page = text()
    limits = [functions.MAX_NODES, functions.MAX_DEPTH, importer.MAX_RANK, interface.MAX_ELEMENTS]
    assert [limit for limit in limits if f"{limit:,}" not in page] == []
    assert f"opset {upgrade_opset.OLDEST} to {upgrade_opset.CURRENT - 1}" in page

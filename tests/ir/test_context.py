"""Dialects are found, and loaded only when needed."""

from __future__ import annotations

import subprocess
import sys

from xdsl.ir import Dialect

from intaglio.ir.context import dialect_names, get_dialect, make_context


def test_dialects_are_found_by_their_file() -> None:
    assert {"nn", "quant", "check"} <= set(dialect_names())
    assert "weights" not in dialect_names()


def test_every_dialect_has_the_name_of_its_file() -> None:
    for name in dialect_names():
        dialect = get_dialect(name)
        assert isinstance(dialect, Dialect)
        assert dialect.name == name


def test_contexts_are_independent() -> None:
    first, second = make_context(), make_context()
    first.load_registered_dialect("check")
    assert "check" not in {dialect.name for dialect in second.loaded_dialects}


def test_the_generated_dialect_is_not_imported_for_text_without_it() -> None:
    script = (
        "import sys\nfrom intaglio.ir.parsing import parse_module\n"
        "parse_module('\"test.op\"() : () -> ()')\n"
        "print([name for name in sys.modules if name.startswith('intaglio.dialects.onnx')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""The pass manager and its instrumentations, and the help of passes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.test import TestOp as AnyOp
from xdsl.passes import ModulePass

from intaglio.errors import UserError
from intaglio.ir.parsing import parse_module, read_module
from intaglio.passes.base import discover, help_of, pass_modules
from intaglio.passes.manager import ALL, CrashReproducer, InvalidIRError, PassManager, PrintIR, Timing


@dataclass(frozen=True)
class Tag(ModulePass):
    """Tag the module.

    Does what it says and nothing more,
    in two lines.

    Options:
        text: what to tag it with,
            as text.
        twice: tag it twice.
    """

    name = "tag"
    text: str
    twice: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        op.attributes["tag"] = StringAttr(self.text)


@dataclass(frozen=True)
class Break(ModulePass):
    """Swap definition and use."""

    name = "break"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        first = op.body.block.first_op
        assert first is not None
        first.detach()
        op.body.block.add_op(first)


@dataclass(frozen=True)
class Fail(ModulePass):
    """Fail."""

    name = "fail"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        op.body.block.add_op(AnyOp())
        raise UserError("no such data", where="x.npz")


def module() -> ModuleOp:
    return parse_module('%x = "test.op"() : () -> i32\n"test.op"(%x) : (i32) -> ()', "m.mlir")


def test_passes_run_in_order() -> None:
    op = module()
    PassManager([Tag("a"), Tag("b")]).run(Context(), op)
    assert op.attributes["tag"] == StringAttr("b")


def test_invalid_ir_is_blamed_on_the_pass() -> None:
    with pytest.raises(InvalidIRError, match="uses %x where it is not defined yet") as info:
        PassManager([Tag("a"), Break(), Tag("b")]).run(Context(), module())
    assert info.value.pass_name == "break"
    assert "m.mlir:2:1" in str(info.value)


def test_verification_can_be_switched_off() -> None:
    op = module()
    PassManager([Break()], verify_each=False).run(Context(), op)
    assert [len(item.operands) for item in op.body.block.ops] == [1, 0]


def test_ir_is_printed_around_the_passes_asked_for() -> None:
    stream = io.StringIO()
    printer = PrintIR(stream, print_before={"tag"}, print_after=ALL)
    PassManager([Break(), Tag("a")], verify_each=False, instrumentations=[printer]).run(Context(), module())
    headers = [line for line in stream.getvalue().splitlines() if line.startswith("// -----//")]
    assert headers == [f"// -----// IR {what} //----- //" for what in ("after break", "before tag", "after tag")]


def test_only_changes_are_printed() -> None:
    stream = io.StringIO()
    printer = PrintIR(stream, print_after=ALL, only_changes=True)
    PassManager([Tag("a"), Tag("a"), Tag("b")], instrumentations=[printer]).run(Context(), module())
    assert stream.getvalue().count("IR after tag") == 2


def test_ir_is_printed_to_numbered_files(tmp_path: Path) -> None:
    printer = PrintIR(io.StringIO(), ALL, ALL, folder=tmp_path / "ir")
    PassManager([Tag("a"), Tag("b")], instrumentations=[printer]).run(Context(), module())
    names = sorted(path.name for path in (tmp_path / "ir").iterdir())
    assert names == ["01_tag_after.mlir", "01_tag_before.mlir", "02_tag_after.mlir", "02_tag_before.mlir"]
    assert read_module(tmp_path / "ir" / "02_tag_before.mlir").attributes["tag"] == StringAttr("a")


def test_time_is_measured() -> None:
    stream = io.StringIO()
    ticks = iter([0.0, 3.0, 10.0, 11.0])
    timing = Timing(stream, clock=lambda: next(ticks))
    PassManager([Tag("a"), Tag("b")], instrumentations=[timing]).run(Context(), module())
    assert [line.split() for line in stream.getvalue().splitlines()] == [
        ["seconds", "share", "ops", "pass"],
        ["3.0000", "75.0%", "3", "tag"],
        ["1.0000", "25.0%", "3", "tag"],
        ["4.0000", "100.0%", "total"],
    ]


def test_a_reproducer_has_the_ir_before_the_failure_and_the_rest_of_the_pipeline(tmp_path: Path) -> None:
    path = tmp_path / "crash.mlir"
    passes = [Tag("a"), Fail(), Tag("b")]
    with pytest.raises(UserError, match="no such data"):
        PassManager(passes, instrumentations=[CrashReproducer(path)]).run(Context(), module())
    first, second, *_ = path.read_text().splitlines()
    assert first == "// fail failed: x.npz: error: no such data"
    assert second == "// intaglio-opt crash.mlir -p 'fail,tag{text=\"b\"}'"
    again = read_module(path)
    assert again.attributes["tag"] == StringAttr("a")
    assert sum(1 for _ in again.body.block.ops) == 2


def test_help_comes_from_the_docstring() -> None:
    text = help_of(Tag)
    assert (text.summary, text.description) == (
        "Tag the module.",
        "Does what it says and nothing more,\nin two lines.",
    )
    assert [(option.name, option.type, option.default, option.text) for option in text.options] == [
        ("text", "str", None, "what to tag it with, as text."),
        ("twice", "bool", "false", "tag it twice."),
    ]
    assert "  twice: tag it twice. (bool, default false)" in str(text)


def test_discovery_finds_passes_by_their_file() -> None:
    assert list(pass_modules()) == sorted(pass_modules())
    assert list(discover()) == list(pass_modules())
    assert all(pass_class.name == name for name, pass_class in discover().items())

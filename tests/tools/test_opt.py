"""`intaglio-opt`: exit codes, messages, and what it leaves behind in the process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Attribute
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.weights import WeightsAttr
from intaglio.errors import UserError
from intaglio.ir.parsing import parse_module, read_module
from intaglio.ir.printing import write_module
from intaglio.passes import base, pipeline
from intaglio.tools import opt
from intaglio.tools.opt import run_opt

TEXT = '%x = "test.op"() : () -> i32\n"test.op"(%x) : (i32) -> ()\n'
PRINTED = f"builtin.module {{\n  {TEXT.replace(chr(10), chr(10) + '  ').rstrip()}\n}}\n"


@dataclass(frozen=True)
class Swap(ModulePass):
    """Move the first op to the end."""

    name = "swap"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        first = op.body.block.first_op
        assert first is not None
        first.detach()
        op.body.block.add_op(first)


@dataclass(frozen=True)
class Tag(ModulePass):
    """Tag the module.

    Options:
        text: what with.
    """

    name = "tag"
    text: str = "t"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        op.attributes["tag"] = StringAttr(self.text)


@dataclass(frozen=True)
class Refuse(ModulePass):
    """Refuse the second op."""

    name = "refuse"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise UserError("this op is not supported", where="<stdin>:2:1", hint="remove it")


@dataclass(frozen=True)
class Crash(ModulePass):
    """Raise an exception."""

    name = "crash"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise KeyError("oops")


PASSES: dict[str, type[ModulePass]] = {cls.name: cls for cls in (Crash, Refuse, Swap, Tag)}


@pytest.fixture(autouse=True)
def _passes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (base, pipeline, opt):
        monkeypatch.setattr(module, "pass_modules", lambda: dict.fromkeys(PASSES, "module"))
        monkeypatch.setattr(module, "get_pass", PASSES.__getitem__)


def test_text_goes_through() -> None:
    assert run_opt([], TEXT) == (0, PRINTED, "")
    assert run_opt(["-"], PRINTED) == (0, PRINTED, "")


def test_passes_are_run() -> None:
    code, out, err = run_opt(["-p", "tag{text=a},tag{text=b}"], TEXT)
    assert (code, err) == (0, "")
    assert 'builtin.module attributes {tag = "b"}' in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["absent.mlir"], "absent.mlir: error: cannot read the file: No such file or directory\n"),
        (["-p", "tagg"], "pipeline: error: there is no pass 'tagg'\n  hint: did you mean tag?\n"),
        (["-p", "refuse"], "<stdin>:2:1: error: this op is not supported\n  hint: remove it\n"),
        (["--show-pass", "swop"], "command line: error: there is no pass 'swop'\n  hint: did you mean swap?\n"),
        (["--print-ir-after", "swop"], "command line: error: there is no pass 'swop'\n  hint: did you mean swap?\n"),
        (["--weights", "absent.safetensors"], None),
        (["--no-such-option"], None),
        (["--print-locations", "some"], None),
    ],
)
def test_mistakes_of_the_user_are_short_messages(args: list[str], message: str | None) -> None:
    code, out, err = run_opt(args, TEXT)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) <= 6
    assert message is None or err == message


def test_invalid_ir_after_a_pass_is_the_compilers_fault() -> None:
    code, out, err = run_opt(["-p", "swap"], TEXT)
    assert (code, out) == (3, "")
    assert "note: the IR is invalid after pass swap" in err
    assert run_opt(["-p", "swap,swap", "--no-verify-each"], TEXT) == (0, PRINTED, "")


def test_an_exception_is_one_message_without_debug() -> None:
    code, _, err = run_opt(["-p", "crash"], TEXT)
    assert code == 3
    assert err.startswith("intaglio-opt: internal error: KeyError: 'oops'")
    assert "Traceback" not in err
    assert "Traceback" in run_opt(["-p", "crash", "--debug"], TEXT)[2]


def test_a_crash_reproducer_can_be_run_again(tmp_path: Path) -> None:
    path = tmp_path / "crash.mlir"
    run_opt(["-p", "tag,crash", "--crash-reproducer", str(path)], TEXT)
    assert "-p 'crash'" in path.read_text()
    assert run_opt([str(path), "-p", "crash"])[0] == 3


def test_passes_are_listed_and_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opt, "discover", lambda: PASSES)
    code, out, _ = run_opt(["--list-passes"])
    assert code == 0
    assert "swap    Move the first op to the end.\n" in out
    code, out, _ = run_opt(["--show-pass", "tag"])
    assert out == "tag: Tag the module.\n\nOptions:\n  text: what with. (str, default t)\n"


def test_ir_dumps_and_times_go_to_standard_error() -> None:
    code, out, err = run_opt(["-p", "tag", "--print-ir-after-all", "--timing"], TEXT)
    assert code == 0
    assert out.startswith("builtin.module")
    assert "// -----// IR after tag //----- //" in err
    assert "total" in err


def test_ir_dumps_go_to_a_folder(tmp_path: Path) -> None:
    run_opt(["-p", "tag,tag", "--print-ir-tree-dir", str(tmp_path / "ir")], TEXT)
    assert len(list((tmp_path / "ir").iterdir())) == 2


def test_parts_of_a_file_are_processed_one_by_one() -> None:
    text = f'{TEXT}// -----\nfoo.bar\n// -----\n"test.op"() {{a = "// -----"}} : () -> ()\n// -----\n'
    code, out, err = run_opt(["--split-input-file"], text)
    assert code == 2
    assert err.startswith("<stdin>:4:1: error: operation foo.bar is not registered")
    assert out.count("builtin.module") == 2
    assert out.count("\n// -----\n") == 1


@pytest.mark.parametrize(
    ("text", "code", "messages"),
    [
        ("foo.bar // expected-error {{not registered}}", 0, []),
        (TEXT, 0, []),
        (TEXT + "// expected-error @-1 {{bad}}", 1, ['<stdin>:3: error: expected error "bad" was not produced']),
        ("foo.bar", 1, ["<stdin>:1: error: unexpected error: operation foo.bar is not registered"]),
        (
            "func.func @f() -> i32 {\n  func.return // expected-error {{same types}}\n}\n"
            "func.func @g() -> i32 {\n  func.return\n}",
            1,
            [
                "<stdin>:5: error: unexpected error: func.return: Expected arguments to have the same types as the "
                "function output types: expected [i32], got []"
            ],
        ),
    ],
)
def test_expected_errors_must_come_and_no_others(text: str, code: int, messages: list[str]) -> None:
    found_code, _, err = run_opt(["--verify-diagnostics"], text)
    assert (found_code, err.splitlines()) == (code, messages)


def test_errors_of_passes_can_be_expected() -> None:
    text = '"test.op"() : () -> ()\n"test.op"() : () -> () // expected-error {{not supported}}'
    assert run_opt(["--verify-diagnostics", "-p", "refuse"], text)[0] == 0


def test_output_goes_to_a_file_with_its_weights_beside_it(tmp_path: Path) -> None:
    module = parse_module(TEXT)
    values = np.arange(200, dtype=np.int32)
    module.attributes["w"] = WeightsAttr.from_array("w", values)
    write_module(module, tmp_path / "in.mlir")
    (tmp_path / "out").mkdir()
    assert run_opt([str(tmp_path / "in.mlir"), "-o", str(tmp_path / "out" / "out.mlir")]) == (0, "", "")
    again = read_module(tmp_path / "out" / "out.mlir").attributes["w"]
    assert isinstance(again, WeightsAttr)
    np.testing.assert_array_equal(again.array(), values)
    assert (tmp_path / "out" / "in.safetensors").exists()


def test_nothing_is_written_when_the_input_is_wrong(tmp_path: Path) -> None:
    assert run_opt(["-o", str(tmp_path / "out.mlir")], "foo.bar")[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_weights_are_inlined_from_the_file_named(tmp_path: Path) -> None:
    module = parse_module(TEXT)
    module.attributes["w"] = WeightsAttr.from_array("w", np.arange(150, dtype=np.uint8))
    write_module(module, tmp_path / "in.mlir")
    text = (tmp_path / "in.mlir").read_text()
    code, out, _ = run_opt(["--inline-weights", "--weights", str(tmp_path / "in.safetensors")], text)
    assert code == 0
    assert 'dense<"0x000102' in out
    assert "nn.weights" not in out


def test_a_run_leaves_no_trace() -> None:
    post_init = Attribute.__post_init__
    streams = sys.stdout, sys.stderr
    for args in ([], ["-p", "crash"], ["--help"], ["--allow-unregistered-dialect"]):
        run_opt(args, TEXT)
    assert run_opt([], '"foo.bar"() : () -> ()')[0] == 2
    assert Attribute.__post_init__ is post_init
    assert (sys.stdout, sys.stderr) == streams
    with pytest.raises((UserError, VerifyException)):
        parse_module('"test.op"() {a = 300 : i8} : () -> ()')


def test_help_and_version_succeed() -> None:
    code, out, _ = run_opt(["--help"])
    assert code == 0
    assert "--crash-reproducer" in out
    assert run_opt(["--version"])[1].startswith("intaglio ")


def test_the_command_reads_standard_input() -> None:
    command = [sys.executable, "-m", "intaglio.tools.opt"]
    done = subprocess.run(command, input=TEXT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, PRINTED, "")
    done = subprocess.run([*command, "absent.mlir"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr

"""Locations set by the parser, and errors with their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import StringAttr

from intaglio.dialects.weights import WeightsAttr
from intaglio.errors import UserError
from intaglio.ir.locations import describe, name_of, where
from intaglio.ir.parsing import parse_module, read_module
from intaglio.ir.printing import WEIGHTS_FILE, print_module, write_module

TEXT = """\
// a comment
func.func @main(%a: i32 loc("the/input"), %b: i32) -> i32 {
  %0,
    %1 = "test.op"(%a) ({
    ^bb0(%c: i32):
      "test.termop"() : () -> ()
  }) : (i32) -> (i32, i32) loc("stem/Conv:0")
  %2 = test.pureop %0 : i32 loc(fused["x", "y"])
  func.return %2 : i32
}
"""


def test_ops_and_arguments_get_the_place_of_their_name() -> None:
    module = parse_module(TEXT.replace("test.pureop %0 : i32", '"test.pureop"(%0) : (i32) -> i32'), "dir/m.mlir")
    assert [describe(op) for op in module.walk()] == [
        "builtin.module (dir/m.mlir:1:1)",
        "func.func (dir/m.mlir:2:1)",
        'test.op "stem/Conv:0" (dir/m.mlir:4:10)',
        "test.termop (dir/m.mlir:6:7)",
        'test.pureop "x, y" (dir/m.mlir:8:8)',
        "func.return (dir/m.mlir:9:3)",
    ]
    blocks = [block for op in module.walk() for region in op.regions for block in region.blocks]
    assert [where(arg.location) for block in blocks for arg in block.args] == [
        "dir/m.mlir:2:17",
        "dir/m.mlir:2:43",
        "dir/m.mlir:5:10",
    ]


def test_an_explicit_place_is_kept() -> None:
    module = parse_module('"test.op"() : () -> () loc("n"("other.mlir":7:8))', "m.mlir")
    (op,) = module.body.block.ops
    assert (name_of(op), where(op.location)) == ("n", "other.mlir:7:8")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('"test.op"() : () -> (', "1:22", "type expected"),
        ("func.func @f() {\n  foo.bar\n}", "2:3", "operation foo.bar is not registered"),
        ('func.func @f() {\n  %x = "foo.bar"() : () -> ()\n}', "2:8", "operation foo.bar is not registered"),
        ('func.func @f() {\n  "test.op"(%x) : (i32) -> ()\n  func.return\n}', "2:13", "use of undefined value %x"),
        ('"test.op"(%x) : (i32) -> ()', "1:11", "use of undefined value %x"),
        ("func.func @f(%x: !nn.nothing) {\n  func.return\n}", "1:29", "'nn.nothing' is not registered"),
        ('"test.op"() {a = 300 : i8} : () -> ()', "1:1", "integer value 300 is out of range"),
        ('"test.op"() {a = dense<1> : tensor<99999x99999xi32>} : () -> ()', "1:29", "too large for the text"),
        ('%x = "test.op"() : () -> ()', "1:1", "operation has 0 results, but was given 1 to bind"),
        ("", "1:1", "expected an operation"),
        ("func.func @f() -> i32 {\n  func.return\n}", "2:3", "func.return: Expected arguments to have the same types"),
        ('%x = "test.op"(%x) : (i32) -> i32', "1:6", "uses %x where it is not defined yet"),
    ],
)
def test_errors_say_where(text: str, place: str, message: str) -> None:
    with pytest.raises(UserError) as info:
        parse_module(text, "m.mlir")
    assert message in info.value.what
    assert info.value.where == f"m.mlir:{place}"
    assert len(str(info.value).splitlines()) <= 6


def test_syntax_errors_show_the_line_and_long_lines_a_part_of_it() -> None:
    with pytest.raises(UserError) as info:
        parse_module('func.func @f() {\n  "test.op"(%x) : (i32) -> ()\n}', "m.mlir")
    assert str(info.value).splitlines()[1:] == ['    "test.op"(%x) : (i32) -> ()', "              ^"]
    with pytest.raises(UserError) as info:
        parse_module(f'"test.op"() {{a = "{"x" * 5000}", b = %}} : () -> ()', "m.mlir")
    assert max(len(line) for line in str(info.value).splitlines()) < 300


def test_deep_nesting_is_a_user_error() -> None:
    with pytest.raises(UserError, match="nested too deeply"):
        parse_module('"test.op"() {a = ' + "[" * 5000)


def test_a_string_that_is_not_closed_takes_no_time() -> None:
    with pytest.raises(UserError, match="closing string literal"):
        parse_module('"test.op"() {a = "' + "x" * 2000 + "} : () -> ()\n" * 200)


def test_a_float_that_its_type_cannot_hold_is_a_user_error() -> None:
    with pytest.raises(UserError) as info:
        parse_module('"test.op"() {a = array<i8: 1>, b = array<f32: 1.0e+300>} : () -> ()', "m.mlir")
    assert info.value.where is not None
    assert info.value.where.startswith("m.mlir:1:")


def test_a_value_of_another_function_is_not_visible() -> None:
    text = (
        'func.func @f() {\n  "test.op"(%y) : (i32) -> ()\n  func.return\n}\nfunc.func @g(%y: i32) {\n  func.return\n}'
    )
    with pytest.raises(UserError, match="use of undefined value %y"):
        parse_module(text)


def test_names_outside_ascii_are_text() -> None:
    module = parse_module('"test.op"() {v = "\\E5\\8D\\B7"} : () -> () loc("卷积")')
    (op,) = module.body.block.ops
    assert op.attributes["v"] == StringAttr("卷")
    again = parse_module(print_module(module))
    assert name_of(next(iter(again.body.block.ops))) == "卷积"


def test_line_offset_moves_places() -> None:
    with pytest.raises(UserError) as info:
        parse_module("\nfoo.bar", "m.mlir", line_offset=10)
    assert info.value.where == "m.mlir:12:1"


def test_a_module_and_its_weights_are_read_back(tmp_path: Path) -> None:
    module = parse_module('"test.op"() : () -> ()')
    (op,) = module.body.block.ops
    values = np.arange(300, dtype=np.float32)
    op.attributes["w"] = WeightsAttr.from_array("w", values)
    write_module(module, tmp_path / "01_graph.mlir")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01_graph.mlir", "01_graph.safetensors"]
    again = read_module(tmp_path / "01_graph.mlir")
    (op,) = again.body.block.ops
    weights = op.attributes["w"]
    assert isinstance(weights, WeightsAttr)
    np.testing.assert_array_equal(weights.array(), values)
    assert print_module(again) == (tmp_path / "01_graph.mlir").read_text()


def test_modules_share_the_weights_file_they_name(tmp_path: Path) -> None:
    for index in range(2):
        module = parse_module('"test.op"() : () -> ()')
        module.attributes[WEIGHTS_FILE] = StringAttr("model.safetensors")
        module.attributes["w"] = WeightsAttr.from_array("w", np.full(200, 7.5, np.float32))
        write_module(module, tmp_path / f"{index}.mlir")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.mlir", "1.mlir", "model.safetensors"]


@pytest.mark.parametrize("name", ['"../up.safetensors"', '"/etc/passwd"', '""', "3 : i32"])
def test_a_weights_file_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.mlir"
    path.write_text(f'builtin.module attributes {{nn.weights_file = {name}}} {{ "test.op"() : () -> () }}')
    with pytest.raises(UserError, match="not a plain file name"):
        read_module(path)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot read the file"), (b"\xff\xfe", "not a text file: byte 0 is not UTF-8")]
)
def test_unreadable_files_are_user_errors(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "m.mlir"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as info:
        read_module(path)
    assert info.value.where == str(path)

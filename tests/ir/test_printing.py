"""Text that comes back the same: locations, aliases, generic form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import FileLineColLoc, FusedLoc, IntAttr, LocationAttr, NoneAttr, StringAttr, UnknownLoc
from xdsl.dialects.test import TestOp as AnyOp

from intaglio.ir.locations import fuse, name_of, named, names_in, names_only, where
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import Locations, _resolve_aliases, print_module

LONG = '!test.type<"a type whose text is longer than what is worth repeating in every mention of it">'
NAMED = """\
builtin.module {
  func.func @main(%a: i32 {onnx.name = "x/y"} loc("in"), %b: i32) -> i32 {
    %0 = "test.op"(%a) : (i32) -> i32 loc("stem/Conv:1")
    %1 = "test.op"(%0) ({
    ^bb0(%c: i32 loc("inner")):
      "test.termop"() : () -> ()
    }) : (i32) -> i32 loc(fused["a", "b"])
    func.return %1 : i32
  }
}
"""


def test_names_are_printed_and_places_are_not() -> None:
    assert print_module(parse_module(NAMED)) == NAMED


@pytest.mark.parametrize("locations", ["names", "all", "none"])
@pytest.mark.parametrize("generic", [False, True])
def test_text_round_trips(locations: Locations, generic: bool) -> None:
    text = print_module(parse_module(NAMED), locations=locations, generic=generic)
    assert print_module(parse_module(text), locations=locations, generic=generic) == text


def test_all_locations_show_places() -> None:
    text = print_module(parse_module(NAMED, "m.mlir"), locations="all")
    assert 'loc("stem/Conv:1"("m.mlir":3:10))' in text
    assert '%b: i32 loc("m.mlir":2:58)' in text
    assert "loc(" not in print_module(parse_module(NAMED), locations="none")


def test_a_long_type_mentioned_twice_is_written_once() -> None:
    text = print_module(parse_module(f'%0 = "test.op"() : () -> {LONG}\n"test.op"(%0) : ({LONG}) -> ()'))
    assert text.startswith(f"!type0 = {LONG}\n")
    assert text.count(LONG) == 1
    assert '%0 = "test.op"() : () -> !type0' in text
    assert print_module(parse_module(text)) == text


def test_short_types_and_single_mentions_are_written_out() -> None:
    short = '!test.type<"short">'
    source = f'%0 = "test.op"() : () -> {LONG}\n%1 = "test.op"() : () -> {short}\n"test.op"(%1) : ({short}) -> ()'
    text = print_module(parse_module(source))
    assert text.startswith("builtin.module")
    assert LONG in text


def test_aliases_can_be_switched_off() -> None:
    module = parse_module(f'%0 = "test.op"() : () -> tensor<2x{LONG}>\n"test.op"(%0) : (tensor<2x{LONG}>) -> ()')
    assert print_module(module, aliases=False).count(LONG) == 2
    assert print_module(module).count("tensor<2x!type0>") == 2


def test_an_alias_is_defined_before_aliases_that_use_it() -> None:
    inner, outer = "!inner<" + "x" * 60 + ">", "!outer<\0000\000" + "y" * 60 + ">"
    text = _resolve_aliases("a \0001\000, b \0001\000, c \0000\000\n", [inner, outer], ["!inner", "!outer"])
    assert text.splitlines() == [
        f"!inner0 = {inner}",
        "!outer0 = !outer<!inner0" + "y" * 60 + ">",
        "a !outer0, b !outer0, c !inner0",
    ]


def test_constants_of_different_names_keep_them() -> None:
    digest = "a" * 32
    source = "\n".join(
        f'"test.op"() {{w = #nn.weights<"{name}", "{digest}"> : tensor<2x3xf32>}} : () -> ()' for name in "xy"
    )
    text = print_module(parse_module(source))
    assert '"x"' in text
    assert '"y"' in text


PLACES = st.builds(
    lambda file, line, column: FileLineColLoc(StringAttr(file), IntAttr(line), IntAttr(column)),
    st.text(max_size=8),
    st.integers(0, 2**31),
    st.integers(0, 2**31),
)
LOCATIONS: st.SearchStrategy[LocationAttr] = st.recursive(
    PLACES | st.builds(named, st.text(max_size=8)) | st.builds(named, st.text(max_size=8), PLACES),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda locs: FusedLoc(tuple(locs), NoneAttr())),
    max_leaves=6,
)


@given(LOCATIONS)
def test_every_location_survives_the_text(location: LocationAttr) -> None:
    op = AnyOp(attributes={})
    op.location = location
    (again,) = parse_module(print_module(op, locations="all"), "t.mlir").body.block.ops
    assert names_in(again.location) == names_in(location)
    assert where(again.location) == (where(location) or "t.mlir:1:1")


@given(LOCATIONS)
def test_names_survive_the_default_text(location: LocationAttr) -> None:
    op = AnyOp(attributes={})
    op.location = location
    text = print_module(op)
    (again,) = parse_module(text).body.block.ops
    assert name_of(again) == name_of(op)
    assert print_module(again) == text


@given(st.lists(LOCATIONS, max_size=4))
def test_fusing_keeps_every_name_once(locations: list[LocationAttr]) -> None:
    fused = fuse(locations)
    expected = list(dict.fromkeys(name for location in locations for name in names_in(location)))
    assert names_in(fused) == expected
    assert names_in(names_only(fused)) == expected
    if not locations:
        assert fused == UnknownLoc()

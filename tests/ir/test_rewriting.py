"""Patterns applied to a fixpoint: order, locations, dead code, endless loops and errors."""

from __future__ import annotations

import time

import pytest
from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.test import TestOp as AnyOp
from xdsl.dialects.test import TestPureOp as PureOp
from xdsl.ir import Operation
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern
from xdsl.utils.exceptions import PassFailedException

from intaglio.errors import UserError
from intaglio.ir.locations import name_of, named
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.ir.rewriting import RewriteLimitExceededError, apply_patterns


def tagged(op: Operation, tag: str) -> bool:
    return op.attributes.get("tag") == StringAttr(tag)


def new_op(like: Operation, tag: str, operands: tuple[object, ...] | None = None) -> PureOp:
    return PureOp(
        operands=list(like.operands if operands is None else operands),
        result_types=[result.type for result in like.results],
        attributes={"tag": StringAttr(tag)},
    )


class MergePair(RewritePattern):
    """second(first(x)) -> both(x)."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PureOp, rewriter: PatternRewriter) -> None:
        if not tagged(op, "second"):
            return
        first = op.operands[0].owner
        if not isinstance(first, PureOp) or not tagged(first, "first"):
            return
        rewriter.replace(op, new_op(first, "both"))


class Retag(RewritePattern):
    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PureOp, rewriter: PatternRewriter) -> None:
        if tagged(op, self.old):
            rewriter.replace(op, new_op(op, self.new))


PAIR = """
%x = "test.op"() : () -> i32
%a = "test.pureop"(%x) {tag = "first"} : (i32) -> i32 loc("one/first")
%b = "test.pureop"(%a) {tag = "second"} : (i32) -> i32 loc("one/second")
"test.op"(%b) : (i32) -> ()
"""


def test_rewrites_inherit_the_location_and_erase_what_died() -> None:
    module = parse_module(PAIR)
    assert apply_patterns(module, [MergePair()])
    assert [name_of(op) for op in module.body.block.ops] == [None, "one/second", None]
    assert not apply_patterns(module, [MergePair()])


def test_locations_of_several_replaced_ops_are_fused_in_ir_order() -> None:
    class ReplaceBoth(RewritePattern):
        @op_type_rewrite_pattern
        def match_and_rewrite(self, op: PureOp, rewriter: PatternRewriter) -> None:
            if tagged(op, "second") and isinstance(first := op.operands[0].owner, PureOp):
                merged = new_op(first, "both")
                rewriter.replace(op, merged)
                rewriter.erase(first)

    module = parse_module(PAIR)
    assert apply_patterns(module, [ReplaceBoth()])
    assert 'loc(fused["one/first", "one/second"])' in print_module(module)


def test_a_location_set_by_the_pattern_is_kept() -> None:
    class Rename(RewritePattern):
        @op_type_rewrite_pattern
        def match_and_rewrite(self, op: PureOp, rewriter: PatternRewriter) -> None:
            if tagged(op, "first"):
                renamed = new_op(op, "done")
                renamed.location = named("mine")
                rewriter.replace(op, renamed)

    module = parse_module(PAIR)
    apply_patterns(module, [Rename()])
    assert "mine" in [name_of(op) for op in module.body.block.ops]


def test_ops_that_were_dead_before_stay() -> None:
    module = parse_module('%x = "test.pureop"() {tag = "old"} : () -> i32\n"test.op"() : () -> ()')
    assert not apply_patterns(module, [Retag("first", "second")])
    assert sum(1 for _ in module.body.block.ops) == 2


def test_patterns_are_tried_in_the_order_given() -> None:
    module = parse_module('%x = "test.pureop"() {tag = "a"} : () -> i32\n"test.op"(%x) : (i32) -> ()')
    apply_patterns(module, [Retag("a", "b"), Retag("a", "c"), Retag("b", "d")])
    assert 'tag = "d"' in print_module(module)


def test_nested_regions_are_rewritten() -> None:
    module = parse_module(
        '"test.op"() ({\n  %x = "test.pureop"() {tag = "a"} : () -> i32\n  "test.termop"(%x) : (i32) -> ()\n})'
        " : () -> ()"
    )
    assert apply_patterns(module, [Retag("a", "b")])
    assert 'tag = "b"' in print_module(module)


def test_an_endless_loop_is_an_error_that_names_the_patterns() -> None:
    module = parse_module('%x = "test.pureop"() {tag = "a"} : () -> i32\n"test.op"(%x) : (i32) -> ()')
    with pytest.raises(RewriteLimitExceededError, match=r"gave up after \d+ rewrites .* Retag \(\d+ times\)"):
        apply_patterns(module, [Retag("a", "b"), Retag("b", "a")])


@pytest.mark.parametrize("exception", [UserError("not supported"), PassFailedException("not supported")])
def test_a_user_error_in_a_pattern_gets_the_position_of_the_op(exception: Exception) -> None:
    class Fails(RewritePattern):
        @op_type_rewrite_pattern
        def match_and_rewrite(self, op: PureOp, rewriter: PatternRewriter) -> None:
            raise exception

    with pytest.raises(UserError, match="not supported") as info:
        apply_patterns(parse_module(PAIR, "pair.mlir"), [Fails()])
    assert info.value.where == "pair.mlir:3:6"


def test_a_bug_in_a_pattern_says_where_it_happened() -> None:
    class Broken(RewritePattern):
        @op_type_rewrite_pattern
        def match_and_rewrite(self, op: AnyOp, rewriter: PatternRewriter) -> None:
            raise KeyError("x")

    with pytest.raises(KeyError) as info:
        apply_patterns(parse_module(PAIR, "pair.mlir"), [Broken()])
    assert info.value.__notes__ == ["while Broken looked at test.op (pair.mlir:2:6)"]


def dead_chain(length: int) -> str:
    lines = ['%0 = "test.pureop"() : () -> i32']
    lines += [f'%{i} = "test.pureop"(%{i - 1}, %{i - 1}) : (i32, i32) -> i32' for i in range(1, length)]
    return "\n".join([*lines, f'%end = "test.pureop"(%{length - 1}) {{tag = "last"}} : (i32) -> i32'])


def test_a_chain_that_dies_is_erased_in_linear_time() -> None:
    class DropLast(RewritePattern):
        @op_type_rewrite_pattern
        def match_and_rewrite(self, op: PureOp, rewriter: PatternRewriter) -> None:
            if tagged(op, "last"):
                rewriter.erase(op)

    seconds = []
    for length in (500, 4000):
        module = parse_module(dead_chain(length))
        start = time.process_time()
        assert apply_patterns(module, [DropLast()])
        seconds.append(time.process_time() - start)
        assert module.body.block.last_op is None
    # Eight times the ops: quadratic behaviour would take 64 times as long.
    assert seconds[1] < 30 * max(seconds[0], 0.01)

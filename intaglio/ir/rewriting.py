"""Applying patterns until none matches, with locations kept.

It differs from xDSL's `PatternRewriteWalker` in four ways. An op inserted by a pattern inherits the location of
what it replaces, fused when that is several ops. An op whose last use a rewrite removed is erased at once, and so
are its operands' ops, in linear time; ops that were dead before stay, for `eliminate-dead-code`. Patterns that
rewrite for ever are an error that names them. An exception says at which op and in which pattern it came up,
without printing the module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from xdsl.dialects.builtin import UnknownLoc
from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, PatternRewriterListener, RewritePattern
from xdsl.transforms.dead_code_elimination import is_trivially_dead
from xdsl.utils.exceptions import DiagnosticException

from intaglio.errors import UserError
from intaglio.ir.locations import describe, fuse, where

_REWRITES_PER_OP = 64
_MIN_REWRITES = 1024


class RewriteLimitExceededError(RuntimeError):
    """Patterns undo each other's work or match their own result: an error in the compiler, not in the input."""


def apply_patterns(op: Operation, patterns: Sequence[RewritePattern], *, max_rewrites: int | None = None) -> bool:
    """Apply patterns to the ops inside `op` until none matches.

    Ops are visited in the order they stand, then again whenever they or their operands' or users' ops change. At
    each op patterns are tried in the order given until one changes something.

    Args:
        op: a module, or any op with regions; it is not itself rewritten.
        patterns: what to apply.
        max_rewrites: the number of rewrites taken for a sign of an endless loop; by default 1024 plus 64 for
            each op there is at the start.

    Returns:
        Whether anything changed.

    Raises:
        RewriteLimitExceededError: `max_rewrites` was reached; the message names the patterns at work.
        UserError: a pattern raised it, or xDSL's diagnostic exceptions; `where` is the op's position.
    """
    return _Driver(op, patterns, max_rewrites).run()


class _Driver:
    def __init__(self, root: Operation, patterns: Sequence[RewritePattern], limit: int | None) -> None:
        self._root = root
        self._patterns = patterns
        self._order: dict[Operation, int] = {}
        self._worklist: dict[Operation, None] = {}
        self._limit = limit
        self._counts = Counter[str]()
        # What the pattern that runs has done so far.
        self._inserted: list[Operation] = []
        self._replaced: dict[Operation, None] = {}
        self._maybe_dead: dict[Operation, None] = {}
        self._current: Operation = root
        self._listener = PatternRewriterListener(
            operation_insertion_handler=[self._on_insertion],
            operation_removal_handler=[self._on_erasure],
            operation_modification_handler=[self._push],
            operation_replacement_handler=[self._on_replacement],
        )

    def run(self) -> bool:
        changed = False
        while True:
            self._fill()
            if self._limit is None:
                self._limit = _MIN_REWRITES + _REWRITES_PER_OP * len(self._order)
            if not self._sweep():
                return changed
            changed = True

    def _fill(self) -> None:
        inside = [op for op in self._root.walk() if op is not self._root]
        self._order = {op: index for index, op in enumerate(inside)}
        self._worklist = dict.fromkeys(reversed(inside))

    def _sweep(self) -> bool:
        changed = False
        while self._worklist:
            op, _ = self._worklist.popitem()
            # A pattern that erases ops without the rewriter leaves them here.
            if op.parent is not None:
                changed |= self._visit(op)
        return changed

    def _visit(self, op: Operation) -> bool:
        self._current = op
        for pattern in self._patterns:
            rewriter = PatternRewriter(op)
            rewriter.extend_from_listener(self._listener)
            self._apply(pattern, op, rewriter)
            if rewriter.has_done_action:
                self._finish(type(pattern).__name__)
                return True
        return False

    def _apply(self, pattern: RewritePattern, op: Operation, rewriter: PatternRewriter) -> None:
        # Described beforehand: the pattern may have erased the op by the time it fails.
        location = op.location
        try:
            pattern.match_and_rewrite(op, rewriter)
        except UserError as error:
            error.where = error.where or where(location)
            raise
        except DiagnosticException as error:
            raise UserError(f"{op.name}: {error}", where=where(location)) from error
        except Exception as error:
            error.add_note(f"while {type(pattern).__name__} looked at {describe(op)}")
            raise

    def _finish(self, pattern_name: str) -> None:
        """Set locations and erase what died in the rewrite that just happened."""
        replaced = sorted(self._replaced, key=lambda op: self._order.get(op, len(self._order)))
        location = fuse([op.location for op in replaced] or [self._current.location])
        order = min((self._order.get(op, len(self._order)) for op in [*replaced, self._current]), default=0)
        for inserted in self._inserted:
            for op in inserted.walk():
                if isinstance(op.location, UnknownLoc):
                    op.location = location
                self._order.setdefault(op, order)
        self._erase_dead()
        self._inserted.clear()
        self._replaced.clear()
        self._counts[pattern_name] += 1
        assert self._limit is not None
        if (total := self._counts.total()) > self._limit:
            busiest = ", ".join(f"{name} ({count} times)" for name, count in self._counts.most_common(3))
            raise RewriteLimitExceededError(
                f"gave up after {total} rewrites on {len(self._order)} ops, the last at "
                f"{self._current.name}; patterns at work: {busiest}"
            )

    def _erase_dead(self) -> None:
        while self._maybe_dead:
            op, _ = self._maybe_dead.popitem()
            if op.parent is None or not is_trivially_dead(op):
                continue
            self._on_removal(op)
            op.detach()
            op.erase()

    def _push(self, op: Operation) -> None:
        # Re-inserting moves an op to the end, so that it is visited next.
        self._worklist.pop(op, None)
        self._worklist[op] = None

    def _on_insertion(self, op: Operation) -> None:
        self._inserted.append(op)
        for inner in op.walk(reverse=True):
            self._push(inner)

    def _on_replacement(self, op: Operation, new_results: Sequence[SSAValue | None]) -> None:
        self._replaced[op] = None
        for result in op.results:
            for use in result.uses:
                self._push(use.operation)

    def _on_erasure(self, op: Operation) -> None:
        # Constants that a pattern erases are not what its result stands for.
        if op.operands:
            self._replaced[op] = None
        self._on_removal(op)

    def _on_removal(self, op: Operation) -> None:
        for inner in op.walk():
            self._worklist.pop(inner, None)
            self._maybe_dead.pop(inner, None)
            for operand in inner.operands:
                if isinstance(owner := operand.owner, Operation) and owner is not self._root:
                    self._maybe_dead[owner] = None
                    self._push(owner)

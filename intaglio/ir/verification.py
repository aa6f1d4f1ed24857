"""Verification with locations: each op's own verifier, and SSA dominance, which xDSL does not check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.irdl.dominance import DominanceInfo
from xdsl.traits import IsolatedFromAbove, NoTerminator
from xdsl.utils.exceptions import VerifyException

from intaglio.errors import UserError
from intaglio.ir.locations import describe, describe_value, where

_ISOLATION = "Operation using value defined out of its IsolatedFromAbove parent"
"""xDSL reports such a use on the parent op; the dominance check reports it on the op that has it."""


@dataclass(frozen=True)
class Violation:
    """A rule that an op breaks."""

    op: Operation
    message: str

    def as_error(self) -> UserError:
        """Return the error a user sees: `file:line:column: error: nn.relu "name": message`."""
        place = where(self.op.location)
        named = describe(self.op).removesuffix(f" ({place})")
        return UserError(f"{named}: {self.message}", where=place)


def verify_module(module: ModuleOp) -> None:
    """Check every op of a module, and that every value is defined before it is used.

    Raises:
        UserError: the first violation, with the position and name of its op.
    """
    for violation in violations(module):
        raise violation.as_error()


def violations(module: Operation) -> Iterator[Violation]:
    """Yield the rules that ops of a module break, op verifiers first; dominance only when they all hold."""
    valid = True
    for op in module.walk():
        for violation in _op_violations(op):
            valid = False
            yield violation
    if valid:
        yield from dominance_violations(module)


def _op_violations(op: Operation) -> Iterator[Violation]:
    try:
        op.verify(verify_nested_ops=False)
    except VerifyException as error:
        if not str(error).startswith(_ISOLATION):
            yield Violation(op, shorten(one_line(str(error))))
    for region in op.regions:
        block = region.blocks.first
        if block is None or block.next_block is not None or block.last_op is not None:
            continue
        if not op.has_trait(NoTerminator):
            yield Violation(op, "has an empty block where at least a terminator is expected")


def one_line(message: str) -> str:
    """Return xDSL's verifier messages, which may run over several lines, as one."""
    parts = [part.strip() for part in message.splitlines() if part.strip()]
    text = ""
    for part in parts:
        text += ("" if not text else " " if text.endswith((":", ",")) else "; ") + part
    return text


def shorten(message: str, length: int = 400) -> str:
    """Return a message with its middle left out when it is longer than `length` characters."""
    return message if len(message) <= length else f"{message[: length // 2]} ... {message[-length // 2 :]}"


def dominance_violations(op: Operation) -> Iterator[Violation]:
    """Yield the uses of values in the regions of `op` that their definitions do not dominate.

    The body of a module is checked in order as any other block, unlike in MLIR, where it is a graph region: our
    interpreter and lowerings take ops in the order they stand. Unreachable blocks are not checked, as in MLIR.
    """
    visible = set[SSAValue]()
    for region in op.regions:
        yield from _region_violations(region, visible)


def _region_violations(region: Region, visible: set[SSAValue]) -> Iterator[Violation]:
    """Check a region into which the values in `visible` reach; `visible` is the same afterwards."""
    entry = region.blocks.first
    if entry is None:
        return
    if entry.next_block is None:
        added = list[SSAValue]()
        yield from _block_violations(entry, visible, added)
        visible.difference_update(added)
        return
    dominance = DominanceInfo(region)
    reachable = _reachable(entry)
    for block in region.blocks:
        if block not in reachable:
            continue
        above = visible | {
            value
            for other in region.blocks
            if other in reachable and dominance.strictly_dominates(other, block)
            for value in _values_of(other)
        }
        yield from _block_violations(block, above, [])


def _block_violations(block: Block, visible: set[SSAValue], added: list[SSAValue]) -> Iterator[Violation]:
    """Check a block in order, adding the values it defines to `visible` and to `added`."""
    visible.update(block.args)
    added.extend(block.args)
    for op in block.ops:
        for operand in op.operands:
            if operand not in visible:
                yield Violation(op, f"uses {describe_value(operand)} where it is not defined yet")
        if op.regions:
            inner = set[SSAValue]() if op.has_trait(IsolatedFromAbove) else visible
            for region in op.regions:
                yield from _region_violations(region, inner)
        if op.results:
            visible.update(op.results)
            added.extend(op.results)


def _values_of(block: Block) -> Iterable[SSAValue]:
    yield from block.args
    for op in block.ops:
        yield from op.results


def _reachable(entry: Block) -> set[Block]:
    found = {entry}
    pending = [entry]
    while pending:
        last = pending.pop().last_op
        for successor in last.successors if last is not None else ():
            if successor not in found:
                found.add(successor)
                pending.append(successor)
    return found

"""Decide for each operation whether the accelerator or the host runs it.

```mlir
%1 = nn.conv2d %0, ...        %1 = nn.conv2d %0, ... {intaglio.device = "accelerator"}
%2 = nn.softmax %1 axis 1 ->  %2 = nn.softmax %1 axis 1 {intaglio.device = "host", intaglio.host_reason =
                                   "Operations are of the kinds ..., got nn.softmax"}
```

An operation goes to the accelerator when it breaks no constraint of the target (`intaglio.targets.constraints`), unless
the user chose the host for it: with the option `backends`, or with the attribute `intaglio.backend` in the text.
A group of connected operations that only moves elements is left on the host: a launch for no work is not worth it.
Nothing is moved or merged here; that is `outline-regions`. What the accelerator could run and the host runs for less is
found by `place-by-cost`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from intaglio.dialects import nn
from intaglio.errors import UserError
from intaglio.ir.locations import describe, where
from intaglio.passes.partition.backends import BACKEND, Backend, Request, backend_of, choose
from intaglio.passes.partition.placement import ACCELERATOR, DEVICE, HOST, HOST_REASON, TARGET, device_of, has_device
from intaglio.passes.quantization.coverage import functions_with_body
from intaglio.targets.constraints import check
from intaglio.targets.movement import MOVEMENT
from intaglio.targets.target import Target, load_target

BY_CHOICE = "The accelerator runs what the user leaves to it, got the choice of the host"


@dataclass(frozen=True)
class AssignDevices(ModulePass):
    """Annotate each operation with the device that runs it, and on the host with the reason.

    The module's attribute `intaglio.target` records the target.

    Options:
        target: a preset such as gen1, a description file, or host for no accelerator.
        backends: devices of the user's choice, as NAME=host or NAME=accelerator; #INDEX stands for the operation of
            that index.
    """

    name = "assign-devices"
    target: str = "gen1"
    backends: tuple[str, ...] = ()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Set the attributes.

        Raises:
            UserError: there is no such target or operation, or the user chose the accelerator for an operation that it
                cannot run.
        """
        target = None if self.target == HOST else load_target(self.target)
        op.attributes[TARGET] = StringAttr(self.target)
        requests = [Request.parse(text) for text in self.backends]
        choose(op, requests, lambda operation: target is not None and not check(operation, target))
        for function in functions_with_body(op):
            for operation in filter(has_device, function.body.block.ops):
                _assign(operation, _refusal(operation, target))
            for group in _groups(function):
                if all(
                    isinstance(member, (nn.ReshapeOp, *MOVEMENT)) and backend_of(member) is None for member in group
                ):
                    kinds = ", ".join(sorted({member.name for member in group}))
                    for member in group:
                        _assign(member, f"A region does more than move elements, got {kinds} alone")


def _refusal(op: Operation, target: Target | None) -> str | None:
    """Why an operation is the host's, or None.

    Raises:
        UserError: it is, and the user chose the accelerator.
    """
    choice = backend_of(op)
    if choice is Backend.HOST:
        return BY_CHOICE
    reason = "The target is the host" if target is None else "; ".join(map(str, check(op, target))) or None
    if choice is Backend.ACCELERATOR and reason:
        raise UserError(
            f"{describe(op)} cannot run on the accelerator: {reason}",
            where=where(op.location) or BACKEND,
            hint="choose the host for it, or nothing",
        )
    return reason


def _assign(op: Operation, reason: str | None) -> None:
    """Put an operation on the host for `reason`, or on the accelerator when there is none."""
    op.attributes.pop(HOST_REASON, None)
    op.attributes[DEVICE] = StringAttr(HOST if reason else ACCELERATOR)
    if reason:
        op.attributes[HOST_REASON] = StringAttr(reason)


def _groups(function: func.FuncOp) -> Iterator[list[Operation]]:
    """Yield the sets of accelerator operations connected by values."""
    left = {op: None for op in function.body.block.ops if device_of(op) == ACCELERATOR}
    while left:
        group: list[Operation] = []
        pending = [next(iter(left))]
        while pending:
            op = pending.pop()
            if op not in left:
                continue
            del left[op]
            group.append(op)
            pending += [operand.owner for operand in op.operands if isinstance(operand.owner, Operation)]
            pending += [use.operation for result in op.results for use in result.uses]
        yield group

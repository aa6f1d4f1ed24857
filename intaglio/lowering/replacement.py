"""Putting values in the place of ONNX nodes, for the passes that lower them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue

from intaglio.dialects.onnx import OnnxOp


def function_blocks(module: ModuleOp) -> Iterator[Block]:
    """Yield the blocks of the module's functions; graphs inside nodes are not entered."""
    for function in module.body.block.ops:
        if isinstance(function, FuncOp):
            yield from function.body.blocks


def replace_outputs(op: Operation, values: Sequence[SSAValue]) -> None:
    """Put values in the place of a node's outputs, absent ones included; the last may have none if nobody uses them.

    Other operations have results.
    """
    outputs = op.node_outputs() if isinstance(op, OnnxOp) else list(op.results)
    present = [(value, output) for value, output in zip(values, outputs, strict=False) if output is not None]
    replace_results(op, [value for value, _ in present], [output for _, output in present])


def replace_results(op: Operation, values: Sequence[SSAValue], results: Sequence[SSAValue] | None = None) -> None:
    """Put values in the place of an op's results, or of those given, and erase the op."""
    for value, result in zip(values, op.results if results is None else results, strict=True):
        if value.name_hint is None:
            value.name_hint = result.name_hint
        result.replace_all_uses_with(value)
    op.detach()
    op.erase()


def erase_unused(block: Block, *kinds: type[Operation]) -> None:
    """Erase the operations of some classes whose results nobody uses, users before what they use."""
    for op in reversed(list(block.ops)):
        if isinstance(op, kinds) and all(result.first_use is None for result in op.results):
            op.detach()
            op.erase()

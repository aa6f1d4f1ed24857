"""`eliminate-dead-code` removes what nobody uses, in linear time, and nothing else."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.builder import Builder
from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType, f32
from xdsl.ir import Block, Region, SSAValue
from xdsl.rewriter import InsertPoint

from intaglio.dialects import nn
from intaglio.ir.context import make_context
from intaglio.passes.graph.eliminate_dead_code import EliminateDeadCode

TYPE = TensorType(f32, [2])


def random_module(size: int, seed: int) -> ModuleOp:
    rng = np.random.default_rng(seed)
    block = Block(arg_types=[TYPE])
    builder = Builder(InsertPoint.at_end(block))
    values: list[SSAValue] = [block.args[0]]
    for _ in range(size):
        lhs, rhs = (values[int(index)] for index in rng.integers(len(values), size=2))
        values.append(builder.insert(nn.AddOp(lhs, rhs, TYPE)).result)
    builder.insert(func.ReturnOp(values[int(rng.integers(len(values)))]))
    function = func.FuncOp("main", FunctionType.from_lists([TYPE], [TYPE]), Region(block))
    return ModuleOp([function])


def live_count(module: ModuleOp) -> int:
    """How many additions the returned value needs, found from the return."""
    function = next(iter(module.ops))
    assert isinstance(function, func.FuncOp)
    terminator = function.body.block.last_op
    assert terminator is not None
    pending, seen = [operand.owner for operand in terminator.operands], set()
    while pending:
        op = pending.pop()
        if isinstance(op, nn.AddOp) and op not in seen:
            seen.add(op)
            pending += [operand.owner for operand in op.operands]
    return len(seen)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_what_stays_is_what_the_result_needs(apply_checked, size, seed):
    module = random_module(size, seed)
    needed = live_count(module)
    after = apply_checked(module, EliminateDeadCode())
    assert sum(isinstance(op, nn.AddOp) for op in after.walk()) == needed


def test_a_long_dead_chain_takes_linear_time():
    block = Block(arg_types=[TYPE])
    value: SSAValue = block.args[0]
    for _ in range(4000):
        op = nn.AddOp(value, value, TYPE)
        block.add_op(op)
        value = op.result
    block.add_op(func.ReturnOp(block.args[0]))
    module = ModuleOp([func.FuncOp("main", FunctionType.from_lists([TYPE], [TYPE]), Region(block))])
    start = time.process_time()
    EliminateDeadCode().apply(make_context(), module)
    assert time.process_time() - start < 5
    assert not any(isinstance(op, nn.AddOp) for op in module.walk())

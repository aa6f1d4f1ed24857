"""`fold-batch-norm` computes the same within float rounding, for every kind of layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.builder import Builder
from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType, f32
from xdsl.ir import Block, Region, SSAValue
from xdsl.rewriter import InsertPoint

from intaglio.dialects import nn
from intaglio.dialects.weights import constant_attr
from intaglio.passes.graph.fold_batch_norm import FoldBatchNorm


def module_with_norm(layer: str, bias: bool, seed: int) -> ModuleOp:
    rng = np.random.default_rng(seed)
    block = Block(arg_types=[TensorType(f32, [2, 6] if layer == "dense" else [2, 5, 4, 6])])
    builder = Builder(InsertPoint.at_end(block))

    def constant(*shape: int, low: float = -2.0) -> SSAValue:
        values = rng.uniform(low, 2.0, shape).astype(np.float32)
        return builder.insert(nn.ConstantOp(constant_attr("key", values))).result

    source: SSAValue = block.args[0]
    offset = constant(6) if bias else None
    if layer == "dense":
        source = builder.insert(nn.DenseOp(source, constant(6, 6), offset, source.type)).result
    elif layer != "none":
        groups = {"conv2d": 1, "grouped": 3, "depthwise": 6}[layer]
        weight = constant(6, 3, 3, 6 // groups)
        source = builder.insert(
            nn.Conv2dOp(source, weight, offset, source.type, pads=(1, 1, 1, 1), groups=groups)
        ).result
    norm = nn.BatchNormOp(source, constant(6), constant(6), constant(6), constant(6, low=0.01), 1e-5)
    builder.insert(norm)
    builder.insert(func.ReturnOp(norm.result))
    kind = FunctionType.from_lists([block.args[0].type], [norm.result.type])
    return ModuleOp([func.FuncOp("main", kind, Region(block))])


@pytest.mark.parametrize("layer", ["conv2d", "grouped", "depthwise", "dense", "none"])
@settings(deadline=None, max_examples=10)
@given(bias=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_same_result(apply_checked, layer, bias, seed):
    after = apply_checked(module_with_norm(layer, bias, seed), FoldBatchNorm(), rtol=1e-4, atol=1e-3)
    kinds = [type(op) for op in after.walk()]
    assert nn.BatchNormOp not in kinds
    assert (nn.MulOp in kinds) == (layer == "none")

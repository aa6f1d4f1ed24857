"""`fold-transposes` computes the same on random graphs, and leaves one layout in the shipped networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
from intaglio.dialects.nn import tensor_of
from intaglio.dialects.weights import constant_attr
from intaglio.frontend.importer import import_model
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.lowering.onnx_to_nn import OnnxToNn
from intaglio.passes.graph.fold_constants import FoldConstants
from intaglio.passes.graph.fold_transposes import FoldTransposes


@dataclass
class Graph:
    """A random graph: values of a few shapes, and operations that keep or permute them."""

    rng: np.random.Generator
    builder: Builder
    values: list[SSAValue]

    def pick(self) -> SSAValue:
        # Recent values are likelier, so that chains grow.
        return self.values[-1 - int(min(self.rng.geometric(0.4) - 1, len(self.values) - 1))]

    def shape(self, value: SSAValue) -> tuple[int, ...]:
        return tensor_of(value).get_shape()

    def grow(self) -> None:
        value = self.pick()
        shape = self.shape(value)
        op = getattr(self, str(self.rng.choice(self.choices)))(value, shape)
        self.values.append(self.builder.insert(op).result)

    choices = (
        "transpose",
        "transpose",
        "transpose",
        "activation",
        "constant_operand",
        "other_operand",
        "concat",
        "pad",
        "softmax",
        "reshape",
        "shuffle",
    )

    def transpose(self, value, shape):
        return nn.TransposeOp(value, [int(k) for k in self.rng.permutation(len(shape))])

    def activation(self, value, shape):
        return self.rng.choice([nn.ReluOp, nn.TanhOp])(value, value.type)

    def constant_operand(self, value, shape):
        kept = shape[int(self.rng.integers(len(shape) + 1)) :]
        aligned = [extent if self.rng.random() < 0.5 else 1 for extent in kept]
        array = self.rng.normal(size=aligned).astype(np.float32)
        constant = self.builder.insert(nn.ConstantOp(constant_attr("key", array))).result
        operands = [value, constant] if self.rng.random() < 0.5 else [constant, value]
        return nn.MulOp(*operands, value.type)

    def other_operand(self, value, shape):
        fits = [other for other in self.values if self.broadcasts(shape, self.shape(other))] or [value]
        other = fits[int(self.rng.integers(len(fits)))]
        return nn.AddOp(value, other, TensorType(f32, np.broadcast_shapes(shape, self.shape(other))))

    def broadcasts(self, shape, other):
        try:
            return int(np.prod(np.broadcast_shapes(shape, other))) <= 500
        except ValueError:
            return False

    def concat(self, value, shape):
        axis = int(self.rng.integers(len(shape)))
        fits = [other for other in self.values if self.joins(shape, self.shape(other), axis)]
        other = fits[int(self.rng.integers(len(fits)))]
        total = shape[axis] + self.shape(other)[axis]
        kind = TensorType(f32, [*shape[:axis], total, *shape[axis + 1 :]])
        return nn.ConcatOp([value, other], axis, kind)

    def joins(self, shape, other, axis):
        return len(shape) == len(other) and all(a == b or k == axis for k, (a, b) in enumerate(zip(shape, other)))  # noqa: B905

    def pad(self, value, shape):
        low, high = (self.rng.integers(0, 2, len(shape)).tolist() for _ in range(2))
        kind = TensorType(f32, [a + b + c for a, b, c in zip(low, shape, high, strict=True)])
        return nn.PadOp(value, low, high, 1.5, kind)

    def softmax(self, value, shape):
        return nn.SoftmaxOp(value, int(self.rng.integers(len(shape))), value.type)

    def reshape(self, value, shape):
        ones = [extent for extent in shape if extent != 1]
        for _ in range(int(self.rng.integers(4))):
            ones.insert(int(self.rng.integers(len(ones) + 1)), 1)
        return nn.ReshapeOp(value, TensorType(f32, ones or [1]))

    def shuffle(self, value, shape):
        axis = int(np.argmax(shape))
        count = 1 if shape[axis] % 2 else 2
        parts = [*shape[:axis], count, shape[axis] // count, *shape[axis + 1 :]]
        order = list(range(len(parts)))
        order[axis : axis + 2] = [axis + 1, axis]
        split = self.builder.insert(nn.ReshapeOp(value, TensorType(f32, parts)))
        shuffled = self.builder.insert(nn.TransposeOp(split.result, order))
        return nn.ReshapeOp(shuffled.result, value.type)


def random_module(size: int, seed: int) -> ModuleOp:
    rng = np.random.default_rng(seed)
    kinds = [TensorType(f32, shape) for shape in ([1, 2, 3, 2], [1, 3, 1, 1], [2, 3])]
    block = Block(arg_types=kinds)
    graph = Graph(rng, Builder(InsertPoint.at_end(block)), list(block.args))
    for _ in range(size):
        graph.grow()
    results = [graph.values[-1], graph.pick()]
    graph.builder.insert(func.ReturnOp(*results))
    kind = FunctionType.from_lists(kinds, [result.type for result in results])
    return ModuleOp([func.FuncOp("main", kind, Region(block))])


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 14), st.integers(0, 2**32 - 1))
def test_random_graphs_compute_the_same(apply_checked, size, seed):
    # Softmax sums in another order.
    apply_checked(random_module(size, seed), FoldTransposes(), rtol=1e-6, atol=1e-6)


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "movement"), [("fashion_resnet8", "nn.reshape"), ("ppocr_cls", "nn.transpose")])
def test_the_body_of_the_networks_is_nhwc(name, movement):
    module = import_model(ROOT / "examples" / name / "model.onnx")
    for compiler_pass in (OnnxToNn(), FoldConstants()):
        compiler_pass.apply(make_context(), module)
    before = module.clone()
    FoldTransposes().apply(make_context(), module)
    moves = [op for op in module.walk() if isinstance(op, nn.TransposeOp | nn.ReshapeOp)]
    spatial = [op for op in moves if len(tensor_of(op.result).get_shape()) == 4]
    assert [op.name for op in spatial] == [movement]
    function = next(iter(module.ops))
    assert isinstance(function, func.FuncOp)
    assert spatial[0].input is function.body.block.args[0]
    x = np.random.default_rng(0).normal(size=tensor_of(spatial[0].input).get_shape()).astype(np.float32)
    np.testing.assert_allclose(
        Interpreter(module).run("main", [x])[0], Interpreter(before).run("main", [x])[0], rtol=1e-5, atol=1e-6
    )

"""Compute what is known at compile time.

```mlir
%a = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
%b = nn.constant dense<0.5> : tensor<f32>
%y = nn.mul %a, %b : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
// becomes
%y = nn.constant dense<[0.5, 1.0]> : tensor<2xf32>
```

Operations of `nn` and `onnx` that have no effect and only constants as operands are run by the interpreter.
`onnx.Shape` and `onnx.Size` need no value, only a static shape. A constant that would be larger than `max-elements`
is made only if it is no larger than the constants it is made from, so that broadcasting or `ConstantOfShape` does
not swell the weights file. `quant` casts stay: a cast constant is the quantizer's to choose. An operator that the
ONNX reference evaluator cannot run stays too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern
from xdsl.traits import is_side_effect_free

from intaglio.dialects import nn
from intaglio.dialects.onnx import InitializerOp, NodeOp
from intaglio.dialects.quant import is_quantized, storage_tensor_type
from intaglio.dialects.weights import array_of, constant_attr, dtype_of
from intaglio.errors import UserError
from intaglio.interpreter import Array, evaluate, tensor_type
from intaglio.ir.locations import name_of
from intaglio.ir.rewriting import apply_patterns


def known_value(value: SSAValue) -> Array | None:
    """The stored value of an `nn.constant` or `onnx.initializer`, or None."""
    owner = value.owner
    return array_of(owner.value) if isinstance(owner, nn.ConstantOp | InitializerOp) else None


def constant_for(result: SSAValue, array: Array, key: str) -> nn.ConstantOp | None:
    """The constant that replaces a result, or None when its type has no constants or promises something else."""
    if not isinstance(result.type, TensorType):
        return None
    kind = tensor_type(result)
    if len(array.shape) == kind.get_num_dims() and not kind.has_static_shape():
        kind = TensorType(kind.get_element_type(), array.shape)
    stored = storage_tensor_type(kind) if is_quantized(kind) else kind
    try:
        if array.shape != kind.get_shape() or dtype_of(stored.element_type) != array.dtype:
            return None
        return nn.ConstantOp(constant_attr(key, array, stored.element_type), kind)
    except UserError:
        return None


def computed_constants(op: Operation, max_elements: int) -> list[nn.ConstantOp] | None:
    """Constants with the values of an operation's results, None when they are not known or too large."""
    dialect = op.name.split(".")[0]
    if dialect not in ("nn", "onnx") or isinstance(op, nn.ConstantOp | InitializerOp) or not op.results:
        return None
    if op.regions or not is_side_effect_free(op):
        return None
    operands = _known_operands(op)
    if operands is None or _made_elements(op, operands) > max(max_elements, _count_elements(op.operands)):
        return None
    try:
        results = evaluate(op, operands)
    except UserError:
        # Operators of nn have rules for everything that verifies; what ONNX cannot run stays as it is.
        if isinstance(op, NodeOp):
            return None
        raise
    key = name_of(op) or op.name
    constants = [constant_for(result, array, key) for result, array in zip(op.results, results, strict=True)]
    made = [constant for constant in constants if constant is not None]
    return made if len(made) == len(constants) else None


@dataclass(frozen=True)
class EvaluateOperation(RewritePattern):
    """An operation of constants to the constants that it computes.

    Safe because rules compute from their operands alone, and the operation has no effect.
    """

    max_elements: int

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite an operation whose operands are all known."""
        constants = computed_constants(op, self.max_elements)
        if constants is not None:
            rewriter.replace(op, constants, [constant.result for constant in constants])


def _known_operands(op: Operation) -> list[Array] | None:
    """The values of the operands, or None when one of them is needed and not known."""
    if isinstance(op, NodeOp) and op.op_type in ("Shape", "Size") and not op.domain:
        operand = op.operands[0]
        if not isinstance(operand.type, TensorType) or not tensor_type(operand).has_static_shape():
            return None
        # Zeros of the operand's shape, which take no memory, stand for values that nobody reads.
        return [np.broadcast_to(np.int8(0), tensor_type(operand).get_shape())]
    if not all(isinstance(operand.owner, nn.ConstantOp | InitializerOp) for operand in op.operands):
        return None
    return [array for array in map(known_value, op.operands) if array is not None]


def _made_elements(op: Operation, operands: list[Array]) -> float:
    """The number of elements of the results: as their types say, or for a range the operands."""
    if isinstance(op, NodeOp) and op.op_type == "Range" and not op.domain:
        start, limit, step = (operand.reshape(-1)[0].item() for operand in operands)
        return abs((limit - start) / step) if step else math.inf
    tensors = [tensor_type(result) for result in op.results if isinstance(result.type, TensorType)]
    if not all(kind.has_static_shape() for kind in tensors):
        return math.inf
    return _count_elements(op.results)


def _count_elements(values: Iterable[SSAValue]) -> int:
    kinds = [tensor_type(value) for value in values if isinstance(value.type, TensorType)]
    return sum(math.prod(kind.get_shape()) for kind in kinds if kind.has_static_shape())


@dataclass(frozen=True)
class FoldConstants(ModulePass):
    """Replace operations whose operands are all constants by the constants they compute.

    Options:
        max_elements: constants of more elements are made only if no larger than what they are made from.
    """

    name = "fold-constants"
    max_elements: int = 65536

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        apply_patterns(op, [EvaluateOperation(self.max_elements)])

"""Compute in integers what a model has between casts: the quantization that it came with.

```mlir
%2 = quant.dcast %1 : ... to tensor<4xf32>
%3 = nn.hard_swish %2 : (tensor<4xf32>) -> tensor<4xf32>
%4 = quant.qcast %3 : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.5:3>>
// becomes
%4 = nn.hard_swish %1 : (...) -> tensor<4x!quant.uniform<i8:f32, 0.5:3>>
```

First casts move to what computes: reshapes and transposes that stand between an operation and its casts end up on
quantized tensors. Then every operation whose operands all come from casts, and whose result goes into casts to one
type only, becomes the one that `quantize` would have made of it, on the types of the model. Where `quantize`
wants operands and result to have the same parameters (max pool, concat), an operand or the result with others is
requantized by an `nn.clip` without bounds, and so is what is only cast to floats and to other parameters.

Only signed 8-bit activations are taken, see `use-signed-storage`. An operation that cannot be computed so stays
float between its casts. Constants that are still cast to floats in the end become float constants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType, f32, i8, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.dialects.quant import (
    DequantizeCastOp,
    QuantizeCastOp,
    UniformQuantizedType,
    UniformType,
    element_type_of,
)
from intaglio.dialects.weights import array_of
from intaglio.ir.locations import name_of
from intaglio.ir.rewriting import apply_patterns
from intaglio.numerics.quantization import dequantize
from intaglio.passes.graph.matching import constant_of, new_constant
from intaglio.passes.quantization.coverage import KEEPS_RANGE, OWN_RANGE
from intaglio.passes.quantization.stored_parameters import LARGEST_RATIO, dequantized, stored_bias, symmetric_weight

_UNBOUNDED = nn.ClampAttr.of(-math.inf, math.inf)


def activation_type(value: SSAValue | None) -> UniformQuantizedType | None:
    """The element type of a tensor that operations compute with: signed 8 bits, parameters per tensor."""
    kind = element_type_of(value.type) if value is not None else None
    if not isinstance(kind, UniformQuantizedType) or kind.storage_type != i8 or kind.expressed_type != f32:
        return None
    return kind


def casts_of(result: SSAValue) -> list[QuantizeCastOp]:
    """The casts that a result goes into, none when it also goes elsewhere or they are not to one type."""
    users = [use.operation for use in result.uses]
    casts = [user for user in users if isinstance(user, QuantizeCastOp)]
    same = len(casts) == len(users) and len({cast.result.type for cast in casts}) == 1
    return casts if same else []


def requantized(value: SSAValue, kind: UniformQuantizedType, new_ops: list[Operation]) -> SSAValue | None:
    """A quantized tensor with other parameters, None when the ratio of the scales is out of range."""
    old = activation_type(value)
    if old == kind:
        return value
    if old is None or not _is_expressible(old.scale / kind.scale):
        return None
    new_ops.append(clip := nn.ClipOp(value, TensorType(kind, tensor_of(value).get_shape()), _UNBOUNDED))
    return clip.result


def _is_expressible(ratio: float) -> bool:
    return ratio <= LARGEST_RATIO


class RaiseQuantizeCast(RewritePattern):
    """`qcast(reshape(x))` to `reshape(qcast(x))`, likewise for transposes.

    Safe because all elements have the same parameters.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: QuantizeCastOp, rewriter: PatternRewriter) -> None:
        """Rewrite a cast of what was only moved."""
        moved, kind = op.input.owner, element_type_of(op.result.type)
        if not isinstance(moved, nn.ReshapeOp | nn.TransposeOp) or not isinstance(kind, UniformQuantizedType):
            return
        if not all(isinstance(use.operation, QuantizeCastOp) for use in moved.result.uses):
            return
        cast = QuantizeCastOp(moved.input, TensorType(kind, tensor_of(moved.input).get_shape()))
        cast.location = op.location
        rewriter.replace(op, [cast, again := _moved(moved, cast.result, op.result.type)], [again.results[0]])


class LowerDequantizeCast(RewritePattern):
    """`reshape(dcast(x))` to `dcast(reshape(x))`, likewise for transposes.

    Safe because all elements have the same parameters.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite a movement of what was cast to floats."""
        if not isinstance(op, nn.ReshapeOp | nn.TransposeOp):
            return
        source = dequantized(op.input)
        kind = element_type_of(source.type) if source is not None else None
        if source is None or not isinstance(kind, UniformQuantizedType):
            return
        moved = _moved(op, source, TensorType(kind, tensor_of(op.result).get_shape()))
        rewriter.replace(op, [moved, DequantizeCastOp(moved.results[0], op.result.type)])


def _moved(op: Operation, source: SSAValue, result: Attribute) -> Operation:
    """The reshape or transpose on another tensor."""
    return type(op).create(
        operands=[source], result_types=[result], properties=op.properties.copy(), location=op.location
    )


class Requantize(RewritePattern):
    """`qcast(dcast(x))` to `x`, or to a clip without bounds when it has other parameters.

    Safe because a stored value that is cast to floats comes back unchanged under the same parameters.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: QuantizeCastOp, rewriter: PatternRewriter) -> None:
        """Rewrite a cast of a cast."""
        source, kind = dequantized(op.input), activation_type(op.result)
        if source is None:
            return
        if source.type == op.result.type:
            rewriter.replace(op, [], [source])
        elif kind is not None:
            new_ops: list[Operation] = []
            result = requantized(source, kind, new_ops)
            if result is not None:
                rewriter.replace(op, new_ops, [result])


class QuantizeOperation(RewritePattern):
    """An operation between casts to one on quantized tensors.

    Safe because its integer form is by definition what the float one computes on these values, rounded to the
    parameters of the result.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite an operation that has a quantized form."""
        if not isinstance(op, (*OWN_RANGE, *KEEPS_RANGE, nn.ConcatOp)) or isinstance(op, nn.AxisNormOp):
            # The parameters of normalizations have formats that no model comes with.
            return
        casts = casts_of(op.results[0])
        if not casts:
            return
        kind = element_type_of(casts[0].result.type)
        if not isinstance(kind, UniformQuantizedType):
            return
        made = _quantized_operation(op, kind)
        if not made:
            return
        for new in made:
            new.location = op.location if not isinstance(new, nn.ConstantOp) else new.location
        made[-1].results[0].name_hint = op.results[0].name_hint
        rewriter.insert(made)
        for cast in casts:
            rewriter.replace(cast, [], [made[-1].results[0]])
        rewriter.erase(op)


def _quantized_operation(op: Operation, kind: UniformQuantizedType) -> list[Operation]:
    """Operations of which the last is `op` with a result of the given type; none when there is no such form."""
    if isinstance(op, nn.Conv2dOp | nn.DenseOp):
        return _layer(op, kind)
    sources = [dequantized(operand) for operand in op.operands]
    kinds = [found for source in sources if (found := activation_type(source)) is not None]
    operands = [source for source in sources if source is not None]
    if not kinds or len(kinds) < len(op.operands):
        return []
    if isinstance(op, nn.MatmulOp) and kind.storage_type == i32 and op.clamp is None:
        return [_rebuilt(op, operands, kind)]
    if kind.storage_type != i8:
        return []
    if isinstance(op, KEEPS_RANGE):
        made = [_rebuilt(op, operands, kinds[0])]
        return made if requantized(made[0].results[0], kind, made) is not None else []
    if isinstance(op, nn.ConcatOp):
        made: list[Operation] = []
        common = [found for operand in operands if (found := requantized(operand, kind, made)) is not None]
        return [*made, _rebuilt(op, common, kind)] if len(common) == len(operands) else []
    scales = [found.scale for found in kinds]
    unit = math.prod(scales) if isinstance(op, nn.MulOp | nn.MatmulOp) else max(scales)
    return [_rebuilt(op, operands, kind)] if _is_expressible(unit / kind.scale) else []


def _layer(op: nn.Conv2dOp | nn.DenseOp, kind: UniformQuantizedType) -> list[Operation]:
    source = dequantized(op.input)
    source_type = activation_type(source)
    if source is None or source_type is None or kind.storage_type not in (i8, i32):
        return []
    weight = symmetric_weight(op.weight, source_type, kind)
    if weight is None:
        return []
    parameters: list[Operation] = [weight.constant()]
    if op.bias is not None:
        bias = stored_bias(op.bias, source_type, weight)
        if bias is None:
            return []
        parameters.append(bias.constant())
    return [*parameters, _rebuilt(op, [source, *(parameter.results[0] for parameter in parameters)], kind)]


def _rebuilt(op: Operation, operands: Sequence[SSAValue], kind: UniformQuantizedType) -> Operation:
    shape = tensor_of(op.results[0]).get_shape()
    return type(op).create(
        operands=operands,
        result_types=[TensorType(kind, shape)],
        properties=op.properties.copy(),
        attributes=op.attributes.copy(),
    )


class FoldDequantizedConstant(RewritePattern):
    """`dcast(constant)` to a float constant.

    Safe because the values are those of the cast.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: DequantizeCastOp, rewriter: PatternRewriter) -> None:
        """Rewrite a cast of a constant."""
        constant, kind = constant_of(op.input), element_type_of(op.input.type)
        if constant is None or not isinstance(kind, UniformType) or kind.expressed_type != f32:
            return
        stored = array_of(constant.value)
        values = dequantize(stored, *kind.broadcast_parameters(stored.shape))
        rewriter.replace(op, new_constant(name_of(constant) or "constant", values, f32, constant))


@dataclass(frozen=True)
class QuantizeFromCasts(ModulePass):
    """Compute in integers what stands between casts from and to quantized types."""

    name = "quantize-from-casts"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        patterns = [RaiseQuantizeCast(), LowerDequantizeCast(), QuantizeOperation(), Requantize()]
        apply_patterns(op, patterns)
        apply_patterns(op, [FoldDequantizedConstant()])

"""Moving transposes and reshapes below the operations that follow them: helpers of `fold-transposes`, and patterns."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.dialects.nn.types import ints
from intaglio.ir.locations import name_of
from intaglio.passes.graph.layout import Permutation, inverse, padded, permutation_of
from intaglio.passes.graph.matching import constant_array, constant_of, new_constant


def transposed_operand(op: Operation, rank: int) -> nn.TransposeOp | None:
    """The first operand that is a transpose of the given rank."""
    owners = [operand.owner for operand in op.operands]
    return next((o for o in owners if isinstance(o, nn.TransposeOp) and len(permutation_of(o)) == rank), None)


def sink(
    op: Operation,
    permutation: Permutation,
    operands: Sequence[SSAValue],
    rewriter: PatternRewriter,
    **properties: Attribute,
) -> None:
    """Replace `op` by its copy on untransposed operands, and a transpose of that copy's result."""
    kind = tensor_of(op.results[0])
    undo = inverse(permutation)
    copy = type(op).create(
        operands=operands,
        result_types=[TensorType(kind.get_element_type(), [kind.get_shape()[k] for k in undo])],
        properties={**op.properties, **properties},
        attributes=op.attributes.copy(),
        location=op.location,
    )
    after = nn.TransposeOp(copy.results[0], permutation)
    rewriter.replace(op, [copy, after], [after.result])


class SinkBelowSlice(RewritePattern):
    """`slice(transpose(x))` to `transpose(slice(x))`, with starts and steps in the other order.

    Safe because the same elements are taken.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.SliceOp, rewriter: PatternRewriter) -> None:
        """Rewrite a slice of a transpose."""
        if not isinstance(op.input.owner, nn.TransposeOp):
            return
        permutation = permutation_of(op.input.owner)
        starts, steps = (
            ints([values.get_values()[k] for k in inverse(permutation)]) for values in (op.starts, op.steps)
        )
        sink(op, permutation, [op.input.owner.input], rewriter, starts=starts, steps=steps)


class SinkBelowReduction(RewritePattern):
    """`reduce(transpose(x))` to `transpose(reduce(x))`.

    Safe because reducing the result's dimension `k` is reducing the input's `permutation[k]`, and reduced dimensions
    stay with one element.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite a reduction of a transpose."""
        if not isinstance(op, nn.ReduceOp) or not isinstance(op.input.owner, nn.TransposeOp):
            return
        permutation = permutation_of(op.input.owner)
        axes = ints(sorted(permutation[int(axis)] for axis in op.axes.get_values()))
        sink(op, permutation, [op.input.owner.input], rewriter, axes=axes)


class SinkBelowNormalization(RewritePattern):
    """`softmax(transpose(x))` to `transpose(softmax(x))`, and likewise for normalizations along one dimension.

    Safe because normalizing along the result's `axis` is normalizing along the input's `permutation[axis]`; scale and
    offset belong to that dimension. A normalization along the last dimension stays there: that is where quantization
    looks for its channels.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite a softmax or normalization of a transpose."""
        if not isinstance(op, nn.SoftmaxOp | nn.AxisNormOp) or not isinstance(op.operands[0].owner, nn.TransposeOp):
            return
        before = op.operands[0].owner
        permutation = permutation_of(before)
        last = len(permutation) - 1
        if isinstance(op, nn.AxisNormOp) and op.axis.value.data == last != permutation[last]:
            return
        axis = IntegerAttr(permutation[op.axis.value.data], i64)
        sink(op, permutation, [before.input, *op.operands[1:]], rewriter, axis=axis)


class SinkBelowUnitReshape(RewritePattern):
    """`reshape(transpose(x))` to `transpose(reshape(x))` where the reshape only adds or drops dimensions of 1.

    Safe because the other dimensions keep their order in the reshape, and are permuted as before.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.ReshapeOp, rewriter: PatternRewriter) -> None:
        """Rewrite a reshape of a transpose."""
        if not isinstance(op.input.owner, nn.TransposeOp):
            return
        permutation, kind = permutation_of(op.input.owner), tensor_of(op.result)
        before, after = tensor_of(op.input).get_shape(), kind.get_shape()
        if [size for size in before if size != 1] != [size for size in after if size != 1] or 0 in after:
            return
        sources = [permutation[axis] for axis, size in enumerate(before) if size != 1]
        places = [axis for axis, size in enumerate(after) if size != 1]
        order = [sorted(sources).index(source) for source in sources]
        moved = list(range(len(after)))
        for place, index in zip(places, order, strict=True):
            moved[place] = places[index]
        shape = [after[axis] for axis in inverse(moved)]
        reshaped = nn.ReshapeOp(op.input.owner.input, TensorType(kind.get_element_type(), shape))
        transposed = nn.TransposeOp(reshaped.result, moved)
        rewriter.replace(op, [reshaped, transposed], [transposed.result])


class SinkBelowShuffle(RewritePattern):
    """A transpose and then a shuffle of one dimension to the shuffle in the layout before, and then the transpose.

    A shuffle splits a dimension by a reshape, transposes its parts, and joins them by a reshape: the channel shuffle
    of ShuffleNet. Safe because it permutes the indices of one dimension, wherever that dimension is.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.ReshapeOp, rewriter: PatternRewriter) -> None:
        """Rewrite the reshape that joins the parts."""
        shuffle = op.input.owner
        if not isinstance(shuffle, nn.TransposeOp) or not isinstance(split := shuffle.input.owner, nn.ReshapeOp):
            return
        if not isinstance(before := split.input.owner, nn.TransposeOp):
            return
        joined, parts = tensor_of(split.input).get_shape(), tensor_of(split.result).get_shape()
        order = permutation_of(shuffle)
        axis = shuffled_dimension(joined, parts, order)
        if axis is None or tensor_of(op.result).get_shape() != joined:
            return
        permutation, kind = permutation_of(before), tensor_of(before.input)
        place, count = permutation[axis], len(parts) - len(joined) + 1
        shape = list(kind.get_shape())
        shape[place : place + 1] = parts[axis : axis + count]
        moved = list(range(len(parts)))
        moved[place : place + count] = [index - axis + place for index in order[axis : axis + count]]
        new_split = nn.ReshapeOp(before.input, TensorType(kind.get_element_type(), shape))
        new_shuffle = nn.TransposeOp(new_split.result, moved)
        new_join = nn.ReshapeOp(new_shuffle.result, kind)
        after = nn.TransposeOp(new_join.result, permutation)
        for new, old in ((new_split, split), (new_shuffle, shuffle), (new_join, op), (after, before)):
            new.location = old.location
        rewriter.replace(op, [new_split, new_shuffle, new_join, after], [after.result])


def shuffled_dimension(joined: Sequence[int], parts: Sequence[int], order: Permutation) -> int | None:
    """The dimension of `joined` that `parts` has several of and `order` permutes, nothing else moving, or None."""
    count = len(parts) - len(joined) + 1
    if count < 2:
        return None
    for axis in range(len(joined)):
        outside = [*range(axis), *range(axis + count, len(parts))]
        if [*parts[:axis], *parts[axis + count :]] == [*joined[:axis], *joined[axis + 1 :]] and all(
            order[index] == index for index in outside
        ):
            return axis
    return None


class SinkReshapeBelowElementwise(RewritePattern):
    """`f(reshape(a), reshape(b))` to `reshape(f(a, b))` where `a` and `b` have one shape; numbers may take part.

    Safe because elements are computed one by one. Where the reshapes only add or drop dimensions of one element,
    other constants take part too, with their dimensions moved likewise. It is not done where that shape has more than
    four dimensions, which the accelerator does not compute with.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite an operation that computes element by element, all of whose operands are reshaped or constant."""
        if not isinstance(op, nn.ElementwiseOp | nn.ActivationOp):
            return
        kind = tensor_of(op.results[0])
        reshapes = [operand.owner for operand in op.operands if isinstance(operand.owner, nn.ReshapeOp)]
        shapes = {tensor_of(reshape.input).get_shape() for reshape in reshapes}
        if len(shapes) != 1 or any(tensor_of(reshape.result).get_shape() != kind.get_shape() for reshape in reshapes):
            return
        (shape,) = shapes
        if len(shape) > max(4, len(kind.get_shape())):
            return
        new_ops: list[Operation] = []
        found = [before_reshape(operand, shape, kind.get_shape(), new_ops) for operand in op.operands]
        operands = [operand for operand in found if operand is not None]
        if len(operands) < len(found):
            return
        copy = type(op).create(
            operands=operands,
            result_types=[TensorType(kind.get_element_type(), shape)],
            properties=op.properties.copy(),
            attributes=op.attributes.copy(),
            location=op.location,
        )
        after = nn.ReshapeOp(copy.results[0], kind)
        rewriter.replace(op, [*new_ops, copy, after], [after.result])


def before_reshape(
    value: SSAValue, shape: Sequence[int], result: Sequence[int], new_ops: list[Operation]
) -> SSAValue | None:
    """The operand that takes the place of `value` where a reshape of `shape` to `result` is undone, or None.

    Args:
        value: a reshape's result, or another operand that broadcasts to `result`.
        shape: before the reshape.
        result: after it.
        new_ops: receives the constants that have to be inserted.
    """
    if isinstance(value.owner, nn.ReshapeOp):
        return value.owner.input
    own = tensor_of(value).get_shape()
    if all(size == 1 for size in own) and len(own) <= len(shape):
        return value
    constant, array = constant_of(value), constant_array(value)
    if constant is None or array is None or constant.value.type != constant.result.type:
        return None
    if [size for size in shape if size != 1] != [size for size in result if size != 1]:
        return None
    sizes = iter([own for own, size in zip(padded(own, len(result)), result, strict=True) if size != 1])
    moved = [1 if size == 1 else next(sizes) for size in shape]
    kind = constant.value.type.get_element_type()
    new_ops.append(new_constant(name_of(constant) or "constant", array.reshape(moved), kind, constant))
    return new_ops[-1].results[0]

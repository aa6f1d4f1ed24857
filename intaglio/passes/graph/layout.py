"""Arithmetic of permutations and shapes, and values seen through them: what `fold-transposes` reasons with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.ir.locations import name_of
from intaglio.passes.graph.matching import constant_array, constant_of, new_constant

Permutation = tuple[int, ...]


def permutation_of(op: nn.TransposeOp) -> Permutation:
    """The permutation of a transpose."""
    return tuple(op.permutation.get_values())


def inverse(permutation: Sequence[int]) -> Permutation:
    """The permutation that undoes another."""
    return tuple(int(index) for index in np.argsort(permutation))


def moves_only_ones(shape: Sequence[int], permutation: Sequence[int]) -> bool:
    """Whether the dimensions of more than one element keep their order, so that elements stay where they are."""
    order = [index for index in permutation if shape[index] != 1]
    return order == sorted(order)


def padded(shape: Sequence[int], rank: int) -> tuple[int, ...]:
    """The shape with leading ones up to a rank, as broadcasting has it."""
    return (*[1] * (rank - len(shape)), *shape)


def before_transpose(value: SSAValue, permutation: Permutation, new_ops: list[Operation]) -> SSAValue | None:
    """A value whose transposition by `permutation` is `value`, if it costs nothing, or None.

    It is the operand when `value` is such a transpose, `value` itself when it is one number or (broadcast to
    the rank of the permutation) does not change, a new constant when it is one, and a reshape when no elements
    move. Constants of a quantized type are left alone.

    Args:
        value: an operand of rank up to that of the permutation, which broadcasting pads with leading ones.
        permutation: what is applied to the found value.
        new_ops: receives the operations that have to be inserted.
    """
    shape = tensor_of(value).get_shape()
    if len(shape) > len(permutation):
        return None
    if all(extent == 1 for extent in shape) and len(shape) < len(permutation):
        return value
    aligned = padded(shape, len(permutation))
    undo = inverse(permutation)
    if isinstance(value.owner, nn.TransposeOp) and permutation_of(value.owner) == permutation:
        return value.owner.input
    constant = constant_of(value)
    if constant is not None and (array := constant_array(value)) is not None:
        if constant.value.type != constant.result.type:
            return None
        array = np.transpose(array.reshape(aligned), undo)
        moved = new_constant(name_of(constant) or "constant", array, constant.value.type.get_element_type(), constant)
        new_ops.append(moved)
        return moved.result
    if not moves_only_ones(aligned, undo):
        return None
    reshaped = nn.ReshapeOp(value, TensorType(tensor_of(value).get_element_type(), [aligned[k] for k in undo]))
    new_ops.append(reshaped)
    return reshaped.result

"""Einsum of one or two operands: transposes, a matrix product and reshapes."""

from __future__ import annotations

import math

from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.lowering.onnx_node import Builder, Node, is_float, lowers, static_shape


@lowers("Einsum")
def einsum(node: Node, build: Builder) -> SSAValue | None:
    """Equations without ellipsis and without a letter twice in one operand."""
    operands, result = node.inputs(), node.result_shape
    if not all(map(is_float, operands)) or result is None or len(operands) > 2:
        return None
    terms = node.text("equation").replace(" ", "").split("->")
    inputs = terms[0].split(",")
    output = terms[1] if len(terms) == 2 else _implied(terms[0])
    if "." in terms[0] or len(inputs) != len(operands):
        return None
    if any(len(set(term)) < len(term) for term in (*inputs, output)):
        return None
    if any(len(term) != len(static_shape(value) or ()) for term, value in zip(inputs, operands, strict=True)):
        return None
    alone = [
        _summed(build, value, term, output + "".join(inputs[:index] + inputs[index + 1 :]))
        for index, (value, term) in enumerate(zip(operands, inputs, strict=True))
    ]
    if len(alone) == 1:
        value, term = alone[0]
        return build.transpose(value, [term.index(letter) for letter in output])
    return _product(build, *alone[0], *alone[1], output)


def _implied(inputs: str) -> str:
    """The output that an equation without arrow has: letters that stand once, in alphabetical order."""
    letters = inputs.replace(",", "")
    return "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))


def _summed(build: Builder, value: SSAValue, term: str, needed: str) -> tuple[SSAValue, str]:
    """The operand summed over letters that nobody else has."""
    axes = [axis for axis, letter in enumerate(term) if letter not in needed]
    shape = static_shape(value)
    assert shape is not None
    total = build.reduce(nn.ReduceSumOp, value, axes)
    left = [axis for axis in range(len(term)) if axis not in axes]
    return build.reshape(total, [shape[axis] for axis in left]), "".join(term[axis] for axis in left)


def _product(build: Builder, lhs: SSAValue, left: str, rhs: SSAValue, right: str, output: str) -> SSAValue:
    sizes = dict(zip(left + right, (*(static_shape(lhs) or ()), *(static_shape(rhs) or ())), strict=True))
    batch = [letter for letter in left if letter in right and letter in output]
    inner = [letter for letter in left if letter in right and letter not in output]
    rows = [letter for letter in left if letter not in right]
    columns = [letter for letter in right if letter not in left]

    def extent(letters: list[str]) -> int:
        return math.prod(sizes[letter] for letter in letters)

    def matrix(value: SSAValue, term: str, first: list[str], second: list[str]) -> SSAValue:
        order = [term.index(letter) for letter in (*batch, *first, *second)]
        return build.reshape(build.transpose(value, order), (extent(batch), extent(first), extent(second)))

    made = nn.MatmulOp(
        matrix(lhs, left, rows, inner),
        matrix(rhs, right, inner, columns),
        build.typed(lhs, (extent(batch), extent(rows), extent(columns))),
    )
    letters = [*batch, *rows, *columns]
    product = build.reshape(build.add(made), [sizes[letter] for letter in letters])
    return build.transpose(product, [letters.index(letter) for letter in output])

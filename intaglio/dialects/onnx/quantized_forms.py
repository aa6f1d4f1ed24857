"""What operators on quantized tensors mean: dequantize the operands, run a float operator, quantize its result.

One table for all that has to know: shape inference and the interpreter, which expand a node into nodes, and the
lowering to `quant` casts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from intaglio.dialects.onnx.contributed import DOMAIN
from intaglio.dialects.onnx.schema import find_operator

T = TypeVar("T")


@dataclass(frozen=True)
class QuantizedOperand:
    """An operand of the float operator that the node has in quantized form.

    Args:
        value: the name of the node's input with the stored values.
        scales: the names of the inputs whose product is the scale.
        zero_point: the name of the input with the zero point; None when it is 0.
        axis: the dimension along which a scale of several elements runs.
    """

    value: str
    scales: tuple[str, ...]
    zero_point: str | None
    axis: int = 0


@dataclass(frozen=True)
class QuantizedForm:
    """How a quantized operator is made of a float one.

    Args:
        operator: the float operator, of the domain `ai.onnx`.
        operands: its inputs; a text is an input that both have, not quantized.
        scale: the input with the scale of the result; a node that leaves it out has a float result.
        zero_point: the input with the zero point of the result.
        without: attributes that the float operator does not have; a node has it only with the given value.
        variadic: the operands are all inputs after the result's parameters, in threes.
    """

    operator: str
    operands: tuple[QuantizedOperand | str, ...]
    scale: str
    zero_point: str
    without: Mapping[str, int] | None = None
    variadic: bool = False


def _operand(name: str, prefix: str, axis: int = 0) -> QuantizedOperand:
    return QuantizedOperand(name, (f"{prefix}_scale",), f"{prefix}_zero_point", axis)


def _unary(operator: str, prefix: str, result: str, *, name: str = "X", zero_point: str | None = None) -> QuantizedForm:
    operand = QuantizedOperand(name, (f"{prefix}_scale",), zero_point or f"{prefix}_zero_point")
    return QuantizedForm(operator, (operand,), f"{result}_scale", f"{result}_zero_point", {"channels_last": 0})


def _binary(operator: str) -> QuantizedForm:
    return QuantizedForm(operator, (_operand("A", "A"), _operand("B", "B")), "C_scale", "C_zero_point")


_CONV = QuantizedForm(
    "Conv",
    (_operand("x", "x"), _operand("w", "w"), QuantizedOperand("B", ("x_scale", "w_scale"), None)),
    "y_scale",
    "y_zero_point",
    {"channels_last": 0},
)

FORMS: Mapping[tuple[str, str], QuantizedForm] = {
    ("", "QLinearConv"): _CONV,
    ("", "QLinearMatMul"): QuantizedForm(
        "MatMul", (_operand("a", "a", -2), _operand("b", "b", -1)), "y_scale", "y_zero_point"
    ),
    (DOMAIN, "QGemm"): QuantizedForm(
        "Gemm",
        (_operand("A", "a"), _operand("B", "b", 1), QuantizedOperand("C", ("a_scale", "b_scale"), None)),
        "y_scale",
        "y_zero_point",
    ),
    (DOMAIN, "QLinearAdd"): _binary("Add"),
    (DOMAIN, "QLinearAveragePool"): _unary("AveragePool", "x", "y"),
    (DOMAIN, "QLinearConcat"): QuantizedForm("Concat", (), "Y_scale", "Y_zero_point", variadic=True),
    (DOMAIN, "QLinearConv"): _CONV,
    (DOMAIN, "QLinearGlobalAveragePool"): _unary("GlobalAveragePool", "x", "y"),
    (DOMAIN, "QLinearLeakyRelu"): _unary("LeakyRelu", "X", "Y"),
    (DOMAIN, "QLinearMul"): _binary("Mul"),
    (DOMAIN, "QLinearReduceMean"): _unary("ReduceMean", "data", "reduced", name="data"),
    (DOMAIN, "QLinearSigmoid"): _unary("Sigmoid", "X", "Y"),
    (DOMAIN, "QLinearSoftmax"): _unary("Softmax", "X", "y", zero_point="x_zero_point"),
    (DOMAIN, "QLinearWhere"): QuantizedForm(
        "Where", ("condition", _operand("X", "x"), _operand("Y", "y")), "z_scale", "z_zero_point"
    ),
}
"""By domain and operator. Of QGemm, B's scales run along its columns, which are its rows when it is transposed."""


@dataclass(frozen=True)
class BoundOperand(Generic[T]):
    """An operand of the float operator of one node.

    Args:
        value: the stored values, or the operand itself where it has no scales.
        scales: what the scale is the product of.
        zero_point: None when it is 0.
        axis: the dimension along which a scale of several elements runs.
    """

    value: T
    scales: tuple[T, ...] = ()
    zero_point: T | None = None
    axis: int = 0


@dataclass(frozen=True)
class BoundForm(Generic[T]):
    """What one node means; `T` stands for its inputs.

    Args:
        operator: the float operator.
        operands: its inputs in order.
        scale: the scale of the result; None when the result is not quantized.
        zero_point: the zero point of the result; None when it is 0.
    """

    operator: str
    operands: list[BoundOperand[T]]
    scale: T | None
    zero_point: T | None


def bind(domain: str, name: str, inputs: Sequence[T | None], attributes: Mapping[str, object]) -> BoundForm[T] | None:
    """The meaning of a node, None when it has no form here.

    Args:
        domain: of its operator.
        name: of its operator.
        inputs: by position, None where left out.
        attributes: its attributes, integers as such; other values are not looked at.
    """
    form, operator = FORMS.get((domain, name)), find_operator(domain, name)
    if form is None or operator is None:
        return None
    if any(attributes.get(key, value) != value for key, value in (form.without or {}).items()):
        return None
    formals = (formal.name for formal in operator.inputs)
    given = {key: value for key, value in zip(formals, inputs, strict=False) if value is not None}
    operands = _variadic(inputs) if form.variadic else _named(form, given)
    if name == "QGemm" and attributes.get("transB", 0):
        operands[1] = BoundOperand(operands[1].value, operands[1].scales, operands[1].zero_point, 0)
    return BoundForm(form.operator, operands, given.get(form.scale), given.get(form.zero_point))


def _named(form: QuantizedForm, given: Mapping[str, T]) -> list[BoundOperand[T]]:
    operands: list[BoundOperand[T]] = []
    for operand in form.operands:
        if isinstance(operand, str):
            operands.append(BoundOperand(given[operand]))
        elif operand.value in given:
            scales = tuple(given[scale] for scale in operand.scales)
            zero_point = given.get(operand.zero_point) if operand.zero_point is not None else None
            operands.append(BoundOperand(given[operand.value], scales, zero_point, operand.axis))
    return operands


def _variadic(inputs: Sequence[T | None]) -> list[BoundOperand[T]]:
    """Operands in threes, after scale and zero point of the result."""
    operands: list[BoundOperand[T]] = []
    for value, scale, zero_point in zip(inputs[2::3], inputs[3::3], inputs[4::3], strict=False):
        if value is not None and scale is not None:
            operands.append(BoundOperand(value, (scale,), zero_point))
    return operands

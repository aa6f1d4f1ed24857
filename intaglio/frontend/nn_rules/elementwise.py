"""Arithmetic, functions, comparison and reductions."""

from __future__ import annotations

import math

import numpy as np
from onnx import helper

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element
from intaglio.dialects.onnx import ints_of
from intaglio.dialects.weights import array_of, dtype_of
from intaglio.frontend.nn_writer import Writer, exports

_ELEMENTWISE: dict[type[nn.ElementwiseOp], str] = {
    nn.AddOp: "Add",
    nn.SubOp: "Sub",
    nn.MulOp: "Mul",
    nn.DivOp: "Div",
    nn.MaximumOp: "Max",
    nn.MinimumOp: "Min",
    nn.PowOp: "Pow",
}


@exports(nn.ElementwiseOp)
def _elementwise(writer: Writer, op: nn.ElementwiseOp) -> None:
    writer.finish(writer.node(_ELEMENTWISE[type(op)], map(writer.name, op.operands)), op.result, op.clamp)


@exports(nn.MaximumOp, nn.MinimumOp)
def _extreme(writer: Writer, op: nn.MaximumOp | nn.MinimumOp) -> None:
    """Limits of channels behind an operation in NCHW stay there."""
    for value, limit in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        constant = limit.owner
        if not (writer.is_in_nchw(value) and isinstance(constant, nn.ConstantOp)):
            continue
        bounds = array_of(constant.value)
        if bounds.ndim <= 1 and nn.tensor_of(value).get_shape() == nn.tensor_of(op.result).get_shape():
            limits = writer.constant(bounds.reshape(-1, 1, 1), element(limit))
            limited = writer.node(_ELEMENTWISE[type(op)], [writer.nchw(value), limits])
            writer.finish_nchw(limited, op.result, op.clamp)
            return
    _elementwise(writer, op)


@exports(nn.ActivationOp)
def _function(writer: Writer, op: nn.ActivationOp) -> None:
    """The operator that is the function; functions that have none, or only in some opsets, have rules below."""
    assert op.ONNX_OPERATOR, f"{op.name} has neither an operator nor a rule"
    writer.finish(writer.node(op.ONNX_OPERATOR, [writer.name(op.input)]), op.result)


@exports(nn.ClipOp)
def _clip(writer: Writer, op: nn.ClipOp) -> None:
    writer.finish(writer.name(op.input), op.result, op.clamp)


@exports(nn.HardSigmoidOp)
def _hard_sigmoid(writer: Writer, op: nn.HardSigmoidOp) -> None:
    alpha, beta = op.alpha.value.data, op.beta.value.data
    writer.finish(writer.node("HardSigmoid", [writer.name(op.input)], alpha=alpha, beta=beta), op.result)


@exports(nn.HardSwishOp)
def _hard_swish(writer: Writer, op: nn.HardSwishOp) -> None:
    source = writer.name(op.input)
    if writer.opset >= 14:
        writer.finish(writer.node("HardSwish", [source]), op.result)
        return
    gate = writer.node("HardSigmoid", [source], alpha=1 / 6, beta=0.5)
    writer.finish(writer.node("Mul", [source, gate]), op.result)


@exports(nn.EluOp)
def _elu(writer: Writer, op: nn.EluOp) -> None:
    writer.finish(writer.node("Elu", [writer.name(op.input)], alpha=op.alpha.value.data), op.result)


@exports(nn.LeakyReluOp)
def _leaky_relu(writer: Writer, op: nn.LeakyReluOp) -> None:
    writer.finish(writer.node("LeakyRelu", [writer.name(op.input)], alpha=op.alpha.value.data), op.result)


@exports(nn.SiluOp)
def _silu(writer: Writer, op: nn.SiluOp) -> None:
    source = writer.name(op.input)
    writer.finish(writer.node("Mul", [source, writer.node("Sigmoid", [source])]), op.result)


@exports(nn.MishOp)
def _mish(writer: Writer, op: nn.MishOp) -> None:
    source = writer.name(op.input)
    gate = writer.node("Tanh", [writer.node("Softplus", [source])])
    writer.finish(writer.node("Mul", [source, gate]), op.result)


@exports(nn.GeluOp)
def _gelu(writer: Writer, op: nn.GeluOp) -> None:
    """Spelled out: the operator is of opset 20."""
    kind, source = element(op.input), writer.name(op.input)

    def scaled(name: str, factor: float) -> str:
        return writer.node("Mul", [name, writer.constant(np.asarray(factor), kind)])

    if op.approximate.data == "tanh":
        cube = writer.node("Mul", [source, writer.node("Mul", [source, source])])
        argument = writer.node("Add", [source, scaled(cube, 0.044715)])
        inner = writer.node("Tanh", [scaled(argument, math.sqrt(2.0 / math.pi))])
    else:
        inner = writer.node("Erf", [scaled(source, math.sqrt(0.5))])
    gate = writer.node("Add", [inner, writer.constant(np.asarray(1.0), kind)])
    writer.finish(writer.node("Mul", [scaled(source, 0.5), gate]), op.result)


_PREDICATES = {
    "equal": "Equal",
    "less": "Less",
    "less_or_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_or_equal": "GreaterOrEqual",
}


@exports(nn.CompareOp)
def _compare(writer: Writer, op: nn.CompareOp) -> None:
    writer.finish(writer.node(_PREDICATES[op.predicate.data], map(writer.name, op.operands)), op.result)


@exports(nn.SelectOp)
def _select(writer: Writer, op: nn.SelectOp) -> None:
    writer.finish(writer.node("Where", map(writer.name, op.operands)), op.result)


@exports(nn.CastOp)
def _cast(writer: Writer, op: nn.CastOp) -> None:
    kind = helper.np_dtype_to_tensor_dtype(dtype_of(element(op.result)))
    writer.finish(writer.node("Cast", [writer.name(op.input)], to=kind), op.result)


_REDUCTIONS: dict[type[nn.ReduceOp], tuple[str, int]] = {
    nn.ReduceMeanOp: ("ReduceMean", 18),
    nn.ReduceSumOp: ("ReduceSum", 13),
    nn.ReduceMaxOp: ("ReduceMax", 18),
    nn.ReduceMinOp: ("ReduceMin", 18),
    nn.ReduceL2Op: ("ReduceL2", 18),
    nn.ReduceProdOp: ("ReduceProd", 18),
}
"""The operator, and the opset in which its axes became an input."""


@exports(*_REDUCTIONS)
def _reduce(writer: Writer, op: nn.ReduceOp) -> None:
    op_type, since = _REDUCTIONS[type(op)]
    writer.finish(writer.reduced(op_type, writer.name(op.input), ints_of(op.axes), since=since), op.result)

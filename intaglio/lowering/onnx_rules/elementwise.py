"""Elementwise arithmetic and activations; layout does not matter to them."""

from __future__ import annotations

import math

from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.lowering.onnx_node import Builder, Node, is_float, lowers

_LARGEST = 3.4028234663852886e38
"""The largest float32, which ONNX writes where it means no bound."""

_ARITHMETIC: dict[str, type[nn.ElementwiseOp]] = {"Add": nn.AddOp, "Sub": nn.SubOp, "Mul": nn.MulOp, "Div": nn.DivOp}


@lowers(*_ARITHMETIC)
def arithmetic(node: Node, build: Builder) -> SSAValue | None:
    """Arithmetic of two operands with NumPy broadcasting, which ONNX has since opset 7."""
    lhs, rhs = node.input("A"), node.input("B")
    if lhs is None or rhs is None or not is_float(lhs) or not is_float(rhs) or node.since < 7:
        return None
    if node.result_shape is None:
        return None
    return build.add(_ARITHMETIC[node.op.op_type](lhs, rhs, node.result.type))


@lowers("Sum")
def sum_of_all(node: Node, build: Builder) -> SSAValue | None:
    """A sum of any number of operands, from left to right; they broadcast since opset 8."""
    operands = node.inputs()
    if not all(map(is_float, operands)) or node.result_shape is None:
        return None
    total, *others = operands
    for operand in others:
        total = build.combine(nn.AddOp, total, operand)
    return total


@lowers("HardSigmoid")
def hard_sigmoid(node: Node, build: Builder) -> SSAValue | None:
    """`clip(alpha * x + beta, 0, 1)`."""
    source = node.input("X")
    if source is None or not is_float(source):
        return None
    return build.add(nn.HardSigmoidOp(source, source.type, node.real("alpha", 0.2), node.real("beta", 0.5)))


@lowers("Clip")
def clip(node: Node, build: Builder) -> SSAValue | None:
    """Limits given as attributes (before opset 11) or as constant inputs; the largest float counts as none."""
    source = node.input("input")
    if source is None or not is_float(source):
        return None
    low, high = _bound(node, "min", -math.inf), _bound(node, "max", math.inf)
    if low is None or high is None or not low <= high:
        return None
    return build.add(nn.ClipOp(source, source.type, nn.ClampAttr.of(low, high)))


def _bound(node: Node, name: str, absent: float) -> float | None:
    """A bound, `absent` when there is none, None when it is not constant."""
    bound = node.scalar(name)
    if bound is None:
        return None if node.has(name) else absent
    return bound if abs(bound) < _LARGEST else math.copysign(math.inf, bound)


@lowers("Identity", "Dropout")
def identity(node: Node, build: Builder) -> SSAValue | None:
    """The input itself; dropout only where it is not training."""
    source = node.input("input") or node.input("data")
    if source is None or source.type != node.result.type:
        return None
    if node.op.op_type == "Dropout" and node.since < 7 and not node.integer("is_test"):
        return None
    return None if node.has("training_mode") and node.scalar("training_mode") != 0 else source

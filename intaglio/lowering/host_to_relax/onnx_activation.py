"""Rules of ONNX's activation functions that older operator sets have no definition of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.onnx_elementwise import in_single
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.tvm import Expr

_Formula = Callable[["_Real", Expr], Expr]


class _Real:
    """Operators on tensors and numbers in single or double precision."""

    def __init__(self, emitter: Emitter, node: HostNode) -> None:
        self._emitter = emitter
        self._dtype = np.dtype(np.float64 if node.dtype(0).itemsize == 8 else np.float32)
        self.parameter = node.real

    def __call__(self, operator: str, *operands: Expr | float) -> Expr:
        """The result of a Relax operator."""
        tensors = [
            self._emitter.constant(operand, self._dtype) if isinstance(operand, float) else operand
            for operand in operands
        ]
        return self._emitter.apply(operator, *tensors)

    def where(self, condition: Expr, chosen: Expr | float, other: Expr | float) -> Expr:
        """A choice by a condition."""
        return self("where", condition, chosen, other)


def _shrink(real: _Real, x: Expr) -> Expr:
    bound, bias = real.parameter("lambd", 0.5), real.parameter("bias", 0.0)
    above = real.where(real("greater", x, bound), real("subtract", x, bias), 0.0)
    return real.where(real("less", x, -bound), real("add", x, bias), above)


def _thresholded(real: _Real, x: Expr) -> Expr:
    return real.where(real("greater", x, real.parameter("alpha", 1.0)), x, 0.0)


def _selu(real: _Real, x: Expr) -> Expr:
    alpha, gamma = real.parameter("alpha", 1.6732632), real.parameter("gamma", 1.0507009)
    below = real("multiply", real("subtract", real("exp", real("minimum", x, 0.0)), 1.0), alpha)
    return real("multiply", real.where(real("greater", x, 0.0), x, below), gamma)


def _elu(real: _Real, x: Expr) -> Expr:
    below = real("subtract", real("exp", real("minimum", x, 0.0)), 1.0)
    return real.where(real("greater", x, 0.0), x, real("multiply", below, real.parameter("alpha", 1.0)))


def _celu(real: _Real, x: Expr) -> Expr:
    alpha = real.parameter("alpha", 1.0)
    below = real("subtract", real("exp", real("divide", real("minimum", x, 0.0), alpha)), 1.0)
    return real("add", real("maximum", x, 0.0), real("multiply", below, alpha))


def _softsign(real: _Real, x: Expr) -> Expr:
    return real("divide", x, real("add", real("abs", x), 1.0))


def _hard_sigmoid(real: _Real, x: Expr) -> Expr:
    line = real("add", real("multiply", x, real.parameter("alpha", 0.2)), real.parameter("beta", 0.5))
    return real("minimum", 1.0, real("maximum", 0.0, line))


_FORMULAS: dict[str, _Formula] = {
    "Celu": _celu,
    "Elu": _elu,
    "HardSigmoid": _hard_sigmoid,
    "Selu": _selu,
    "Shrink": _shrink,
    "Softsign": _softsign,
    "ThresholdedRelu": _thresholded,
}


@onnx_rule(*_FORMULAS)
def activation(node: HostNode) -> list[Expr]:
    """The function's formula, in single precision for shorter floats."""
    emitter = node.emitter
    real, formula = _Real(emitter, node), _FORMULAS[node.op.op_type]
    dtype = node.dtype(0)
    if dtype.kind in "iu":
        x = emitter.cast(node.operands[0], np.float32)
        return [emitter.cast(formula(real, x), dtype)]
    return [in_single(emitter, dtype, node.operands, partial(formula, real))]

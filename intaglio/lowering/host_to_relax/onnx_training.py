"""Rules of ONNX's training optimizers: one update of each parameter."""

from __future__ import annotations

import numpy as np

from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.tvm import Expr

_TRAINING = "ai.onnx.preview.training"


class _Update:
    """The inputs of an optimizer and arithmetic on them."""

    def __init__(self, node: HostNode, states: int) -> None:
        self.emitter, self.node = node.emitter, node
        self.rate, self.count = node.operands[:2]
        tensors = node.operands[2:]
        number = len(tensors) // (2 + states)
        self.dtype = node.dtype(2)
        self.sets = [[tensors[index + kind * number] for kind in range(2 + states)] for index in range(number)]

    def number(self, name: str) -> Expr:
        """An attribute as a tensor."""
        return self.emitter.constant(self.node.real(name, 0.0), self.dtype)

    def scaled(self, factor: Expr, tensor: Expr) -> Expr:
        """A product."""
        return self.emitter.multiply(factor, tensor)

    def regularized(self, gradient: Expr, parameter: Expr) -> Expr:
        """The gradient of the loss with the parameter's norm added."""
        return self.emitter.add(self.scaled(self.number("norm_coefficient"), parameter), gradient)

    def power_of_count(self, name: str) -> Expr:
        """An attribute to the power of the number of updates so far."""
        count = self.emitter.cast(self.count, self.dtype)
        return self.emitter.power(self.number(name), count)

    def is_first(self) -> Expr:
        """Whether no update has been made yet."""
        return self.emitter.apply("equal", self.count, self.emitter.constant(0, np.int64))


def _by_kind(sets: list[list[Expr]]) -> list[Expr]:
    return [values[kind] for kind in range(len(sets[0])) for values in sets]


@onnx_rule("Adagrad", domain=_TRAINING)
def adagrad(node: HostNode) -> list[Expr]:
    """Steps divided by the root of the sum of all squared gradients."""
    update, emitter = _Update(node, 1), node.emitter
    one = emitter.constant(1, update.dtype)
    count = emitter.cast(update.count, update.dtype)
    decay = emitter.add(one, emitter.multiply(count, update.number("decay_factor")))
    rate = emitter.divide(update.rate, decay)
    results: list[list[Expr]] = []
    for parameter, gradient, squares in update.sets:
        step = update.regularized(gradient, parameter)
        total = emitter.add(squares, emitter.multiply(step, step))
        root = emitter.add(emitter.apply("sqrt", total), update.number("epsilon"))
        results.append([emitter.subtract(parameter, emitter.divide(emitter.multiply(rate, step), root)), total])
    return _by_kind(results)


@onnx_rule("Adam", domain=_TRAINING)
def adam(node: HostNode) -> list[Expr]:
    """Steps by running means of the gradient and its square."""
    update, emitter = _Update(node, 2), node.emitter
    one = emitter.constant(1, update.dtype)
    alpha, beta = update.number("alpha"), update.number("beta")
    missing = [emitter.subtract(one, update.power_of_count(name)) for name in ("alpha", "beta")]
    corrected = emitter.divide(emitter.multiply(update.rate, emitter.apply("sqrt", missing[1])), missing[0])
    rate = emitter.select(update.is_first(), update.rate, corrected)
    post = emitter.constant(node.real("norm_coefficient_post", 0.0), update.dtype)
    results: list[list[Expr]] = []
    for parameter, gradient, old_mean, old_squares in update.sets:
        step = update.regularized(gradient, parameter)
        mean = emitter.add(emitter.multiply(alpha, old_mean), emitter.multiply(emitter.subtract(one, alpha), step))
        square = emitter.multiply(step, step)
        squares = emitter.add(
            emitter.multiply(beta, old_squares), emitter.multiply(emitter.subtract(one, beta), square)
        )
        root = emitter.add(emitter.apply("sqrt", squares), update.number("epsilon"))
        moved = emitter.subtract(parameter, emitter.divide(emitter.multiply(rate, mean), root))
        results.append([emitter.multiply(emitter.subtract(one, post), moved), mean, squares])
    return _by_kind(results)


@onnx_rule("Momentum", domain=_TRAINING)
def momentum(node: HostNode) -> list[Expr]:
    """Steps by a running sum of gradients, as it is or looking ahead (Nesterov)."""
    update, emitter = _Update(node, 1), node.emitter
    alpha = update.number("alpha")
    beta = emitter.select(update.is_first(), emitter.constant(1, update.dtype), update.number("beta"))
    results: list[list[Expr]] = []
    for parameter, gradient, old_velocity in update.sets:
        step = update.regularized(gradient, parameter)
        velocity = emitter.add(emitter.multiply(alpha, old_velocity), emitter.multiply(beta, step))
        ahead = emitter.add(step, emitter.multiply(alpha, velocity)) if node.text("mode") == "nesterov" else velocity
        results.append([emitter.subtract(parameter, emitter.multiply(update.rate, ahead)), velocity])
    return _by_kind(results)

"""LSTM, GRU and RNN, unrolled: one dense layer for each gate and step, which quantizer and accelerator know.

A step of a gate is `dense(x) + dense(h)`, each gate with the part of the weights that is its own, so that no
intermediate result has to be taken apart. Sequences of more than `LONGEST` steps stay `onnx` ops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.lowering.onnx_node import Builder, Node, constant_of, is_float, lowers_all, static_shape

LONGEST = 64
"""Steps, over all directions, up to which a sequence is unrolled."""

_ACTIVATIONS: dict[str, type[nn.ActivationOp]] = {"Sigmoid": nn.SigmoidOp, "Tanh": nn.TanhOp, "Relu": nn.ReluOp}

State = tuple[SSAValue, SSAValue | None]
"""Hidden state `[batch, hidden]`, and the cell of an LSTM."""

Function = Callable[[SSAValue], SSAValue]


@dataclass(frozen=True)
class _Network:
    """A recurrent node.

    Attributes:
        steps: the input `[batch, features]` of each step.
        weights: `[directions, gates * hidden, features]`.
        recurrence: `[directions, gates * hidden, hidden]`.
        bias: `[directions, 2 * gates * hidden]`, of the input's sums and then of the state's.
        gates: of the network.
        hidden: elements of the state.
        states: the states before the first step, by direction.
        activations: functions of each direction, in ONNX's order.
    """

    build: Builder
    steps: list[SSAValue]
    weights: SSAValue
    recurrence: SSAValue
    bias: SSAValue | None
    gates: int
    hidden: int
    states: list[State]
    activations: list[list[Function]]

    def gate(self, direction: int, gate: int, x: SSAValue, h: SSAValue) -> tuple[SSAValue, SSAValue]:
        """The two sums that a gate adds: of the input, and of the state, each with its bias."""
        first = gate * self.hidden
        sums: list[SSAValue] = []
        for value, weight, offset in ((x, self.weights, 0), (h, self.recurrence, self.gates * self.hidden)):
            shape = static_shape(value)
            assert shape is not None
            bias = None if self.bias is None else self.rows(self.bias, direction, first + offset)
            kind = self.build.typed(value, (shape[0], self.hidden))
            sums.append(self.build.add(nn.DenseOp(value, self.rows(weight, direction, first), bias, kind)))
        return sums[0], sums[1]

    def rows(self, value: SSAValue, direction: int, first: int) -> SSAValue:
        """`hidden` rows of a direction's weights, from `first` on: a constant if they are known."""
        known, shape = constant_of(value), static_shape(value)
        assert shape is not None
        if known is not None:
            return self.build.remade(value, known[direction, first : first + self.hidden])
        part = self.build.part(self.build.part(value, 0, direction, 1), 1, first, self.hidden)
        return self.build.reshape(part, (self.hidden, *shape[2:]))

    def gate_sum(self, direction: int, gate: int, x: SSAValue, h: SSAValue) -> SSAValue:
        """What a gate's activation is applied to."""
        return self.build.combine(nn.AddOp, *self.gate(direction, gate, x, h))


Step = Callable[[_Network, int, SSAValue, State], State]
"""The state after a step, from direction, input and state."""


def _unrolled(node: Node, build: Builder, gates: int, defaults: Sequence[str], step: Step) -> list[SSAValue] | None:
    """The outputs of a node: all states, the last one, and the last cell."""
    network = _network(node, build, gates, defaults)
    if network is None:
        return None
    by_direction: list[list[State]] = []
    last: list[State] = []
    for direction, initial in enumerate(network.states):
        backwards = direction == 1 or node.text("direction", "forward") == "reverse"
        states = [initial]
        for x in reversed(network.steps) if backwards else network.steps:
            states.append(step(network, direction, x, states[-1]))
        last.append(states[-1])
        by_direction.append(states[:0:-1] if backwards else states[1:])
    return _outputs(node, build, by_direction, last)


def _outputs(node: Node, build: Builder, by_direction: list[list[State]], last: list[State]) -> list[SSAValue]:
    """Results in ONNX's shapes: `[steps, directions, batch, hidden]` and `[directions, batch, hidden]`."""
    batch_first = bool(node.integer("layout"))

    def stacked(values: list[SSAValue], axis: int) -> SSAValue:
        shapes = [shape for shape in map(static_shape, values) if shape is not None]
        return build.concat(
            [
                build.reshape(value, (*shape[:axis], 1, *shape[axis:]))
                for value, shape in zip(values, shapes, strict=True)
            ],
            axis,
        )

    axis = 1 if batch_first else 0
    finals = [stacked([state[0] for state in last], axis)]
    cells = [cell for _, cell in last if cell is not None]
    if cells:
        finals.append(stacked(cells, axis))
    steps = [stacked([states[index][0] for states in by_direction], axis) for index in range(len(by_direction[0]))]
    return [stacked(steps, axis), *finals]


def _network(node: Node, build: Builder, gates: int, defaults: Sequence[str]) -> _Network | None:
    """The node's parts; None when a guard fails."""
    source, weights, recurrence = (node.input(name) for name in ("X", "W", "R"))
    shape, hidden = static_shape(source), node.integer("hidden_size")
    if source is None or weights is None or recurrence is None or shape is None or not is_float(source):
        return None
    w, r = static_shape(weights), static_shape(recurrence)
    if w is None or r is None or node.has("clip") or node.has("activation_alpha") or node.has("activation_beta"):
        return None
    directions, batch_first = w[0], bool(node.integer("layout"))
    count, batch = (shape[1], shape[0]) if batch_first else shape[:2]
    hidden = hidden or r[-1]
    if not 0 < count * directions <= LONGEST or node.integer("input_forget"):
        return None
    functions = _activations(node, build, list(defaults) * directions)
    if functions is None or not _whole_sequences(node, count):
        return None
    states = [_initial(node, build, source, direction, batch, hidden, batch_first) for direction in range(directions)]
    steps = [
        build.reshape(build.part(source, 1 if batch_first else 0, index, 1), (batch, shape[2]))
        for index in range(count)
    ]
    per_direction = len(defaults)
    grouped = [functions[start : start + per_direction] for start in range(0, len(functions), per_direction)]
    return _Network(build, steps, weights, recurrence, node.input("B"), gates, hidden, states, grouped)


def _activations(node: Node, build: Builder, defaults: list[str]) -> list[Function] | None:
    names = node.texts("activations") or defaults
    if len(names) != len(defaults) or any(name not in _ACTIVATIONS for name in names):
        return None

    def function(name: str) -> Function:
        return lambda value: build.apply(_ACTIVATIONS[name], value)

    return [function(name) for name in names]


def _whole_sequences(node: Node, count: int) -> bool:
    """Whether every sequence of the batch has all steps."""
    lengths = node.input("sequence_lens")
    known = constant_of(lengths)
    return lengths is None or (known is not None and bool(np.all(known == count)))


def _initial(
    node: Node, build: Builder, source: SSAValue, direction: int, batch: int, hidden: int, batch_first: bool
) -> State:
    """The state before the first step: zero where the node has none."""

    def value(name: str) -> SSAValue:
        given = node.input(name)
        if given is None:
            return build.broadcast(build.reshape(build.number(source, 0.0), (1, 1)), (batch, hidden))
        return build.reshape(build.part(given, 1 if batch_first else 0, direction, 1), (batch, hidden))

    return value("initial_h"), value("initial_c") if node.op.op_type == "LSTM" else None


@lowers_all("RNN")
def rnn(node: Node, build: Builder) -> Sequence[SSAValue] | None:
    """`h = f(x * W + h * R + b)`."""

    def step(network: _Network, direction: int, x: SSAValue, state: State) -> State:
        (function,) = network.activations[direction]
        return function(network.gate_sum(direction, 0, x, state[0])), None

    return _unrolled(node, build, 1, ["Tanh"], step)


@lowers_all("GRU")
def gru(node: Node, build: Builder) -> Sequence[SSAValue] | None:
    """Gates update, reset, new: `h = (1 - z) * n + z * h`, written as `n + z * (h - n)`."""
    after = bool(node.integer("linear_before_reset"))

    def step(network: _Network, direction: int, x: SSAValue, state: State) -> State:
        function, new_function = network.activations[direction]
        h, _ = state
        update = function(network.gate_sum(direction, 0, x, h))
        reset = function(network.gate_sum(direction, 1, x, h))
        if after:
            of_input, of_state = network.gate(direction, 2, x, h)
            total = build.combine(nn.AddOp, of_input, build.combine(nn.MulOp, reset, of_state))
        else:
            total = network.gate_sum(direction, 2, x, build.combine(nn.MulOp, reset, h))
        new = new_function(total)
        change = build.combine(nn.MulOp, update, build.combine(nn.SubOp, h, new))
        return build.combine(nn.AddOp, new, change), None

    return _unrolled(node, build, 3, ["Sigmoid", "Tanh"], step)


@lowers_all("LSTM")
def lstm(node: Node, build: Builder) -> Sequence[SSAValue] | None:
    """Gates input, output, forget, cell: `c = f * c + i * g` and `h = o * tanh(c)`; peepholes look at the cell."""
    peepholes = node.input("P")

    def step(network: _Network, direction: int, x: SSAValue, state: State) -> State:
        function, cell_function, hidden_function = network.activations[direction]
        h, cell = state
        assert cell is not None

        def gate(index: int, seen: SSAValue) -> SSAValue:
            total = network.gate_sum(direction, index, x, h)
            if peepholes is not None:
                weight = network.rows(peepholes, direction, index * network.hidden)
                total = build.combine(nn.AddOp, total, build.combine(nn.MulOp, seen, weight))
            return function(total)

        new = cell_function(network.gate_sum(direction, 3, x, h))
        kept = build.combine(nn.MulOp, gate(2, cell), cell)
        after = build.combine(nn.AddOp, kept, build.combine(nn.MulOp, gate(0, cell), new))
        return build.combine(nn.MulOp, gate(1, after), hidden_function(after)), after

    return _unrolled(node, build, 4, ["Sigmoid", "Tanh", "Tanh"], step)

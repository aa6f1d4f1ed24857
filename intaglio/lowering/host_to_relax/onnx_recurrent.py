"""Rules of ONNX's recurrent layers that `nn` does not express, one copy of the cell for each time step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.tvm import Expr

_LONGEST = 1024
"""Sequences of more steps are not unrolled."""

Activation = Callable[[Expr], Expr]


@dataclass(frozen=True)
class _Direction:
    """What the cells of one direction share.

    Args:
        node: the layer.
        weight: `[input, gates * hidden]`.
        recurrence: `[hidden, gates * hidden]`.
        biases: of the input's and the state's products, `[gates * hidden]` each; None without.
        peepholes: `[3 * hidden]`, or None.
        activations: in the order of ONNX.
        hidden: size of the state.
    """

    node: HostNode
    weight: Expr
    recurrence: Expr
    biases: tuple[Expr, Expr] | None
    peepholes: Expr | None
    activations: list[Activation]
    hidden: int

    def part(self, tensor: Expr, index: int) -> Expr:
        """The part of the last dimension that belongs to a gate."""
        last = len(tensor.ty.shape) - 1
        begin, end = [index * self.hidden], [(index + 1) * self.hidden]
        return self.node.emitter.apply("strided_slice", tensor, axes=[last], begin=begin, end=end)

    def limited(self, value: Expr) -> Expr:
        """The sum limited to the attribute `clip`."""
        bound = self.node.real("clip", 0.0)
        return self.node.emitter.limit(value, -bound, bound, self.node.dtype("X")) if bound else value

    def products(self, x: Expr, state: Expr) -> tuple[Expr, Expr]:
        """The products of input and state, with their biases."""
        emitter = self.node.emitter
        of_input, of_state = emitter.apply("matmul", x, self.weight), emitter.apply("matmul", state, self.recurrence)
        if self.biases is None:
            return of_input, of_state
        return emitter.add(of_input, self.biases[0]), emitter.add(of_state, self.biases[1])


def _activations(node: HostNode, direction: int, defaults: list[str]) -> list[Activation]:
    emitter, dtype = node.emitter, node.dtype("X")
    names = node.texts("activations") or defaults * 2
    chosen = [name.lower() for name in names[direction * len(defaults) : (direction + 1) * len(defaults)]]
    known: dict[str, Activation] = {
        "sigmoid": lambda x: emitter.apply("sigmoid", x),
        "tanh": lambda x: emitter.apply("tanh", x),
        "relu": lambda x: emitter.apply("maximum", x, emitter.constant(0, dtype)),
        "softsign": lambda x: emitter.divide(x, emitter.add(emitter.apply("abs", x), emitter.constant(1, dtype))),
    }
    for name in chosen:
        if name not in known:
            raise node.refuse(f"the activation {name} is not supported, of {', '.join(known)}")
    return [known[name] for name in chosen]


def _rnn_cell(cell: _Direction, x: Expr, states: list[Expr]) -> list[Expr]:
    total = cell.node.emitter.add(*cell.products(x, states[0]))
    return [cell.activations[0](cell.limited(total))]


def _gru_cell(cell: _Direction, x: Expr, states: list[Expr]) -> list[Expr]:
    emitter = cell.node.emitter
    of_input, of_state = cell.products(x, states[0])
    gates = [
        cell.activations[0](cell.limited(emitter.add(cell.part(of_input, index), cell.part(of_state, index))))
        for index in (0, 1)
    ]
    if cell.node.integer("linear_before_reset"):
        inner = emitter.multiply(gates[1], cell.part(of_state, 2))
    else:
        inner = emitter.apply("matmul", emitter.multiply(gates[1], states[0]), cell.part(cell.recurrence, 2))
        if cell.biases is not None:
            inner = emitter.add(inner, cell.part(cell.biases[1], 2))
    new = cell.activations[1](cell.limited(emitter.add(cell.part(of_input, 2), inner)))
    one = emitter.constant(1, cell.node.dtype("X"))
    return [emitter.add(emitter.multiply(emitter.subtract(one, gates[0]), new), emitter.multiply(gates[0], states[0]))]


def _lstm_cell(cell: _Direction, x: Expr, states: list[Expr]) -> list[Expr]:
    emitter = cell.node.emitter
    total = emitter.add(*cell.products(x, states[0]))

    def gate(index: int, peephole: int | None, memory: Expr) -> Expr:
        value = cell.part(total, index)
        if cell.peepholes is not None and peephole is not None:
            value = emitter.add(value, emitter.multiply(cell.part(cell.peepholes, peephole), memory))
        return cell.limited(value)

    entering = cell.activations[0](gate(0, 0, states[1]))
    if cell.node.integer("input_forget"):
        kept = emitter.subtract(emitter.constant(1, cell.node.dtype("X")), entering)
    else:
        kept = cell.activations[0](gate(2, 2, states[1]))
    new = cell.activations[1](gate(3, None, states[1]))
    memory = emitter.add(emitter.multiply(kept, states[1]), emitter.multiply(entering, new))
    leaving = cell.activations[0](gate(1, 1, memory))
    return [emitter.multiply(leaving, cell.activations[2](memory)), memory]


_CELLS: dict[str, tuple[Callable[[_Direction, Expr, list[Expr]], list[Expr]], list[str]]] = {
    "RNN": (_rnn_cell, ["Tanh"]),
    "GRU": (_gru_cell, ["Sigmoid", "Tanh"]),
    "LSTM": (_lstm_cell, ["Sigmoid", "Tanh", "Tanh"]),
}


def _slice(node: HostNode, tensor: Expr, index: int) -> Expr:
    """One slice of the first dimension."""
    return node.emitter.apply("take", tensor, node.emitter.constant(index, np.int64), axis=0, mode="clip")


def _direction(node: HostNode, index: int, defaults: list[str]) -> _Direction:
    emitter = node.emitter
    matrices = [emitter.apply("permute_dims", _slice(node, node.operand(name), index), [1, 0]) for name in ("W", "R")]
    biases = node.expression("B")
    halves = None
    if biases is not None:
        both = _slice(node, biases, index)
        size = node.shape("B")[1] // 2
        halves = tuple(
            emitter.apply("strided_slice", both, axes=[0], begin=[begin], end=[begin + size]) for begin in (0, size)
        )
    peepholes = node.expression("P")
    return _Direction(
        node,
        matrices[0],
        matrices[1],
        None if halves is None else (halves[0], halves[1]),
        None if peepholes is None else _slice(node, peepholes, index),
        _activations(node, index, defaults),
        node.shape("R")[2],
    )


@onnx_rule(*_CELLS)
def recurrent(node: HostNode) -> list[Expr]:
    """All states, the last one, and for LSTM the last memory; beyond the end of a sequence states stay.

    Raises:
        UserError: the sequence is too long to be unrolled, or an activation is not supported.
    """
    emitter, dtype = node.emitter, node.dtype("X")
    cell, defaults = _CELLS[node.op.op_type]
    batch_first = bool(node.integer("layout"))
    x = node.operand("X")
    shape = node.shape("X")
    if batch_first:
        x, shape = emitter.apply("permute_dims", x, [1, 0, 2]), (shape[1], shape[0], shape[2])
    steps, batch = shape[0], shape[1]
    if steps > _LONGEST:
        raise node.refuse(f"its sequence has {steps} steps, more than {_LONGEST}")
    directions, hidden = node.shape("W")[0], node.shape("R")[2]
    initial = [node.expression(name) for name in ("initial_h", "initial_c")[: 2 if node.op.op_type == "LSTM" else 1]]
    outputs: list[list[Expr]] = [[] for _ in range(steps)]
    last: list[list[Expr]] = []
    for index in range(directions):
        shared = _direction(node, index, defaults)
        states = [_initial(node, value, index, (batch, hidden), batch_first=batch_first) for value in initial]
        backward = node.text("direction", "forward") == "reverse" or index == 1
        for step in reversed(range(steps)) if backward else range(steps):
            new = cell(shared, _slice(node, x, step), states)
            shown = new[0]
            if node.input("sequence_lens") is not None:
                alive = emitter.apply("greater", node.operand("sequence_lens"), emitter.constant(step, np.int32))
                alive = emitter.reshape(alive, (batch, 1))
                shown = emitter.select(alive, new[0], emitter.constant(0, dtype))
                new = [emitter.select(alive, now, before) for now, before in zip(new, states, strict=True)]
            states = new
            outputs[step].append(shown)
        last.append(states)
    flat = [emitter.reshape(value, (1, 1, batch, hidden)) for values in outputs for value in values]
    joined = emitter.apply("concat", flat, axis=0) if len(flat) > 1 else flat[0]
    all_states = emitter.reshape(joined, (steps, directions, batch, hidden))
    results = [emitter.apply("permute_dims", all_states, [2, 0, 1, 3]) if batch_first else all_states]
    for kind in range(len(initial)):
        parts = [emitter.reshape(states[kind], (1, batch, hidden)) for states in last]
        final = emitter.apply("concat", parts, axis=0) if len(parts) > 1 else parts[0]
        results.append(emitter.apply("permute_dims", final, [1, 0, 2]) if batch_first else final)
    return results


def _initial(node: HostNode, value: Expr | None, index: int, shape: tuple[int, int], *, batch_first: bool) -> Expr:
    if value is None:
        return node.emitter.constant(np.zeros(shape), node.dtype("X"))
    if batch_first:
        value = node.emitter.apply("permute_dims", value, [1, 0, 2])
    return _slice(node, value, index)

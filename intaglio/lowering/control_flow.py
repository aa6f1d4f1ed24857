"""`If`, `Loop` and `Scan` whose course is known at compile time, replaced by the nodes of their graphs.

- `If` with a constant condition becomes the graph chosen; with any other condition both graphs, and a `Where` for
  each result, which is right because nodes have no effects.
- `Loop` becomes one copy of its graph for each iteration, as long as its condition is a constant after each of them.
- `Scan` becomes one copy for each slice of what it scans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, i1, i64
from xdsl.ir import Attribute, Block, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.onnx import OnnxOp, YieldOp, build
from intaglio.dialects.onnx.schema import find_operator
from intaglio.dialects.weights import constant_attr
from intaglio.interpreter.values import tensor_type
from intaglio.lowering.onnx_node import Node, normal_axis, static_shape
from intaglio.passes.graph.fold_constants import known_value

CONTROL_FLOW = ("If", "Loop", "Scan")

_MAX_COPIES = 1024
"""Loops of more iterations stay loops."""

Process = Callable[[Operation | None, Operation | None], None]
"""Visits operations from one to before another, so that what follows from constants is known afterwards."""


def replaced_control_flow(op: OnnxOp, process: Process) -> Operation | None:
    """Replace a node.

    Args:
        op: a node of one of the operators in `CONTROL_FLOW`.
        process: see `Process`; called for copies of a loop's graph.

    Returns:
        The first of the new operations, to be visited next; None when the node stays or nothing is left to visit.
    """
    match op.op_type:
        case "If":
            return _replaced_if(op)
        case "Loop":
            _replace_loop(op, process)
        case _:
            _replace_scan(op, process)
    return None


class _Place:
    """Inserts operations before a node."""

    def __init__(self, op: OnnxOp) -> None:
        self.op = op
        block = op.parent
        assert isinstance(block, Block)
        self._block = block
        self.first: Operation | None = None

    def insert(self, op: Operation) -> None:
        """Insert an operation."""
        op.location = self.op.location
        self._block.insert_op_before(op, self.op)
        self.first = self.first or op

    def add(self, op: Operation) -> SSAValue:
        """Insert an operation and return its first result."""
        self.insert(op)
        return op.results[0]

    def copy(self, body: Block, arguments: Sequence[SSAValue]) -> list[SSAValue]:
        """Insert a copy of a graph's nodes and return what the graph yields."""
        values: dict[SSAValue, SSAValue] = dict(zip(body.args, arguments, strict=True))
        end = body.last_op
        assert isinstance(end, YieldOp)
        for inner in body.ops:
            if inner is not end:
                made = inner.clone(values)
                if isinstance(made, OnnxOp):
                    made.result_names = None
                self.insert(made)
        return [values.get(value, value) for value in end.values]

    def visited_copy(self, body: Block, arguments: Sequence[SSAValue], process: Process) -> list[SSAValue]:
        """Insert a copy, visit what has been inserted since `first` was last cleared, and return what is yielded."""
        end = YieldOp(self.copy(body, arguments))
        self.insert(end)
        process(self.first, end)
        # Visiting replaces operations, so the yielded values are read afterwards.
        yielded = list(end.values)
        end.detach()
        end.erase()
        return yielded

    def constant(self, value: object, kind: Attribute) -> SSAValue:
        """Insert a constant."""
        return self.add(nn.ConstantOp(constant_attr("constant", np.asarray(value), kind)))

    def node(self, op_type: str, inputs: Sequence[SSAValue], kind: Attribute, axis: int | None = None) -> SSAValue:
        """Insert a node, perhaps with the attribute `axis`."""
        operator = find_operator("", op_type)
        assert operator is not None
        attributes: dict[str, Attribute] = {} if axis is None else {"axis": IntegerAttr(axis, i64)}
        return self.add(build(operator, list(inputs), [kind], attributes))

    def finish(self, results: Sequence[SSAValue]) -> None:
        """Take the node away; its results become the given values."""
        for result, value in zip(self.op.results, results, strict=True):
            result.replace_all_uses_with(value)
        self.op.detach()
        self.op.erase()


def _replaced_if(op: OnnxOp) -> Operation | None:
    place = _Place(op)
    graphs = op.node_graphs()
    condition = op.operands[0]
    known = known_value(condition)
    following = op.next_op
    if known is not None:
        results = place.copy(graphs["then_branch" if known.reshape(-1)[0] else "else_branch"].block, [])
        place.finish(results)
        return place.first or following
    branches = [graphs[name].block.last_op for name in ("then_branch", "else_branch")]
    kinds = [[value.type for value in end.values] for end in branches if isinstance(end, YieldOp)]
    if len(kinds) < 2 or kinds[0] != kinds[1] or not all(isinstance(kind, TensorType) for kind in kinds[0]):
        return None
    chosen, other = (place.copy(graphs[name].block, []) for name in ("then_branch", "else_branch"))
    if static_shape(condition) != ():
        condition = place.add(nn.ReshapeOp(condition, TensorType(i1, ())))
    pairs = zip(chosen, other, kinds[0], strict=True)
    place.finish([place.node("Where", [condition, one, two], kind) for one, two, kind in pairs])
    return place.first


def _replace_loop(op: OnnxOp, process: Process) -> None:
    place = _Place(op)
    count, condition, *carried = [*op.node_inputs(), None, None][: max(2, len(op.node_inputs()))]
    body = op.node_graphs()["body"].block
    limit = None if count is None else known_value(count)
    going = condition is None or known_value(condition)
    if (count is not None and limit is None) or going is None:
        return
    iterations = _MAX_COPIES + 1 if limit is None else int(limit.reshape(-1)[0])
    alive = bool(np.all(going))
    values = [value for value in carried if value is not None]
    scanned: list[list[SSAValue]] = []
    done = 0
    while alive and done < iterations:
        if done == _MAX_COPIES:
            return
        place.first = None
        index = place.constant(np.full(static_shape(body.args[0]) or (), done, np.int64), i64)
        going_on = place.constant(np.full(static_shape(body.args[1]) or (), fill_value=True), i1)
        state, *yielded = place.visited_copy(body, [index, going_on, *values], process)
        known = known_value(state)
        if known is None:
            return
        alive = bool(np.all(known))
        values = yielded[: len(values)]
        scanned.append(yielded[len(values) :])
        done += 1
    stacked = [_stacked(place, list(parts), 0) for parts in zip(*scanned, strict=True)]
    if any(value is None for value in stacked) or (not scanned and len(op.results) > len(values)):
        return
    place.finish([*values, *(value for value in stacked if value is not None)])


def _replace_scan(op: OnnxOp, process: Process) -> None:
    if op.opset < 9:
        return
    place, node = _Place(op), Node(op)
    body = op.node_graphs()["body"].block
    count = node.integer("num_scan_inputs")
    inputs = list(op.operands)
    values, sources = inputs[: len(inputs) - count], inputs[len(inputs) - count :]
    shapes = [static_shape(source) for source in sources]
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes) or not known:
        return
    outputs = len(op.results) - len(values)
    axes = [
        normal_axis(axis, len(shape))
        for axis, shape in zip(node.integers("scan_input_axes") or [0] * count, known, strict=True)
    ]
    backward = node.integers("scan_input_directions") or [0] * count
    length = known[0][axes[0]]
    if not 0 < length <= _MAX_COPIES:
        return
    scanned: list[list[SSAValue]] = []
    for step in range(length):
        slices: list[SSAValue] = []
        place.first = None
        for source, shape, axis, reverse in zip(sources, known, axes, backward, strict=True):
            kind = TensorType(tensor_type(source).get_element_type(), (*shape[:axis], *shape[axis + 1 :]))
            index = place.constant(np.asarray(length - 1 - step if reverse else step, np.int64), i64)
            slices.append(place.node("Gather", [source, index], kind, axis))
        yielded = place.visited_copy(body, [*values, *slices], process)
        values = yielded[: len(values)]
        scanned.append(yielded[len(values) :])
    output_axes = node.integers("scan_output_axes") or [0] * outputs
    output_backward = node.integers("scan_output_directions") or [0] * outputs
    results: list[SSAValue] = list(values)
    for parts, axis, reverse in zip(zip(*scanned, strict=True), output_axes, output_backward, strict=True):
        stacked = _stacked(place, list(reversed(parts)) if reverse else list(parts), axis)
        if stacked is None:
            return
        results.append(stacked)
    place.finish(results)


def _stacked(place: _Place, parts: Sequence[SSAValue], axis: int) -> SSAValue | None:
    """Tensors one after another along a new dimension, None when their shapes are not known."""
    shape = static_shape(parts[0])
    if shape is None or any(static_shape(part) != shape for part in parts):
        return None
    axis = normal_axis(axis, len(shape) + 1)
    kind = tensor_type(parts[0]).get_element_type()
    longer = TensorType(kind, (*shape[:axis], 1, *shape[axis:]))
    slices = [place.add(nn.ReshapeOp(part, longer)) for part in parts]
    if len(slices) == 1:
        return slices[0]
    return place.add(nn.ConcatOp(slices, axis, TensorType(kind, (*shape[:axis], len(parts), *shape[axis:]))))

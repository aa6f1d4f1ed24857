"""What operators that quantize while they run mean, as nodes of ONNX's own operators.

onnxruntime's dynamic quantization leaves activations in floats and quantizes them where a matrix product reads them,
with the range that they have then: to uint8, asymmetric, one scale a tensor (`DynamicQuantizeLinear`). The product is
`MatMulInteger`, scaled by the scales of both operands.

Of `DynamicQuantizeLSTM` the input is quantized once a direction, for all time steps together, and the state at every
time step. Not expressed are lengths of sequences, peepholes, other activations than the default ones, clipping and
coupled gates.

Source: onnxruntime, `docs/ContribOperators.md`; `core/providers/cpu/quantization/dynamic_quantize_lstm.cc`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, helper

from intaglio.dialects.onnx.contributed import DOMAIN
from intaglio.dialects.onnx.schema import canonical_domain, find_operator
from intaglio.frontend.node_writer import NodeWriter

_OPSET = 13
"""The first opset in which all nodes have the form that is written here."""

_GATES = 4
_ACTIVATIONS = ["sigmoid", "tanh", "tanh"]
_BEFORE_FIRST = -(1 << 62)
_LARGEST = 255.0

Inputs = Mapping[str, str]
Attributes = Mapping[str, AttributeProto]
Meaning = Callable[[NodeWriter, Inputs, Attributes], list[str] | None]
"""Writes what computes a node's outputs, and returns them; None when it cannot be expressed."""


def has_dynamic_form(domain: str, name: str) -> bool:
    """Whether `dynamic_nodes` knows an operator."""
    return (canonical_domain(domain), name) in _MEANINGS


def dynamic_nodes(node: NodeProto, opset: int) -> list[NodeProto] | None:
    """The nodes that compute what a node does that quantizes while it runs; None for other nodes.

    Names of the values in between are the node's first output with a slash and a number.

    Args:
        node: of a model.
        opset: of the domain `ai.onnx` in that model.
    """
    key = canonical_domain(node.domain), node.op_type
    operator = find_operator(*key)
    if key not in _MEANINGS or operator is None or opset < _OPSET:
        return None
    named = zip((formal.name for formal in operator.versions[-1].inputs), node.input, strict=False)
    inputs = {name: value for name, value in named if value}
    writer = NodeWriter(next((output for output in node.output if output), "dynamic"))
    outputs = _MEANINGS[key](writer, inputs, {attribute.name: attribute for attribute in node.attribute})
    if outputs is None:
        return None
    for value, output in zip(outputs, node.output, strict=False):
        writer.give(value, output)
    return writer.nodes


def _quantize(writer: NodeWriter, inputs: Inputs, attributes: Attributes) -> list[str]:
    """Quantized to uint8 by its own range, which is widened to include zero; the scale of zeros alone is one.

    ONNX's definition (opset 11) divides by a scale of zero there.
    """
    x, zero, largest = inputs["x"], writer.number(0.0), writer.number(_LARGEST)
    low = writer.add("Min", [writer.add("ReduceMin", [x], keepdims=0), zero])
    high = writer.add("Max", [writer.add("ReduceMax", [x], keepdims=0), zero])
    extent = writer.add("Sub", [high, low])
    steps = writer.add("Div", [extent, largest])
    scale = writer.add("Where", [writer.add("Equal", [extent, zero]), writer.number(1.0), steps])
    exact = writer.add("Sub", [zero, writer.add("Div", [low, scale])])
    nearest = writer.add("Round", [writer.add("Clip", [exact, zero, largest])])
    zero_point = writer.add("Cast", [nearest], to=TensorProto.UINT8)
    return [writer.add("QuantizeLinear", [x, scale, zero_point]), scale, zero_point]


def _integer_product(writer: NodeWriter, inputs: Inputs, attributes: Attributes) -> list[str]:
    """The sum of integer products, times both scales, plus the bias."""
    zero_points = [inputs.get("a_zero_point", ""), inputs.get("b_zero_point", "")]
    while zero_points and not zero_points[-1]:
        zero_points.pop()
    total = writer.add("MatMulInteger", [inputs["A"], inputs["B"], *zero_points])
    scale = writer.add("Mul", [inputs["a_scale"], inputs["b_scale"]])
    result = writer.add("Mul", [writer.add("Cast", [total], to=TensorProto.FLOAT), scale])
    return [writer.add("Add", [result, inputs["bias"]]) if "bias" in inputs else result]


def _product(writer: NodeWriter, inputs: Inputs, attributes: Attributes) -> list[str]:
    """As `_integer_product`, with a left operand in floats."""
    quantized, scale, zero_point = writer.add_several("DynamicQuantizeLinear", [inputs["A"]], 3)
    known = {**inputs, "A": quantized, "a_scale": scale, "a_zero_point": zero_point}
    return _integer_product(writer, known, attributes)


def _lstm(writer: NodeWriter, inputs: Inputs, attributes: Attributes) -> list[str] | None:
    """Cells of every direction, stacked."""
    direction = attributes["direction"].s.decode() if "direction" in attributes else "forward"
    reversals = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}.get(direction)
    coupled = "input_forget" in attributes and attributes["input_forget"].i
    if reversals is None or coupled or "clip" in attributes or "hidden_size" not in attributes:
        return None
    if "sequence_lens" in inputs or "P" in inputs or not _has_default_activations(attributes):
        return None
    hidden = attributes["hidden_size"].i
    parts = [_lstm_direction(writer, inputs, index, hidden, reverse) for index, reverse in enumerate(reversals)]
    outputs: list[str] = []
    for position, axis in enumerate((1, 0, 0)):
        rows = [writer.add("Unsqueeze", [part[position], writer.numbers([axis])]) for part in parts]
        outputs.append(writer.add("Concat", rows, axis=axis) if len(rows) > 1 else rows[0])
    return outputs


def _has_default_activations(attributes: Attributes) -> bool:
    given = [name.decode().lower() for name in attributes["activations"].strings] if "activations" in attributes else []
    return given in ([], _ACTIVATIONS, _ACTIVATIONS * 2)


def _lstm_direction(writer: NodeWriter, inputs: Inputs, index: int, hidden: int, reverse: bool) -> tuple[str, str, str]:
    """States of all time steps `[T, B, H]`, the last one and the last cell `[B, H]`, of one direction."""

    def own(name: str) -> str:
        return writer.add("Gather", [inputs[name], writer.index(index)], axis=0)

    def initial(name: str) -> str:
        if name in inputs:
            return own(name)
        batch = writer.add("Slice", [writer.add("Shape", [inputs["X"]]), writer.numbers([1]), writer.numbers([2])])
        return writer.add("ConstantOfShape", [writer.add("Concat", [batch, writer.numbers([hidden])], axis=0)])

    def turned(value: str) -> str:
        # ONNX's reference (1.23) does not scan backwards.
        parameters = [writer.numbers([number]) for number in (-1, _BEFORE_FIRST, 0, -1)]
        return writer.add("Slice", [value, *parameters]) if reverse else value

    weight = {"A": inputs["X"], "B": own("W"), "b_scale": own("W_scale"), "b_zero_point": own("W_zero_point")}
    (of_input,) = _product(writer, weight, {})
    if "B" in inputs:
        biases = writer.add_several("Split", [own("B"), writer.numbers([_GATES * hidden] * 2)], 2, axis=0)
        of_input = writer.add("Add", [of_input, writer.add("Add", biases)])
    recurrence = {"B": own("R"), "b_scale": own("R_scale"), "b_zero_point": own("R_zero_point")}
    last_state, last_cell, states = writer.add_several(
        "Scan",
        [initial("initial_h"), initial("initial_c"), turned(of_input)],
        3,
        body=_step(writer.name(), recurrence, hidden),
        num_scan_inputs=1,
    )
    return turned(states), last_state, last_cell


def _step(prefix: str, recurrence: Inputs, hidden: int) -> GraphProto:
    """One time step: from state, cell and the input's product to state, cell and again the state."""
    writer = NodeWriter(prefix)
    state, cell, of_input = (writer.name() for _ in range(3))
    (of_state,) = _product(writer, {"A": state, **recurrence}, {})
    total = writer.add("Add", [of_input, of_state])
    gates = writer.add_several("Split", [total, writer.numbers([hidden] * _GATES)], _GATES, axis=1)
    keep, give, forget = (writer.add("Sigmoid", [gate]) for gate in gates[:3])
    kept = writer.add("Mul", [keep, writer.add("Tanh", [gates[3]])])
    next_cell = writer.add("Add", [writer.add("Mul", [forget, cell]), kept])
    next_state = writer.add("Mul", [give, writer.add("Tanh", [next_cell])])
    outputs = [next_state, next_cell, writer.add("Identity", [next_state])]
    return helper.make_graph(
        writer.nodes,
        "step",
        [_float(name) for name in (state, cell, of_input)],
        [_float(name) for name in outputs],
    )


def _float(name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


_MEANINGS: Mapping[tuple[str, str], Meaning] = {
    ("", "DynamicQuantizeLinear"): _quantize,
    (DOMAIN, "DynamicQuantizeLSTM"): _lstm,
    (DOMAIN, "DynamicQuantizeMatMul"): _product,
    (DOMAIN, "MatMulIntegerToFloat"): _integer_product,
}

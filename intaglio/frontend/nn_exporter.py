"""A float `nn` module as an ONNX model, so that onnxruntime can run it: calibration and the float reference.

Operations with a spatial layout stand between transposes to NCHW and back; a value that is known in NCHW is
taken as it is, so that chains of convolutions stay in that layout. Remaining `onnx` ops go out as they are, at
the model's opset; without any the opset is 17. Observers hand their input on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, helper
from xdsl.dialects.builtin import AnyFloat, IntegerType, ModuleOp, i64
from xdsl.ir import Attribute, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element, tensor_of
from intaglio.dialects.onnx import OnnxOp, ints_of, opset_of
from intaglio.dialects.quant import ObserveOp
from intaglio.dialects.weights import Array, array_of, constant_attr
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function, name_interface, write_interface, write_model_attributes
from intaglio.frontend.protobuf import Names, block_to_graph, name_results, tensor_to_proto, value_info
from intaglio.ir.locations import describe

_OPSET = 17
_TO_NCHW, _TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]

Op = TypeVar("Op", bound=Operation)


def export_float(module: ModuleOp, *, extra_outputs: Sequence[SSAValue] = ()) -> tuple[ModelProto, dict[SSAValue, str]]:
    """Write `@main` of a float module as an ONNX model.

    Args:
        module: `nn` ops on float tensors, `quant.observe`, and `onnx` ops.
        extra_outputs: values in `@main` that become outputs of the model after its own, in this order; those that
            are outputs already, or are given twice, are not added again.

    Returns:
        The model, whose inputs and outputs have the ONNX names and layouts of `@main`, and the name of the output
        for each of `extra_outputs`, which is in the layout that the value has in the module.

    Raises:
        UserError: an op cannot be expressed, such as one on quantized tensors; it is named.
    """
    function = main_function(module)
    block = function.body.block
    model = ModelProto()
    write_model_attributes(module, model)
    is_mixed = any(isinstance(op, OnnxOp) and not op.domain for op in block.walk())
    opset = opset_of(module, "") if is_mixed else _OPSET
    imports = [(entry.domain, entry.version) for entry in model.opset_import if entry.domain]
    model.ClearField("opset_import")
    model.ClearField("graph")
    model.ir_version = 8 if opset < 19 else 10
    for domain, version in (("", opset), *imports):
        model.opset_import.add(domain=domain, version=version)
    model.graph.name = "main"
    names = Names()
    name_interface(function, names)
    name_results(block, names)
    writer = _Writer(model.graph, names, opset)
    block_to_graph(block, model.graph, names, writer.write)
    write_interface(function, model.graph, names)
    found: dict[SSAValue, str] = {}
    listed = {output.name for output in model.graph.output}
    for value in extra_outputs:
        name = writer.output_name(value)
        found[value] = name
        if name not in listed:
            listed.add(name)
            model.graph.output.append(value_info(value, name))
    model.graph.ClearField("value_info")
    _drop_unused(model.graph)
    return model, found


class _Writer:
    """Adds the nodes of `nn` ops to a graph."""

    def __init__(self, graph: GraphProto, names: Names, opset: int) -> None:
        self._graph = graph
        self._names = names
        self.opset = opset
        self._in_nchw: dict[SSAValue, str] = {}
        self._outputs: dict[SSAValue, str] = {}

    def write(self, op: Operation) -> bool:
        """Add the nodes of an op; False when there is no rule for it."""
        rule = _RULES.get(type(op))
        if rule is None:
            return False
        for value in (*op.operands, *op.results):
            if not isinstance(element(value), AnyFloat | IntegerType):
                raise UserError(f"{describe(op)} is on {value.type}, but only float modules can be exported to ONNX")
        rule(self, op)
        return True

    def name(self, value: SSAValue | None) -> str:
        """The name of a value in its own layout; empty for an absent one."""
        return "" if value is None else self._names[value]

    def nchw(self, value: SSAValue) -> str:
        """The name of an NHWC value in NCHW."""
        if value not in self._in_nchw:
            self._in_nchw[value] = self.node("Transpose", [self.name(value)], perm=_TO_NCHW)
        return self._in_nchw[value]

    def node(self, op_type: str, inputs: Iterable[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output; inputs that end the list empty are left out."""
        names = list(inputs)
        while names and not names[-1]:
            names.pop()
        output = output or self._names.fresh(op_type.lower())
        self._graph.node.append(helper.make_node(op_type, names, [output], name=output, **attributes))
        return output

    def initializer(self, op: nn.ConstantOp) -> None:
        """Add the initializer of a constant."""
        self._graph.initializer.append(tensor_to_proto(op.value, self.name(op.result)))

    def constant(self, array: Array, kind: Attribute) -> str:
        """Add an initializer and return its name."""
        name = self._names.fresh("constant")
        self._graph.initializer.append(tensor_to_proto(constant_attr(name, array, kind), name))
        return name

    def weight(self, value: SSAValue, permutation: Sequence[int]) -> str:
        """The name of a weight with its dimensions in another order."""
        owner = value.owner
        if isinstance(owner, nn.ConstantOp):
            return self.constant(array_of(owner.value).transpose(permutation), element(value))
        return self.node("Transpose", [self.name(value)], perm=list(permutation))

    def clamped(self, name: str, clamp: nn.ClampAttr | None, like: SSAValue, output: str | None = None) -> str:
        """What a fused clamp makes of a value; with `output` under this name."""
        low, high = (-math.inf, math.inf) if clamp is None else clamp.bounds
        if (low, high) == (-math.inf, math.inf):
            return name if output is None else self.node("Identity", [name], output)
        if (low, high) == (0, math.inf):
            return self.node("Relu", [name], output)
        bounds = {"min": low, "max": high}
        if self.opset < 11:
            given = {key: bound for key, bound in bounds.items() if math.isfinite(bound)}
            return self.node("Clip", [name], output, **given)
        kind = element(like)
        inputs = [self.constant(np.asarray(bound), kind) if math.isfinite(bound) else "" for bound in bounds.values()]
        return self.node("Clip", [name, *inputs], output)

    def finish(self, name: str, result: SSAValue, clamp: nn.ClampAttr | None = None) -> None:
        """Give `name`, clamped, the name of a result."""
        if clamp is None and result not in self._names:
            self._names.give(result, name)
        else:
            self.clamped(name, clamp, result, self.name(result))

    def finish_nchw(self, name: str, result: SSAValue, clamp: nn.ClampAttr | None = None) -> None:
        """Make a result of `name`, which is in NCHW, clamped."""
        self._in_nchw[result] = self.clamped(name, clamp, result)
        self.node("Transpose", [self._in_nchw[result]], self.name(result), perm=_TO_NHWC)

    def alias(self, value: SSAValue, result: SSAValue) -> None:
        """Make `result` another reference to `value`."""
        if value in self._in_nchw:
            self._in_nchw[result] = self._in_nchw[value]
        self.finish(self.name(value), result)

    def output_name(self, value: SSAValue) -> str:
        """A name under which a value can be an output: that of a node's output."""
        name = self.name(value)
        if any(name in node.output for node in self._graph.node):
            return name
        if value not in self._outputs:
            self._outputs[value] = self.node("Identity", [name])
        return self._outputs[value]


def _drop_unused(graph: GraphProto) -> None:
    """Remove the nodes and initializers that no output needs."""
    needed = {output.name for output in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_names_used(node))
    graph.ClearField("node")
    graph.node.extend(reversed(kept))
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    if len(initializers) < len(graph.initializer):
        graph.ClearField("initializer")
        graph.initializer.extend(initializers)


def _names_used(node: NodeProto) -> set[str]:
    """The values a node uses, also inside graphs that are its attributes."""
    used = set(node.input)
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            used.update(output.name for output in attribute.g.output)
            for inner in attribute.g.node:
                used |= _names_used(inner)
    return used


_RULES: dict[type[Operation], Callable[[_Writer, Any], None]] = {}


def _exports(kind: type[Op]) -> Callable[[Callable[[_Writer, Op], None]], Callable[[_Writer, Op], None]]:
    def register(rule: Callable[[_Writer, Op], None]) -> Callable[[_Writer, Op], None]:
        _RULES[kind] = rule
        return rule

    return register


@_exports(nn.ConstantOp)
def _constant(writer: _Writer, op: nn.ConstantOp) -> None:
    writer.initializer(op)


@_exports(ObserveOp)
def _observe(writer: _Writer, op: ObserveOp) -> None:
    writer.alias(op.input, op.result)


@_exports(nn.Conv2dOp)
def _conv2d(writer: _Writer, op: nn.Conv2dOp) -> None:
    made = writer.node(
        "Conv",
        [writer.nchw(op.input), writer.weight(op.weight, _TO_NCHW), writer.name(op.bias)],
        strides=ints_of(op.strides),
        pads=ints_of(op.pads),
        dilations=ints_of(op.dilations),
        group=op.groups.value.data,
    )
    writer.finish_nchw(made, op.result, op.clamp)


@_exports(nn.DenseOp)
def _dense(writer: _Writer, op: nn.DenseOp) -> None:
    made = writer.node("MatMul", [writer.name(op.input), writer.weight(op.weight, [1, 0])])
    if op.bias is not None:
        made = writer.node("Add", [made, writer.name(op.bias)])
    writer.finish(made, op.result, op.clamp)


@_exports(nn.MatmulOp)
def _matmul(writer: _Writer, op: nn.MatmulOp) -> None:
    writer.finish(writer.node("MatMul", map(writer.name, op.operands)), op.result, op.clamp)


def _elementwise(op_type: str) -> Callable[[_Writer, nn.ElementwiseOp], None]:
    def rule(writer: _Writer, op: nn.ElementwiseOp) -> None:
        writer.finish(writer.node(op_type, map(writer.name, op.operands)), op.result, op.clamp)

    return rule


def _activation(op_type: str) -> Callable[[_Writer, nn.ActivationOp], None]:
    def rule(writer: _Writer, op: nn.ActivationOp) -> None:
        writer.finish(writer.node(op_type, [writer.name(op.input)]), op.result)

    return rule


for _kind, _op_type in ((nn.AddOp, "Add"), (nn.SubOp, "Sub"), (nn.MulOp, "Mul"), (nn.DivOp, "Div")):
    _RULES[_kind] = _elementwise(_op_type)
for _kind, _op_type in ((nn.ReluOp, "Relu"), (nn.SigmoidOp, "Sigmoid"), (nn.TanhOp, "Tanh")):
    _RULES[_kind] = _activation(_op_type)


@_exports(nn.ClipOp)
def _clip(writer: _Writer, op: nn.ClipOp) -> None:
    writer.finish(writer.name(op.input), op.result, op.clamp)


@_exports(nn.HardSigmoidOp)
def _hard_sigmoid(writer: _Writer, op: nn.HardSigmoidOp) -> None:
    alpha, beta = op.alpha.value.data, op.beta.value.data
    writer.finish(writer.node("HardSigmoid", [writer.name(op.input)], alpha=alpha, beta=beta), op.result)


@_exports(nn.HardSwishOp)
def _hard_swish(writer: _Writer, op: nn.HardSwishOp) -> None:
    source = writer.name(op.input)
    if writer.opset >= 14:
        writer.finish(writer.node("HardSwish", [source]), op.result)
        return
    gate = writer.node("HardSigmoid", [source], alpha=1 / 6, beta=0.5)
    writer.finish(writer.node("Mul", [source, gate]), op.result)


@_exports(nn.MaxPool2dOp)
def _max_pool2d(writer: _Writer, op: nn.MaxPool2dOp) -> None:
    dilations = ints_of(op.dilations)
    # Before opset 10 the attribute does not exist.
    dilated: dict[str, Any] = {} if dilations == [1, 1] else {"dilations": dilations}
    made = writer.node(
        "MaxPool",
        [writer.nchw(op.input)],
        kernel_shape=ints_of(op.kernel),
        strides=ints_of(op.strides),
        pads=ints_of(op.pads),
        **dilated,
    )
    writer.finish_nchw(made, op.result)


@_exports(nn.AvgPool2dOp)
def _avg_pool2d(writer: _Writer, op: nn.AvgPool2dOp) -> None:
    made = writer.node(
        "AveragePool",
        [writer.nchw(op.input)],
        kernel_shape=ints_of(op.kernel),
        strides=ints_of(op.strides),
        pads=ints_of(op.pads),
        count_include_pad=int(bool(op.count_include_pad.value.data)),
    )
    writer.finish_nchw(made, op.result, op.clamp)


@_exports(nn.ReshapeOp)
def _reshape(writer: _Writer, op: nn.ReshapeOp) -> None:
    shape = tensor_of(op.result).get_shape()
    target = writer.constant(np.asarray(shape, np.int64), i64)
    # A dimension of 0 would be copied from the input.
    keeps_zero: dict[str, Any] = {"allowzero": 1} if 0 in shape and writer.opset >= 14 else {}
    writer.finish(writer.node("Reshape", [writer.name(op.input), target], **keeps_zero), op.result)


@_exports(nn.TransposeOp)
def _transpose(writer: _Writer, op: nn.TransposeOp) -> None:
    permutation = ints_of(op.permutation)
    if permutation == _TO_NCHW:
        writer.finish(writer.nchw(op.input), op.result)
    elif permutation == _TO_NHWC:
        writer.finish_nchw(writer.name(op.input), op.result)
    else:
        writer.finish(writer.node("Transpose", [writer.name(op.input)], perm=permutation), op.result)


@_exports(nn.ConcatOp)
def _concat(writer: _Writer, op: nn.ConcatOp) -> None:
    made = writer.node("Concat", map(writer.name, op.inputs), axis=op.axis.value.data)
    writer.finish(made, op.result)


@_exports(nn.PadOp)
def _pad(writer: _Writer, op: nn.PadOp) -> None:
    amounts, value = [*ints_of(op.low), *ints_of(op.high)], op.value.value.data
    source = writer.name(op.input)
    if writer.opset < 11:
        writer.finish(writer.node("Pad", [source], pads=amounts, value=value), op.result)
        return
    pads = writer.constant(np.asarray(amounts, np.int64), i64)
    fill = writer.constant(np.asarray(value), element(op.input))
    writer.finish(writer.node("Pad", [source, pads, fill]), op.result)


@_exports(nn.SoftmaxOp)
def _softmax(writer: _Writer, op: nn.SoftmaxOp) -> None:
    axis, rank = op.axis.value.data, len(tensor_of(op.input).get_shape())
    source = writer.name(op.input)
    if writer.opset >= 13 or axis == rank - 1:
        writer.finish(writer.node("Softmax", [source], axis=axis), op.result)
        return
    # Before opset 13 Softmax flattens all dimensions from its axis on.
    swap = list(range(rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    last = writer.node("Softmax", [writer.node("Transpose", [source], perm=swap)], axis=rank - 1)
    writer.finish(writer.node("Transpose", [last], perm=swap), op.result)


@_exports(nn.BatchNormOp)
def _batch_norm(writer: _Writer, op: nn.BatchNormOp) -> None:
    rank = len(tensor_of(op.input).get_shape())
    parameters = map(writer.name, (op.scale, op.offset, op.mean, op.variance))
    epsilon = op.epsilon.value.data
    if rank == 4:
        made = writer.node("BatchNormalization", [writer.nchw(op.input), *parameters], epsilon=epsilon)
        writer.finish_nchw(made, op.result)
        return
    first = [0, rank - 1, *range(1, rank - 1)]
    last = [0, *range(2, rank), 1]
    source = writer.node("Transpose", [writer.name(op.input)], perm=first)
    made = writer.node("BatchNormalization", [source, *parameters], epsilon=epsilon)
    writer.finish(writer.node("Transpose", [made], perm=last), op.result)

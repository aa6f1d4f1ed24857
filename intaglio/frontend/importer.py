"""ONNX model -> module of the `onnx` dialect, with static shapes and nothing lost.

The module has one function `@main` whose arguments are the graph's inputs and whose results are its outputs,
with their ONNX names as `onnx.name`. Initializers come first, nodes follow in the model's order. What the
model says of itself is in module attributes: `intaglio.model` (file stem), `onnx.opset_import`,
`onnx.ir_version`, and where present `onnx.producer_name`, `onnx.producer_version`, `onnx.domain`,
`onnx.model_version`, `onnx.doc_string`, `onnx.metadata`, and the same of the graph. Functions of the model are
inlined. Names of nodes are locations; names of values are kept on the ops (see `intaglio.dialects.onnx.node`).
What the compiler has no use for is carried as serialised protobuf: `onnx.training_info`, `onnx.configuration`.

Every type that ONNX has comes in; `intaglio.frontend.interface` says which of them can be compiled.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from google.protobuf.message import Message
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, ModuleOp, StringAttr, TensorType, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.onnx import OPSET_IMPORT, CustomOp, InitializerOp, OctetsAttr, YieldOp, build
from intaglio.dialects.onnx.schema import Operator, canonical_domain, find_operator, newest_opset, violation
from intaglio.errors import UserError
from intaglio.frontend.attributes import attribute_from_proto, sparse_tensor_attr, tensor_attr
from intaglio.frontend.functions import inline_functions
from intaglio.frontend.model_file import ModelFile, read_model
from intaglio.frontend.shapes import GraphTypes, Shape, bind_shapes, infer_types, true_inputs
from intaglio.frontend.types import element_type, type_from_proto
from intaglio.ir.locations import UNKNOWN, named

Scope = ChainMap[str, SSAValue]


def import_model(
    source: str | Path | bytes,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    batch: int | None = None,
    open_shapes: bool = False,
) -> ModuleOp:
    """Import an ONNX model.

    Args:
        source: a path, or the content of an ONNX file (which then cannot have external data).
        shapes: shapes of inputs by name; needed where the model leaves dimensions open.
        batch: the size of the first dimension of every input where it is open and no shape is given.
        open_shapes: leave dimensions that nothing decides dynamic, for a module to be looked at or exported again;
            it cannot be compiled.

    Returns:
        A verified module of the `onnx` dialect. All tensor arguments have static shapes, unless `open_shapes`; a
        value whose shape inference could not find has dynamic dimensions, no rank, or `tensor<*xnone>`.

    Raises:
        UserError: the file is missing or no ONNX model, external data is missing or outside the model's folder,
            a data type or operator is unknown, a shape is open or contradicts the model, or the model is not
            valid. Node and value are named.
    """
    file = read_model(source)
    if file.proto.functions:
        file = replace(file, proto=inline_functions(file.proto, where=file.where))
    model = file.proto
    _check_opsets(model, file)
    bound = bind_shapes(model.graph, shapes, batch=batch, open_shapes=open_shapes, where=file.where)
    _Rules(file).check(model.graph, frozenset())
    importer = _Importer(file)
    argument_types = importer.argument_types(bound)
    return importer.module(argument_types, infer_types(model, bound, where=file.where))


def _check_opsets(model: ModelProto, file: ModelFile) -> None:
    domains = [canonical_domain(entry.domain) for entry in model.opset_import]
    if len(set(domains)) != len(domains):
        raise UserError("the model imports an operator set twice", where=file.where)
    for domain, entry in zip(domains, model.opset_import, strict=True):
        newest = newest_opset(domain)
        if entry.version < 1:
            raise UserError(f'opset {entry.version} of domain "{domain}" does not exist', where=file.where)
        if newest and entry.version > newest and domain == "":
            raise UserError(
                f"the model has opset {entry.version}; the installed onnx package knows up to {newest}",
                where=file.where,
                hint="export the model with an older opset, or upgrade the onnx package",
            )


_RANK_INPUTS: Mapping[str, int] = {
    "CenterCropPad": 1,
    "ConstantOfShape": 0,
    "Expand": 1,
    "Pad": 1,
    "Reshape": 1,
    "Resize": 2,
    "Slice": 1,
    "Squeeze": 1,
    "Tile": 1,
    "Unsqueeze": 1,
    "Upsample": 1,
}
"""The inputs whose number of elements decides the rank of a result."""

MAX_RANK = 1024
"""Shape inference makes results of any rank, and memory ends before its numbers do."""


class _Rules:
    """The rules of ONNX: nodes as the schemas of the model's opset say, values defined once and before their uses."""

    def __init__(self, file: ModelFile) -> None:
        self._where = file.where
        self._opsets = {canonical_domain(entry.domain): entry.version for entry in file.proto.opset_import}
        self._extents: dict[str, Sequence[int]] = {}

    def check(self, graph: GraphProto, outer: frozenset[str]) -> None:
        """Check a graph whose nodes may use the values in `outer`."""
        defined = set(outer)
        interface = [value.name for value in true_inputs(graph)]
        interface += [tensor.name for tensor in graph.initializer]
        interface += [sparse.values.name for sparse in graph.sparse_initializer]
        for name in interface:
            self._define(name, defined, outer, "the graph")
        if len({value.name for value in graph.input}) < len(graph.input):
            raise UserError("two inputs of a graph have one name", where=self._where)
        self._extents.update({tensor.name: tensor.dims for tensor in graph.initializer})
        for value in true_inputs(graph):
            self._extents[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for node in graph.node:
            what = describe_node(node)
            self._check_schema(node, what)
            for name in node.input:
                if name and name not in defined:
                    raise UserError(
                        f'{what} uses "{name}", which no input, initializer or node before it defines',
                        where=self._where,
                    )
            self._check_rank(node, what)
            for attribute in node.attribute:
                if attribute.type == AttributeProto.GRAPH:
                    self.check(attribute.g, frozenset(defined))
            for name in node.output:
                if name:
                    self._define(name, defined, outer, what)
        for value in graph.output:
            if value.name not in defined:
                raise UserError(f'nothing defines the output "{value.name}"', where=self._where)

    def _check_schema(self, node: NodeProto, what: str) -> None:
        domain = canonical_domain(node.domain)
        operator = find_operator(domain, node.op_type)
        if domain not in self._opsets:
            raise UserError(f'{what} is of domain "{domain}", which the model does not import', where=self._where)
        if operator is None:
            if domain == "":
                raise UserError(f"{what}: there is no ONNX operator {node.op_type}", where=self._where)
            return
        for attribute in node.attribute:
            if not _is_declared(attribute, operator):
                kind = AttributeProto.AttributeType.Name(attribute.type)
                message = f'attribute "{attribute.name}" of {what} (of kind {kind}) is none of this operator'
                raise UserError(message, where=self._where)
        message = violation(
            operator,
            self._opsets[domain],
            [attribute.name for attribute in node.attribute],
            [bool(name) for name in node.input],
            [bool(name) for name in node.output],
        )
        if message is not None:
            raise UserError(f"{what}: {message}", where=self._where)

    def _check_rank(self, node: NodeProto, what: str) -> None:
        position = _RANK_INPUTS.get(node.op_type)
        if position is None or canonical_domain(node.domain) or position >= len(node.input):
            return
        name = node.input[position]
        if any(extent > MAX_RANK for extent in self._extents.get(name, ())):
            raise UserError(
                f'{what} takes a shape from "{name}", which has {max(self._extents[name])} elements, '
                f"more than {MAX_RANK}",
                where=self._where,
            )

    def _define(self, name: str, defined: set[str], outer: frozenset[str], what: str) -> None:
        if not name or (name in defined and name not in outer):
            raise UserError(f'{what} defines "{name}", which is defined already', where=self._where)
        defined.add(name)


def _is_declared(attribute: AttributeProto, operator: Operator) -> bool:
    if any(graph.name == attribute.name for graph in operator.graphs):
        return attribute.type == AttributeProto.GRAPH
    kinds = operator.attributes.get(attribute.name, frozenset())
    return any(kind.value == attribute.type for kind in kinds)


def describe_node(node: NodeProto) -> str:
    """A node for messages: its name, or its first output, and its operator."""
    if node.name:
        return f'node "{node.name}" ({node.op_type})'
    output = next((name for name in node.output if name), None)
    return f'the node of "{output}" ({node.op_type})' if output else f"a node {node.op_type}"


class _Importer:
    """Builds the ops of one model."""

    def __init__(self, file: ModelFile) -> None:
        self._file = file
        self._where = file.where
        self._added: list[tuple[Operation, NodeProto]] = []

    def argument_types(self, shapes: Mapping[str, Shape]) -> list[Attribute]:
        """The types of the model's inputs."""
        inputs = true_inputs(self._file.proto.graph)
        return [self._input_type(value, shapes.get(value.name)) for value in inputs]

    def module(self, argument_types: Sequence[Attribute], types: GraphTypes) -> ModuleOp:
        """The module of the model."""
        model, graph = self._file.proto, self._file.proto.graph
        inputs = true_inputs(graph)
        block = Block(arg_types=argument_types)
        function = FuncOp("main", (argument_types, []), Region(block))
        module = ModuleOp([function], attributes=_model_attributes(model, self._file.name))
        scope: Scope = ChainMap({})
        for argument, value in zip(block.args, inputs, strict=True):
            argument.name_hint = value_name(value.name)
            scope[value.name] = argument
        self._body(graph, block, scope, types)
        results = [scope[value.name] for value in graph.output]
        block.add_op(ReturnOp(*results))
        function.update_function_type()
        function.arg_attrs = ArrayAttr([_value_attributes(*pair) for pair in zip(inputs, argument_types, strict=True)])
        function.res_attrs = ArrayAttr(
            [_value_attributes(value, result.type) for value, result in zip(graph.output, results, strict=True)]
        )
        self._verify()
        return module

    def _input_type(self, value: ValueInfoProto, shape: Shape | None) -> Attribute:
        """The type of an input with its static shape, or as it is declared."""
        what = f'input "{value.name}"'
        declared = value.type.WhichOneof("value")
        if declared is None:
            raise UserError(f"{what} has no type", where=self._where)
        if declared != "tensor_type":
            return type_from_proto(value.type, what, where=self._where)
        kind = element_type(value.type.tensor_type.elem_type, what, where=self._where)
        return type_from_proto(value.type, what, where=self._where) if shape is None else TensorType(kind, shape)

    def _body(self, graph: GraphProto, block: Block, scope: Scope, types: GraphTypes) -> None:
        """Add the ops of a graph's initializers and nodes to a block."""
        listed = {value.name: index for index, value in enumerate(graph.input)}
        for tensor in graph.initializer:
            value = tensor_attr(tensor, tensor.name, f'initializer "{tensor.name}"', self._file)
            op = self._initializer(tensor.name, value, listed, block, scope)
            op.attributes.update(_notes(tensor))
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            value = sparse_tensor_attr(sparse, name, f'initializer "{name}"', self._file)
            op = self._initializer(name, value, listed, block, scope)
            op.attributes.update(_notes(sparse.values))
        for node in graph.node:
            op = self._node(node, scope, types)
            block.add_op(op)
            self._added.append((op, node))
            names = [name for name in node.output if name]
            scope.update(zip(names, op.results, strict=True))

    def _initializer(
        self, name: str, value: Attribute, listed: Mapping[str, int], block: Block, scope: Scope
    ) -> InitializerOp:
        op = InitializerOp(name, value, graph_input=listed.get(name))
        op.result.name_hint = value_name(name)
        block.add_op(op)
        scope[name] = op.result
        return op

    def _verify(self) -> None:
        """Verify the ops of all nodes, which must stand in the finished module."""
        for op, node in self._added:
            try:
                op.verify(verify_nested_ops=False)
            except VerifyException as error:
                message = str(error).splitlines()[0]
                raise UserError(f"{describe_node(node)}: {message}", where=self._where) from error

    def _node(self, node: NodeProto, scope: Scope, types: GraphTypes) -> Operation:
        what = describe_node(node)
        operator = find_operator(node.domain, node.op_type)
        attributes, graphs = self._attributes(node, what, scope, types)
        inputs = [scope[name] if name else None for name in node.input]
        result_types = [
            type_from_proto(types.types.get(name), f'"{name}"', where=self._where) if name else None
            for name in node.output
        ]
        result_names = [name for name in node.output if name]
        discardable = _node_notes(node)
        location = named(node.name) if node.name else UNKNOWN
        if operator is None:
            op = CustomOp(
                node.domain,
                node.op_type,
                inputs,
                result_types,
                attributes,
                graphs=graphs,
                result_names=result_names,
                discardable=discardable,
                location=location,
            )
        else:
            try:
                op = build(
                    operator,
                    inputs,
                    result_types,
                    attributes,
                    graphs=graphs,
                    result_names=result_names,
                    discardable=discardable,
                    location=location,
                )
            except VerifyException as error:
                raise UserError(f"{what}: {error}", where=self._where) from error
        for result in op.results:
            result.name_hint = operator_name(node.op_type)
        return op

    def _attributes(
        self, node: NodeProto, what: str, scope: Scope, types: GraphTypes
    ) -> tuple[dict[str, Attribute], dict[str, Region]]:
        attributes: dict[str, Attribute] = {}
        graphs: dict[str, Region] = {}
        key = node.output[0] if node.output else node.name
        for attribute in node.attribute:
            name = attribute.name
            label = f'attribute "{name}" of {what}'
            if name in attributes or name in graphs:
                raise UserError(f"{label} is given twice", where=self._where)
            if "." in name:
                raise UserError(f"{label} has a dot in its name, which is not supported", where=self._where)
            if attribute.type == AttributeProto.GRAPH:
                inner = types.inner.get((tuple(node.output), name), GraphTypes({}, {}))
                graphs[name] = self._graph(attribute.g, scope, inner)
            else:
                weights = key if name == "value" else f"{key}.{name}"
                attributes[name] = attribute_from_proto(attribute, weights, label, self._file)
        return attributes, graphs

    def _graph(self, graph: GraphProto, outer: Scope, types: GraphTypes) -> Region:
        """The region of a graph-valued attribute."""
        scope = outer.new_child()
        inputs = true_inputs(graph)
        kinds = [
            type_from_proto(types.types.get(value.name, value.type), f'"{value.name}"', where=self._where)
            for value in inputs
        ]
        block = Block(arg_types=kinds)
        for argument, value in zip(block.args, inputs, strict=True):
            argument.name_hint = value_name(value.name)
            scope[value.name] = argument
        self._body(graph, block, scope, types)
        end = YieldOp(
            [scope[value.name] for value in graph.output],
            graph_name=graph.name or None,
            doc_string=graph.doc_string or None,
            input_names=[value.name for value in inputs],
            output_names=[value.name for value in graph.output],
        )
        if graph.metadata_props:
            end.attributes["onnx.metadata"] = _pairs(graph.metadata_props)
        if graph.quantization_annotation:
            end.attributes["onnx.quantization_annotation"] = _annotations(graph)
        block.add_op(end)
        return Region(block)


def value_name(name: str) -> str | None:
    """A short SSA name for a named tensor: the last part of its name, None if that has no letters."""
    part = re.split(r"[/:.]", name.rstrip("/:."))[-1]
    if not re.search(r"[A-Za-z]", part) and "." in name:
        part = "_".join(name.split(".")[-2:])
    return _plain(part)


def operator_name(op_type: str) -> str | None:
    """An SSA name for the results of an operator: `batch_normalization` for `BatchNormalization`."""
    return _plain(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", op_type).lower())


def _plain(text: str) -> str | None:
    """Text as an SSA name that prints and parses back the same: xDSL takes off a numeric suffix."""
    plain = re.sub(r"\W", "_", text, flags=re.ASCII)
    return re.sub(r"^[\d_]+|(_\d+|_)+$", "", plain) or None


def _model_attributes(model: ModelProto, name: str) -> dict[str, Attribute]:
    opsets = {canonical_domain(entry.domain): IntegerAttr(entry.version, i64) for entry in model.opset_import}
    attributes: dict[str, Attribute] = {
        "intaglio.model": StringAttr(name),
        OPSET_IMPORT: DictionaryAttr(opsets),
        "onnx.ir_version": IntegerAttr(model.ir_version, i64),
    }
    graph = model.graph
    texts = {
        "onnx.producer_name": model.producer_name,
        "onnx.producer_version": model.producer_version,
        "onnx.domain": model.domain,
        "onnx.doc_string": model.doc_string,
        "onnx.graph_name": graph.name,
        "onnx.graph_doc_string": graph.doc_string,
    }
    attributes.update({key: StringAttr(text) for key, text in texts.items() if text})
    if model.model_version:
        attributes["onnx.model_version"] = IntegerAttr(model.model_version, i64)
    for key, entries in (("onnx.metadata", model.metadata_props), ("onnx.graph_metadata", graph.metadata_props)):
        if entries:
            attributes[key] = _pairs(entries)
    if graph.quantization_annotation:
        attributes["onnx.quantization_annotation"] = _annotations(graph)
    if model.training_info:
        attributes["onnx.training_info"] = _serialised(model.training_info)
    if model.configuration:
        attributes["onnx.configuration"] = _serialised(model.configuration)
    return attributes


def _annotations(graph: GraphProto) -> ArrayAttr[Attribute]:
    """Pairs of a tensor's name and the names of its quantization parameters."""
    return ArrayAttr(
        ArrayAttr([StringAttr(entry.tensor_name), _pairs(entry.quant_parameter_tensor_names)])
        for entry in graph.quantization_annotation
    )


def _serialised(messages: Sequence[Message]) -> ArrayAttr[Attribute]:
    return ArrayAttr(OctetsAttr(message.SerializeToString(deterministic=True)) for message in messages)


def _pairs(entries: Sequence[StringStringEntryProto]) -> ArrayAttr[Attribute]:
    """Key-value entries as pairs in order, since ONNX does not forbid a key to occur twice."""
    return ArrayAttr([ArrayAttr([StringAttr(entry.key), StringAttr(entry.value)]) for entry in entries])


def _notes(part: NodeProto | TensorProto | ValueInfoProto) -> dict[str, Attribute]:
    """Doc string and metadata."""
    notes: dict[str, Attribute] = {}
    if part.doc_string:
        notes["onnx.doc_string"] = StringAttr(part.doc_string)
    if part.metadata_props:
        notes["onnx.metadata"] = _pairs(part.metadata_props)
    return notes


def _node_notes(node: NodeProto) -> dict[str, Attribute]:
    notes = _notes(node)
    if node.overload:
        notes["onnx.overload"] = StringAttr(node.overload)
    if node.device_configurations:
        notes["onnx.device_configurations"] = _serialised(node.device_configurations)
    return notes


def _value_attributes(value: ValueInfoProto, kind: Attribute) -> DictionaryAttr:
    """Name of an input or output, and where it differs from the static type the shape that the model declares."""
    attributes: dict[str, Attribute] = {"onnx.name": StringAttr(value.name), **_notes(value)}
    declared = _declared_shape(value)
    static = [IntegerAttr(extent, i64) for extent in kind.get_shape()] if isinstance(kind, TensorType) else None
    if declared != (None if static is None else ArrayAttr(static)):
        attributes["onnx.declared_shape"] = declared or StringAttr("none")
    return DictionaryAttr(attributes)


def _declared_shape(value: ValueInfoProto) -> ArrayAttr[Attribute] | None:
    """The declared dimensions: numbers, names, or "" for one that is neither; None when there is no shape."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    return ArrayAttr(
        IntegerAttr(dim.dim_value, i64) if dim.HasField("dim_value") else StringAttr(dim.dim_param)
        for dim in tensor.shape.dim
    )

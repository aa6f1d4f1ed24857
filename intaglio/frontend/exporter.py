"""Module of the `onnx` dialect -> ONNX model.

`export_model(import_model(path))` is the model in the file up to `normal_form`, in which two models are equal when
they differ only in how they are written down:

- tensor values are in raw form, inside the file; tensors in attributes have neither name nor texts;
- attributes of a node are sorted by name and have no doc string; operator sets are sorted by domain;
- inputs and outputs that a node leaves out at the end of its list are not written; `ai.onnx` is the empty domain;
- declared types of inner values are left out (they can be inferred again); of the inputs and outputs of graphs inside
  nodes only the names are kept; initializers that are also inputs have their own type there; denotations are left out;
- dimensions inside sequence, optional and map types that are no numbers have no name;
- functions of the model are inlined.
"""

from __future__ import annotations

from google.protobuf.message import Message
from onnx import (
    GraphProto,
    ModelProto,
    SparseTensorProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    inliner,
    numpy_helper,
)
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, OpResult, SSAValue
from xdsl.utils.hints import isa

from intaglio.dialects.onnx import OPSET_IMPORT, InitializerOp
from intaglio.dialects.onnx.schema import canonical_domain
from intaglio.errors import UserError
from intaglio.frontend.protobuf import (
    Names,
    block_to_graph,
    name_results,
    octets_of,
    pairs,
    text_of,
    value_info,
    write_annotations,
)

_OPTIONAL = frozenset(
    ["name", "doc_string", "domain", "overload", "producer_name", "producer_version", "model_version"]
)
"""Fields whose absence means the same as an empty text or zero."""


def export_model(module: ModuleOp) -> ModelProto:
    """The ONNX model of a module whose `@main` holds only ops of the `onnx` dialect.

    Raises:
        UserError: there is no `@main`, it holds other ops, or a type has no ONNX counterpart.
    """
    function = main_function(module)
    model = ModelProto()
    write_model_attributes(module, model)
    names = Names()
    name_interface(function, names)
    name_results(function.body.block, names)
    block_to_graph(function.body.block, model.graph, names)
    write_interface(function, model.graph, names)
    return model


def main_function(module: ModuleOp) -> FuncOp:
    """The function `@main` of a module.

    Raises:
        UserError: there is none with a body.
    """
    for op in module.body.block.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == "main" and not op.is_declaration:
            return op
    raise UserError("the module has no function @main")


def write_model_attributes(module: ModuleOp, model: ModelProto) -> None:
    """Write what the module says of the model: versions, producer, texts, metadata."""
    attributes = module.attributes
    model.ir_version = _integer(attributes.get("onnx.ir_version"), 8)
    model.model_version = _integer(attributes.get("onnx.model_version"), 0)
    model.producer_name = text_of(attributes.get("onnx.producer_name"))
    model.producer_version = text_of(attributes.get("onnx.producer_version"))
    model.domain = text_of(attributes.get("onnx.domain"))
    model.doc_string = text_of(attributes.get("onnx.doc_string"))
    model.graph.name = text_of(attributes.get("onnx.graph_name")) or "main"
    model.graph.doc_string = text_of(attributes.get("onnx.graph_doc_string"))
    imports = attributes.get(OPSET_IMPORT)
    if isinstance(imports, DictionaryAttr):
        for domain, version in imports.data.items():
            model.opset_import.add(domain=domain, version=_integer(version, 1))
    for key, text in pairs(attributes.get("onnx.metadata")):
        model.metadata_props.add(key=key, value=text)
    for key, text in pairs(attributes.get("onnx.graph_metadata")):
        model.graph.metadata_props.add(key=key, value=text)
    write_annotations(attributes.get("onnx.quantization_annotation"), model.graph)
    for octets in octets_of(attributes.get("onnx.training_info")):
        model.training_info.add().ParseFromString(octets)
    for octets in octets_of(attributes.get("onnx.configuration")):
        model.configuration.add().ParseFromString(octets)


def _integer(value: Attribute | None, default: int) -> int:
    return value.value.data if isa(value, IntegerAttr) else default


def _notes(entries: ArrayAttr[DictionaryAttr] | None, index: int) -> dict[str, Attribute]:
    return {} if entries is None else dict(entries.data[index].data)


def name_interface(function: FuncOp, names: Names) -> None:
    """Give the arguments, and the results where a node defines them, the names that they have in the model."""
    for index, argument in enumerate(function.body.block.args):
        name = text_of(_notes(function.arg_attrs, index).get("onnx.name"))
        names.give(argument, name or f"input{index}")
    for index, value in enumerate(_results(function)):
        name = text_of(_notes(function.res_attrs, index).get("onnx.name"))
        if name and isinstance(value, OpResult) and value not in names:
            names.give(value, name)


def _results(function: FuncOp) -> list[SSAValue]:
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    return list(end.arguments)


def write_interface(function: FuncOp, graph: GraphProto, names: Names) -> None:
    """Write the graph's inputs and outputs with their declared shapes.

    An output that has another name than the value it returns gets an `Identity` node.
    """
    for index, argument in enumerate(function.body.block.args):
        graph.input.append(_declared(argument, names[argument], _notes(function.arg_attrs, index)))
    listed = [op for op in function.body.block.ops if isinstance(op, InitializerOp) and op.input is not None]
    for op in sorted(listed, key=lambda op: _integer(op.input, 0)):
        graph.input.insert(_integer(op.input, 0), value_info(op.result, names[op.result]))
    for index, value in enumerate(_results(function)):
        notes = _notes(function.res_attrs, index)
        name = text_of(notes.get("onnx.name")) or names[value]
        if name != names[value]:
            graph.node.add(op_type="Identity", input=[names[value]], output=[name])
        graph.output.append(_declared(value, name, notes))


def _declared(value: SSAValue, name: str, notes: dict[str, Attribute]) -> ValueInfoProto:
    """Name and type of an input or output, with the shape that the model declared."""
    info = value_info(value, name)
    info.doc_string = text_of(notes.get("onnx.doc_string"))
    for key, text in pairs(notes.get("onnx.metadata")):
        info.metadata_props.add(key=key, value=text)
    declared = notes.get("onnx.declared_shape")
    if declared is None:
        return info
    tensor = info.type.tensor_type
    tensor.ClearField("shape")
    if isa(declared, ArrayAttr):
        tensor.shape.SetInParent()
        for extent in declared:
            dim = tensor.shape.dim.add()
            if isinstance(extent, StringAttr):
                if extent.data:
                    dim.dim_param = extent.data
            else:
                dim.dim_value = _integer(extent, 0)
    return info


def normal_form(model: ModelProto) -> ModelProto:
    """The model as described at the top of this module; models that compile alike have one normal form."""
    normal = ModelProto()
    normal.CopyFrom(inliner.inline_local_functions(model) if model.functions else model)
    imports = sorted((canonical_domain(entry.domain), entry.version) for entry in model.opset_import)
    normal.ClearField("opset_import")
    for domain, version in imports:
        normal.opset_import.add(domain=domain, version=version)
    _normalize_graph(normal.graph, is_inner=False)
    _clear_empty(normal)
    return normal


def _normalize_graph(graph: GraphProto, *, is_inner: bool) -> None:
    graph.ClearField("value_info")
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    for tensor in graph.initializer:
        _normalize_tensor(tensor)
    for sparse in graph.sparse_initializer:
        _normalize_tensor(sparse.values)
        _normalize_tensor(sparse.indices)
        _clear_texts(sparse.indices)
    for value in (*graph.input, *graph.output):
        tensor = initializers.get(value.name)
        if is_inner:
            value.CopyFrom(ValueInfoProto(name=value.name))
        elif tensor is not None:
            value.ClearField("type")
            value.type.tensor_type.elem_type = tensor.data_type
        _drop_denotations(value.type)
    for node in graph.node:
        node.domain = canonical_domain(node.domain)
        while node.input and not node.input[-1]:
            node.input.pop()
        while node.output and not node.output[-1]:
            node.output.pop()
        attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
        node.ClearField("attribute")
        node.attribute.extend(attributes)
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
            if attribute.HasField("t"):
                _normalize_tensor(attribute.t)
                _clear_texts(attribute.t)
            for tensor in attribute.tensors:
                _normalize_tensor(tensor)
                _clear_texts(tensor)
            if attribute.HasField("sparse_tensor"):
                _normalize_sparse(attribute.sparse_tensor)
            for sparse in attribute.sparse_tensors:
                _normalize_sparse(sparse)
            if attribute.HasField("g"):
                _normalize_graph(attribute.g, is_inner=True)
    _clear_empty(graph, *graph.node, *graph.input, *graph.output)


def _clear_empty(*messages: Message) -> None:
    """Make absent and empty texts, and absent and zero versions, the same."""
    for message in messages:
        for field in message.DESCRIPTOR.fields:
            if field.name in _OPTIONAL and message.HasField(field.name) and not getattr(message, field.name):
                message.ClearField(field.name)


def _normalize_tensor(tensor: TensorProto) -> None:
    if tensor.data_type != TensorProto.STRING and not tensor.HasField("raw_data"):
        raw = numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name)
        raw.doc_string = tensor.doc_string
        raw.metadata_props.extend(tensor.metadata_props)
        tensor.CopyFrom(raw)
    _clear_empty(tensor)


def _normalize_sparse(sparse: SparseTensorProto) -> None:
    for part in (sparse.values, sparse.indices):
        _normalize_tensor(part)
        _clear_texts(part)


def _clear_texts(tensor: TensorProto) -> None:
    for name in ("name", "doc_string", "metadata_props"):
        tensor.ClearField(name)


def _drop_denotations(kind: TypeProto) -> None:
    kind.ClearField("denotation")
    if kind.HasField("tensor_type"):
        for dim in kind.tensor_type.shape.dim:
            dim.ClearField("denotation")
    elif (inner := _inner_type(kind)) is not None:
        _drop_denotations(inner)
        for dim in inner.tensor_type.shape.dim:
            if not dim.HasField("dim_value") or dim.dim_value < 0:
                dim.Clear()


def _inner_type(kind: TypeProto) -> TypeProto | None:
    match kind.WhichOneof("value"):
        case "sequence_type":
            return kind.sequence_type.elem_type
        case "optional_type":
            return kind.optional_type.elem_type
        case "map_type":
            return kind.map_type.value_type
        case _:
            return None

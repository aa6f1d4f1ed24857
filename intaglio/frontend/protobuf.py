"""IR attributes and nodes as ONNX protobuf, the other direction of `attributes` and the importer's nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import ml_dtypes
import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    numpy_helper,
)
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    NameLoc,
    StringAttr,
    f32,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue, TypeAttribute
from xdsl.utils.hints import isa

from intaglio.dialects.onnx import (
    InitializerOp,
    NodeOp,
    OctetsAttr,
    SparseTensorAttr,
    StringsAttr,
    YieldOp,
    constant_type,
    floats_of,
    ints_of,
)
from intaglio.dialects.weights import WeightsAttr, array_of
from intaglio.errors import UserError
from intaglio.frontend.types import DATA_TYPES, type_to_proto

_SUB_BYTE: Mapping[int, np.dtype[Any]] = {
    TensorProto.INT4: np.dtype(ml_dtypes.int4),
    TensorProto.UINT4: np.dtype(ml_dtypes.uint4),
    TensorProto.INT2: np.dtype(ml_dtypes.int2),
    TensorProto.UINT2: np.dtype(ml_dtypes.uint2),
    TensorProto.FLOAT4E2M1: np.dtype(ml_dtypes.float4_e2m1fn),
}


class Names:
    """ONNX names of SSA values: those given, and new ones that collide with none of them."""

    def __init__(self) -> None:
        self._names: dict[SSAValue, str] = {}
        self._used: set[str] = set()

    def give(self, value: SSAValue, name: str) -> None:
        """Give a value a name that is known to be free."""
        self._names[value] = name
        self._used.add(name)

    def __contains__(self, value: SSAValue) -> bool:
        return value in self._names

    def __getitem__(self, value: SSAValue) -> str:
        """The name of a value; a new one from its SSA name if it has none yet."""
        if value not in self._names:
            self.give(value, self.fresh(value.name_hint or "value"))
        return self._names[value]

    def fresh(self, stem: str) -> str:
        """A name that no value has, and that none will get."""
        name, count = stem, 0
        while name in self._used:
            count += 1
            name = f"{stem}_{count}"
        self._used.add(name)
        return name


def tensor_to_proto(value: Attribute, name: str = "") -> TensorProto:
    """The tensor of a constant; see `fill_tensor`."""
    tensor = TensorProto()
    fill_tensor(tensor, value, name)
    return tensor


def fill_tensor(tensor: TensorProto, value: Attribute, name: str) -> None:
    """Write name and values of a constant into an empty tensor, the values in raw form.

    Raises:
        UserError: ONNX has no tensors of its element type, or values are not available.
    """
    tensor.name = name
    if isinstance(value, StringsAttr):
        tensor.dims.extend(cast("Sequence[int]", value.type.get_shape()))
        tensor.data_type = TensorProto.STRING
        tensor.string_data.extend(_octets(text) for text in value.values)
        return
    kind = constant_type(value)
    data_type = DATA_TYPES.get(kind.get_element_type())
    if data_type is None:
        raise UserError(f"ONNX has no tensors of {kind.get_element_type()}")
    array = array_of(value)
    if data_type in _SUB_BYTE:
        tensor.CopyFrom(numpy_helper.from_array(array.astype(_SUB_BYTE[data_type]), name))
        return
    tensor.dims.extend(array.shape)
    tensor.data_type = data_type
    tensor.raw_data = np.ascontiguousarray(array).tobytes()


def sparse_tensor_to_proto(value: SparseTensorAttr, name: str = "") -> SparseTensorProto:
    """The sparse tensor of a constant."""
    return SparseTensorProto(
        values=tensor_to_proto(value.values, name), indices=tensor_to_proto(value.indices), dims=ints_of(value.shape)
    )


def attribute_to_proto(name: str, value: Attribute) -> AttributeProto:
    """The node attribute of an IR attribute; its kind follows from the IR attribute's.

    Raises:
        UserError: ONNX has no such attribute.
    """
    proto = AttributeProto(name=name)
    if isa(value, IntegerAttr) and value.type == i64:
        proto.type, proto.i = AttributeProto.INT, value.value.data
    elif isa(value, FloatAttr) and value.type == f32:
        proto.type, proto.f = AttributeProto.FLOAT, value.value.data
    elif isinstance(value, StringAttr | OctetsAttr):
        proto.type, proto.s = AttributeProto.STRING, _octets(value)
    elif isa(value, DenseArrayBase) and value.elt_type == i64:
        proto.type = AttributeProto.INTS
        proto.ints.extend(ints_of(value))
    elif isa(value, DenseArrayBase) and value.elt_type == f32:
        proto.type = AttributeProto.FLOATS
        proto.floats.extend(floats_of(value))
    elif isa(value, ArrayAttr):
        _list_to_proto(value, proto)
    elif isinstance(value, WeightsAttr | StringsAttr) or isa(value, DenseIntOrFPElementsAttr):
        proto.type = AttributeProto.TENSOR
        proto.t.CopyFrom(tensor_to_proto(value))
    elif isinstance(value, SparseTensorAttr):
        proto.type = AttributeProto.SPARSE_TENSOR
        proto.sparse_tensor.CopyFrom(sparse_tensor_to_proto(value))
    elif isinstance(value, TypeAttribute):
        proto.type = AttributeProto.TYPE_PROTO
        proto.tp.CopyFrom(type_to_proto(value) or TypeProto())
    else:
        raise UserError(f"ONNX has no attribute like {name} = {value}")
    return proto


def _list_to_proto(value: ArrayAttr[Attribute], proto: AttributeProto) -> None:
    """Write a list of texts, tensors, sparse tensors or types; its first entry decides, an empty one is of texts."""
    first = value.data[0] if len(value) else None
    if isinstance(first, TypeAttribute):
        proto.type = AttributeProto.TYPE_PROTOS
        proto.type_protos.extend(type_to_proto(entry) or TypeProto() for entry in value)
    elif isinstance(first, SparseTensorAttr):
        proto.type = AttributeProto.SPARSE_TENSORS
        proto.sparse_tensors.extend(
            sparse_tensor_to_proto(entry) for entry in value if isinstance(entry, SparseTensorAttr)
        )
    elif isinstance(first, WeightsAttr | StringsAttr) or isa(first, DenseIntOrFPElementsAttr):
        proto.type = AttributeProto.TENSORS
        proto.tensors.extend(tensor_to_proto(entry) for entry in value)
    else:
        proto.type = AttributeProto.STRINGS
        proto.strings.extend(_octets(entry) for entry in value)


def _octets(value: Attribute) -> bytes:
    if isinstance(value, StringAttr):
        return value.data.encode()
    if isinstance(value, OctetsAttr):
        return value.data
    raise UserError(f"expected a text, got {value}")


def value_info(value: SSAValue, name: str) -> ValueInfoProto:
    """Name and type of a value."""
    return ValueInfoProto(name=name, type=type_to_proto(value.type))


def pairs(value: Attribute | None) -> list[tuple[str, str]]:
    """The entries of metadata as the importer holds them: an array of pairs of texts."""
    found: list[tuple[str, str]] = []
    if isa(value, ArrayAttr):
        for entry in value:
            if isa(entry, ArrayAttr) and len(entry) == 2:
                found.append((_octets(entry.data[0]).decode(), _octets(entry.data[1]).decode()))
    return found


def octets_of(value: Attribute | None) -> list[bytes]:
    """The serialised messages of an array of `#onnx.octets`."""
    return [entry.data for entry in value if isinstance(entry, OctetsAttr)] if isa(value, ArrayAttr) else []


def write_annotations(value: Attribute | None, graph: GraphProto) -> None:
    """Write quantization annotations as the importer holds them: pairs of a tensor's name and pairs of texts."""
    for annotation in value if isa(value, ArrayAttr) else ():
        if isa(annotation, ArrayAttr):
            entry = graph.quantization_annotation.add(tensor_name=text_of(annotation.data[0]))
            for key, text in pairs(annotation.data[1]):
                entry.quant_parameter_tensor_names.add(key=key, value=text)


def text_of(value: Attribute | None) -> str:
    """The text of an optional string attribute."""
    return value.data if isinstance(value, StringAttr) else ""


def block_to_graph(
    block: Block, graph: GraphProto, names: Names, other: Callable[[Operation], bool] | None = None
) -> None:
    """Add the initializers and nodes of a block to a graph, with the types of all values that nodes define.

    Args:
        block: its arguments have names already.
        graph: where to add.
        names: names of values; those that nodes define are added.
        other: called with ops of other dialects; returns whether it has added them.

    Raises:
        UserError: an op is none of the `onnx` dialect, or a type or attribute has no ONNX counterpart.
    """
    for op in block.ops:
        if isinstance(op, InitializerOp):
            _initializer(op, graph, names)
        elif isinstance(op, NodeOp):
            graph.node.append(node_to_proto(op, names))
            for result in op.results:
                info = value_info(result, names[result])
                if info.type.WhichOneof("value") is not None:
                    graph.value_info.append(info)
        elif not op.next_op and op.name in ("onnx.yield", "func.return"):
            continue
        elif other is None or not other(op):
            raise UserError(f"{op.name} cannot be exported to ONNX")


def name_results(block: Block, names: Names) -> None:
    """Reserve the names that initializers and nodes of a block carry, those of graphs inside included."""
    for op in block.walk():
        if isinstance(op, InitializerOp):
            names.give(op.result, op.tensor_name.data)
        elif isinstance(op, NodeOp) and op.result_names is not None:
            for result, name in zip(op.results, op.result_names, strict=True):
                names.give(result, name.data)
        elif isinstance(op, YieldOp) and op.input_names is not None and op.parent is not None:
            for argument, name in zip(op.parent.args, op.input_names, strict=True):
                names.give(argument, name.data)


def _initializer(op: InitializerOp, graph: GraphProto, names: Names) -> None:
    if isinstance(op.value, SparseTensorAttr):
        graph.sparse_initializer.append(sparse_tensor_to_proto(op.value, names[op.result]))
        tensor = graph.sparse_initializer[-1].values
    else:
        tensor = graph.initializer.add()
        fill_tensor(tensor, op.value, names[op.result])
    tensor.doc_string = text_of(op.attributes.get("onnx.doc_string"))
    for key, text in pairs(op.attributes.get("onnx.metadata")):
        tensor.metadata_props.add(key=key, value=text)


def node_to_proto(op: NodeOp, names: Names) -> NodeProto:
    """The node of an op."""
    proto = NodeProto(
        op_type=op.op_type,
        domain=op.domain,
        name=op.location.desc.data if isinstance(op.location, NameLoc) else "",
        doc_string=text_of(op.attributes.get("onnx.doc_string")),
        overload=text_of(op.attributes.get("onnx.overload")),
        input=["" if value is None else names[value] for value in op.node_inputs()],
        output=["" if value is None else names[value] for value in op.node_outputs()],
    )
    for key, text in pairs(op.attributes.get("onnx.metadata")):
        proto.metadata_props.add(key=key, value=text)
    for octets in octets_of(op.attributes.get("onnx.device_configurations")):
        proto.device_configurations.add().ParseFromString(octets)
    for name, value in op.node_attributes().items():
        proto.attribute.append(attribute_to_proto(name, value))
    for name, region in op.node_graphs().items():
        attribute = proto.attribute.add(name=name, type=AttributeProto.GRAPH)
        _graph(region, attribute.g, names)
    return proto


def _graph(region: Region, graph: GraphProto, names: Names) -> None:
    block = region.block
    end = block.last_op
    if not isinstance(end, YieldOp):
        raise UserError("a graph must end with onnx.yield")
    graph.name = text_of(end.graph_name) or "graph"
    graph.doc_string = text_of(end.doc_string)
    for key, text in pairs(end.attributes.get("onnx.metadata")):
        graph.metadata_props.add(key=key, value=text)
    write_annotations(end.attributes.get("onnx.quantization_annotation"), graph)
    graph.input.extend(value_info(argument, names[argument]) for argument in block.args)
    block_to_graph(block, graph, names)
    for value in end.values:
        graph.output.append(value_info(value, names[value]))

"""Static shapes for all values: inputs' from the user where the model leaves them open, the rest inferred.

Inference is ONNX's own, on a skeleton of the model: large constants are replaced by inputs of their type, so that
weights are neither copied nor serialised. Where shapes stay open, ONNX propagates values, those that follow from
static shapes are computed (`shape_values`), and inference goes on. Declared shapes of inner values are
not trusted, except those of nodes whose operator inference does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    helper,
    shape_inference,
)

from intaglio.dialects.onnx import contributed
from intaglio.dialects.onnx.schema import canonical_domain, find_operator
from intaglio.errors import UserError
from intaglio.frontend.dynamic_nodes import dynamic_nodes
from intaglio.frontend.model_file import element_count
from intaglio.frontend.quantized_nodes import cast_node, float_nodes
from intaglio.frontend.shape_values import LARGEST, constant_types, fold_shape_values

LONGEST_VECTOR = 1 << 20
"""In models with longer vectors ONNX's propagation of values is not used."""

Shape = tuple[int, ...]

_INFERENCE_MESSAGE = re.compile(
    r"\(op_type:\s*([^,)]*)(?:,\s*node name:\s*([^)]*))?\)[:\s]*(?:\[[A-Za-z]*\])?\s*(.*)", re.DOTALL
)


def true_inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """The graph's inputs that are not initializers (which models of IR version 3 list as inputs too)."""
    constants = {tensor.name for tensor in graph.initializer}
    constants.update(sparse.values.name for sparse in graph.sparse_initializer)
    return [value for value in graph.input if value.name not in constants]


def bind_shapes(
    graph: GraphProto,
    shapes: Mapping[str, Sequence[int]] | None,
    *,
    batch: int | None = None,
    open_shapes: bool = False,
    where: str | None = None,
) -> dict[str, Shape]:
    """The static shape of every tensor input.

    A shape given for one input also decides the symbolic dimensions that other inputs share with it.

    Args:
        graph: the model's graph.
        shapes: shapes by input name, from the user.
        batch: size of the first dimension of the inputs where the model leaves it open and no shape is given.
        open_shapes: leave out inputs with dimensions that nothing decides.
        where: the model file, for messages.

    Raises:
        UserError: an input has a dynamic dimension that nothing decides, or a given shape names an unknown input
            or contradicts the model or another one, or the model has another batch size.
    """
    inputs = {value.name: value for value in true_inputs(graph) if value.type.HasField("tensor_type")}
    given = {name: tuple(shape) for name, shape in (shapes or {}).items()}
    for name, shape in given.items():
        if name not in inputs:
            known = ", ".join(f'"{known}"' for known in inputs) or "none"
            raise UserError(
                f'a shape is given for "{name}", which is not an input', where=where, hint=f"inputs: {known}"
            )
        if any(extent < 1 for extent in shape):
            raise UserError(f'the shape {list(shape)} given for input "{name}" must be positive', where=where)
    symbols: dict[str, tuple[int, str]] = {}
    for name, shape in given.items():
        _match(inputs[name], shape, symbols, where)
    if batch is not None:
        _bind_batch([value for name, value in inputs.items() if name not in given], batch, symbols, where)
    resolved: dict[str, Shape] = {}
    for name, value in inputs.items():
        if name in given:
            resolved[name] = given[name]
            continue
        shape = _resolve(value, symbols, batch)
        if shape is not None and min(shape, default=0) >= 0:
            resolved[name] = shape
        elif not open_shapes:
            raise _open_shape(value, shape, where)
    return resolved


def _bind_batch(
    values: Sequence[ValueInfoProto], batch: int, symbols: dict[str, tuple[int, str]], where: str | None
) -> None:
    """Let the batch size decide the symbols of open first dimensions."""
    if batch < 1:
        raise UserError(f"the batch size {batch} must be positive", where=where)
    firsts = [(value.name, value.type.tensor_type.shape.dim[0]) for value in values if _rank(value)]
    is_open = [dim.dim_value <= 0 and not (dim.HasField("dim_value") and dim.dim_value == 0) for _, dim in firsts]
    if firsts and not any(is_open) and all(dim.dim_value != batch for _, dim in firsts):
        name, dim = firsts[0]
        raise UserError(
            f'the batch size is {batch}, but the first dimension of input "{name}" is {dim.dim_value} in the model',
            where=where,
            hint="export the model with a dynamic batch dimension",
        )
    for (name, dim), open_first in zip(firsts, is_open, strict=True):
        if open_first and _is_symbol(dim.dim_param):
            known, source = symbols.setdefault(dim.dim_param, (batch, name))
            if known != batch:
                raise UserError(
                    f'the batch size {batch} contradicts the shape given for input "{source}": '
                    f'"{dim.dim_param}" is {known} there',
                    where=where,
                )


def _rank(value: ValueInfoProto) -> int:
    return len(value.type.tensor_type.shape.dim)


def _match(value: ValueInfoProto, shape: Shape, symbols: dict[str, tuple[int, str]], where: str | None) -> None:
    declared = value.type.tensor_type
    if not declared.HasField("shape"):
        return
    name, dims = value.name, declared.shape.dim
    if len(dims) != len(shape):
        raise UserError(
            f'the shape {list(shape)} given for input "{name}" has {len(shape)} dimensions, '
            f"the model has {len(dims)}: {_declared(value)}",
            where=where,
        )
    for index, (dim, extent) in enumerate(zip(dims, shape, strict=True)):
        if dim.dim_value > 0 and dim.dim_value != extent:
            raise UserError(
                f'the shape {list(shape)} given for input "{name}" contradicts the model: '
                f"dimension {index} is {dim.dim_value}",
                where=where,
            )
        if not _is_symbol(dim.dim_param):
            continue
        known, source = symbols.setdefault(dim.dim_param, (extent, name))
        if known != extent:
            raise UserError(
                f'the given shapes contradict each other: "{dim.dim_param}" is {known} in input "{source}" '
                f'and {extent} in input "{name}"',
                where=where,
            )


def _is_symbol(label: str) -> bool:
    """Whether a dimension's label stands for one number wherever it occurs; some exporters write `?` for unknown."""
    return any(character.isalpha() for character in label)


def _resolve(value: ValueInfoProto, symbols: Mapping[str, tuple[int, str]], batch: int | None) -> Shape | None:
    """The shape of an input with -1 for what nothing decides; None when the model says nothing."""
    declared = value.type.tensor_type
    if not declared.HasField("shape"):
        return None
    extents: list[int] = []
    for index, dim in enumerate(declared.shape.dim):
        known = symbols.get(dim.dim_param)
        if known is not None:
            extents.append(known[0])
        elif dim.HasField("dim_value") and dim.dim_value >= 0:
            extents.append(dim.dim_value)
        else:
            extents.append(batch if batch is not None and index == 0 else -1)
    return tuple(extents)


def _open_shape(value: ValueInfoProto, shape: Shape | None, where: str | None) -> UserError:
    if shape is None:
        return UserError(
            f'input "{value.name}" has no shape in the model', where=where, hint=f"give one: --shape {value.name}=1,..."
        )
    index = next(index for index, extent in enumerate(shape) if extent < 0)
    label = value.type.tensor_type.shape.dim[index].dim_param
    example = ",".join(str(extent) if extent > 0 else "1" for extent in shape)
    return UserError(
        f'input "{value.name}" has the dynamic dimension {index}'
        + (f' ("{label}")' if label else "")
        + f" in its shape {_declared(value)}",
        where=where,
        hint=f"give its shape, for instance: --shape {value.name}={example}",
    )


def _declared(value: ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    return "[" + ", ".join(dim.dim_param or (str(dim.dim_value) if dim.dim_value > 0 else "?") for dim in dims) + "]"


@dataclass
class GraphTypes:
    """Types of the values of a graph by name, and of the graphs that its nodes have as attributes.

    The latter are found by the outputs of their node and the name of the attribute.
    """

    types: dict[str, TypeProto]
    inner: dict[tuple[tuple[str, ...], str], GraphTypes]


def infer_types(model: ModelProto, shapes: Mapping[str, Shape], *, where: str | None = None) -> GraphTypes:
    """The types of all values of a model, those inside graph-valued attributes included.

    Args:
        model: its graph is taken with the given input shapes.
        shapes: from `bind_shapes`.
        where: the model file, for messages.

    Raises:
        UserError: the model contradicts itself: shapes or types that an operator cannot take.
    """
    skeleton = _skeleton(model, shapes)
    found = _inferred(skeleton, where)
    propagates = _has_open_shapes(found) and not _has_long_vectors(found)
    if propagates:
        found = _inferred(skeleton, where, propagates=True)
    while _has_open_shapes(found) and fold_shape_values(skeleton, found.types):
        constants = constant_types(skeleton.graph)
        found = _inferred(skeleton, where, propagates=propagates)
        found.types.update(constants)
    for value in model.graph.output:
        known = found.types.get(value.name)
        if known is None or not known.tensor_type.HasField("shape"):
            found.types[value.name] = value.type
    return found


def _inferred(skeleton: ModelProto, where: str | None, *, propagates: bool = False) -> GraphTypes:
    """What ONNX infers; with `propagates` it also follows the values of vectors, element by element."""
    try:
        inferred = shape_inference.infer_shapes(skeleton, check_type=True, strict_mode=True, data_prop=propagates)
    except shape_inference.InferenceError as error:
        blamed = {name.strip() for name in re.findall(r"\(op_type:([^,)]*)", str(error))}
        if blamed <= _op_types(skeleton.graph):
            raise _inference_error(str(error), where) from error
        # The error is inside the function that defines an operator: onnx's own, so its node stays without a shape.
        inferred = shape_inference.infer_shapes(skeleton, check_type=True, data_prop=propagates)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise UserError(f"shape inference failed: {' '.join(str(error).split())[:200]}", where=where) from error
    return _collected(inferred.graph)


def _has_open_shapes(found: GraphTypes) -> bool:
    """Whether a tensor has no shape or a dimension that is no number."""
    tensors = [kind.tensor_type for kind in found.types.values() if kind.HasField("tensor_type")]
    return any(
        not tensor.HasField("shape") or any(not dim.HasField("dim_value") for dim in tensor.shape.dim)
        for tensor in tensors
    )


def _has_long_vectors(found: GraphTypes) -> bool:
    """Whether a vector is so long that following its elements would take memory and time: it is no shape."""
    shapes = [kind.tensor_type.shape for kind in found.types.values() if kind.HasField("tensor_type")]
    if any(len(shape.dim) == 1 and shape.dim[0].dim_value > LONGEST_VECTOR for shape in shapes):
        return True
    return any(_has_long_vectors(inner) for inner in found.inner.values())


def _op_types(graph: GraphProto) -> set[str]:
    """The operators of a graph and of the graphs inside it."""
    found = {node.op_type for node in graph.node}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                found |= _op_types(attribute.g)
    return found


def _collected(graph: GraphProto) -> GraphTypes:
    found = GraphTypes({value.name: value.type for value in (*graph.input, *graph.value_info, *graph.output)}, {})
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                found.inner[tuple(node.output), attribute.name] = _collected(attribute.g)
    return found


def _inference_error(text: str, where: str | None) -> UserError:
    found = re.search(
        r"\(op_type:\s*([^,)]*)(?:,\s*node name:\s*([^)]*))?\)[:\s]*(?:\[[A-Za-z]*\])?\s*(.*)", text, re.DOTALL
    )
    if found is None:
        return UserError(f"shape inference failed: {' '.join(text.split())[:200]}", where=where)
    op_type, name, reason = (part or "" for part in found.groups())
    node = f'node "{name}" ({op_type})' if name else f"a node {op_type}"
    return UserError(f"{node} cannot take its inputs: {' '.join(reason.split())[:200]}", where=where)


def _skeleton(model: ModelProto, shapes: Mapping[str, Shape]) -> ModelProto:
    source = model.graph
    skeleton = ModelProto(ir_version=max(model.ir_version, 4), opset_import=model.opset_import)
    graph = skeleton.graph
    graph.name = source.name or "graph"
    for value in true_inputs(source):
        if value.name in shapes:
            kind = value.type.tensor_type.elem_type
            graph.input.append(helper.make_tensor_value_info(value.name, kind, shapes[value.name]))
        else:
            graph.input.append(value)
    for tensor in source.initializer:
        _add_constant(graph, tensor.name, tensor)
    for sparse in source.sparse_initializer:
        kind = sparse.values.data_type
        graph.input.append(helper.make_tensor_value_info(sparse.values.name, kind, list(sparse.dims)))
    declared = {value.name: value for value in (*source.value_info, *source.output)}
    opset = next((entry.version for entry in model.opset_import if not canonical_domain(entry.domain)), 1)
    data_types = {tensor.name: tensor.data_type for tensor in source.initializer}
    for node in source.node:
        tensor = _large_constant(node)
        if tensor is not None:
            _add_constant(graph, node.output[0], tensor)
            continue
        known = _known_to_inference(node, opset, data_types)
        graph.node.extend(known or [node])
        if not known:
            graph.value_info.extend(declared[name] for name in node.output if name in declared)
    for value in source.output:
        output = graph.output.add()
        output.name = value.name
        kind = value.type.WhichOneof("value")
        if kind == "tensor_type":
            output.type.tensor_type.elem_type = value.type.tensor_type.elem_type
        elif kind is not None:
            output.type.CopyFrom(value.type)
    return skeleton


def _known_to_inference(node: NodeProto, opset: int, data_types: Mapping[str, int]) -> list[NodeProto]:
    """Nodes of ONNX's own operators with the node's outputs, none when there are no such nodes."""
    if node.domain == contributed.DOMAIN:
        cast = cast_node(node, data_types)
        return [cast] if cast is not None else float_nodes(node, opset) or dynamic_nodes(node, opset) or []
    return [] if find_operator(node.domain, node.op_type) is None else [node]


def _add_constant(graph: GraphProto, name: str, tensor: TensorProto) -> None:
    if element_count(tensor) > LARGEST or tensor.data_location == TensorProto.EXTERNAL:
        graph.input.append(helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims)))
        return
    added = graph.initializer.add()
    added.CopyFrom(tensor)
    added.name = name


def _large_constant(node: NodeProto) -> TensorProto | None:
    """The tensor of a `Constant` node that is too large for the skeleton."""
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx") or not node.output:
        return None
    for attribute in node.attribute:
        if attribute.name == "value" and attribute.type == AttributeProto.TENSOR:
            return attribute.t if element_count(attribute.t) > LARGEST else None
    return None

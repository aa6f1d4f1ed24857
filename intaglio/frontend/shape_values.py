"""Values that follow from shapes: what `Shape` and the arithmetic after it give once the inputs' shapes are static.

ONNX's own data propagation stops at many operators (`Slice` with computed ends, `Div`, `ConstantOfShape`, values
of more than one dimension). Here such nodes are run by ONNX's reference evaluator and become constants, on a
skeleton of the model (see `shapes`), so that inference can go on from their values. Only small values of cheap
operators are computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]

LARGEST = 1024
"""Values of more elements are not computed: they are no shapes, axes or sizes."""

# fmt: off
_CHEAP = frozenset([
    "Abs", "Add", "And", "Cast", "Ceil", "Clip", "Concat", "Constant", "ConstantOfShape", "Div", "Equal",
    "Expand", "Flatten", "Floor", "Gather", "Greater", "GreaterOrEqual", "Identity", "Less",
    "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Range", "ReduceMax",
    "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Round", "Slice", "Split", "Sqrt", "Squeeze",
    "Sub", "Tile", "Transpose", "Unsqueeze", "Where", "Xor",
])
# fmt: on


def fold_shape_values(skeleton: ModelProto, types: Mapping[str, TypeProto]) -> bool:
    """Replace nodes whose values follow from constants and static shapes by initializers, in place.

    Args:
        skeleton: a model whose large constants are inputs.
        types: the types known so far.

    Returns:
        Whether any node was replaced.
    """
    graph = skeleton.graph
    values = {tensor.name: array for tensor in graph.initializer if (array := _array_of(tensor)) is not None}
    kept: list[NodeProto] = []
    for node in graph.node:
        results = _evaluated(node, values, types, skeleton)
        if results is None:
            kept.append(node)
            continue
        for name, value in results.items():
            values[name] = value
            graph.initializer.append(numpy_helper.from_array(value, name))
    if len(kept) == len(graph.node):
        return False
    graph.ClearField("node")
    graph.node.extend(kept)
    return True


def _array_of(tensor: TensorProto) -> Array | None:
    """The values of a tensor; None for a damaged one, which the importer refuses when it comes to it."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError):
        return None


def constant_types(graph: GraphProto) -> dict[str, TypeProto]:
    """The types of a graph's initializers."""
    return {tensor.name: helper.make_tensor_type_proto(tensor.data_type, tensor.dims) for tensor in graph.initializer}


def _evaluated(
    node: NodeProto, values: Mapping[str, Array], types: Mapping[str, TypeProto], skeleton: ModelProto
) -> dict[str, Array] | None:
    """The values of a node's outputs, None when they are not known or too large."""
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in ("Shape", "Size"):
        return _of_shape(node, types)
    if node.op_type not in _CHEAP or any(name and name not in values for name in node.input):
        return None
    inputs = {name: values[name] for name in node.input if name}
    if _result_size(node, [values.get(name) for name in node.input]) > LARGEST:
        return None
    results = _run(node, inputs, skeleton)
    if results is None or any(value.size > LARGEST for value in results.values()):
        return None
    return results


def _of_shape(node: NodeProto, types: Mapping[str, TypeProto]) -> dict[str, Array] | None:
    kind = types.get(node.input[0])
    if kind is None or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    shape = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims]
    if node.op_type == "Shape":
        shape = shape[bounds.get("start", 0) : bounds.get("end", len(shape))]
    if any(extent < 0 for extent in shape):
        return None
    value = np.asarray(shape if node.op_type == "Shape" else math.prod(shape), np.int64)
    return {node.output[0]: value}


def _result_size(node: NodeProto, inputs: list[Array | None]) -> float:
    """About how many elements a node that makes something from a size makes; 0 for other nodes."""
    arrays = [array for array in inputs if array is not None]
    match node.op_type:
        case "ConstantOfShape":
            return math.prod(int(extent) for extent in arrays[0].reshape(-1))
        case "Expand" | "Tile":
            return arrays[0].size * math.prod(max(int(extent), 1) for extent in arrays[1].reshape(-1))
        case "Range":
            start, limit, step = (float(array.reshape(-1)[0]) for array in arrays)
            return abs((limit - start) / step) if step else math.inf
        case _:
            return 0


def _run(node: NodeProto, inputs: Mapping[str, Array], skeleton: ModelProto) -> dict[str, Array] | None:
    """Run one node; None when the reference evaluator cannot."""
    # The reference evaluator takes long to import, and most models do not need it.
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415

    outputs = [name for name in node.output if name]
    graph = helper.make_graph(
        [node],
        "node",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in inputs.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=skeleton.opset_import, ir_version=skeleton.ir_version)
    try:
        with np.errstate(all="ignore"):
            evaluator: Any = ReferenceEvaluator(model)
            results: list[object] = evaluator.run(None, dict(inputs))
    except Exception:
        return None
    arrays = [np.asarray(result) for result in results]
    if any(array.dtype.kind not in "biuf" for array in arrays):
        return None
    return dict(zip(outputs, arrays, strict=True))

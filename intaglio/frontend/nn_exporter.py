"""A float `nn` module as an ONNX model, so that onnxruntime can run it: calibration and the float reference.

Operations with a spatial layout stand between transposes to NCHW and back; a value that is known in NCHW is
taken as it is, so that chains of convolutions stay in that layout. Remaining `onnx` ops go out as they are, at
the model's opset; without any the opset is 17. Observers hand their input on.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from intaglio.dialects.onnx import OnnxOp, opset_of
from intaglio.frontend import nn_rules
from intaglio.frontend.exporter import main_function, name_interface, write_interface, write_model_attributes
from intaglio.frontend.nn_writer import Writer
from intaglio.frontend.protobuf import Names, block_to_graph, name_results, value_info

__all__ = ["export_float", "nn_rules"]

_OPSET = 17


def export_float(
    module: ModuleOp, *, extra_outputs: Sequence[SSAValue] = (), opset: int = _OPSET
) -> tuple[ModelProto, dict[SSAValue, str]]:
    """Write `@main` of a float module as an ONNX model.

    Args:
        module: `nn` ops on float tensors, `quant.observe`, and `onnx` ops.
        extra_outputs: values in `@main` that become outputs of the model after its own, in this order; those that
            are outputs already, or are given twice, are not added again.
        opset: of a model without `onnx` ops, which otherwise has theirs.

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
    opset = opset_of(module, "") if is_mixed else opset
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
    writer = Writer(model.graph, names, opset)
    block_to_graph(block, model.graph, names, writer.write)
    for domain in writer.domains - {domain for domain, _ in imports}:
        model.opset_import.add(domain=domain, version=1)
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

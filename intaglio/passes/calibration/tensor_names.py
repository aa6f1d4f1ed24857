"""Which node of an ONNX model makes which tensor: files of other tools name tensors, our modules name nodes."""

from __future__ import annotations

from pathlib import Path

from intaglio.frontend.model_file import read_model


def read_tensor_names(model: str | Path) -> dict[str, str]:
    """The name of the node that makes each tensor of an ONNX model, by the tensor's name.

    The inputs of the model stand for themselves. Tensors of nodes without a name are left out.

    Args:
        model: path of the model.

    Raises:
        UserError: the model cannot be read.
    """
    graph = read_model(model).proto.graph
    names = {value.name: value.name for value in graph.input}
    return names | {output: node.name for node in graph.node if node.name for output in node.output[:1] if output}

"""Watching a part of large feature maps, where they are made.

Handing every intermediate tensor out of onnxruntime takes as long as computing it: all of them are turned from the
layout of its convolutions into rows of channels, and none stays in the cache. A histogram needs only some thousand
values of each sample, so that of a large feature map every channel at every `stride`-th row and column is watched. A
max pool of one tap picks them in whatever layout the convolution has left; it stands right behind the node that makes
the tensor, before others push it out of the cache.

```text
Conv -> t -> Transpose -> output          ->    Conv -> t -> MaxPool 1x1, stride s -> Transpose -> output
```
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

_TO_NHWC = [0, 2, 3, 1]

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}


def watch_subsets(model: ModelProto, most: Mapping[str, int]) -> dict[str, str]:
    """Replace outputs that are feature maps by subsets of them.

    Outputs that are no NHWC feature maps of NCHW tensors, or small, stay as they are.

    Args:
        model: changed in place.
        most: how many values of a sample are wanted at most, by the output's name.

    Returns:
        The names of the new outputs, by the names of those they replace.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    replaced: dict[str, str] = {}
    behind: dict[str, list[NodeProto]] = {}
    for output in model.graph.output:
        maker = makers.get(output.name)
        if output.name not in most or maker is None or not _is_to_nhwc(maker):
            continue
        shape = [dimension.dim_value for dimension in output.type.tensor_type.shape.dim]
        stride = _stride(shape, most[output.name])
        if stride == 1 or output.type.tensor_type.elem_type not in _FLOATS:
            continue
        name = f"{output.name}/subset"
        nodes = _subset_nodes(maker.input[0], name, stride)
        behind.setdefault(maker.input[0], []).extend(nodes)
        replaced[output.name] = name
        batch, height, width, channels = shape
        _replace_output(output, name, [batch, -(-height // stride), -(-width // stride), channels])
    # What belongs behind an input of the model or an initializer comes first.
    ordered = [node for name, nodes in behind.items() if name not in makers for node in nodes]
    for node in model.graph.node:
        ordered.append(node)
        ordered += [new for name in node.output for new in behind.get(name, ())]
    # onnxruntime would execute the transposes even though nothing uses them any more.
    used = {name for node in ordered for name in node.input} | {output.name for output in model.graph.output}
    del model.graph.node[:]
    model.graph.node.extend(node for node in ordered if node.output[0] not in replaced or node.output[0] in used)
    return replaced


def _is_to_nhwc(node: NodeProto) -> bool:
    return node.op_type == "Transpose" and not node.domain and [*node.attribute[0].ints] == _TO_NHWC


def _stride(shape: list[int], most: int) -> int:
    """The smallest odd stride with which at most that many values of a sample remain, 1 when there is none.

    An odd one meets even and odd rows alike, which upsampling can make differ.
    """
    _, height, width, channels = shape
    if min(shape) < 1 or channels > most:
        return 1
    stride = 1
    while -(-height // stride) * -(-width // stride) * channels > most:
        stride += 2
    return stride


def _subset_nodes(source: str, name: str, stride: int) -> list[NodeProto]:
    picked = f"{name}/NCHW"
    pool = helper.make_node("MaxPool", [source], [picked], name=picked, kernel_shape=[1, 1], strides=[stride, stride])
    return [pool, helper.make_node("Transpose", [picked], [name], name=name, perm=_TO_NHWC)]


def _replace_output(output: ValueInfoProto, name: str, shape: list[int]) -> None:
    output.CopyFrom(helper.make_tensor_value_info(name, output.type.tensor_type.elem_type, shape))

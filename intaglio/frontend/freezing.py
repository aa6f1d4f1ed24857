"""Freezing inputs: making constants of the inputs whose values decide shapes, so that a model can be compiled.

Compiled code has static shapes. An ONNX model may take as an input what decides one: the new shape of a `Reshape`,
the axes of a `ReduceSum`, the trip count of a `Loop`. The rule is: **an input is frozen when its values flow into an
operator's input that decides the shape of a result, the axes worked on, or which graph runs** (`DECIDING_INPUTS`).
Values flow through any operator but `Shape` and `Size`, which read no values. All other inputs stay inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, numpy_helper

from intaglio.frontend.shapes import true_inputs

Array = np.ndarray[Any, np.dtype[Any]]

_AXES = (1,)

DECIDING_INPUTS: Mapping[str, tuple[int, ...]] = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "Compress": (1,),
    "ConstantOfShape": (0,),
    "CumProd": _AXES,
    "CumSum": _AXES,
    "DFT": (1, 2),
    "Dropout": (1, 2),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "Loop": (0, 1),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1, 2, 3, 4),
    "NonMaxSuppression": (0, 1, 2, 3, 4),
    "NonZero": (0,),
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "ReduceL1": _AXES,
    "ReduceL2": _AXES,
    "ReduceLogSum": _AXES,
    "ReduceLogSumExp": _AXES,
    "ReduceMax": _AXES,
    "ReduceMean": _AXES,
    "ReduceMin": _AXES,
    "ReduceProd": _AXES,
    "ReduceSum": _AXES,
    "ReduceSumSquare": _AXES,
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "STFT": (1, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "SplitToSequence": (1,),
    "Squeeze": _AXES,
    "Tile": (1, 2),
    "TopK": (1,),
    "Unique": (0,),
    "Unsqueeze": _AXES,
    "Upsample": (1,),
}
"""Positions of the inputs that decide shapes, axes or which graph runs, by operator of the domain `ai.onnx`."""


def deciding_inputs(model: ModelProto) -> list[str]:
    """Names of the inputs to freeze, in the order of the model's inputs."""
    nodes = list(_nodes(model.graph))
    decisive: set[str] = set()
    for node in nodes:
        if node.domain in ("", "ai.onnx"):
            positions = DECIDING_INPUTS.get(node.op_type, ())
            decisive.update(node.input[position] for position in positions if position < len(node.input))
    for node in reversed(nodes):
        if node.op_type not in ("Shape", "Size") and not decisive.isdisjoint(node.output):
            decisive.update(node.input)
    return [value.name for value in true_inputs(model.graph) if value.name in decisive]


def freeze_inputs(model: ModelProto, values: Mapping[str, Array]) -> ModelProto:
    """The model with the given inputs as initializers.

    Args:
        model: any model; it is not changed.
        values: an array for each input to freeze, by name.
    """
    frozen = ModelProto()
    frozen.CopyFrom(model)
    kept = [value for value in frozen.graph.input if value.name not in values]
    del frozen.graph.input[:]
    frozen.graph.input.extend(kept)
    frozen.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in values.items())
    return frozen


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph, each after those of the graphs inside it."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _nodes(attribute.g)
        yield node

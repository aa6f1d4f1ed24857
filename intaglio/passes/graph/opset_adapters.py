"""How nodes of older operator versions are said in the next: one function for each version that does not only add.

The source of each is the schema's documentation before and after (`docs/Changelog.md` of ONNX). Where that leaves
something open, what onnxruntime does is taken, and the function says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    UnrankedTensorType,
    f32,
    i1,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from intaglio.dialects.onnx import InitializerOp, OnnxOp, build, floats_of, ints_of
from intaglio.dialects.onnx.schema import find_operator
from intaglio.dialects.weights import Array, array_of, dense_attr
from intaglio.frontend.types import DATA_TYPES


class Form:
    """A node that is being rewritten: what it says, to be changed by adapters, and the op that says it.

    Args:
        op: the node.
    """

    def __init__(self, op: OnnxOp) -> None:
        self.op = op
        self.op_type = op.op_type
        self.inputs = op.node_inputs()
        self.attributes: dict[str, Attribute] = dict(op.node_attributes())
        self.result_types: list[Attribute | None] = [value and value.type for value in op.node_outputs()]
        self._is_changed = False

    def changed(self) -> None:
        """Note that the op must be built again."""
        self._is_changed = True

    def input(self, position: int) -> SSAValue | None:
        """An input, None where it is absent."""
        return self.inputs[position] if position < len(self.inputs) else None

    def set_input(self, position: int, value: SSAValue | None) -> None:
        """Set an input, leaving out those between it and the last."""
        self.inputs += [None] * (position + 1 - len(self.inputs))
        self.inputs[position] = value
        self.changed()

    def take(self, name: str) -> Attribute | None:
        """Remove an attribute and return it."""
        value = self.attributes.pop(name, None)
        if value is not None:
            self.changed()
        return value

    def set(self, name: str, value: Attribute) -> None:
        """Set an attribute."""
        self.attributes[name] = value
        self.changed()

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.attributes.get(name)
        return value.value.data if isa(value, IntegerAttr) else default

    def add(
        self,
        op_type: str,
        inputs: Sequence[SSAValue | None],
        kind: Attribute,
        attributes: Mapping[str, Attribute] | None = None,
        *,
        after: Operation | None = None,
    ) -> SSAValue:
        """Insert a node in front of the op, or after another."""
        operator = find_operator("", op_type)
        assert operator is not None
        node = build(operator, inputs, [kind], attributes or {}, location=self.op.location)
        block = self.op.parent
        assert block is not None
        if after is None:
            block.insert_op_before(node, self.op)
        else:
            block.insert_op_after(node, after)
        return node.results[0]

    def constant(self, array: Array, kind: Attribute = i64) -> SSAValue:
        """Insert a constant in front of the op."""
        value = dense_attr(array, kind)
        return self.add("Constant", [], value.type, {"value": value})

    def integers_to_input(self, name: str, position: int) -> None:
        """Make an input of an attribute that is a list of integers, if it is given."""
        value = self.take(name)
        if value is not None:
            self.set_input(position, self.constant(np.asarray(_ints(value), np.int64)))

    def shape(self, position: int = 0) -> tuple[int, ...]:
        """The static shape of an input.

        Raises:
            VerifyException: it is not known.
        """
        value = self.input(position)
        if value is None or not isa(value.type, TensorType) or not value.type.has_static_shape():
            raise VerifyException(f"the shape of input {position} must be known")
        return tuple(value.type.get_shape())

    def element_type(self, position: int = 0) -> Attribute:
        """The element type of an input.

        Raises:
            VerifyException: it is not known.
        """
        value = self.input(position)
        if value is None or not isa(value.type, TensorType):
            raise VerifyException(f"the type of input {position} must be known")
        return value.type.element_type

    def rebuild(self) -> None:
        """Put an op in the old one's place that says what the form says, if anything has changed."""
        if not self._is_changed:
            return
        operator = find_operator("", self.op_type)
        assert operator is not None
        old = self.op
        kept = [value for value, kind in zip(old.node_outputs(), self.result_types, strict=False) if value and kind]
        names: dict[SSAValue, str] = {}
        if old.result_names is not None:
            names = {result: name.data for result, name in zip(old.results, old.result_names, strict=True)}
        graphs = old.node_graphs()
        for region in graphs.values():
            old.detach_region(region)
        new = build(
            operator,
            self.inputs,
            self.result_types,
            self.attributes,
            graphs=graphs,
            result_names=[names[value] for value in kept] if names else None,
            discardable=old.attributes,
            location=old.location,
        )
        block = old.parent
        assert block is not None
        block.insert_op_before(new, old)
        for value, result in zip(kept, new.results, strict=True):
            result.name_hint = value.name_hint
            value.replace_all_uses_with(result)
        old.detach()
        old.erase()
        self.op = new


Adapter = Callable[[Form], None]

ADAPTERS: dict[tuple[str, int], Adapter] = {}
"""By operator and the version that they lead to."""


def adapts(since: int, *op_types: str) -> Callable[[Adapter], Adapter]:
    """Register the decorated function for the version of some operators that came with an opset."""

    def register(function: Adapter) -> Adapter:
        ADAPTERS.update(dict.fromkeys([(op_type, since) for op_type in op_types], function))
        return function

    return register


def _ints(value: Attribute) -> list[int]:
    if isa(value, IntegerAttr):
        return [value.value.data]
    return ints_of(value) if isa(value, DenseArrayBase) else []


@adapts(13, "ReduceSum", "Squeeze", "Unsqueeze")
@adapts(
    18,
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax"),
    *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare"),
)
def axes_to_input(form: Form) -> None:
    """The axes become an input; without any, all dimensions are meant before and after."""
    form.integers_to_input("axes", 1)


@adapts(13, "Split")
def split_to_input(form: Form) -> None:
    """The sizes of the parts become an input."""
    form.integers_to_input("split", 1)


@adapts(18, "Split")
def number_of_parts(form: Form) -> None:
    """Without sizes the number of parts must be said; it was the number of outputs."""
    if form.input(1) is None:
        form.set("num_outputs", IntegerAttr(len(form.result_types), i64))


@adapts(10, "Slice")
def bounds_to_inputs(form: Form) -> None:
    """Starts, ends and axes become inputs."""
    for position, name in enumerate(["starts", "ends", "axes"], 1):
        form.integers_to_input(name, position)


@adapts(10, "TopK")
def count_to_input(form: Form) -> None:
    """The number of largest elements becomes an input."""
    form.integers_to_input("k", 1)


@adapts(11, "Clip")
def limits_to_inputs(form: Form) -> None:
    """The limits become inputs of the data's type; an absent one was a number that no value passes."""
    for position, name in enumerate(["min", "max"], 1):
        limit = form.take(name)
        if isa(limit, FloatAttr):
            kind = form.element_type()
            form.set_input(position, form.constant(np.asarray(limit.value.data, np.float64), kind))


@adapts(11, "Pad")
def amounts_to_inputs(form: Form) -> None:
    """The amounts and the value become inputs; a value of zero is what an absent one means."""
    form.integers_to_input("pads", 1)
    value = form.take("value")
    if isa(value, FloatAttr):
        form.set_input(2, form.constant(np.asarray(value.value.data, np.float64), form.element_type()))


@adapts(10, "Dropout")
def mask_of_bools(form: Form) -> None:
    """The mask had the data's type and has become one of bools, which are converted back for those who use it."""
    mask = form.op.results[1] if len(form.op.results) > 1 else None
    if mask is None or len(form.result_types) < 2:
        return
    kind = mask.type
    if isa(kind, TensorType):
        form.result_types[1] = TensorType(i1, kind.get_shape())
    elif isa(kind, UnrankedTensorType):
        form.result_types[1] = UnrankedTensorType(i1)
    else:
        raise VerifyException("the type of the mask must be known")
    form.changed()
    if mask.first_use is not None:
        to = {"to": IntegerAttr(DATA_TYPES[kind.element_type], i64)}
        converted = form.add("Cast", [mask], kind, to, after=form.op)
        mask.replace_uses_with_if(converted, lambda use: use.operation is not converted.owner)
        # The mask's name belongs to what is converted; names of the model's outputs are kept with the function.
        form.op.result_names = None


@adapts(12, "Dropout")
def ratio_to_input(form: Form) -> None:
    """The ratio becomes an input; without the input that asks for training nothing is dropped, as before."""
    ratio = form.take("ratio")
    if isa(ratio, FloatAttr):
        form.set_input(1, form.constant(np.asarray(ratio.value.data, np.float32), f32))


@adapts(9, "BatchNormalization")
def normalization_per_channel(form: Form) -> None:
    """Normalization of every position by itself was withdrawn."""
    spatial = form.take("spatial")
    if spatial is not None and isa(spatial, IntegerAttr) and not spatial.value.data:
        raise VerifyException("statistics of every position (spatial = 0) are not in newer opsets")


@adapts(14, "BatchNormalization")
def training_mode(form: Form) -> None:
    """Training was meant when there were outputs besides the first; two of those have been withdrawn."""
    extra = form.op.node_outputs()[1:]
    if not any(value is not None for value in extra):
        return
    if any(value is not None and value.first_use is not None for value in extra[2:]):
        raise VerifyException("the saved mean and variance of training are not in newer opsets")
    del form.result_types[3:]
    form.set("training_mode", IntegerAttr(1, i64))


@adapts(13, "Softmax", "LogSoftmax", "Hardmax")
def along_one_axis(form: Form) -> None:
    """All dimensions from the axis on were taken as one; now it is the axis alone."""
    shape = form.shape()
    axis = form.integer("axis", 1)
    axis += len(shape) if axis < 0 else 0
    if axis >= len(shape):
        raise VerifyException(f"axis {axis} is none of {len(shape)} dimensions")
    if math.prod(shape[axis + 1 :]) == 1:
        form.set("axis", IntegerAttr(axis, i64))
        return
    kind, result = form.element_type(), form.op.results[0]
    flat = TensorType(kind, (math.prod(shape[:axis]), math.prod(shape[axis:])))
    form.set_input(0, form.add("Flatten", [form.inputs[0]], flat, {"axis": IntegerAttr(axis, i64)}))
    form.set("axis", IntegerAttr(1, i64))
    form.result_types[0] = flat
    old = form.constant(np.asarray(shape, np.int64))
    back = form.add("Reshape", [result, old], result.type, after=form.op)
    result.replace_uses_with_if(back, lambda use: use.operation is not back.owner)
    _move_name(form.op, back)


def _move_name(op: OnnxOp, value: SSAValue) -> None:
    """Give the ONNX name of an op's only result to a value of another op."""
    names, owner = op.result_names, value.owner
    assert isinstance(owner, OnnxOp)
    value.name_hint = op.results[0].name_hint
    if names is not None:
        owner.result_names = names
        op.result_names = None


@adapts(9, "Upsample")
def scales_to_input(form: Form) -> None:
    """The scales become an input."""
    scales = form.take("scales")
    if isa(scales, DenseArrayBase):
        form.set_input(1, form.constant(np.asarray(floats_of(scales), np.float32), f32))


@adapts(10, "Upsample")
def upsample_to_resize(form: Form) -> None:
    """`Upsample` was withdrawn for `Resize`, which means the same in opset 10."""
    form.op_type = "Resize"
    form.changed()


@adapts(11, "Resize")
def asymmetric_coordinates(form: Form) -> None:
    """Coordinates are said explicitly: a position of the result is divided by the scale.

    Opset 10 does not say how the nearest position is found; onnxruntime takes the one below when it enlarges and the
    one above when it makes smaller. Scales of both kinds in one node are taken as enlarging.
    """
    scales = form.input(1)
    known = _constant(scales)
    is_smaller = known is not None and bool(np.all(known <= 1) and np.any(known < 1))
    form.set_input(2, scales)
    form.set_input(1, form.constant(np.zeros(0, np.float32), f32))
    form.set("coordinate_transformation_mode", StringAttr("asymmetric"))
    mode = form.attributes.get("mode")
    if mode is None or mode == StringAttr("nearest"):
        form.set("nearest_mode", StringAttr("ceil" if is_smaller else "floor"))


@adapts(13, "Resize")
def withdrawn_coordinates(form: Form) -> None:
    """One way to find coordinates was withdrawn."""
    if form.attributes.get("coordinate_transformation_mode") == StringAttr("tf_half_pixel_for_nn"):
        raise VerifyException("coordinates tf_half_pixel_for_nn are not in newer opsets")


@adapts(16, "RoiAlign")
def coordinates_of_regions(form: Form) -> None:
    """The default has become to shift coordinates by half a pixel."""
    form.set("coordinate_transformation_mode", StringAttr("output_half_pixel"))


@adapts(11, "Scatter")
def scatter_to_scatter_elements(form: Form) -> None:
    """`Scatter` was renamed."""
    form.op_type = "ScatterElements"
    form.changed()


@adapts(9, "Scan")
def scan_without_batch(form: Form) -> None:
    """Loops over a batch of sequences of different lengths were withdrawn."""
    raise VerifyException("batches of sequences are not in newer opsets")


@adapts(20, "DFT")
def axis_to_input(form: Form) -> None:
    """The axis becomes an input, and its default another."""
    axis = form.integer("axis", 1)
    form.take("axis")
    form.set_input(2, form.constant(np.asarray(axis, np.int64)))


@adapts(20, "GridSample")
def names_of_modes(form: Form) -> None:
    """Two modes of interpolation were renamed, as they are not for two dimensions only."""
    renamed = {"bilinear": "linear", "bicubic": "cubic", "nearest": "nearest"}
    mode = form.attributes.get("mode")
    name = mode.data if isinstance(mode, StringAttr) else "bilinear"
    form.set("mode", StringAttr(renamed.get(name, name)))


@adapts(21, "GroupNormalization")
def parameters_per_channel(form: Form) -> None:
    """Scale and bias had one element for a group and have one for a channel."""
    groups = form.integer("num_groups", 1)
    channels = form.shape()[1]
    if channels % groups:
        raise VerifyException(f"{channels} channels do not make {groups} groups")
    kind, each = form.element_type(), channels // groups
    for position in (1, 2):
        column = TensorType(kind, (groups, 1))
        spread = TensorType(kind, (groups, each))
        value = form.add("Reshape", [form.inputs[position], form.constant(np.asarray([groups, 1]))], column)
        value = form.add("Expand", [value, form.constant(np.asarray([groups, each]))], spread)
        flat = TensorType(kind, (channels,))
        form.set_input(position, form.add("Reshape", [value, form.constant(np.asarray([channels]))], flat))


def _constant(value: SSAValue | None) -> Array | None:
    owner = value.owner if value is not None else None
    if isinstance(owner, InitializerOp):
        return array_of(owner.value)
    if isinstance(owner, OnnxOp) and owner.op_type == "Constant" and "value" in owner.node_attributes():
        return array_of(owner.node_attributes()["value"])
    return None

"""Lower ONNX's quantization to `quant` types and casts.

`QuantizeLinear` and `DequantizeLinear` with known parameters become casts, and stored weights constants of a
quantized type. An operator on quantized tensors (`QLinearConv`, onnxruntime's `QLinearAdd` and so on) becomes its
float operator between casts, as `dialects.onnx.quantized_forms` has it, so that models in either form look alike:

```mlir
%y = onnx.QLinearMatMul(%a, %sa, %za, %b, %sb, %zb, %sy, %zy) : ... -> tensor<1x8xui8>
// becomes
%0 = quant.scast %a : tensor<1x4xui8> to tensor<1x4x!quant.uniform<u8:f32, 0.5:3>>
%1 = quant.dcast %0 : tensor<1x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4xf32>
%2 = nn.constant ... : tensor<4x8xi8> as tensor<4x8x!quant.uniform<i8:f32, 0.125>>
%3 = quant.dcast %2 : tensor<4x8x!quant.uniform<i8:f32, 0.125>> to tensor<4x8xf32>
%4 = onnx.MatMul(%1, %3) : (tensor<1x4xf32>, tensor<4x8xf32>) -> tensor<1x8xf32>
%5 = quant.qcast %4 : tensor<1x8xf32> to tensor<1x8x!quant.uniform<u8:f32, 0.25:7>>
%y = quant.scast %5 : tensor<1x8x!quant.uniform<u8:f32, 0.25:7>> to tensor<1x8xui8>
```

`ConvInteger` and `MatMulInteger` are products of tensors whose scale is one, stored in 32 bits. Which operations then
run in integers is for `quantize-from-casts` to decide. What depends on parameters that are not known, or that
are no quantized type, stays an `onnx` op.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, TensorType, f32, i64
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.hints import isa

from intaglio.dialects import nn
from intaglio.dialects.onnx import InitializerOp, OnnxOp, build, contributed, opset_of
from intaglio.dialects.onnx.quantized_forms import BoundOperand, bind
from intaglio.dialects.onnx.schema import find_operator
from intaglio.dialects.quant import DequantizeCastOp, QuantizeCastOp, StorageCastOp, UniformQuantizedType
from intaglio.dialects.weights import Array
from intaglio.ir.locations import named
from intaglio.lowering.onnx_node import Builder, Node, element_type, location_of, static_shape
from intaglio.lowering.quantized_parameters import constant_attribute, known_value, quantized_type
from intaglio.lowering.replacement import erase_unused, function_blocks, replace_results

_MOVEMENT = {
    "Concat": 0,
    "DepthToSpace": 1,
    "Expand": 1,
    "Flatten": 1,
    "Gather": 1,
    "GlobalMaxPool": 1,
    "Identity": 1,
    "MaxPool": 1,
    "Reshape": 1,
    "Slice": 1,
    "SpaceToDepth": 1,
    "Split": 1,
    "Squeeze": 1,
    "Tile": 1,
    "Transpose": 1,
    "Unsqueeze": 1,
}
"""Operators whose results are elements of their first inputs, and how many inputs these are (0: all)."""


INTEGER_PRODUCTS = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}
"""Operators of sums of integer products, and of which products."""


@dataclass(frozen=True)
class OnnxToQuant(ModulePass):
    """Lower the quantization of ONNX models to quantized types and casts."""

    name = "onnx-to-quant"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Lower all functions of the module."""
        for block in function_blocks(op):
            _lower_block(block)


def _lower_block(block: Block) -> None:
    for op in list(block.ops):
        if not isinstance(op, OnnxOp) or op.domain not in ("", contributed.DOMAIN) or op.regions:
            continue
        builder = Builder(op, location_of(op))
        made = _lowered(Node(op), builder) if len(op.results) == 1 else _on_stored_values(op, builder)
        if made is not None:
            replace_results(op, made)
    erase_unused(block, StorageCastOp, DequantizeCastOp, nn.ConstantOp)


def _lowered(node: Node, builder: Builder) -> list[SSAValue] | None:
    """The value that replaces the one result of a node, None for nodes that stay."""
    match node.op.op_type:
        case "QuantizeLinear":
            made = _quantize(node, builder)
        case "DequantizeLinear":
            made = _dequantize(node, builder)
        case operator if operator in INTEGER_PRODUCTS:
            made = _integer_product(node, builder)
        case operator if operator in _MOVEMENT:
            return _on_stored_values(node.op, builder)
        case _:
            made = _quantized_form(node, builder)
    return None if made is None else [made]


def _on_stored_values(op: OnnxOp, builder: Builder) -> list[SSAValue] | None:
    """An operator on stored values that only selects or moves them, between casts.

    It commutes with casts, since the quantization of all elements is the same.
    """
    count = _MOVEMENT.get(op.op_type, 0)
    sources = op.operands[: count or None]
    owners = [source.owner for source in sources]
    casts = [owner for owner in owners if isinstance(owner, StorageCastOp)]
    kinds = {element_type(cast.input) for cast in casts}
    if op.domain or op.op_type not in _MOVEMENT or len(casts) != len(owners) or len(kinds) != 1:
        return None
    (kind,) = kinds
    shapes = [shape for result in op.results if (shape := static_shape(result)) is not None]
    same = all(element_type(result) == element_type(sources[0]) for result in op.results)
    if not isinstance(kind, UniformQuantizedType) or len(shapes) < len(op.results) or not same:
        return None
    floats = [builder.add(DequantizeCastOp(cast.input, _floats(cast.input))) for cast in casts]
    made = type(op).create(
        operands=[*floats, *op.operands[len(floats) :]],
        result_types=[TensorType(f32, shape) for shape in shapes],
        properties=op.properties.copy(),
        attributes=op.attributes.copy(),
    )
    builder.add(made)
    quantized = [
        builder.add(QuantizeCastOp(value, TensorType(kind, static_shape(value) or ()))) for value in made.results
    ]
    return [builder.add(StorageCastOp(*pair)) for pair in zip(quantized, op.result_types, strict=True)]


def _quantize(node: Node, builder: Builder) -> SSAValue | None:
    """A cast to the quantized type, and its stored values."""
    source, scales, axis = node.inputs()[0], known_value(node.input("y_scale")), node.integer("axis", 1)
    return _stored(builder, source, node.result, scales, node.input("y_zero_point"), axis)


def _dequantize(node: Node, builder: Builder) -> SSAValue | None:
    """The stored values seen as quantized ones, and a cast to floats."""
    scales = known_value(node.input("x_scale"))
    zero_point = node.input("x_zero_point")
    operand = BoundOperand(node.inputs()[0], (node.inputs()[1],), zero_point, node.integer("axis", 1))
    quantized = _quantized(builder, operand, scales, element_type(node.result))
    return None if quantized is None else builder.add(DequantizeCastOp(quantized, node.result.type))


def _integer_product(node: Node, builder: Builder) -> SSAValue | None:
    """The product of tensors of scale one, quantized to 32 bits of scale one: exactly the sum of products."""
    names = ("x", "w") if node.op.op_type == "ConvInteger" else ("A", "B")
    zero_points = [f"{name}_zero_point" if name in "xw" else f"{name.lower()}_zero_point" for name in names]
    operands: list[SSAValue] = []
    for name, zero_point in zip(names, zero_points, strict=True):
        value = node.input(name)
        if value is None:
            return None
        operand = BoundOperand(value, (), node.input(zero_point), 0 if name == "w" else -2 if name == "A" else -1)
        zeros = known_value(operand.zero_point)
        ones = np.ones(() if zeros is None else zeros.shape, np.float32)
        quantized = _quantized(builder, operand, ones, f32)
        if quantized is None:
            return None
        operands.append(quantized)
    floats = [builder.add(DequantizeCastOp(value, _floats(value))) for value in operands]
    made = _float_operator(node, builder, INTEGER_PRODUCTS[node.op.op_type], floats)
    return None if made is None else _stored(builder, made, node.result, np.ones((), np.float32), None, 0)


def _quantized_form(node: Node, builder: Builder) -> SSAValue | None:
    """The float operator between casts, for operators that have such a form."""
    op = node.op
    attributes = {name: value.value.data for name, value in op.node_attributes().items() if isa(value, IntegerAttr)}
    form = bind(op.domain, op.op_type, op.node_inputs(), attributes)
    if form is None or node.result_shape is None:
        return None
    operands: list[SSAValue] = []
    for operand in form.operands:
        value = operand.value
        if operand.scales:
            scales = _product(list(operand.scales), node.real("alpha", 1.0) if len(operand.scales) > 1 else 1.0)
            quantized = _quantized(builder, operand, scales, f32)
            if quantized is None:
                return None
            value = builder.add(DequantizeCastOp(quantized, _floats(quantized)))
        operands.append(value)
    made = _float_operator(node, builder, form.operator, operands)
    if made is None or form.scale is None:
        return made
    return _stored(builder, made, node.result, known_value(form.scale), form.zero_point, 1)


def _product(scales: Sequence[SSAValue], factor: float) -> Array | None:
    product = np.asarray(factor, np.float32)
    for scale in scales:
        known = known_value(scale)
        if known is None:
            return None
        product = product * known.reshape(-1 if known.size > 1 else ())
    return product


def _float_operator(node: Node, builder: Builder, name: str, operands: Sequence[SSAValue]) -> SSAValue | None:
    """The result of a float operator with the attributes of a node on quantized tensors."""
    operator = find_operator("", name)
    opset = opset_of(node.op, "")
    version = None if operator is None else operator.at(opset)
    if operator is None or version is None or node.result_shape is None:
        return None
    attributes = node.op.node_attributes()
    inputs = list(operands)
    if "axes" in attributes and "axes" not in version.attributes:
        axes = np.asarray(node.integers("axes"), np.int64)
        inputs.append(builder.constant(axes, i64))
    made = build(
        operator,
        inputs,
        [TensorType(f32, node.result_shape)],
        {key: value for key, value in attributes.items() if key in version.attributes},
    )
    return builder.add(made)


def _quantized(
    builder: Builder, operand: BoundOperand[SSAValue], scales: Array | None, expressed: Attribute | None
) -> SSAValue | None:
    """An operand's stored values as a tensor of its quantized type, a constant where they are known."""
    value, zero_points = operand.value, known_value(operand.zero_point)
    shape = static_shape(value)
    if scales is None or shape is None or (operand.zero_point is not None and zero_points is None):
        return None
    kind = quantized_type(element_type(value), expressed, scales, zero_points, shape, operand.axis)
    if kind is None:
        return None
    result = TensorType(kind, shape)
    constant = constant_attribute(value)
    if constant is not None:
        made = builder.add(nn.ConstantOp(constant, result))
        made.name_hint = value.name_hint
        if isinstance(value.owner, InitializerOp) and isinstance(made.owner, Operation):
            made.owner.location = named(value.owner.tensor_name.data)
        return made
    if isinstance(value.owner, StorageCastOp) and value.owner.input.type == result:
        return value.owner.input
    return builder.add(StorageCastOp(value, result))


def _stored(
    builder: Builder,
    source: SSAValue,
    result: SSAValue,
    scales: Array | None,
    zero_point: SSAValue | None,
    axis: int,
) -> SSAValue | None:
    """Real values quantized to what `result` stores."""
    shape, zero_points = static_shape(source), known_value(zero_point)
    if scales is None or shape is None or (zero_point is not None and zero_points is None):
        return None
    kind = quantized_type(element_type(result), element_type(source), scales, zero_points, shape, axis)
    if kind is None:
        return None
    cast = builder.add(QuantizeCastOp(source, TensorType(kind, shape)))
    return builder.add(StorageCastOp(cast, result.type))


def _floats(quantized: SSAValue) -> TensorType[Attribute]:
    return TensorType(f32, static_shape(quantized) or ())

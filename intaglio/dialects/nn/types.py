"""Attributes and type rules shared by the operations of the `nn` dialect."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import AnyFloat, DenseArrayBase, FloatAttr, IntegerType, TensorType, f32, f64, i64
from xdsl.ir import Attribute, ParametrizedAttribute, SSAValue
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.quant import UniformQuantizedPerAxisType, UniformQuantizedType, is_quantized

__all__ = [
    "ClampAttr",
    "accumulator_type",
    "is_accumulator",
    "is_dynamic",
    "tensor_of",
]

I64Array = DenseArrayBase.constr(i64)


def ints(values: Sequence[int]) -> DenseArrayBase[IntegerType]:
    """An `array<i64: ...>` attribute."""
    return DenseArrayBase.from_list(i64, list(values))


@irdl_attr_definition
class ClampAttr(ParametrizedAttribute):
    """Bounds in real values, applied after an operation: `#nn.clamp<0.0, inf>` is a fused ReLU.

    On quantized results the bounds are rounded to storage values by `intaglio.numerics.clamp`.
    """

    name = "nn.clamp"
    low: FloatAttr
    high: FloatAttr

    @classmethod
    def of(cls, low: float, high: float) -> ClampAttr:
        """The clamp to `[low, high]`; either may be infinite."""
        return cls(FloatAttr(low, f64), FloatAttr(high, f64))

    @property
    def bounds(self) -> tuple[float, float]:
        """Low and high bound in real values."""
        return self.low.value.data, self.high.value.data

    def verify(self) -> None:
        """Reject NaN and an empty interval."""
        low, high = self.bounds
        if not low <= high:
            raise VerifyException(f"clamp bounds must be ordered, got {low} and {high}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        """Parse `<low, high>`, where either may be `inf` or `-inf`."""
        with parser.in_angle_brackets():
            position = parser.pos
            low = _parse_bound(parser)
            parser.parse_punctuation(",")
            high = _parse_bound(parser)
            if not low <= high:
                parser.raise_error(f"clamp bounds must be ordered, got {low} and {high}", position)
        return [FloatAttr(low, f64), FloatAttr(high, f64)]

    def print_parameters(self, printer: Printer) -> None:
        """Print `<low, high>` so that every double reads back exactly."""
        printer.print_string("<" + ", ".join(_bound_text(bound) for bound in self.bounds) + ">")


def _bound_text(bound: float) -> str:
    """The shortest decimal that reads back exactly, with the point that the lexer asks for."""
    mantissa, exponent, power = repr(bound).partition("e")
    return mantissa + (".0" if exponent and "." not in mantissa else "") + exponent + power


def _parse_bound(parser: AttrParser) -> float:
    negative = parser.parse_optional_punctuation("-") is not None
    if parser.parse_optional_keyword("inf") is not None:
        return -math.inf if negative else math.inf
    value = float(parser.parse_number(allow_boolean=False))
    return -value if negative else value


def require(condition: bool, message: str) -> None:
    """Raise a VerifyException with `message` unless `condition` holds."""
    if not condition:
        raise VerifyException(message)


def tensor_of(value: SSAValue | None) -> TensorType:
    """The tensor type of a value; operand definitions have already checked that it is one.

    Raises:
        VerifyException: the shape is not static.
    """
    assert value is not None
    kind = value.type
    assert isinstance(kind, TensorType)
    if not kind.has_static_shape():  # printing a type for a message that is rarely needed would dominate
        raise VerifyException(f"shapes must be static, got {kind}")
    return kind  # pyright: ignore[reportUnknownVariableType]  # xDSL's type parameter is not narrowed


def element(value: SSAValue | None) -> Attribute:
    """The element type of a tensor value."""
    return tensor_of(value).get_element_type()


def same_element_types(*values: SSAValue | None) -> bool:
    """Whether all given values have one element type; absent ones are ignored."""
    kinds = [element(value) for value in values if value is not None]
    return all(kind == kinds[0] for kind in kinds)


def is_float(value: SSAValue) -> bool:
    """Whether a value is a tensor of floats."""
    return isinstance(element(value), AnyFloat)


def per_tensor(value: SSAValue) -> UniformQuantizedType | None:
    """The per-tensor quantized element type of a value, if it has one."""
    kind = element(value)
    return kind if isinstance(kind, UniformQuantizedType) else None


def storage_bits(value: SSAValue) -> int:
    """The width of the integers that store a tensor quantized per tensor: 8, or 16 if they are wider."""
    kind = per_tensor(value)
    assert kind is not None
    storage = kind.storage_type
    return 8 if isinstance(storage, IntegerType) and storage.width.data <= 8 else 16


def all_float_or_all_quantized(*values: SSAValue) -> bool:
    """Whether the values are all of one float type, or all quantized per tensor."""
    if is_float(values[0]):
        return same_element_types(*values)
    return all(per_tensor(value) is not None for value in values)


def window_output_shape(
    spatial: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> tuple[int, int]:
    """Height and width after sliding `window` over `spatial` with pads `[top, left, bottom, right]`."""
    top, left, bottom, right = pads
    total = (spatial[0] + top + bottom, spatial[1] + left + right)
    height, width = ((total[k] - dilations[k] * (window[k] - 1) - 1) // strides[k] + 1 for k in range(2))
    return height, width


def verify_window(
    strides: DenseArrayBase[IntegerType], pads: DenseArrayBase[IntegerType], dilations: DenseArrayBase[IntegerType]
) -> None:
    """Check lengths and ranges of the attributes of a sliding window."""
    for label, attribute, length, least in (
        ("strides", strides, 2, 1),
        ("pads", pads, 4, 0),
        ("dilations", dilations, 2, 1),
    ):
        values = attribute.get_values()
        require(
            len(values) == length and all(value >= least for value in values),
            f"{label} must be {length} integers of at least {least}, got {list(values)}",
        )


def weight_scales(value: SSAValue) -> np.ndarray | None:
    """Scales of a symmetric weight or bias (one, or one per output channel), or None if it is not one."""
    kind = element(value)
    if isinstance(kind, UniformQuantizedType) and kind.zero_point == 0:
        return np.array([kind.scale])
    if isinstance(kind, UniformQuantizedPerAxisType) and kind.axis == 0 and not np.any(kind.zero_points):
        scales = np.asarray(kind.scales)
        return scales if len(scales) == tensor_of(value).get_shape()[0] else None
    return None


def is_dynamic(source: SSAValue, weight: SSAValue) -> bool:
    """Whether a layer with that input and weight quantizes the input itself, by the range that it has at run time."""
    return is_float(source) and is_quantized(tensor_of(weight))


def accumulator_type(source: UniformQuantizedType) -> IntegerType:
    """The integers that a layer sums in: 32 bits for an input of at most 8, else 48."""
    assert isinstance(source.storage_type, IntegerType)
    return IntegerType(32 if source.storage_type.width.data <= 8 else 48)


def is_accumulator(value: SSAValue) -> bool:
    """Whether a quantized value is a layer's sum as it is, with one scale or one for each channel."""
    kind = element(value)
    return isinstance(kind, UniformQuantizedType | UniformQuantizedPerAxisType) and kind.storage_type in (
        IntegerType(32),
        IntegerType(48),
    )


def _verify_product_scales(
    kind: Attribute, axis: int, storage: IntegerType, scales: np.ndarray, role: str, article: str
) -> None:
    """Check that a type stores sums of products: symmetric, with the given scales along `axis` if it has several."""
    found: np.ndarray | None = None
    if isinstance(kind, UniformQuantizedType) and kind.zero_point == 0 and kind.storage_type == storage:
        found = np.array([kind.scale])
    elif isinstance(kind, UniformQuantizedPerAxisType) and kind.storage_type == storage and kind.axis == axis:
        found = None if np.any(kind.zero_points) else np.asarray(kind.scales)
    if found is None:
        raise VerifyException(f"the {role} must be a symmetric {storage} quantized type, got {kind}")
    require(
        len(found) in (1, len(scales)) and bool(np.allclose(found, scales, rtol=1e-6, atol=0)),
        f"the {article} scale must be input scale times weight scale",
    )


def verify_linear_quantization(source: SSAValue, weight: SSAValue, bias: SSAValue | None, result: SSAValue) -> None:
    """Check the element types of a convolution or dense layer.

    Either all are one float type, or input and result are quantized per tensor, the weight is symmetric (per
    tensor or per axis 0), and the bias is an integer as wide as the accumulator (32 bits, 48 for an input of more
    than 8 bits) with scale `s_input * s_weight`. An input of more than 8 bits has the zero point 0. The result may
    also be the accumulator itself: integers as wide, with the scales of the bias along the last dimension.

    Or input, bias and result are f32 and the weight alone is quantized, to at most 8 bits: the input then is, by its
    own range, when the layer reads it.
    """
    if is_dynamic(source, weight):
        stored = element(weight)
        require(
            same_element_types(source, bias, result)
            and element(source) == f32
            and weight_scales(weight) is not None
            and isinstance(stored, UniformQuantizedType | UniformQuantizedPerAxisType)
            and stored.storage_type in (IntegerType(4), IntegerType(8)),
            "a layer that quantizes its input has f32 operands and result, and a symmetric weight of at most 8 bits",
        )
        return
    if is_float(source):
        require(
            same_element_types(source, weight, bias, result),
            "float operands and result must have one element type",
        )
        return
    input_type, result_type = per_tensor(source), per_tensor(result)
    scales = weight_scales(weight)
    require(
        input_type is not None and (result_type is not None or is_accumulator(result)) and scales is not None,
        "expected one float type throughout, or per-tensor quantized input and result and symmetric quantized weights",
    )
    assert input_type is not None and scales is not None
    storage = accumulator_type(input_type)
    require(
        storage == IntegerType(32) or input_type.zero_point == 0,
        f"an input of more than 8 bits must have the zero point 0, got {input_type}",
    )
    products = input_type.scale * scales
    if is_accumulator(result):
        rank = len(tensor_of(result).get_shape())
        _verify_product_scales(element(result), rank - 1, storage, products, "result of accumulators", "result's")
    if bias is None:
        return
    _verify_product_scales(element(bias), 0, storage, products, "bias of a quantized layer", "bias")


def verify_pure_movement(result: SSAValue, *sources: SSAValue) -> None:
    """Check that an operation that only moves elements keeps their type, quantization included.

    Scales per axis or block are refused: the type says which dimension they belong to, and that one may move.
    """
    require(
        same_element_types(result, *sources),
        "moving elements cannot change their type: operands and result must have one element type",
    )
    require(
        per_tensor(result) is not None or not is_quantized(tensor_of(result)),
        f"elements that move must be quantized per tensor, got {element(result)}",
    )

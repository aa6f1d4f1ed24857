"""Operations of the `quant` dialect: upstream's three casts, `quant.requantize`, and `quant.observe`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, cast

from xdsl.dialects.builtin import (
    AnyFloat,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    IntegerType,
    Signedness,
    StringAttr,
    TensorType,
    UnrankedTensorType,
    f32,
    f64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    ParsePropInAttrDict,
    VarConstraint,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.quant.containers import check_container, element_type_of
from intaglio.dialects.quant.types import QuantizedType, StoredType, UniformQuantizedType, UniformType
from intaglio.dialects.weights import WeightsAttr


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise VerifyException(message)


def _require_same_shape(first: Attribute, second: Attribute) -> None:
    # Ranked with ranked of equal shape, unranked with unranked, scalar with scalar.
    shapes = [
        kind.get_shape() if isinstance(kind, TensorType) else isinstance(kind, UnrankedTensorType)
        for kind in (first, second)
    ]
    _require(
        shapes[0] == shapes[1],
        f"input and result must both be scalars or both tensors of the same shape, got {first} and {second}",
    )


def _require_float(type: Attribute, role: str) -> AnyFloat:
    element = element_type_of(type)
    _require(isinstance(element, AnyFloat), f"{role} must be a scalar or tensor of floating-point, got {type}")
    return cast(AnyFloat, element)


def _require_quantized(type: Attribute, role: str) -> QuantizedType:
    element = element_type_of(type)
    if not isinstance(element, QuantizedType):
        raise VerifyException(f"{role} must be a scalar or tensor of quantized type, got {type}")
    return element


def _require_expressed(quantized: QuantizedType, real: AnyFloat) -> None:
    _require(
        quantized.expressed_type == real,
        f"expressed type in quantized type must match the float type, got {quantized.expressed_type} and {real}",
    )


def _require_fits(quantized: QuantizedType, container: Attribute) -> None:
    if isinstance(quantized, UniformType):
        check_container(quantized, container)


@irdl_op_definition
class QuantizeCastOp(IRDLOperation):
    """Quantize float values: `saturate(round_half_even(x / scale) + zero_point)`.

    Exactly `intaglio.numerics.quantization.quantize`, which is ONNX QuantizeLinear. Upstream folds a `dcast`
    of a `qcast` to the float value; we keep the pair, because it stands for the error of quantization.

    Constraints:
        C1: the input is a scalar or tensor of a float type.
        C2: the result is a scalar or tensor of a quantized type.
        C3: both are scalars, or tensors of the same shape.
        C4: the result's expressed type is the input's float type.
        C5: per-axis and sub-channel parameters fit the shape.

    Example:
    ```mlir
    func.func @main() -> tensor<2x!quant.uniform<i8:f32, 0.5:3>> {
      %x = nn.constant dense<[-1.0, 8.25]> : tensor<2xf32>
      %q = quant.qcast %x : tensor<2xf32> to tensor<2x!quant.uniform<i8:f32, 0.5:3>>
      func.return %q : tensor<2x!quant.uniform<i8:f32, 0.5:3>>
    }
    ```

    Source: MLIR `QuantOps.td`.
    """

    name = "quant.qcast"
    input = operand_def(AnyAttr())
    result = result_def(AnyAttr())
    traits = traits_def(Pure())
    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, result_type: Attribute) -> None:
        super().__init__(operands=[input], result_types=[result_type])

    def verify_(self) -> None:
        """Check C1 to C5."""
        real = _require_float(self.input.type, "input")  # C1
        quantized = _require_quantized(self.result.type, "result")  # C2
        _require_same_shape(self.input.type, self.result.type)  # C3
        _require_expressed(quantized, real)  # C4
        _require_fits(quantized, self.result.type)  # C5


@irdl_op_definition
class DequantizeCastOp(IRDLOperation):
    """Turn quantized values into floats: `scale * (stored - zero_point)`.

    Exactly `intaglio.numerics.quantization.dequantize`, which is ONNX DequantizeLinear.

    Constraints:
        C1: the input is a scalar or tensor of a quantized type.
        C2: the result is a scalar or tensor of a float type.
        C3: both are scalars, or tensors of the same shape.
        C4: the input's expressed type is the result's float type.
        C5: per-axis and sub-channel parameters fit the shape.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %q = nn.constant dense<[1, 127]> : tensor<2xi8> as tensor<2x!quant.uniform<i8:f32, 0.5:3>>
      %x = quant.dcast %q : tensor<2x!quant.uniform<i8:f32, 0.5:3>> to tensor<2xf32>
      func.return %x : tensor<2xf32>
    }
    ```

    Source: MLIR `QuantOps.td`.
    """

    name = "quant.dcast"
    input = operand_def(AnyAttr())
    result = result_def(AnyAttr())
    traits = traits_def(Pure())
    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, result_type: Attribute) -> None:
        super().__init__(operands=[input], result_types=[result_type])

    def verify_(self) -> None:
        """Check C1 to C5."""
        quantized = _require_quantized(self.input.type, "input")  # C1
        real = _require_float(self.result.type, "result")  # C2
        _require_same_shape(self.input.type, self.result.type)  # C3
        _require_expressed(quantized, real)  # C4
        _require_fits(quantized, self.input.type)  # C5


@irdl_op_definition
class StorageCastOp(IRDLOperation):
    """See quantized values as the numbers that store them, or the other way; no bit changes.

    Unsigned storage goes with the signless integer of its width, as upstream has it, or with the unsigned one.
    Upstream casts integers only; float storage is ours.

    Constraints:
        C1: one of input and result is of a quantized type that says its storage, the other of a number type.
        C2: both are scalars, or tensors of the same shape.
        C3: the number type is the storage type (or the signless integer of the same width).
        C4: per-axis and sub-channel parameters fit the shape.

    Example:
    ```mlir
    func.func @main() -> tensor<2x!quant.uniform<i8:f32, 0.5:3>> {
      %s = nn.constant dense<[1, 127]> : tensor<2xi8>
      %q = quant.scast %s : tensor<2xi8> to tensor<2x!quant.uniform<i8:f32, 0.5:3>>
      func.return %q : tensor<2x!quant.uniform<i8:f32, 0.5:3>>
    }
    ```

    Source: MLIR `QuantOps.td`.
    """

    name = "quant.scast"
    input = operand_def(AnyAttr())
    result = result_def(AnyAttr())
    traits = traits_def(Pure())
    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, result_type: Attribute) -> None:
        super().__init__(operands=[input], result_types=[result_type])

    def verify_(self) -> None:
        """Check C1 to C4."""
        elements = [element_type_of(self.input.type), element_type_of(self.result.type)]
        stored = [element for element in elements if isinstance(element, StoredType)]
        numbers: list[Attribute] = [element for element in elements if isinstance(element, IntegerType | AnyFloat)]
        _require(
            len(stored) == len(numbers) == 1,
            "expected a quantized type on one side and its storage type on the other, got "
            f"{self.input.type} and {self.result.type}",
        )  # C1
        _require_same_shape(self.input.type, self.result.type)  # C2
        (quantized,), (number,) = stored, numbers
        storage = quantized.storage_type
        accepted: list[Attribute] = [storage]
        if isinstance(storage, IntegerType):
            accepted.append(IntegerType(storage.width.data, Signedness.SIGNLESS))
        _require(number in accepted, f"storage type in quantized type must match, got {storage} and {number}")  # C3
        _require_fits(quantized, self.input.type)  # C4


@irdl_op_definition
class RequantizeOp(IRDLOperation):
    """Bring integers to another scale, zero point or width: `clamp(z_y + apply_scale(x - z_x, s_x / s_y))`.

    Where neighbours compute in different precisions, this stands between them. `apply_scale` is that of the
    function's requantization mode (`intaglio.numerics.requantization`), from 32-bit integers.

    Constraints:
        C1: input and result are tensors quantized per tensor, stored as integers of at most 32 bits.
        C2: both have one shape and one expressed type.

    Example:
    ```mlir
    func.func @main() -> tensor<2x!quant.uniform<i8:f32, 0.5:3>> {
      %x = nn.constant dense<[-1000, 1001]> : tensor<2xi16> as tensor<2x!quant.uniform<i16:f32, 0.0078125>>
      %y = quant.requantize %x : tensor<2x!quant.uniform<i16:f32, 0.0078125>> to tensor<2x!quant.uniform<i8:f32, 0.5:3>>
      func.return %y : tensor<2x!quant.uniform<i8:f32, 0.5:3>>
    }
    ```

    Source: ours; the arithmetic is TOSA 1.0 RESCALE's.
    """

    name = "quant.requantize"
    input = operand_def(AnyAttr())
    result = result_def(AnyAttr())
    traits = traits_def(Pure())
    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, result_type: Attribute) -> None:
        super().__init__(operands=[input], result_types=[result_type])

    def verify_(self) -> None:
        """Check C1 and C2."""
        kinds: list[UniformQuantizedType] = []
        for role, type in (("input", self.input.type), ("result", self.result.type)):
            kind = element_type_of(type)
            if not (
                isinstance(type, TensorType)
                and isinstance(kind, UniformQuantizedType)
                and isinstance(kind.storage_type, IntegerType)
                and kind.storage_type.width.data <= 32
            ):
                raise VerifyException(
                    f"{role} must be a tensor quantized per tensor with integers of at most 32 bits, got {type}"
                )  # C1
            kinds.append(kind)
        _require_same_shape(self.input.type, self.result.type)  # C2
        _require(
            kinds[0].expressed_type == kinds[1].expressed_type,
            f"input and result must express one type, got {kinds[0].expressed_type} and {kinds[1].expressed_type}",
        )  # C2


@irdl_op_definition
class ObserveOp(IRDLOperation):
    """Hand a float tensor on unchanged, and mark it for calibration.

    `method` names how calibration turns the values seen into a range; `range` is that range, in real values,
    absent until calibration has run. `extrema` are the smallest and the largest value seen, where that range may leave
    some out; who stores 16 bits need not leave any out. `means`, `mean_squares`, `minima` and `maxima` are those of each channel, an
    element of the last dimension, where calibration was asked for them; all four or none are there.

    Constraints:
        C1: the input is a tensor of a float type; the result has the same type.
        C2: the method is not empty.
        C3: the range is two finite numbers, the lower first (they may be equal: a constant tensor).
        C4: statistics of channels are four vectors of f32, with an element for each of the last dimension.
        C5: the extrema are two finite numbers, the lower first.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 8.25]> : tensor<2xf32>
      %y = quant.observe %x {
        method = "mse", range = array<f64: -1.0, 8.0>, extrema = array<f64: -1.0, 8.25>
      } : tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```

    Source: ours.
    """

    T: ClassVar = VarConstraint("T", AnyAttr())

    name = "quant.observe"
    input = operand_def(T)
    method = prop_def(StringAttr)
    range = opt_prop_def(DenseArrayBase.constr(f64))
    extrema = opt_prop_def(DenseArrayBase.constr(f64))
    means = opt_prop_def(DenseIntOrFPElementsAttr | WeightsAttr)
    mean_squares = opt_prop_def(DenseIntOrFPElementsAttr | WeightsAttr)
    minima = opt_prop_def(DenseIntOrFPElementsAttr | WeightsAttr)
    maxima = opt_prop_def(DenseIntOrFPElementsAttr | WeightsAttr)
    result = result_def(T)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$input attr-dict `:` type($input)"

    def __init__(self, input: SSAValue, method: str, range: tuple[float, float] | None = None) -> None:
        properties: dict[str, Attribute] = {"method": StringAttr(method)}
        if range is not None:
            properties["range"] = DenseArrayBase.from_list(f64, list(range))
        super().__init__(operands=[input], properties=properties, result_types=[input.type])

    @property
    def calibrated_range(self) -> tuple[float, float] | None:
        """Low and high real value, or None before calibration."""
        if self.range is None:
            return None
        low, high = cast(Sequence[float], self.range.get_values())
        return low, high

    @property
    def widest_range(self) -> tuple[float, float] | None:
        """The range with the extrema in it, or None before calibration."""
        bounds = self.calibrated_range
        if bounds is None or self.extrema is None:
            return bounds
        low, high = cast(Sequence[float], self.extrema.get_values())
        return min(bounds[0], low), max(bounds[1], high)

    def verify_(self) -> None:
        """Check C1 to C5."""
        _require_float(self.input.type, "input")  # C1
        _require(isinstance(self.input.type, TensorType), f"input must be a tensor, got {self.input.type}")  # C1
        _require(bool(self.method.data), "method must not be empty")  # C2
        vector = TensorType(f32, cast("TensorType[Attribute]", self.input.type).get_shape()[-1:])
        statistics = [self.means, self.mean_squares, self.minima, self.maxima]
        types = [None if entry is None else cast(Attribute, cast(Any, entry).type) for entry in statistics]
        _require(
            types in ([None] * len(types), [vector] * len(types)),
            f"statistics of channels must be means, mean_squares, minima and maxima, each {vector}",
        )  # C4
        for name, entry in (("range", self.range), ("extrema", self.extrema)):  # C3, C5
            bounds = [] if entry is None else list(cast(Sequence[float], entry.get_values()))
            _require(
                entry is None or (len(bounds) == 2 and all(map(math.isfinite, bounds)) and bounds[0] <= bounds[1]),
                f"{name} must be two finite ordered numbers, got {bounds}",
            )

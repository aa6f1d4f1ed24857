"""The arithmetic that rules are made of, on Relax tensors; operands broadcast as in NumPy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from xdsl.ir import SSAValue

from intaglio.dialects.nn import ClampAttr
from intaglio.dialects.quant import UniformQuantizedType
from intaglio.interpreter.values import quantization, storage_bounds, value_dtype
from intaglio.lowering.tvm import Expr, HostBuilder
from intaglio.numerics.rescaling import rescaling
from intaglio.params import RequantizationMode


class Emitter:
    """Emits operations of the host function.

    Args:
        builder: the Relax function being built.
        regions: number of each accelerator region by its symbol.
    """

    def __init__(self, builder: HostBuilder, regions: Mapping[str, int]) -> None:
        self.builder = builder
        self.regions = regions

    def constant(self, values: ArrayLike, dtype: DTypeLike) -> Expr:
        """A constant tensor."""
        return self.builder.constant(np.asarray(values, np.dtype(dtype)))

    def apply(self, operator: str, *arguments: Any, **options: Any) -> Expr:
        """The result of a Relax operator, `operator` being its name below `relax.op`."""
        return self.builder.operator(operator, *arguments, **options)

    def select(self, condition: Expr, chosen: Expr, other: Expr) -> Expr:
        """`chosen` where the condition holds, else `other`."""
        return self.builder.operator("where", condition, chosen, other)

    def reshape(self, tensor: Expr, shape: Sequence[int]) -> Expr:
        """The same elements in row-major order under another shape."""
        return self.builder.operator("reshape", tensor, tuple(shape))

    def bits(self, tensor: Expr, dtype: DTypeLike) -> Expr:
        """The bits of each element as another type of the same width, neither of them bool."""
        te, tirx = self.builder.te, self.builder.tirx
        name = np.dtype(dtype).name

        def computation(x: Expr) -> Expr:
            def element(*index: Expr) -> Expr:
                return tirx.reinterpret(name, x(*index))

            return te.compute(x.shape, element, name="bits")

        return self.builder.compute("bits", computation, tensor)

    def cast(self, tensor: Expr, dtype: DTypeLike) -> Expr:
        """Convert the elements; a float that the integer type cannot hold is undefined."""
        return self.builder.operator("astype", tensor, np.dtype(dtype).name)

    def add(self, lhs: Expr, rhs: Expr) -> Expr:
        """The elementwise sum."""
        return self.builder.operator("add", lhs, rhs)

    def subtract(self, lhs: Expr, rhs: Expr) -> Expr:
        """The elementwise difference."""
        return self.builder.operator("subtract", lhs, rhs)

    def multiply(self, lhs: Expr, rhs: Expr) -> Expr:
        """The elementwise product."""
        return self.builder.operator("multiply", lhs, rhs)

    def divide(self, lhs: Expr, rhs: Expr) -> Expr:
        """The elementwise quotient, of floats, correctly rounded."""
        return self.builder.operator("divide", lhs, rhs)

    def limit(self, tensor: Expr, low: float, high: float, dtype: DTypeLike) -> Expr:
        """Limit elements of `dtype` to `[low, high]`; NaN stays NaN.

        TVM gives the second operand of a maximum or minimum unless the first is larger or smaller, so the bound comes
        first: nothing is larger or smaller than NaN.
        """
        for bound, operator in ((low, "maximum"), (high, "minimum")):
            if not math.isinf(bound):
                tensor = self.builder.operator(operator, self.constant(bound, dtype), tensor)
        return tensor

    def clamped(self, tensor: Expr, result: SSAValue, clamp: ClampAttr | None) -> Expr:
        """Apply the fused activation of a float operation."""
        return tensor if clamp is None else self.limit(tensor, *clamp.bounds, value_dtype(result))

    def centered(self, tensor: Expr, kind: UniformQuantizedType, dtype: str = "int64") -> Expr:
        """Stored values minus their zero point, in `dtype`."""
        wide = self.cast(tensor, dtype)
        return self.subtract(wide, self.constant(kind.zero_point, dtype)) if kind.zero_point else wide

    def apply_scale(self, value: Expr, multiplier: int | NDArray[Any], shift: int | NDArray[Any]) -> Expr:
        """`(value * multiplier + (1 << shift - 1)) >> shift` of an int64 tensor.

        It is `numerics.requantization.apply_scale` with single rounding (TOSA 1.0 `apply_scale_32`).
        """
        shifts = np.asarray(shift, np.int64)
        product = self.multiply(value, self.constant(multiplier, "int64"))
        rounded = self.add(product, self.constant(np.int64(1) << (shifts - 1), "int64"))
        return self.builder.operator("right_shift", rounded, self.constant(shifts, "int64"))

    def rescale(
        self,
        value: Expr,
        factor: float | NDArray[Any],
        mode: RequantizationMode,
        *,
        wide: bool = False,
        once: bool = False,
    ) -> Expr:
        """An int64 tensor times a real factor, rounded as the mode says: `numerics.rescaling.rescale`.

        Args:
            value: of 32 bits, or 48 when `wide`.
            factor: one number, or an array that broadcasts.
            mode: of the function.
            wide: whether values have 48 bits.
            once: round once also in mode `tflite`, as fully connected layers do.
        """
        multiplier, shift = rescaling(mode, wide=wide).multiplier(factor)
        if mode is RequantizationMode.SHIFT:
            return self.apply_scale(value, multiplier, shift)
        if wide:
            return self.apply_scale(value, multiplier, 15 - shift)
        return (self._round_once if once else self._round_twice)(value, multiplier, shift)

    def _round_once(self, value: Expr, multiplier: NDArray[Any], exponent: NDArray[Any]) -> Expr:
        """`numerics.requantization.tflite_apply_scale_once`: halves away from zero."""
        shifts = 31 - np.asarray(exponent, np.int64)
        product = self.multiply(value, self.constant(np.asarray(multiplier, np.int64), "int64"))
        half = self.constant(np.int64(1) << (shifts - 1), "int64")
        sign = self._shifted(product, np.int64(63))
        return self._shifted(self.add(self.add(product, half), sign), shifts)

    def _round_twice(self, value: Expr, multiplier: NDArray[Any], exponent: NDArray[Any]) -> Expr:
        """`numerics.requantization.tflite_apply_scale`, in terms that name their operand no more than twice.

        TVM writes an operand out wherever it is named. Adding half before a shift to the right rounds halves up, which
        is what truncating after a nudge by the sign does; one less for negative numbers rounds halves away from zero.
        """
        exponents = np.asarray(exponent, np.int64)
        left, right = np.maximum(exponents, 0), np.maximum(-exponents, 0)
        product = self.multiply(value, self.constant(np.asarray(multiplier, np.int64) << left, "int64"))
        high = self._shifted(self.add(product, self.constant(1 << 30, "int64")), np.int64(31))
        if not np.any(right):
            return high
        sign = self.apply(
            "bitwise_and", self._shifted(high, np.int64(63)), self.constant(-(right > 0).astype(np.int64), "int64")
        )
        half = self.constant((np.int64(1) << right) >> 1, "int64")
        return self._shifted(self.add(self.add(high, half), sign), right)

    def _shifted(self, tensor: Expr, bits: NDArray[Any] | np.int64) -> Expr:
        return self.apply("right_shift", tensor, self.constant(bits, "int64"))

    def store(self, scaled: Expr, result: SSAValue, clamp: ClampAttr | None = None) -> Expr:
        """A rescaled int64 tensor as the quantized type of `result` stores it: zero point added, limited."""
        kind = quantization(result)
        assert kind is not None
        shifted = self.add(scaled, self.constant(kind.zero_point, "int64")) if kind.zero_point else scaled
        low, high = storage_bounds(kind, clamp)
        return self.cast(self.limit(shifted, low, high, "int64"), value_dtype(result))

    def requantize(
        self,
        value: Expr,
        multiplier: int | NDArray[Any],
        shift: int | NDArray[Any],
        result: SSAValue,
        clamp: ClampAttr | None = None,
    ) -> Expr:
        """Scale an int64 tensor to the quantized type of `result`, add its zero point, limit and store.

        It is `numerics.requantization.requantize` with single rounding.
        """
        return self.store(self.apply_scale(value, multiplier, shift), result, clamp)

    def extreme(self, tensor: Expr, axes: Sequence[int], *, largest: bool, keepdims: bool) -> Expr:
        """The largest or smallest elements of a float tensor over axes.

        TVM begins with the largest finite number, and is wrong where all elements are infinite.
        """
        te, tirx = self.builder.te, self.builder.tirx
        start = -math.inf if largest else math.inf
        shape = [int(extent) for extent in tensor.ty.shape]

        def combine(lhs: Expr, rhs: Expr) -> Expr:
            return tirx.max(lhs, rhs) if largest else tirx.min(lhs, rhs)

        def neutral(dtype: str) -> Expr:
            return tirx.const(start, dtype)

        reducer = te.comm_reducer(combine, neutral, name="extreme")

        def computation(x: Expr) -> Expr:
            met = {axis: te.reduce_axis((0, shape[axis]), name=f"k{axis}") for axis in axes}
            kept = [axis for axis in range(len(shape)) if keepdims or axis not in met]

            def element(*index: Expr) -> Expr:
                places = dict(zip(kept, index, strict=True)) | met
                return reducer(x(*(places[axis] for axis in range(len(shape)))), axis=list(met.values()))

            return te.compute(tuple(1 if axis in met else shape[axis] for axis in kept), element, name="extreme")

        return self.builder.compute("extreme", computation, tensor)

    def log1p(self, tensor: Expr, dtype: DTypeLike) -> Expr:
        """`log(1 + x)` of a float32 or float64 tensor, exact to rounding where `x` is small."""
        te, tirx = self.builder.te, self.builder.tirx
        name = np.dtype(dtype).name

        def computation(x: Expr) -> Expr:
            def element(*index: Expr) -> Expr:
                return tirx.call_pure_extern(name, "log1pf" if name == "float32" else "log1p", x(*index))

            return te.compute(x.shape, element, name="log1p")

        return self.builder.compute("log1p", computation, tensor)

    def power(self, base: Expr, exponent: Expr) -> Expr:
        """`base` to the power of `exponent`, floats of one type, with broadcasting.

        The C library's function: TVM's own operator prints a warning about each exponent that is a number from 3 on.
        """
        te, tirx = self.builder.te, self.builder.tirx
        dtype = str(base.ty.dtype)
        work = "float64" if dtype == "float64" else "float32"
        shapes = [tuple(int(size) for size in operand.ty.shape) for operand in (base, exponent)]
        result = np.broadcast_shapes(*shapes)

        def computation(x: Expr, y: Expr) -> Expr:
            def element(*index: Expr) -> Expr:
                values = [
                    tensor(
                        *(
                            0 if size == 1 else at
                            for size, at in zip(shape, index[len(index) - len(shape) :], strict=True)
                        )
                    )
                    for tensor, shape in zip((x, y), shapes, strict=True)
                ]
                return tirx.call_pure_extern(work, "pow" if work == "float64" else "powf", *values)

            return te.compute(result, element, name="power")

        powers = self.builder.compute("power", computation, self.cast(base, work), self.cast(exponent, work))
        return powers if work == dtype else self.cast(powers, dtype)

    def padded(
        self,
        tensor: Expr,
        low: Sequence[int],
        high: Sequence[int],
        value: float,
        dtype: np.dtype[Any],
    ) -> Expr:
        """Surround a tensor of `dtype` with `low` elements before and `high` after in each dimension."""
        if not any((*low, *high)):
            return tensor
        topi, tirx = self.builder.topi, self.builder.tirx

        def computation(x: Expr) -> Expr:
            return topi.nn.pad(x, list(low), list(high), tirx.const(value, dtype.name))

        return self.builder.compute("pad", computation, tensor)

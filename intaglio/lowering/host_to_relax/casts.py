"""Conversions between element types, those included that TVM has not or converts wrongly.

Floats of 8 bits or fewer travel as their bits (`tvm.carried_dtype`). They become float32 by a table of all their
values, and are made by counting how many of the thresholds between neighbouring values a magnitude reaches: exact for
any rounding, and the same for all such formats. Integers of fewer than 8 bits travel in a byte each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import IntegerType, Signedness
from xdsl.ir import Attribute
from xdsl.utils.hints import isa

from intaglio.dialects.weights import dtype_of
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.tvm import Expr, is_small_float

Array = NDArray[Any]


def convert(
    emitter: Emitter, x: Expr, source: Attribute, target: Attribute, *, saturate: bool = True, rounding: str = "up"
) -> Expr:
    """Convert a tensor of element type `source` to `target` as ONNX's `Cast` does.

    Args:
        emitter: emits operations.
        x: the tensor, in the type that carries it.
        source: its element type.
        target: the element type wanted.
        saturate: of a float of 8 bits or fewer: values beyond the largest become that, rather than NaN or infinity.
        rounding: of `f8E8M0FNU`: `up`, `down` or `nearest`.
    """
    if source == target:
        return x
    from_dtype, to_dtype = dtype_of(source), dtype_of(target)
    if is_small_float(from_dtype):
        x = _from_bits(emitter, x, from_dtype)
        from_dtype = np.dtype(np.float32)
    if is_small_float(to_dtype):
        return _to_bits(emitter, emitter.cast(x, np.float32), to_dtype, saturate, rounding)
    if isa(target, IntegerType) and target.bitwidth in (2, 4):
        return _narrowed(emitter, x, from_dtype, target)
    return x if from_dtype == to_dtype else emitter.cast(x, to_dtype)


def _from_bits(emitter: Emitter, bits: Expr, dtype: np.dtype[Any]) -> Expr:
    with np.errstate(invalid="ignore"):
        values = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    index = emitter.cast(bits, np.int32)
    return emitter.apply("take", emitter.constant(values, np.float32), index, axis=0, mode="clip")


def _magnitudes(dtype: np.dtype[Any]) -> Array:
    """The finite values from zero on, in order; their indices are their bits without the sign."""
    sign_bit = 8 if dtype.name == "float4_e2m1fn" else 128
    codes = np.arange(255 if dtype.name == "float8_e8m0fnu" else sign_bit, dtype=np.uint8)
    values = codes.view(dtype).astype(np.float64)
    return values[np.isfinite(values)]


def _thresholds(values: Array, dtype: np.dtype[Any], rounding: str) -> Array:
    """For each value but the first, and one beyond the last, the smallest float32 that rounds to it or more."""
    if dtype.name == "float8_e8m0fnu":
        if rounding == "down":
            return np.append(values[1:], np.inf).astype(np.float32)
        if rounding == "up":
            above = np.nextafter(values.astype(np.float32), np.float32(np.inf))
            return above[: len(values) - 1].astype(np.float32)
        return np.append(values[1:] * 0.75, np.inf).astype(np.float32)
    step = values[-1] - values[-2]
    middles = (values + np.append(values[1:], values[-1] + step)) / 2
    exact = middles.astype(np.float32)
    # A tie goes to the value with an even last bit: to the upper one where the lower one's index is odd.
    ties_up = np.arange(len(values)) % 2 == 1
    return np.where(ties_up, exact, np.nextafter(exact, np.float32(np.inf))).astype(np.float32)


def _to_bits(emitter: Emitter, x: Expr, dtype: np.dtype[Any], saturate: bool, rounding: str) -> Expr:
    values = _magnitudes(dtype)
    thresholds = _thresholds(values, dtype, rounding)
    magnitude = emitter.apply("abs", x)
    builder = emitter.builder
    te, tirx = builder.te, builder.tirx

    def count(tensor: Expr, bounds: Expr) -> Expr:
        k = te.reduce_axis((0, len(thresholds)), name="k")

        def element(*index: Expr) -> Expr:
            reached = tirx.Select(tensor(*index) >= bounds[k], tirx.const(1, "int32"), tirx.const(0, "int32"))
            return te.sum(reached, axis=[k])

        return te.compute(tensor.shape, element, name="count")

    code = builder.compute("round_to_table", count, magnitude, emitter.constant(thresholds, np.float32))
    largest = len(values) - 1
    with np.errstate(invalid="ignore", over="ignore"):
        beyond = int(np.asarray([np.inf], np.float32).astype(dtype).view(np.uint8)[0])
        not_a_number = int(np.asarray([np.nan], np.float32).astype(dtype).view(np.uint8)[0])
    integer = np.dtype(np.int32)
    over = emitter.apply("greater", code, emitter.constant(largest, integer))
    code = emitter.select(over, emitter.constant(largest if saturate else beyond & 127, integer), code)
    if dtype.name != "float8_e8m0fnu":
        code = _signed(emitter, x, code, dtype)
        if not saturate and beyond >= 128:
            code = emitter.select(over, emitter.constant(beyond, integer), code)
    code = emitter.select(emitter.apply("isnan", x), emitter.constant(not_a_number, integer), code)
    return emitter.cast(code, np.uint8)


def _signed(emitter: Emitter, x: Expr, code: Expr, dtype: np.dtype[Any]) -> Expr:
    integer = np.dtype(np.int32)
    negative = emitter.apply("less", emitter.bits(x, integer), emitter.constant(0, integer))
    if dtype.name.endswith("fnuz"):
        # There is no negative zero; its bits are NaN.
        nonzero = emitter.apply("greater", code, emitter.constant(0, integer))
        negative = emitter.apply("logical_and", negative, nonzero)
    sign_bit = emitter.constant(8 if dtype.name == "float4_e2m1fn" else 128, integer)
    return emitter.select(negative, emitter.add(code, sign_bit), code)


def _narrowed(emitter: Emitter, x: Expr, source: np.dtype[Any], target: IntegerType) -> Expr:
    """The low bits of an integer, or of the integer part of a float."""
    width = target.bitwidth
    wide = np.dtype(np.int32)
    x = emitter.cast(x, wide)
    x = emitter.apply("bitwise_and", x, emitter.constant((1 << width) - 1, wide))
    if target.signedness.data != Signedness.UNSIGNED:
        half = 1 << (width - 1)
        negative = emitter.apply("greater_equal", x, emitter.constant(half, wide))
        x = emitter.select(negative, emitter.subtract(x, emitter.constant(2 * half, wide)), x)
    return emitter.cast(x, dtype_of(target))

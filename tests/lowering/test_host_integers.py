"""Integer softmax, normalizations and quotients on the host: TVM's result is the interpreter's in every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects import func

from intaglio.interpreter.interpreter import Interpreter
from intaglio.ir.parsing import parse_module
from intaglio.lowering.host_to_relax import host_to_relax
from intaglio.lowering.tvm import compile_library
from intaglio.runtime.host_library import HostLibrary

Array = np.ndarray[Any, np.dtype[Any]]


def assert_same(body: str, arguments: dict[str, Array], types: dict[str, str], result: str) -> None:
    """Run a function in TVM and in the interpreter; `y` is what it returns."""
    header = ", ".join(f"%{name}: {types[name]}" for name in arguments)
    module = parse_module(f"func.func @main({header}) -> {result} {{\n{body}\nfunc.return %y : {result}\n}}")
    main = next(op for op in module.ops if isinstance(op, func.FuncOp))
    library = HostLibrary(compile_library(host_to_relax(main, {})), lambda region, inputs: [])
    (expected,) = Interpreter(module).run("main", list(arguments.values()))
    (actual,) = library.run(list(arguments.values()))
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)
    assert expected.size < 2 or expected.min() < expected.max()


def stored(shape: tuple[int, ...], dtype: type[Any], seed: int = 0) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape).astype(dtype)


def kind(shape: tuple[int, ...], bits: int, scale: float, zero_point: int = 0) -> str:
    parameters = f"{scale!r}:{zero_point}" if zero_point else f"{scale!r}"
    return f"tensor<{''.join(f'{size}x' for size in shape)}!quant.uniform<i{bits}:f32, {parameters}>>"


TYPES = {8: np.int8, 16: np.int16}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax(bits: int, axis: int) -> None:
    shape = (3, 40, 5)
    source, result = kind(shape, bits, 2.0**-3 if bits == 8 else 2.0**-11, 0), kind(shape, bits, 2.0**-bits)
    body = f"%y = nn.softmax %x axis {axis} : ({source}) -> {result}"
    assert_same(body, {"x": stored(shape, TYPES[bits])}, {"x": source}, result)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("scale", [2.0**-6, 2.0**-100])
def test_layer_norm(bits: int, axis: int, scale: float) -> None:
    shape = (16, 64)
    count = shape[axis]
    whole = 3 if count == 64 else 2
    fraction = (15 if bits == 8 else 23) - whole
    x = stored(shape, TYPES[bits])
    x[:, 3] = 7
    x[2] = 9
    types = {
        "x": kind(shape, bits, scale, 3 if bits == 8 else 0),
        "s": kind((count,), 16, 2.0**-14),
        "o": kind((count,), 32 if bits == 8 else 48, 2.0 ** (-14 - fraction)),
    }
    result = kind(shape, bits, 2.0**-5 if bits == 8 else 2.0**-13, 0)
    body = (
        f"%y = nn.layer_norm %x scale %s offset %o axis {axis} epsilon 1.0e-05 : f64 : "
        f"({types['x']}, {types['s']}, {types['o']}) -> {result}"
    )
    offset = np.random.default_rng(1).integers(-(1 << 24), 1 << 24, count)
    arguments = {"x": x, "s": stored((count,), np.int16, 2), "o": offset.astype(np.int32 if bits == 8 else np.int64)}
    assert_same(body, arguments, types, result)


@pytest.mark.parametrize("bits", [8, 16])
def test_rms_norm(bits: int) -> None:
    shape = (5, 48)
    types = {"x": kind(shape, bits, 2.0**-6, 0), "s": kind((48,), 16, 2.0**-14)}
    result = kind(shape, bits, 2.0 ** (3 - bits))
    body = f"%y = nn.rms_norm %x scale %s axis 1 epsilon 1.0e-05 : f64 : ({types['x']}, {types['s']}) -> {result}"
    assert_same(body, {"x": stored(shape, TYPES[bits]), "s": stored((48,), np.int16, 2)}, types, result)


@pytest.mark.parametrize("operator", ["div", "maximum", "minimum"])
@pytest.mark.parametrize("bits", [8, 16])
def test_elementwise(operator: str, bits: int) -> None:
    zero_points = (5, -20) if bits == 8 else (0, 0)
    types = {
        "a": kind((60, 50), bits, 2.0**-4, zero_points[0]),
        "b": kind((50,), bits, 2.0**-6, zero_points[1]),
    }
    result = kind((60, 50), bits, 2.0 ** (-4 if bits == 8 else -5), zero_points[0])
    body = f"%y = nn.{operator} %a, %b : ({types['a']}, {types['b']}) -> {result}"
    b = stored((50,), TYPES[bits], 1)
    b[:3] = zero_points[1]
    assert_same(body, {"a": stored((60, 50), TYPES[bits]), "b": b}, types, result)


def test_conversion_of_truth_values() -> None:
    result = kind((2, 3), 8, 0.25, -3)
    body = f"%y = nn.cast %x : (tensor<2x3xi1>) -> {result}"
    assert_same(body, {"x": np.array([[True, False, True]] * 2)}, {"x": "tensor<2x3xi1>"}, result)


def test_conversion_of_integers() -> None:
    result = kind((7,), 8, 0.5, -3)
    x = np.array([0, 1, -1, 40, -40, 1 << 30, -(1 << 31)], np.int32)
    assert_same(f"%y = nn.cast %x : (tensor<7xi32>) -> {result}", {"x": x}, {"x": "tensor<7xi32>"}, result)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("axes", [[1], [0, 2]])
def test_reduce_l2(bits: int, axes: list[int]) -> None:
    shape = (4, 30, 6)
    reduced = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    source = kind(shape, bits, 2.0**-4, 6 if bits == 8 else 0)
    result = kind(reduced, bits, 2.0**-1, -128 if bits == 8 else 0)
    x = stored(shape, TYPES[bits])
    x[:, 0] = x[0] = 6 if bits == 8 else 0
    x[1] //= 16
    assert_same(f"%y = nn.reduce_l2 %x axes {axes} : ({source}) -> {result}", {"x": x}, {"x": source}, result)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("steps", "offsets", "units"), [((1, 1), (0, 0), (2, 2)), ((2, 5), (-1, 2), (4, 7))])
def test_linear_resize(bits: int, steps: tuple[int, int], offsets: tuple[int, int], units: tuple[int, int]) -> None:
    source = kind((1, 5, 6, 3), bits, 0.25, 7 if bits == 8 else 0)
    result = kind((1, 10, 8, 3), bits, 0.25, 7 if bits == 8 else 0)
    body = (
        f'%y = nn.resize %x mode "linear" steps {list(steps)} offsets {list(offsets)} units {list(units)} '
        f"cubic_coefficient -7.5e-01 : f64 exclude_outside false : ({source}) -> {result}"
    )
    assert_same(body, {"x": stored((1, 5, 6, 3), TYPES[bits])}, {"x": source}, result)


def test_select_and_gather() -> None:
    table, rows = kind((6, 4), 8, 0.25, 7), kind((3, 4), 8, 0.25, 7)
    body = (
        f"%g = nn.gather %t, %i axis 0 : ({table}, tensor<3xi64>) -> {rows}\n"
        f"%y = nn.select %c, %g, %o : (tensor<3x1xi1>, {rows}, {rows}) -> {rows}"
    )
    arguments = {
        "t": stored((6, 4), np.int8),
        "i": np.array([5, 0, -2]),
        "c": np.array([[True], [False], [True]]),
        "o": stored((3, 4), np.int8, 1),
    }
    types = {"t": table, "i": "tensor<3xi64>", "c": "tensor<3x1xi1>", "o": rows}
    assert_same(body, arguments, types, rows)

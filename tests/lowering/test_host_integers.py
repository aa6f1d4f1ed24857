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


def assert_same(
    body: str, arguments: dict[str, Array], types: dict[str, str], result: str, mode: str = "shift"
) -> None:
    """Run a function in TVM and in the interpreter; `y` is what it returns."""
    header = ", ".join(f"%{name}: {types[name]}" for name in arguments)
    attributes = f'attributes {{quant.requantization = "{mode}"}}'
    text = f"func.func @main({header}) -> {result} {attributes} {{\n{body}\nfunc.return %y : {result}\n}}"
    module = parse_module(text)
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


@pytest.mark.parametrize("scale", [0.004, 0.11, 2.0])
@pytest.mark.parametrize("shape", [(4000, 10), (20, 3000)])
def test_softmax_of_mode_tflite(scale: float, shape: tuple[int, int]) -> None:
    """Among them rows at which this arithmetic and the other mode's differ, and sums for which LiteRT has no result."""
    source, result = kind(shape, 8, scale, 3), kind(shape, 8, 2.0**-8, -128)
    header = f"func.func @main(%x: {source}) -> {result}"
    body = f"{{\n%y = nn.softmax %x axis 1 : ({source}) -> {result}\nfunc.return %y : {result}\n}}"
    x = stored(shape, np.int8)
    results = []
    for mode in ("tflite", "shift"):
        module = parse_module(f'{header} attributes {{quant.requantization = "{mode}"}} {body}')
        main = next(op for op in module.ops if isinstance(op, func.FuncOp))
        library = HostLibrary(compile_library(host_to_relax(main, {})), lambda region, inputs: [])
        (expected,), (actual,) = Interpreter(module).run("main", [x]), library.run([x])
        np.testing.assert_array_equal(actual, expected)
        results.append(actual)
    if (shape, scale) == ((4000, 10), 0.11):
        assert not np.array_equal(*results)


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


@pytest.mark.parametrize(("bits", "mode"), [(8, "shift"), (8, "tflite"), (16, "shift")])
@pytest.mark.parametrize(("steps", "offsets", "units"), [((1, 1), (0, 0), (2, 2)), ((2, 5), (-1, 2), (4, 7))])
def test_linear_resize(
    bits: int, mode: str, steps: tuple[int, int], offsets: tuple[int, int], units: tuple[int, int]
) -> None:
    source = kind((1, 5, 6, 3), bits, 0.25, 7 if bits == 8 else 0)
    result = kind((1, 10, 8, 3), bits, 0.25, 7 if bits == 8 else 0)
    body = (
        f'%y = nn.resize %x mode "linear" steps {list(steps)} offsets {list(offsets)} units {list(units)} '
        f"cubic_coefficient -7.5e-01 : f64 exclude_outside false : ({source}) -> {result}"
    )
    assert_same(body, {"x": stored((1, 5, 6, 3), TYPES[bits])}, {"x": source}, result, mode)


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


# Sixteen bits and the arithmetic of TensorFlow Lite. Compiling takes most of the time, so that one function holds all.


def assert_same_function(text: str, arguments: list[Array]) -> None:
    module = parse_module(text)
    main = next(op for op in module.ops if isinstance(op, func.FuncOp))
    library = HostLibrary(compile_library(host_to_relax(main, {})), lambda region, inputs: [])
    pairs = zip(Interpreter(module).run("main", arguments), library.run(arguments), strict=True)
    for expected, actual in pairs:
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected)
        assert expected.min() < expected.max()


def typed(shape: tuple[int, ...], bits: int, scale: float) -> str:
    return kind(shape, bits, scale if bits == 8 else scale / 256, 3 if bits == 8 else 0)


def per_axis(shape: str, bits: int, scales: Array) -> str:
    return f"tensor<{shape}x!quant.uniform<i{bits}:f32:0, {{{','.join(repr(float(scale)) for scale in scales)}}}>>"


@pytest.mark.parametrize("mode", ["shift", "tflite"])
@pytest.mark.parametrize("bits", [(8, 8), (16, 16), (16, 8), (8, 16)])
def test_all_operations_of_both_widths_and_modes(mode: str, bits: tuple[int, int]) -> None:
    source, other, result = (
        typed((1, 7, 7, 6), width, scale) for width, scale in ((bits[0], 0.03), (bits[0], 0.071), (bits[1], 0.05))
    )
    matrices = typed((1, 7, 7, 7), bits[0], 0.02), typed((1, 7, 7, 6), bits[1], 0.9)
    mean, total = typed((1, 1, 7, 6), bits[1], 0.02), typed((1, 1, 7, 6), bits[1], 0.2)
    wide, unit = (32, 0.03) if bits[0] == 8 else (48, 0.03 / 256)
    scales = {width: np.linspace(0.5, 1.5, 5) / 2 ** (width - 1) for width in (4, 8, 16)}
    layers = {
        width: (per_axis("5x6", width, scales[width]), per_axis("5", wide, unit * scales[width])) for width in scales
    }
    layer = typed((1, 7, 7, 5), bits[1], 0.4)
    window = "kernel [3, 3] strides [1, 1] pads [1, 1, 1, 1]"
    sums = kind((1, 5, 5, 3), wide, unit * 0.01)
    lines = {
        "add": (f"nn.add %a, %b clamp <-5.0, 9.0> : ({source}, {other}) -> {result}", result),
        "sub": (f"nn.sub %a, %b : ({source}, {other}) -> {result}", result),
        "mul": (f"nn.mul %a, %b : ({source}, {other}) -> {result}", result),
        "matmul": (f"nn.matmul %m, %b : ({matrices[0]}, {other}) -> {matrices[1]}", matrices[1]),
        "relu": (f"nn.relu %a : ({source}) -> {result}", result),
        "tanh": (f"nn.tanh %a : ({source}) -> {result}", result),
        "swish": (f"nn.hard_swish %a : ({source}) -> {result}", result),
        "requantize": (f"quant.requantize %a : {source} to {result}", result),
        "pool": (f"nn.avg_pool2d %a {window} count_include_pad false : ({source}) -> {result}", result),
        "same": (f"nn.avg_pool2d %a {window} count_include_pad true : ({source}) -> {source}", source),
        "mean": (f"nn.reduce_mean %a axes [1] : ({source}) -> {mean}", mean),
        "sum": (f"nn.reduce_sum %a axes [1] : ({source}) -> {total}", total),
        "accumulator": (
            "nn.conv2d %a, %k strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 clamp <-1.0, inf> : "
            f"({source}, {kind((3, 3, 3, 6), 8, 0.01)}) -> {sums}",
            sums,
        ),
    }
    types = {"a": source, "b": other, "m": matrices[0], "k": kind((3, 3, 3, 6), 8, 0.01)}
    arguments = [stored((1, 7, 7, size), TYPES[bits[0]], size) for size in (6, 6, 7)]
    arguments.append(stored((3, 3, 3, 6), np.int8, 1))
    rng = np.random.default_rng(3)
    for width, (weight, bias) in layers.items():
        types |= {f"w{width}": weight, f"b{width}": bias}
        lines[f"dense{width}"] = (
            f"nn.dense %a, %w{width} bias %b{width} : ({source}, {weight}, {bias}) -> {layer}",
            layer,
        )
        limit = 2 ** (width - 1) - 1
        arguments.append(rng.integers(-limit, limit, (5, 6)).astype(np.int16 if width == 16 else np.int8))
        arguments.append(rng.integers(-(2**17), 2**17, 5).astype(np.int32 if wide == 32 else np.int64))
    header = ", ".join(f"%{name}: {text}" for name, text in types.items())
    results = ", ".join(text for _, text in lines.values())
    body = "\n".join(f"%{name} = {text}" for name, (text, _) in lines.items())
    names = ", ".join(f"%{name}" for name in lines)
    assert_same_function(
        f'func.func @main({header}) -> ({results}) attributes {{quant.requantization = "{mode}"}} {{\n{body}\n'
        f"func.return {names} : {results}\n}}",
        arguments,
    )


def test_logarithm_of_16_bits() -> None:
    source, result = kind((3, 2000), 16, 2.0**-12), kind((3, 2000), 16, 2.0**-11)
    x = stored((3, 2000), np.int16)
    x[0, :64] = np.arange(-32, 32)
    assert_same(f"%y = nn.log %x : ({source}) -> {result}", {"x": x}, {"x": source}, result)

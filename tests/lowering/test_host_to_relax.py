"""What moves, converts and calls on the host, and its library: TVM's result against the interpreter's."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from intaglio.errors import UserError
from intaglio.interpreter.interpreter import Interpreter
from intaglio.ir.parsing import parse_module
from intaglio.numerics.quantization import quantize
from intaglio.runtime.host_library import HostLibrary
from tests.lowering.host_functions import (
    QA,
    Array,
    bytes_of,
    compare,
    function,
    library_of,
    no_regions,
    normal,
)


def test_stored_values_move() -> None:
    text = function(
        "  %s = nn.slice %x starts [0, 3, 1, 0] steps [1, -1, 2, 1] : (tensor<1x4x6x2x!a>) -> tensor<1x3x3x2x!a>\n"
        '  %r = nn.resize %s mode "floor" steps [1, 1] offsets [0, 0] units [2, 3] cubic_coefficient -0.75 : f64 '
        "exclude_outside false : (tensor<1x3x3x2x!a>) -> tensor<1x6x9x2x!a>\n"
        "  %y = nn.broadcast %r : (tensor<1x6x9x2x!a>) -> tensor<2x6x9x2x!a>",
        "%x: tensor<1x4x6x2x!a>",
        "tensor<2x6x9x2x!a>",
        f"!a = {QA}",
    )
    x = bytes_of((1, 4, 6, 2))
    expected = x[:, ::-1][:, :3, 1::2].repeat(2, axis=1).repeat(3, axis=2)
    np.testing.assert_array_equal(compare(text, [x]), np.concatenate([expected, expected]))


@pytest.mark.parametrize("kind", ["f32", QA])
def test_moving_elements(kind: str) -> None:
    text = function(
        "  %a = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x2x3x4x!t>) -> tensor<1x3x4x2x!t>\n"
        "  %b = nn.reshape %a : (tensor<1x3x4x2x!t>) -> tensor<1x4x6x!t>\n"
        "  %c = nn.pad %b low [0, 1, 0] high [0, 0, 2] value 0.4 : f64 : (tensor<1x4x6x!t>) -> tensor<1x5x8x!t>\n"
        "  %y = nn.concat %c, %c axis 1 : (tensor<1x5x8x!t>, tensor<1x5x8x!t>) -> tensor<1x10x8x!t>",
        "%x: tensor<1x2x3x4x!t>",
        "tensor<1x10x8x!t>",
        f"!t = {kind}",
    )
    compare(text, [normal((1, 2, 3, 4)) if kind == "f32" else bytes_of((1, 2, 3, 4))])


def test_constants_of_every_kind() -> None:
    text = function(
        "  %c = nn.constant dense<[1.0, -2.5, 3.0]> : tensor<3xf32>\n"
        "  %q = nn.constant dense<[1, -128, 127]> : tensor<3xi8> as tensor<3x!q>\n"
        "  %d = quant.dcast %q : tensor<3x!q> to tensor<3xf32>\n"
        "  %s = nn.add %c, %d : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>\n"
        "  %y = nn.add %s, %x : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>",
        "%x: tensor<3xf32>",
        "tensor<3xf32>",
        f"!q = {QA}",
    )
    compare(text, [normal((3,))])


STORAGE = [
    ("i8", np.int8, 3),
    ("u8", np.uint8, 128),
    ("i16", np.int16, 0),
    ("i8<-127:127>", np.int8, -127),
    ("i32", np.int32, 0),
]


@pytest.mark.parametrize(("storage", "dtype", "zero_point"), STORAGE)
def test_quantize_cast_is_bit_exact(storage: str, dtype: type[Any], zero_point: int) -> None:
    """These values are ties or next to one: multiplied by the reciprocal, a third of the quotients would differ."""
    scale = 0.0371
    steps = np.random.default_rng(0).integers(-400, 400, 4096) + 0.5
    ties = steps.astype(np.float32) * np.float32(scale)
    near = [np.nextafter(ties, np.float32(limit)) for limit in (-np.inf, np.inf)]
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, -3e38, 1e-45], np.float32)
    x = np.concatenate([ties, *near, special])
    text = function(
        f"  %y = quant.qcast %x : tensor<{x.size}xf32> to tensor<{x.size}x!q>",
        f"%x: tensor<{x.size}xf32>",
        f"tensor<{x.size}x!q>",
        f"!q = !quant.uniform<{storage}:f32, {scale}:{zero_point}>",
    )
    low, high = (-127, 127) if "<" in storage else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    actual = compare(text, [x])
    np.testing.assert_array_equal(actual, quantize(x, scale, zero_point, low, high, dtype))


def test_casts_with_parameters_per_axis_and_per_block() -> None:
    x = normal((3, 4), scale=40.0)
    for kind in ("i8:f32:1, {0.1,0.2:5,0.3:-7,0.4}", "i8:f32:{0:3, 1:2}, {{0.1:3, 0.4}}"):
        text = function(
            "  %q = quant.qcast %x : tensor<3x4xf32> to tensor<3x4x!q>\n"
            "  %y = quant.dcast %q : tensor<3x4x!q> to tensor<3x4xf32>",
            "%x: tensor<3x4xf32>",
            "tensor<3x4xf32>",
            f"!q = !quant.uniform<{kind}>",
        )
        compare(text, [x])


def test_storage_cast_and_observe() -> None:
    text = function(
        '  %o = quant.observe %x {method = "min_max"} : tensor<4xf32>\n'
        "  %q = quant.qcast %o : tensor<4xf32> to tensor<4x!q>\n"
        "  %y = quant.scast %q : tensor<4x!q> to tensor<4xi8>",
        "%x: tensor<4xf32>",
        "tensor<4xi8>",
        f"!q = {QA}",
    )
    compare(text, [normal((4,))])


LAUNCHING = """
!q = !quant.uniform<i8:f32, 0.05:3>
func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<2x2xf32>) {
  %q = quant.qcast %x : tensor<4xf32> to tensor<4x!q>
  %a, %b = npu.launch @region_0(%q, %q) : (tensor<4x!q>, tensor<4x!q>) -> (tensor<4x!q>, tensor<2x2x!q>)
  %c = quant.dcast %a : tensor<4x!q> to tensor<4xf32>
  %d = quant.dcast %b : tensor<2x2x!q> to tensor<2x2xf32>
  func.return %c, %d : tensor<4xf32>, tensor<2x2xf32>
}
func.func @region_0(%a: tensor<4x!q>, %b: tensor<4x!q>) -> (tensor<4x!q>, tensor<2x2x!q>) {
  %y = nn.add %a, %b : (tensor<4x!q>, tensor<4x!q>) -> tensor<4x!q>
  %z = nn.reshape %y : (tensor<4x!q>) -> tensor<2x2x!q>
  func.return %y, %z : tensor<4x!q>, tensor<2x2x!q>
}
"""


def test_regions_are_launched() -> None:
    calls: list[int] = []
    interpreter = Interpreter(parse_module(LAUNCHING))

    def launcher(region: int, inputs: list[Array]) -> list[Array]:
        calls.append(region)
        return interpreter.run("region_0", inputs)

    _, library = library_of(LAUNCHING, launcher)
    x = normal((4,))
    for actual, expected in zip(library.run([x]), interpreter.run("main", [x]), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert calls == [0]


def test_errors_in_regions_reach_the_caller() -> None:
    def launcher(region: int, inputs: list[Array]) -> list[Array]:
        raise ValueError("address 12 is out of range")

    _, library = library_of(LAUNCHING, launcher)
    with pytest.raises(ValueError, match="address 12 is out of range"):
        library.run([normal((4,))])


def test_an_operation_that_no_rule_lowers_is_named() -> None:
    text = function(
        '  %y = "test.op"(%x) : (tensor<4xf32>) -> tensor<4xf32> loc("head/Erf")', "%x: tensor<4xf32>", "tensor<4xf32>"
    )
    with pytest.raises(UserError, match=r'test\.op "head/Erf".* cannot run on the host'):
        library_of(text)


def test_an_argument_may_be_a_result() -> None:
    text = "func.func @main(%y: tensor<2xf32>) -> tensor<2xf32> {\n  func.return %y : tensor<2xf32>\n}"
    compare(text, [normal((2,))])


def test_libraries_that_do_not_belong_here_are_refused() -> None:
    with pytest.raises(UserError, match="the host library cannot be loaded"):
        HostLibrary(b"not a library", no_regions)


SAME_BYTES = """
import hashlib, sys
from xdsl.dialects import func
from intaglio.ir.parsing import parse_module
from intaglio.lowering.host_to_relax import host_to_relax
from intaglio.lowering.tvm import compile_library
module = parse_module(sys.stdin.read())
main = next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == "main")
print(hashlib.blake2b(compile_library(host_to_relax(main, {"region_0": 0}))).hexdigest())
"""


def test_libraries_of_two_processes_are_the_same() -> None:
    digests = [
        subprocess.run(
            [sys.executable, "-c", SAME_BYTES], input=LAUNCHING, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert digests[0] == digests[1]


def test_importing_tvm_keeps_the_exception_hook() -> None:
    code = (
        "import sys; hook = sys.excepthook; from intaglio.lowering.tvm import load_tvm; load_tvm(); "
        "assert 'tvm' in sys.modules and sys.excepthook is hook"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""Numbers at the ends of what floats hold: defined results in every precision and mode, and warnings that name them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import DenseArrayBase, f64

from intaglio.dialects.quant import ObserveOp
from intaglio.errors import UserError
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.ir.verification import verify_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.quantization.quantize import Quantize
from intaglio.remarks import Remark, collecting

PRECISIONS = ["a8w8", "a8w4", "a16w8", "a16w16", "bf16"]
MODES = ["shift", "tflite"]


def dense(weight: str, bias: str) -> str:
    return f"""
        func.func @main(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {{
          %w = nn.constant dense<{weight}> : tensor<2x2xf32> loc("w")
          %b = nn.constant dense<{bias}> : tensor<2xf32> loc("b")
          %y = nn.dense %x, %w bias %b : (tensor<1x2xf32>, tensor<2x2xf32>, tensor<2xf32>) -> tensor<1x2xf32> loc("fc")
          func.return %y : tensor<1x2xf32>
        }}
    """


def one(operation: str) -> str:
    return f"""
        func.func @main(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {{
          %y = {operation} : (tensor<1x2xf32>) -> tensor<1x2xf32> loc("act")
          func.return %y : tensor<1x2xf32>
        }}
    """


NETWORKS = {
    "plain": dense("[[0.5, -0.25], [1.0, 0.75]]", "[0.1, -0.2]"),
    "a bias beyond 32 bits at its scale": dense("[[1.0e-9, 0.0], [1.0, 1.0]]", "[1000.0, 0.5]"),
    "a channel of zeros": dense("[[0.0, 0.0], [1.0, -1.0]]", "[3.0, 0.5]"),
    "zeros throughout": dense("0.0", "0.0"),
    "subnormal weights": dense("[[1.0e-40, -2.0e-41], [1.0e-42, 1.0e-45]]", "[1.0e-39, 0.0]"),
    "the largest weights": dense("[[1.0e+38, -1.0e+38], [2.0, 1.0]]", "[0.0, 1.0]"),
    "weights of very different channels": dense("[[1.0e-12, -1.0e-12], [1.0e+9, 5.0e+8]]", "[1.0e-12, 1.0]"),
    "tanh": one("nn.tanh %x"),
    "relu": one("nn.relu %x"),
    "nothing left": one("nn.clip %x to <0.0, 0.0>"),
}
INPUTS = {
    "usual": [[1.0, -0.5], [0.25, 2.0], [-1.0, 0.125]],
    "zeros": [[0.0, 0.0]],
    "one sample": [[1.0, -3.0]],
    "tiny": [[1.0e-38, -1.0e-39], [0.0, 1.0e-45]],
    "huge": [[3.0e37, -1.0e37], [2.0e37, 0.0]],
}


BEYOND = {
    ("the largest weights", "zeros"),
    ("weights of very different channels", "zeros"),
    ("subnormal weights", "huge"),
}
"""Where one unit of the accumulator is more than the result, or weights have fewer bits than they are stored in."""


def quantized(text: str, rows: list[list[float]], precision: str, mode: str) -> tuple[list[np.ndarray], list[Remark]]:
    """The results of the quantized network on the rows that it was calibrated with, and what was said."""
    module, context = parse_module(text), make_context()
    samples = [np.array([row], np.float32) for row in rows]
    with collecting() as remarks:
        InsertObservers().apply(context, module)
        record_ranges(module, ({"input0": sample} for sample in samples))
        Quantize(precision=precision, requantization=mode).apply(context, module)
    verify_module(module)
    return [Interpreter(module).run("main", [sample])[0] for sample in samples], remarks


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("network", NETWORKS)
def test_extreme_numbers(network: str, name: str, precision: str, mode: str):
    rows = INPUTS[name]
    exact = [Interpreter(parse_module(NETWORKS[network])).run("main", [np.array([row], np.float32)])[0] for row in rows]
    if not np.all(np.isfinite(exact)):
        pytest.skip("the float network overflows")
    found, _ = quantized(NETWORKS[network], rows, precision, mode)
    assert np.all(np.isfinite(found))
    if (network, name) in BEYOND:
        return
    wide = np.array(exact, np.float64)
    step = np.ptp(wide) + np.abs(wide).max() + float(np.finfo(np.float32).tiny) * 300
    assert np.abs(np.array(found, np.float64) - wide).max() <= step * (0.25 if "w4" in precision else 0.05)


def test_a_tensor_that_is_always_zero_is_named():
    _, remarks = quantized(NETWORKS["plain"], INPUTS["zeros"], "a8w8", "shift")
    assert [str(found) for found in remarks if found.severity == "warning"] == [
        "warning: %x is zero on all calibration data"
    ]
    _, remarks = quantized(NETWORKS["nothing left"], INPUTS["usual"], "a8w8", "shift")
    assert any('nn.clip "act"' in found.message for found in remarks)
    assert quantized(NETWORKS["plain"], INPUTS["usual"], "a8w8", "shift")[1] == []


@pytest.mark.parametrize("precision", PRECISIONS[:4])
@pytest.mark.parametrize("value", ["0x7FC00000", "0x7F800000"], ids=["NaN", "inf"])
def test_a_weight_that_is_no_number_is_named(precision: str, value: str):
    text = dense(f"[[{value}, 0.0], [1.0, 1.0]]", "[0.0, 0.0]")
    with pytest.raises(UserError, match="sample 0 makes values of 'fc'"):
        quantized(text, INPUTS["usual"], precision, "shift")
    # Ranges may come from elsewhere.
    module, context = parse_module(text), make_context()
    InsertObservers().apply(context, module)
    for observer in [op for op in module.walk() if isinstance(op, ObserveOp)]:
        observer.properties["range"] = DenseArrayBase.from_list(f64, [-1.0, 1.0])
    with collecting() as remarks:
        Quantize(precision=precision).apply(context, module)
    assert [found.severity for found in remarks if 'nn.constant "w"' in found.message] == ["warning"]


@pytest.mark.parametrize("precision", ["a8w8", "a16w8"])
@pytest.mark.parametrize("mode", MODES)
def test_what_lies_beyond_the_calibrated_range(precision: str, mode: str):
    """8 bits hold the calibrated range and no more, 16 twice that."""
    module, context = parse_module(one("nn.relu %x")), make_context()
    InsertObservers().apply(context, module)
    record_ranges(module, [{"input0": np.array([[1.0, -1.0]], np.float32)}])
    Quantize(precision=precision, requantization=mode).apply(context, module)
    (found,) = Interpreter(module).run("main", [np.array([[1.75, 100.0]], np.float32)])
    expected = [1.0, 1.0] if precision == "a8w8" else [1.75, 2.0]
    np.testing.assert_allclose(found[0], expected, atol=0.01)


def test_operations_that_nothing_reads_do_no_harm():
    text = """
        func.func @main(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
          %unused = nn.tanh %x : (tensor<1x2xf32>) -> tensor<1x2xf32>
          %y = nn.relu %x : (tensor<1x2xf32>) -> tensor<1x2xf32>
          func.return %y : tensor<1x2xf32>
        }
    """
    for precision in PRECISIONS:
        found, _ = quantized(text, INPUTS["usual"], precision, "shift")
        assert np.all(np.isfinite(found))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("operation", "function"),
    [
        ("nn.hard_swish %x", lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
        ("nn.hard_sigmoid %x alpha 0.2 : f64 beta 0.5 : f64", lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
    ],
)
def test_16_bits_keep_the_corners_of_hard_activations(operation: str, function: Any, mode: str):
    text = one(operation).replace("1x2xf32", "1x1001xf32")
    module, context = parse_module(text), make_context()
    InsertObservers().apply(context, module)
    x = np.linspace(-40, 40, 1001, dtype=np.float32)[None]
    record_ranges(module, [{"input0": x}])
    Quantize(precision="a16w16", requantization=mode).apply(context, module)
    verify_module(module)
    (found,) = Interpreter(module).run("main", [x])
    # A table of 513 entries over twice the range would be wrong by 0.04 at the corners.
    assert np.abs(found - function(x.astype(np.float64))).max() < 0.004

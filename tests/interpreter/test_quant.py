"""Casts of the `quant` dialect against their definitions, for each way that parameters are laid out."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.errors import UserError
from intaglio.interpreter import Interpreter
from intaglio.ir.parsing import parse_module

SUB_CHANNEL = "!quant.uniform<i8:f32:{0:1, 1:2}, {{0.5, 0.25}, {2.0:3, 1.0}}>"
LAYOUTS = {
    "!quant.uniform<i8:f32, 0.5:3>": (np.full((2, 4), 0.5), np.full((2, 4), 3), np.int8),
    "!quant.uniform<u8:f32, 0.5:130>": (np.full((2, 4), 0.5), np.full((2, 4), 130), np.uint8),
    "!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25:-1}>": (
        np.array([[0.5] * 4, [0.25] * 4]),
        np.array([[0] * 4, [-1] * 4]),
        np.int8,
    ),
    "!quant.uniform<i8:f32:1, {0.5,0.25,1.0,2.0}>": (
        np.array([[0.5, 0.25, 1.0, 2.0]] * 2),
        np.zeros((2, 4), int),
        np.int8,
    ),
    SUB_CHANNEL: (
        np.array([[0.5, 0.5, 0.25, 0.25], [2.0, 2.0, 1.0, 1.0]]),
        np.array([[0] * 4, [3, 3, 0, 0]]),
        np.int8,
    ),
    "!quant.uniform<i16:f32, 0.5>": (np.full((2, 4), 0.5), np.zeros((2, 4), int), np.int16),
}
X = np.array([[0.25, 0.75, -0.25, 100.0], [-1e6, 1e6, 3.3, -7.125]], np.float32)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_qcast_and_dcast(kind):
    module = parse_module(
        f"""
        func.func @main(%x: tensor<2x4xf32>) -> (tensor<2x4x{kind}>, tensor<2x4xf32>) {{
          %q = quant.qcast %x : tensor<2x4xf32> to tensor<2x4x{kind}>
          %y = quant.dcast %q : tensor<2x4x{kind}> to tensor<2x4xf32>
          func.return %q, %y : tensor<2x4x{kind}>, tensor<2x4xf32>
        }}
        """
    )
    stored, reals = Interpreter(module).run("main", [X])
    scales, zeros, dtype = LAYOUTS[kind]
    low, high = (-127, 127) if "<-127" in kind else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    for index in np.ndindex(2, 4):
        # Python rounds halves to even, and the scales are powers of two, so divisions are exact.
        steps = round(float(X[index]) / scales[index]) + int(zeros[index])
        assert stored[index] == min(max(steps, low), high)
        assert reals[index] == scales[index] * (int(stored[index]) - int(zeros[index]))
    assert stored.dtype == dtype


def test_scast_keeps_bits():
    module = parse_module(
        """
        func.func @main(%x: tensor<3x!quant.uniform<u8:f32, 0.5:7>>) -> (tensor<3xi8>, tensor<3xui8>) {
          %y = quant.scast %x : tensor<3x!quant.uniform<u8:f32, 0.5:7>> to tensor<3xi8>
          %z = quant.scast %x : tensor<3x!quant.uniform<u8:f32, 0.5:7>> to tensor<3xui8>
          func.return %y, %z : tensor<3xi8>, tensor<3xui8>
        }
        """
    )
    signed, unsigned = Interpreter(module).run("main", [np.array([0, 128, 255], np.uint8)])
    assert signed.tolist() == [0, -128, -1]
    assert unsigned.tolist() == [0, 128, 255]


def test_observe_is_identity():
    module = parse_module(
        """
        func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
          %y = quant.observe %x {method = "min_max"} : tensor<2xf32>
          func.return %y : tensor<2xf32>
        }
        """
    )
    assert Interpreter(module).run("main", [np.array([1, -2], np.float32)])[0].tolist() == [1, -2]


def test_a_type_without_scale_cannot_be_cast():
    module = parse_module(
        """
        func.func @main(%x: tensor<2xf32>) {
          %y = quant.qcast %x : tensor<2xf32> to tensor<2x!quant.any<i8:f32>>
          func.return
        }
        """
    )
    with pytest.raises(UserError, match="have no scale to compute with"):
        Interpreter(module).run("main", [np.zeros(2, np.float32)])


def requantized(source, result, values, mode=""):
    attributes = f'attributes {{quant.requantization = "{mode}"}} ' if mode else ""
    module = parse_module(
        f"""
        func.func @main(%x: tensor<{len(values)}x{source}>) -> tensor<{len(values)}x{result}> {attributes}{{
          %y = quant.requantize %x : tensor<{len(values)}x{source}> to tensor<{len(values)}x{result}>
          func.return %y : tensor<{len(values)}x{result}>
        }}
        """
    )
    (found,) = Interpreter(module).run("main", [values])
    return found


def test_requantize_rounds_halves_up_and_saturates():
    values = np.array([-32768, -97, -96, -32, 0, 31, 32, 96, 32767], np.int16)
    found = requantized("!quant.uniform<i16:f32, 0.0078125>", "!quant.uniform<i8:f32, 0.5:3>", values)
    # One new step is 64 old ones: floor(x / 64 + 1/2) + 3.
    assert found.tolist() == [-128, 1, 2, 3, 3, 3, 4, 5, 127]
    assert found.dtype == np.int8


def test_requantize_in_tflite_mode_rounds_halves_away_from_zero():
    values = np.array([-96, -32, 32, 96], np.int16)
    kinds = "!quant.uniform<i16:f32, 0.0078125>", "!quant.uniform<i8:f32, 0.5:3>"
    assert requantized(*kinds, values).tolist() == [2, 3, 4, 5]
    assert requantized(*kinds, values, "tflite").tolist() == [1, 2, 4, 5]


def test_requantize_to_wider_storage():
    values = np.array([-128, 3, 127], np.int8)
    found = requantized("!quant.uniform<i8:f32, 0.5:3>", "!quant.uniform<i16:f32, 0.00390625>", values)
    assert found.tolist() == [-131 * 128, 0, 124 * 128]


def test_an_unknown_mode_is_an_error():
    values = np.array([1], np.int8)
    with pytest.raises(UserError, match="no requantization mode 'fast'"):
        requantized("!quant.uniform<i8:f32, 0.5>", "!quant.uniform<i8:f32, 0.25>", values, "fast")

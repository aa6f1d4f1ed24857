"""What functions would cost: by hand, beside the clock, and for other precisions."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects import nn
from intaglio.ir.locations import name_of
from intaglio.ir.parsing import parse_module
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.precision import Precision
from intaglio.targets.estimate import estimate, supported_precisions
from intaglio.targets.simulator import Program
from intaglio.targets.target import load_target

GEN1 = load_target("gen1")
POINT = {"kernel": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
THREE = {"kernel": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}


def region(module: ModuleOp) -> func.FuncOp:
    return next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == "region_0")


def float_function(text: str) -> func.FuncOp:
    module = parse_module(text)
    return next(op for op in module.ops if isinstance(op, func.FuncOp))


CONVOLUTION = """
func.func @main(%x: tensor<1x16x16x64xf32>, %w: tensor<64x1x1x64xf32>) -> tensor<1x16x16x64xf32> {
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1
      : (tensor<1x16x16x64xf32>, tensor<64x1x1x64xf32>) -> tensor<1x16x16x64xf32> loc("conv")
  func.return %y : tensor<1x16x16x64xf32>
}
"""


def test_a_convolution_by_hand() -> None:
    (layer,) = estimate(float_function(CONVOLUTION), {}, GEN1).layers
    assert (layer.name, layer.device) == ("conv", "accelerator")
    # Two passes of two taps over 256 positions, after filling the array and loading a tile.
    assert layer.matrix_cycles == 2 * (64 + 32 + 2 * 256)
    assert layer.vector_cycles == 2 * (8 + 256)
    # Weights with 12 bytes of parameters a channel, input and output.
    assert layer.read_bytes == 64 * 64 + 64 * 12 + 16 * 16 * 64
    assert layer.written_bytes == 16 * 16 * 64
    assert layer.macs == 256 * 64 * 64


@pytest.mark.parametrize(("precision", "array", "weights"), [("a16w8", 2, 1), ("a16w16", 4, 2)])
def test_wider_precisions(precision: str, array: int, weights: int) -> None:
    function = float_function(CONVOLUTION)
    (layer,) = estimate(function, {"conv": Precision.parse(precision)}, GEN1).layers
    # Tiles of words take twice as long to load, and parameters of 48-bit sums have 16 bytes.
    assert layer.matrix_cycles == 2 * (64 + weights * 32 + array * 2 * 256)
    assert layer.read_bytes == weights * 64 * 64 + 64 * 16 + 16 * 16 * 64
    assert layer.written_bytes == 2 * 16 * 16 * 64


def test_what_the_accelerator_does_not_multiply_is_the_hosts() -> None:
    (layer,) = estimate(float_function(CONVOLUTION), {"conv": Precision.BF16}, GEN1).layers
    assert (layer.device, layer.cycles, layer.matrix_cycles, layer.macs) == ("host", 0, 0, 0)


def test_supported_precisions() -> None:
    function = float_function(CONVOLUTION)
    (convolution,) = (op for op in function.walk() if isinstance(op, nn.Conv2dOp))
    assert [str(found) for found in supported_precisions(convolution, GEN1)] == ["a8w8", "a16w8", "a16w16"]
    (returned,) = (op for op in function.walk() if isinstance(op, func.ReturnOp))
    assert supported_precisions(returned, GEN1) == ()


def test_a_change_of_precision_costs_a_conversion(regions: Any) -> None:
    builder = regions.builder(0)
    first = builder.conv2d(builder.input(1, 16, 16, 32), 32, **POINT)
    module = builder.module(builder.conv2d(first, 32, **POINT))
    function = region(module)
    names = [name_of(op) for op in function.walk() if isinstance(op, nn.Conv2dOp)]
    same = estimate(function, {}, GEN1).layers[1].vector_cycles
    mixed = estimate(function, {str(names[1]): Precision.INT16}, GEN1).layers[1].vector_cycles
    assert mixed - same == 256


def chain(regions: Any, blocks: int, precision: Precision = Precision.INT8) -> ModuleOp:
    """Inverted residuals, as in MobileNetV2."""
    builder = regions.builder(3, bits=(precision.activation_bits,), weight_bits=(precision.weight_bits,))
    value = builder.input(1, 14, 14, 64)
    for _ in range(blocks):
        wide = builder.depthwise(builder.conv2d(value, 384, **POINT), **THREE)
        value = builder.binary(nn.AddOp, builder.conv2d(wide, 64, **POINT), value)
    return builder.module(value)


@pytest.mark.parametrize(("precision", "least"), [("a8w8", 0.75), ("a16w8", 0.75), ("a16w16", 0.74)])
def test_it_agrees_with_the_clock(precision: str, least: float, regions: Any) -> None:
    module = chain(regions, 4, Precision.parse(precision))
    estimated = estimate(region(module), {}, GEN1, Precision.parse(precision))
    regions.to_npu(module)
    profile = Program(program_binary(regions.to_isa(module))).profile()
    assert least <= estimated.cycles / profile.cycles <= 1.05
    assert np.isclose(estimated.read_bytes, profile.dram_bytes["read"], rtol=0.05)
    assert np.isclose(estimated.written_bytes, profile.dram_bytes["written"], rtol=0.05)


def test_a_kernel_along_a_column_fills_the_array(regions: Any) -> None:
    builder = regions.builder(3)
    window = {"kernel": (512, 1), "strides": (4, 1), "pads": (254, 0, 254, 0), "dilations": (1, 1)}
    module = builder.module(builder.conv2d(builder.input(1, 1024, 1, 1), 64, **window))
    estimated = estimate(region(module), {}, GEN1)
    regions.to_npu(module)
    cycles = Program(program_binary(regions.to_isa(module))).profile().cycles
    # Nothing hides the transfers of a single layer.
    assert 0.65 <= estimated.cycles / cycles <= 1.05


def test_it_is_fast(regions: Any) -> None:
    function = region(chain(regions, 16))
    start = time.perf_counter()
    assert len(estimate(function, {}, GEN1).layers) == 64
    # A hundred milliseconds are what a search can afford; a busy machine may take some more.
    assert time.perf_counter() - start < 0.5

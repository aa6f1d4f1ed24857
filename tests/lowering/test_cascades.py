"""Cascades: layers computed stripe by stripe give what layers computed one by one give."""

from __future__ import annotations

from typing import Any

import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr

from intaglio.dialects import nn, npu
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.lowering.nn_to_npu import SCHEDULE, NnToNpu
from intaglio.lowering.tiling.cascades import is_striped, stripes
from intaglio.lowering.tiling.layers import Layer
from intaglio.lowering.tiling.network import read_network
from intaglio.lowering.tiling.schedule import pack_network, plan_of
from intaglio.targets.target import load_target

POINT = {"kernel": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
THREE = {"kernel": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}
DOWN = {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 0, 0), "dilations": (1, 1)}


def region(module: ModuleOp) -> func.FuncOp:
    return next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == "region_0")


def inverted_residual(b: Any, images: int = 1) -> Any:
    source = b.input(images, 24, 20, 8)
    wide = b.depthwise(b.conv2d(source, 48, **POINT), **THREE)
    return b.binary(nn.AddOp, b.conv2d(wide, 8, **POINT), source)


def bottleneck(b: Any) -> Any:
    source = b.input(1, 24, 24, 32)
    inner = b.conv2d(b.conv2d(source, 8, **POINT), 8, **THREE)
    summed = b.binary(nn.AddOp, b.conv2d(inner, 32, **POINT), source)
    return b.conv2d(b.unary(summed), 16, **DOWN)


def pyramid(b: Any) -> Any:
    value = b.input(2, 80, 33, 3)
    for channels, window in ((24, DOWN), (24, THREE), (40, DOWN)):
        value = b.conv2d(value, channels, **window)
    return b.pool(value, largest=True)


def branches(b: Any) -> Any:
    source = b.conv2d(b.input(1, 90, 30, 4), 16, **THREE)
    left = b.depthwise(source, **{**THREE, "kernel": (5, 3), "pads": (2, 1, 2, 1)})
    right = b.conv2d(source, 16, **POINT)
    return b.binary(nn.MulOp, left, b.unary(right))


NETWORKS = {
    "inverted_residual": inverted_residual,
    "two_images": lambda b: inverted_residual(b, 2),
    "bottleneck": bottleneck,
    "pyramid": pyramid,
    "branches": branches,
}


def cascades_of(module: ModuleOp, capacity: int) -> list[int]:
    """How many layers each cascade has."""
    target = load_target("gen1")
    packed = pack_network(read_network(region(module)), target, capacity)
    return [len(cascade.layers) for cascade in plan_of(packed, capacity).cascades]


@pytest.mark.parametrize("target", ["gen1-d16", "gen1", "nvdla-2048"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_need_cascades(name: str, target: str, regions: Any) -> None:
    capacity = 32_000 if name in ("pyramid", "branches") else 20_000
    builder = regions.builder(len(name))
    assert cascades_of(builder.module(NETWORKS[name](builder)), capacity)
    builder = regions.builder(len(name))
    regions.check_all_levels(builder.module(NETWORKS[name](builder), target=target), capacity)


@pytest.mark.parametrize("seed", range(16))
def test_random_networks_of_large_maps(seed: int, regions: Any) -> None:
    builder = regions.builder(seed, 7)
    module = builder.module(*regions.random_network(builder, 40), target=builder.choice(["gen1-d16", "gen1"]))
    regions.check_all_levels(module, builder.choice([10_000, 20_000, 60_000]))


def test_what_lies_inside_a_cascade_never_reaches_dram(regions: Any) -> None:
    traffic: list[int] = []
    for capacity in (24_000, 1 << 20):
        builder = regions.builder(1)
        module = builder.module(inverted_residual(builder))
        traffic.append(sum(regions.check_all_levels(module, capacity).profile().dram_bytes.values()))
    # The wide maps have 23,040 bytes each; the input of 3,840 bytes is read once more where stripes meet.
    assert traffic[0] < traffic[1] + 3_840


def test_the_schedule_says_what_was_decided(regions: Any) -> None:
    said: list[list[str]] = []
    for capacity in (20_000, 1 << 20):
        builder = regions.builder(len("inverted_residual"))
        module = builder.module(inverted_residual(builder))
        NnToNpu(scratchpad=capacity).apply(make_context(), module)
        (program,) = (op for op in module.ops if isinstance(op, npu.ProgramOp))
        lines = program.attributes.get(SCHEDULE, ArrayAttr[StringAttr]([]))
        said.append([line.data for line in lines])
        assert print_module(parse_module(print_module(module))) == print_module(module)
    assert any(line.startswith("cascade of layer/") and "stripes" in line for line in said[0])
    assert not any("cascade" in line for line in said[1])
    # Each layer has a line in both, with its tiles and where its result is.
    for lines in said:
        layers = [line for line in lines if not line.startswith("cascade")]
        assert layers and all("tiles of" in line for line in layers)
        places = ("stays in the scratchpad", "takes the place of", "bytes go to DRAM", "within the cascade")
        assert all(sum(place in line for place in places) == 1 for line in layers)
    assert any("within the cascade" in line for line in said[0])
    assert not any("within the cascade" in line for line in said[1])


def test_without_need_there_is_no_cascade(regions: Any) -> None:
    builder = regions.builder(1)
    assert cascades_of(builder.module(inverted_residual(builder)), 1 << 20) == []


def test_results_take_the_place_of_operands(regions: Any) -> None:
    builder = regions.builder(2)
    source = builder.conv2d(builder.input(1, 8, 8, 32), 32, **POINT)
    doubled = builder.binary(nn.AddOp, builder.conv2d(source, 32, **THREE), source)
    module = builder.module(doubled)
    regions.check_all_levels(module.clone())
    NnToNpu().apply(make_context(), module)
    additions = [op for op in module.walk() if isinstance(op, npu.AddOp)]
    assert additions
    assert all(op.output in (op.a, op.b) for op in additions)


def test_negative_an_operand_that_is_needed_keeps_its_place(regions: Any) -> None:
    builder = regions.builder(2)
    source = builder.conv2d(builder.input(1, 8, 8, 32), 32, **POINT)
    changed = builder.unary(source)
    module = builder.module(builder.binary(nn.AddOp, changed, source), changed)
    regions.check_all_levels(module.clone())
    NnToNpu().apply(make_context(), module)
    (addition,) = {op.output for op in module.walk() if isinstance(op, npu.AddOp)}
    lookups = [op for op in module.walk() if isinstance(op, npu.LookupOp | npu.ConvertOp)]
    assert all(op.output != op.source for op in lookups)
    assert all(op.output != addition for op in lookups)


def layers_of(module: ModuleOp) -> list[Layer]:
    return read_network(region(module)).layers


def test_stripes_by_hand(regions: Any) -> None:
    builder = regions.builder(0)
    first = builder.conv2d(builder.input(1, 8, 8, 4), 4, **THREE)
    layers = layers_of(builder.module(builder.conv2d(first, 4, **THREE)))
    found = stripes(layers, {layers[0].output}, 3)
    # Rows of the second convolution, and of the first as far as they are needed.
    assert [stripe.rows for stripe in found] == [((0, 4), (0, 3)), ((4, 7), (3, 6)), ((7, 8), (6, 8))]
    assert [stripe.needs[layers[0].output] for stripe in found] == [(0, 4), (2, 7), (5, 8)]
    assert [stripe.needs[layers[0].sources[0].tensor] for stripe in found] == [(0, 5), (3, 8), (6, 8)]


def test_negative_layers_without_stripes(regions: Any) -> None:
    builder = regions.builder(0)
    source = builder.conv2d(builder.input(1, 8, 8, 4), 4, **THREE)
    scaled = builder.binary(nn.MulOp, source, builder.unary(builder.global_average(source)))
    layers = layers_of(builder.module(scaled))
    # Every row of the product needs all rows of the mean.
    assert not is_striped(layers)
    assert is_striped(layers[:2])

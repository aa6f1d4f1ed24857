"""From quantized operations to bytes: what each level computes is equal in every element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import StringAttr, TensorType, i8
from xdsl.ir import SSAValue

from intaglio.dialects import isa, nn, npu
from intaglio.errors import UserError
from intaglio.ir.context import make_context
from intaglio.ir.locations import name_of
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.lowering.nn_to_npu import NnToNpu
from intaglio.lowering.tiling.packing import bundle_groups
from intaglio.targets.target import load_target

TARGETS = ("gen1-d16", "gen1", "gen1-d64", "nvdla-2048")
SEEDS = range(8)

Builder = Any
Family = Callable[[Builder], SSAValue]


def image(b: Builder, *, channels: int = 100) -> SSAValue:
    return b.input(b.choice([1, 1, 2, 3]), b.number(1, 19), b.number(1, 19), b.number(2, channels))


def grouped(b: Builder) -> SSAValue:
    source = image(b)
    channels = source.type.get_shape()[3]
    groups = b.choice([size for size in range(1, channels + 1) if channels % size == 0])
    return b.conv2d(source, groups * b.number(1, 4), groups=groups)


def any_rank(b: Builder) -> SSAValue:
    return b.input(*image_shape(b)[b.number(0, 3) :])


def image_shape(b: Builder) -> tuple[int, ...]:
    return (b.choice([1, 2]), b.number(1, 19), b.number(1, 19), b.number(1, 100))


FAMILIES: dict[str, Family] = {
    "conv2d": lambda b: b.conv2d(image(b), b.number(1, 100)),
    "pointwise": lambda b: b.conv2d(image(b), b.number(1, 100), kernel=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0)),
    "grouped": grouped,
    "depthwise": lambda b: b.depthwise(image(b)),
    "dense": lambda b: b.dense(any_rank(b), b.number(1, 150)),
    "max_pool2d": lambda b: b.pool(image(b), largest=True),
    "avg_pool2d": lambda b: b.pool(image(b), largest=False),
    "global_average": lambda b: b.global_average(image(b)),
    "binary": lambda b: b.broadcast_binary(any_rank(b)),
    "activation": lambda b: b.unary(any_rank(b)),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("family", FAMILIES)
def test_single_operations(family: str, target: str, regions: Any) -> None:
    for seed in SEEDS:
        builder = regions.builder(seed, len(family), TARGETS.index(target))
        result = FAMILIES[family](builder)
        regions.check_all_levels(builder.module(result, target=target))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("scratchpad", [6_000, 24_000, 1 << 20])
def test_networks_in_scratchpads_of_any_size(scratchpad: int, seed: int, regions: Any) -> None:
    builder = regions.builder(seed, 99)
    outputs = regions.random_network(builder)
    module = builder.module(*outputs, target=builder.choice(TARGETS))
    regions.check_all_levels(module, scratchpad)


@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ((1, 3, 1100, 3), {"kernel": (3, 3), "strides": (1, 1)}),  # more columns than half of the accumulators
        ((1, 1100, 2, 3), {"kernel": (3, 3), "strides": (1, 1)}),
        ((1, 5, 5, 7), {"kernel": (5, 5), "pads": (9, 9, 9, 9)}),  # windows in the padding alone
        ((1, 9, 9, 70), {"kernel": (3, 3), "dilations": (4, 4)}),  # taps apart, channels cut
        ((1, 1, 64, 5), {"kernel": (1, 9), "strides": (1, 4)}),  # one dimension
        ((2, 17, 18, 33), {"kernel": (2, 3), "strides": (3, 2)}),
        ((1, 12, 12, 8), {"kernel": (1, 1), "strides": (2, 2), "pads": (0, 0, 0, 0)}),
    ],
)
@pytest.mark.parametrize("scratchpad", [8_000, 1 << 20])
def test_windows(shape: tuple[int, ...], window: dict[str, Any], scratchpad: int, regions: Any) -> None:
    for target in TARGETS:
        builder = regions.builder(*shape)
        result = builder.conv2d(builder.input(*shape), 40, **window)
        regions.check_all_levels(builder.module(result, target=target), scratchpad)


@pytest.mark.parametrize("outputs", [3, 64, 70])
def test_weights_that_are_too_large_to_load_at_once(outputs: int, regions: Any) -> None:
    builder = regions.builder(outputs)
    source = builder.input(2, 6, 6, 300)
    result = builder.conv2d(source, outputs, kernel=(5, 5), strides=(1, 1), pads=(2, 2, 2, 2), dilations=(1, 1))
    module = builder.module(result)
    text = print_module(module)
    regions.check_all_levels(module, 40_000)
    again = parse_module(text)
    NnToNpu(scratchpad=40_000).apply(make_context(), again)
    multiplies = [op for op in again.walk() if isinstance(op, npu.MatrixMultiplyOp)]
    assert any(op.accumulate is not None for op in multiplies)


def test_a_convolution_of_few_channels_is_one_multiplication(regions: Any) -> None:
    builder = regions.builder(0)
    source = builder.input(1, 8, 8, 3)
    result = builder.conv2d(source, 16, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1))
    module = builder.module(result)
    NnToNpu().apply(make_context(), module)
    (multiply,) = (op for op in module.walk() if isinstance(op, npu.MatrixMultiplyOp))
    # Three columns of three channels are one tap of nine bytes.
    assert (multiply.inner.value.data, multiply.taps.data.rows, multiply.taps.data.columns) == (9, 3, 1)


@pytest.mark.parametrize(("channels", "outputs", "groups", "bundle"), [(2, 2, 8, 8), (2, 4, 6, 6), (20, 5, 4, 1)])
def test_small_groups_share_the_array(channels: int, outputs: int, groups: int, bundle: int) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (groups * outputs, 1, 1, channels)).astype(np.int8)
    joined, fewer = bundle_groups(weight, groups, 32, 32)
    assert fewer * bundle == groups
    values = rng.integers(-128, 128, groups * channels)
    expected = [
        values[o // outputs * channels :][:channels] @ weight[o, 0, 0].astype(int) for o in range(groups * outputs)
    ]
    width = channels * bundle
    per_group = outputs * bundle
    found = [values[o // per_group * width :][:width] @ joined[o, 0, 0].astype(int) for o in range(groups * outputs)]
    assert found == expected


def test_values_used_and_returned_in_unusual_ways(regions: Any) -> None:
    builder = regions.builder(5)
    first, second = builder.input(1, 6, 6, 4), builder.input(1, 6, 6, 4)
    doubled = builder.binary(nn.AddOp, first, first)
    branch = builder.conv2d(doubled, 4, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1))
    joined = builder.binary(nn.SubOp, branch, doubled)
    flat = builder.reshape(joined, 144)
    constant = builder.constant(np.arange(-8, 8, dtype=np.int8), builder.activation(), i8)
    # An intermediate value, an input, an alias, a value twice and a constant are all outputs.
    regions.check_all_levels(builder.module(joined, doubled, second, flat, joined, constant))


def test_tasks_and_instructions_carry_the_names_of_their_layers(regions: Any) -> None:
    builder = regions.builder(3)
    convolved = builder.conv2d(builder.input(1, 6, 6, 3), 8)
    module = builder.module(builder.unary(convolved))
    layers = {name_of(op) for op in module.walk() if op.name in ("nn.conv2d", *ACTIVATIONS)}
    assert len(layers) == 2
    program = regions.to_npu(module)
    assert {name_of(op) for op in program.body.block.ops} == layers
    names = [name_of(op) for op in regions.to_isa(module).instructions if not isinstance(op, isa.EndOp)]
    assert set(names) == layers


ACTIVATIONS = ("nn.relu", "nn.clip", "nn.hard_sigmoid", "nn.hard_swish", "nn.sigmoid", "nn.tanh")


def test_equal_constants_are_one(regions: Any) -> None:
    builder = regions.builder(1)
    source = builder.input(1, 4, 4, 8)
    kind = TensorType(builder.activation(), source.type.get_shape())
    outputs = [builder.add(nn.TanhOp(source, kind)) for _ in range(2)]
    module = builder.module(*outputs)
    regions.check_all_levels(module)
    (program,) = (op for op in module.ops if isinstance(op, isa.ProgramOp))
    assert program.constants.type == TensorType(i8, [256])


def test_lowering_is_deterministic(regions: Any) -> None:
    texts = set[str]()
    for _ in range(2):
        builder = regions.builder(7, 7)
        module = builder.module(*regions.random_network(builder))
        regions.to_npu(module)
        texts.add(print_module(module))
    assert len(texts) == 1


def test_phase_npu_reads_back(regions: Any) -> None:
    builder = regions.builder(8, 7)
    module = builder.module(*regions.random_network(builder))
    regions.to_npu(module)
    text = print_module(module)
    assert print_module(parse_module(text)) == text


def test_a_layer_that_does_not_fit_is_an_error(regions: Any) -> None:
    builder = regions.builder(2)
    source = builder.input(1, 8, 8, 16)
    result = builder.conv2d(source, 8, kernel=(8, 8), strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1))
    with pytest.raises(UserError, match="do not fit 900 bytes of scratchpad"):
        NnToNpu(scratchpad=900).apply(make_context(), builder.module(result))


def test_without_a_target_there_is_nothing_to_plan_for(regions: Any) -> None:
    builder = regions.builder(2)
    module = builder.module(builder.unary(builder.input(4)))
    del module.attributes["intaglio.target"]
    with pytest.raises(UserError, match="for which target"):
        NnToNpu().apply(make_context(), module)
    NnToNpu(target="gen1-d16").apply(make_context(), module)
    (program,) = (op for op in module.ops if isinstance(op, npu.ProgramOp))
    assert program.target.data == "gen1-d16"


@pytest.mark.parametrize(
    ("element", "op", "message"),
    [
        ("!quant.uniform<i8:f32, 0.5>", "quant.dcast %x : {kind} to tensor<2x3xf32>", r'no layer for quant\.dcast "y"'),
        (
            "f32",
            "nn.div %x, %x : ({kind}, {kind}) -> {kind}",
            r"holds tensor<2x3xf32>; it computes on tensors quantized per tensor",
        ),
    ],
)
def test_operations_without_a_layer_are_an_error(element: str, op: str, message: str) -> None:
    kind = f"tensor<2x3x{element}>"
    module = parse_module(
        f"""
        func.func @region_0(%x: {kind}) -> {kind} attributes {{intaglio.device = "accelerator"}} {{
          %y = {op.format(kind=kind)} loc("y")
          func.return %x : {kind}
        }}
        """
    )
    module.attributes["intaglio.target"] = StringAttr("gen1")
    with pytest.raises(UserError, match=message):
        NnToNpu().apply(make_context(), module)


def test_the_array_is_busy_where_it_can_be(regions: Any) -> None:
    """Loads, requantization and configuration hide behind multiplication in a layer large enough."""
    builder = regions.builder(4)
    source = builder.input(1, 56, 56, 64)
    result = builder.conv2d(source, 64, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1))
    program = regions.check_all_levels(builder.module(result))
    size = load_target("gen1").array_size
    bound = 56 * 56 * 64 * 64 * 9 // size**2
    assert bound <= program.profile().cycles <= 1.3 * bound

"""No layer is faster than its instructions can be, whatever the schedule."""

from __future__ import annotations

from typing import Any

import pytest

from intaglio.dialects import nn
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.targets.simulator import Program
from intaglio.targets.target import load_target
from tests.targets.instruction_bounds import check_layers, operands_of

POINT = {"kernel": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
THREE = {"kernel": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}


def network(regions: Any, target: str) -> Any:
    builder = regions.builder(5)
    value = builder.conv2d(builder.input(1, 28, 28, 3), 32, **THREE)
    for _ in range(3):
        wide = builder.depthwise(builder.conv2d(value, 96, **POINT), **THREE)
        value = builder.binary(nn.AddOp, builder.conv2d(wide, 32, **POINT), value)
    return builder.module(builder.dense(builder.reshape(builder.global_average(value), 1, 32), 100), target=target)


def program_of(module: Any, regions: Any, scratchpad: int | None) -> Program:
    regions.to_npu(module, scratchpad)
    return Program(program_binary(regions.to_isa(module)))


@pytest.mark.parametrize("scratchpad", [30_000, None])
@pytest.mark.parametrize("target", ["gen1-d16", "gen1", "gen1-d64", "nvdla-2048", "ethos-u85-256"])
def test_no_layer_is_faster_than_its_instructions(target: str, scratchpad: int | None, regions: Any) -> None:
    program = program_of(network(regions, target), regions, scratchpad)
    everything, profile = check_layers(program, load_target(target)), program.profile()
    # The judge has seen all the work that there is, and the schedule is not far from what it allows.
    assert everything.products >= 28 * 28 * (9 * 3 * 32 + 3 * 2 * 32 * 96) + 32 * 100
    assert profile.cycles <= 3 * everything.cycles(load_target(target))


@pytest.mark.parametrize("seed", range(6))
def test_nor_are_the_layers_of_random_networks(seed: int, regions: Any) -> None:
    builder = regions.builder(seed, 77)
    program = program_of(builder.module(*regions.random_network(builder, 24)), regions, 20_000)
    check_layers(program, load_target("gen1"))


def test_words_are_taken_apart_by_hand() -> None:
    # matrix.taps: columns 3 in bits 40-55 (less one), rows 5, step_x 7, step_y 9.
    operands = 2 | 4 << 16 | 7 << 32 | 9 << 52
    word = (0x32 | operands << 40).to_bytes(16, "little")
    assert operands_of(word) == ("matrix.taps", {"columns": 3, "rows": 5, "step_x": 7, "step_y": 9})

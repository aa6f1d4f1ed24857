"""What `intaglio profile` writes."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from xml.etree import ElementTree

import pytest

from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.targets.simulator import Program
from intaglio.tools.profiling import LAYER_COLUMNS, layers_csv, scratchpad_lives, scratchpad_map, timeline


@pytest.fixture(scope="module")
def program(regions: Any) -> Program:
    builder = regions.builder(4)
    module = builder.module(builder.unary(builder.depthwise(builder.conv2d(builder.input(1, 16, 16, 8), 40))))
    regions.to_npu(module)
    return Program(program_binary(regions.to_isa(module)))


def test_a_line_for_each_layer(program: Program) -> None:
    lines = list(csv.DictReader(io.StringIO(layers_csv([program, program]))))
    layers = program.profile().layers
    assert len(lines) == 2 * len(layers) and tuple(lines[0]) == LAYER_COLUMNS
    assert sum(int(line["cycles"]) for line in lines) == 2 * program.profile().layers[-1].finish
    assert {line["layer"] for line in lines} == {layer.name for layer in layers}
    read = sum(int(line["read_bytes"]) for line in lines)
    assert read == 2 * program.profile().dram_bytes["read"]


def test_the_timeline_holds_every_instruction_that_works(program: Program) -> None:
    events = json.loads(timeline([program, program]))["traceEvents"]
    shown = [event for event in events if event["ph"] == "X"]
    working = [step for step in program.steps if step.work is not None]
    assert len(shown) == 2 * len(working)
    assert {event["name"] for event in shown} == {step.name for step in working}
    assert min(event["ts"] for event in shown if event["pid"] == 1) >= program.profile().cycles


def test_what_lives_in_the_scratchpad(program: Program) -> None:
    lives = scratchpad_lives(program)
    assert {life.name for life in lives} == {layer.name for layer in program.profile().layers}
    for life in lives:
        assert 0 <= life.start < life.end <= program.profile().cycles
        assert 0 <= life.first_line < life.end_line <= 512


def test_the_picture_is_well_formed(program: Program) -> None:
    root = ElementTree.fromstring(scratchpad_map(program))
    titles = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == len(scratchpad_lives(program))
    assert all("cycles" in title for title in titles)

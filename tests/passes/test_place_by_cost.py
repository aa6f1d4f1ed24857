"""Partitioning for cost: which regions remain, what they cost, and what the user's choices change."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.errors import CheckFailedError, UserError
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.ir.verification import verify_module
from intaglio.passes.partition.assign_devices import BY_CHOICE, AssignDevices
from intaglio.passes.partition.backends import Backend, Request, requests_of
from intaglio.passes.partition.boundaries import boundaries_of, refuse_regions
from intaglio.passes.partition.outline_regions import OutlineRegions
from intaglio.passes.partition.place_by_cost import PlaceByCost
from intaglio.passes.partition.placement import ACCELERATOR, HOST, placement
from intaglio.passes.partition.regions import Graph, crossing_bytes, earliest_levels, region_levels
from intaglio.targets.host_costs import boundary_cycles, host_cycles, launch_cycles
from intaglio.targets.target import load_target

GEN1 = load_target("gen1")
TYPE = "tensor<1x16x16x16x!quant.uniform<i8:f32, 0.5>>"
FLOAT = "tensor<1x16x16x16xf32>"
WEIGHT = "tensor<16x5x5x16x!quant.uniform<i8:f32, 0.01>>"
CONV = f"strides [1, 1] pads [2, 2, 2, 2] dilations [1, 1] groups 1 : ({TYPE}, {WEIGHT}) -> {TYPE}"

NETWORK = f"""
func.func @main(%x: {FLOAT}) -> {FLOAT} {{
  %w = nn.constant dense<1> : tensor<16x5x5x16xi8> as {WEIGHT}
  %0 = quant.qcast %x : {FLOAT} to {TYPE} loc("a")
  %1 = nn.conv2d %0, %w {CONV} loc("a")
  %2 = quant.dcast %1 : {TYPE} to {FLOAT} loc("a")
  %3 = nn.softmax %2 axis 3 : ({FLOAT}) -> {FLOAT} loc("soft1")
  %4 = quant.qcast %3 : {FLOAT} to {TYPE} loc("b")
  %5 = nn.tanh %4 : ({TYPE}) -> {TYPE} loc("b")
  %6 = quant.dcast %5 : {TYPE} to {FLOAT} loc("b")
  %7 = nn.softmax %6 axis 3 : ({FLOAT}) -> {FLOAT} loc("soft2")
  %8 = quant.qcast %7 : {FLOAT} to {TYPE} loc("c")
  %9 = nn.conv2d %8, %w {CONV} loc("c")
  %10 = quant.dcast %9 : {TYPE} to {FLOAT} loc("c")
  func.return %10 : {FLOAT}
}}
"""


def placed(text: str = NETWORK, *backends: str, by_cost: bool = True) -> ModuleOp:
    module = parse_module(text)
    AssignDevices(backends=backends).apply(make_context(), module)
    if by_cost:
        PlaceByCost().apply(make_context(), module)
    return module


def outlined(module: ModuleOp) -> ModuleOp:
    OutlineRegions().apply(make_context(), module)
    verify_module(module)
    return module


def devices(module: ModuleOp) -> dict[str | None, str]:
    return {place.name: place.device for place in placement(module) if place.computes}


def test_a_region_that_costs_more_than_it_saves_goes_to_the_host():
    assert devices(placed(by_cost=False))["b"] == ACCELERATOR
    module = placed()
    assert devices(module) == {"a": ACCELERATOR, "soft1": HOST, "b": HOST, "soft2": HOST, "c": ACCELERATOR}
    (reason,) = (place.reason for place in placement(module) if place.kind == "nn.tanh")
    host = 1_000 + 16 * 16 * 16
    boundary = 2 * (100 + 16 + 4096 // 16 + round(0.1 * 4096)) + 5_000
    assert reason is not None
    assert reason.endswith(f"and {boundary:,} for boundaries against {host:,} on the host")


def test_what_the_host_takes_is_documented_constants():
    ops = {op.name: op for op in parse_module(NETWORK).walk()}
    assert host_cycles(ops["quant.qcast"], GEN1) == 1_000 + 2 * 4096
    assert host_cycles(ops["nn.softmax"], GEN1) == 1_000 + 10 * 4096
    weights = 16 * 5 * 5 * 16
    assert host_cycles(ops["nn.conv2d"], GEN1) == round(1_000 + 0.04 * 256 * weights + 0.8 * weights + 4096)
    assert launch_cycles(GEN1) == 5_000
    assert boundary_cycles(64, GEN1) == 100 + 16 + 4 + 6


def test_results_do_not_depend_on_where_operations_run():
    x = np.random.default_rng(0).uniform(-60, 60, (1, 16, 16, 16)).astype(np.float32)
    (expected,) = Interpreter(parse_module(NETWORK)).run("main", [x])
    for module in (placed(), placed(by_cost=False), placed(NETWORK, "a=host")):
        np.testing.assert_array_equal(Interpreter(outlined(module)).run("main", [x])[0], expected)


def test_boundaries_are_what_launches_take_and_give():
    before, after = boundaries_of(outlined(placed(by_cost=False))), boundaries_of(outlined(placed()))
    assert [(b.region, b.tensors, b.bytes) for b in before.regions] == [(f"region_{i}", 2, 8192) for i in range(3)]
    assert len(after.regions) == 2
    assert after.tensors == 4 and after.bytes == 4 * 4096
    per_region = launch_cycles(GEN1) + 2 * boundary_cycles(4096, GEN1)
    casts = 2 * 1_000 + round(2.7 * 4096)
    assert after.cycles == 2 * (per_region + casts)
    assert boundaries_of(parse_module(NETWORK)).regions == ()


def test_choices_override_constraints_and_cost():
    assert devices(placed(NETWORK, "b=accelerator"))["b"] == ACCELERATOR
    assert devices(placed(NETWORK, "?=accelerator"))["b"] == ACCELERATOR
    module = placed(NETWORK, "a=host")
    assert devices(module)["a"] == HOST
    assert BY_CHOICE in {place.reason for place in placement(module)}
    # Constants have no index: the convolution of node a is operation 1.
    assert devices(placed(NETWORK, "#1=host"))["a"] == HOST
    # An index counts more than a name, a name more than a pattern.
    assert devices(placed(NETWORK, "#1=accelerator", "a=host", "*=host")) == {
        "a": ACCELERATOR, "soft1": HOST, "b": HOST, "soft2": HOST, "c": HOST,
    }  # fmt: skip


def test_choices_stand_in_the_text():
    text = NETWORK.replace("%5 = nn.tanh %4 :", '%5 = nn.tanh %4 {intaglio.backend = "accelerator"} :')
    assert devices(placed(text))["b"] == ACCELERATOR
    with pytest.raises(UserError, match=r'nn\.tanh "b".*there is no backend .gpu.'):
        placed(text.replace('"accelerator"', '"gpu"'))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("soft1=accelerator", r'nn\.softmax "soft1".* cannot run on the accelerator: Activations are|Operations are'),
        ("sof1=host", r"no operation comes from a node of the name 'sof1'"),
        ("q*=host", r"no operation comes from a node of the pattern 'q\*'"),
        ("#11=host", "there is no operation 11"),
        ("a=gpu", "there is no backend 'gpu'"),
        ("a", "expected NAME=DEVICE"),
    ],
)
def test_impossible_choices(choice: str, message: str):
    with pytest.raises(UserError, match=message):
        placed(NETWORK, choice)


def test_a_pattern_means_what_can_run_there():
    assert devices(placed(NETWORK, "*=accelerator")) == devices(placed(by_cost=False))


def test_requests():
    assert requests_of({3: "MLA", "a=b": Backend.HOST}) == (
        Request(3, Backend.ACCELERATOR),
        Request("a=b", Backend.HOST),
    )
    for request in requests_of({3: "host", "a=b": "accelerator", "#x": "host"}):
        assert Request.parse(str(request)) == request


def test_too_many_regions_name_what_divides_them():
    module = outlined(placed())
    refuse_regions(module, 2)
    with pytest.raises(
        CheckFailedError, match=r'in 2 regions, 1 allowed; .* nn\.softmax "soft1" \(Activations'
    ) as found:
        refuse_regions(module, 1)
    assert "nn.tanh" in str(found.value) and "qcast" not in str(found.value)


@pytest.mark.parametrize("seed", range(40))
def test_levels_are_legal_and_let_fewer_bytes_cross(seed: int):
    rng = np.random.default_rng(seed)
    values, lines = ["%x"], []
    for index in range(int(rng.integers(2, 30))):
        lhs, rhs = rng.choice(values[-8:], 2)
        lines.append(f"%{index} = nn.add {lhs}, {rhs} : ({TYPE}, {TYPE}) -> {TYPE}")
        values.append(f"%{index}")
    body = "\n".join(lines)
    module = parse_module(f"func.func @main(%x: {TYPE}) -> {TYPE} {{\n{body}\nfunc.return {values[-1]} : {TYPE}\n}}")
    main = module.body.block.first_op
    assert main is not None
    graph = Graph.of(main.regions[0].block)
    on_accelerator = [bool(flag) for flag in rng.integers(0, 3, len(graph.ops))]
    first, levels = earliest_levels(graph, on_accelerator), region_levels(graph, on_accelerator)
    for number, producers in enumerate(graph.producers):
        for producer in producers:
            waits = on_accelerator[producer] and not on_accelerator[number]
            assert levels[number] >= levels[producer] + waits
    used = [{level for level, there in zip(ls, on_accelerator, strict=True) if there} for ls in (first, levels)]
    assert len(used[1]) == len(used[0])
    assert crossing_bytes(graph, on_accelerator, levels) <= crossing_bytes(graph, on_accelerator, first)

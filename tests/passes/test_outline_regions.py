"""`outline-regions` on random graphs: the same results, no region waiting for the host in its middle, few regions."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr

from intaglio.dialects import nn, npu
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.ir.verification import verify_module
from intaglio.passes.partition.outline_regions import LARGEST_INTERFACE, OutlineRegions
from intaglio.passes.partition.placement import ACCELERATOR, DEVICE, HOST

TYPE = "tensor<4x!quant.uniform<i8:f32, 0.5>>"


def network(body: list[str], results: list[str]) -> ModuleOp:
    """A function on one int8 vector; lines are operations without types."""
    lines = "\n".join(f"{line} : ({', '.join([TYPE] * line.count('%', 1))}) -> {TYPE}" for line in body)
    kinds = ", ".join([TYPE] * len(results))
    constant = f"%c = nn.constant dense<[3, -5, 7, 100]> : tensor<4xi8> as {TYPE}"
    end = f"func.return {', '.join(results)} : {kinds}"
    return parse_module(f"func.func @main(%x: {TYPE}) -> ({kinds}) {{\n{constant}\n{lines}\n{end}\n}}")


def random_network(seed: int) -> ModuleOp:
    rng = np.random.default_rng(seed)
    values, body = ["%x", "%c"], []
    for index in range(int(rng.integers(1, 25))):
        lhs, rhs = rng.choice(values[-6:], 2)
        device = rng.choice([ACCELERATOR, ACCELERATOR, HOST])
        name = rng.choice(["add", "sub", "mul"])
        body.append(f'%{index} = nn.{name} {lhs}, {rhs} {{{DEVICE} = "{device}"}}')
        values.append(f"%{index}")
    return network(body, [str(value) for value in rng.choice(values[2:], 2)])


def outlined(module: ModuleOp) -> ModuleOp:
    after = module.clone()
    OutlineRegions().apply(make_context(), after)
    verify_module(after)
    return after


def regions(module: ModuleOp) -> list[func.FuncOp]:
    return [op for op in module.ops if isinstance(op, func.FuncOp) and DEVICE in op.attributes]


def changes_to_the_accelerator(module: ModuleOp) -> int:
    """The most launches that must follow one another, by walking all paths backwards."""
    function = module.body.block.first_op
    assert isinstance(function, func.FuncOp)

    def entries(op, memory: dict) -> int:
        """Changes from the host to the accelerator on the paths that end in `op`, itself counted."""
        if op not in memory:
            mine = op.attributes.get(DEVICE) == StringAttr(ACCELERATOR)
            producers = [value.owner for value in op.operands if DEVICE in getattr(value.owner, "attributes", {})]
            ends = [
                entries(producer, memory) + (mine and producer.attributes[DEVICE] != StringAttr(ACCELERATOR))
                for producer in producers
            ]
            memory[op] = max([*ends, int(mine)])
        return memory[op]

    memory: dict = {}
    return max((entries(op, memory) for op in function.body.block.ops), default=0)


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed: int):
    module = random_network(seed)
    after = outlined(module)
    x = np.random.default_rng(seed).integers(-128, 127, 4, np.int8, endpoint=True)
    for before_result, after_result in zip(
        Interpreter(module).run("main", [x]), Interpreter(after).run("main", [x]), strict=True
    ):
        np.testing.assert_array_equal(before_result, after_result)
    # Dominance, checked by outlined(), rules out cycles through the host; fewer regions than this are impossible.
    assert len(regions(after)) == changes_to_the_accelerator(module)
    main = Interpreter(after).function("main")
    assert not any(op.attributes.get(DEVICE) == StringAttr(ACCELERATOR) for op in main.walk())
    for region in regions(after):
        assert not any(DEVICE in op.attributes for op in region.body.walk())
    text = print_module(after)
    OutlineRegions().apply(make_context(), after)
    assert print_module(after) == text


def test_a_region_with_too_many_tensors_is_cut():
    body = [
        f'%{index} = nn.tanh {"%x" if not index else f"%{index - 1}"} {{{DEVICE} = "{ACCELERATOR}"}}'
        for index in range(40)
    ]
    module = network(body, [f"%{index}" for index in range(40)])
    after = outlined(module)
    sizes = [len(region.function_type.inputs) + len(region.function_type.outputs) for region in regions(after)]
    assert len(sizes) > 1 and max(sizes) <= LARGEST_INTERFACE
    x = np.arange(-2, 2, dtype=np.int8)
    for want, have in zip(Interpreter(module).run("main", [x]), Interpreter(after).run("main", [x]), strict=True):
        np.testing.assert_array_equal(want, have)


def test_constants_go_where_they_are_used():
    body = [
        f'%0 = nn.add %x, %c {{{DEVICE} = "{ACCELERATOR}"}}',
        f'%1 = nn.sub %0, %c {{{DEVICE} = "{HOST}"}}',
        f'%2 = nn.mul %1, %c {{{DEVICE} = "{ACCELERATOR}"}}',
    ]
    after = outlined(network(body, ["%2"]))
    for function in after.ops:
        assert isinstance(function, func.FuncOp)
        assert sum(isinstance(op, nn.ConstantOp) for op in function.body.block.ops) == 1
    launches = [op for op in after.walk() if isinstance(op, npu.LaunchOp)]
    assert [len(launch.operands) for launch in launches] == [1, 1]

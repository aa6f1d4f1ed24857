"""Operations and random graphs in bfloat16 on every size of machine.

The simulator's results of single operations are held to the interpreter's within their tolerance, and those of graphs,
in which deviations add up, to the tasks' in every element. `make test-full` runs 504 cases of each operation and 1,008
graphs, `make test` a few.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import StringAttr

from intaglio.interpreter import Interpreter
from tests.conftest import check_close
from tests.lowering.operator_cases import MACHINES, lower_to_npu, machine_file, program_of, simulated
from tests.lowering.test_bfloat16_to_npu import IN_BFLOAT16

CASES = 56
"""Cases of each operation on each machine: 504 on all nine."""

GRAPHS = 112
"""Random graphs on each machine: 1,008 on all nine."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


def check_operation(family: str, machine: tuple[int, int], seed: int, folder: Path, regions: Any) -> None:
    builder = regions.builder(seed, *family.encode(), *machine, is_float=True)
    module = builder.module(IN_BFLOAT16[family](builder))
    module.attributes["intaglio.target"] = StringAttr(str(machine_file(folder, *machine, "gen2")))
    inputs = regions.inputs_of(module, seed)
    try:
        expected = Interpreter(module).run("main", inputs)
        check_close(expected, simulated(module).run(inputs))
    except Exception as error:
        error.add_note(f"{family}, seed {seed}, machine {machine}")
        raise


def check_graph(machine: tuple[int, int], seed: int, folder: Path, regions: Any) -> None:
    builder = regions.builder(seed, 1234, *machine, is_float=True)
    module = builder.module(*regions.random_network(builder))
    module.attributes["intaglio.target"] = StringAttr(str(machine_file(folder, *machine, "gen2")))
    inputs = regions.inputs_of(module, seed)
    share = builder.choice([1, 4, 16, 32])
    try:
        lower_to_npu(module, machine[1] // share)
        expected = Interpreter(module).run("main", inputs)
        for want, have in zip(expected, program_of(module).run(inputs), strict=True):
            np.testing.assert_array_equal(have.view(np.uint16), want.view(np.uint16))
    except Exception as error:
        error.add_note(f"graph, seed {seed}, machine {machine}, a share of one {share}th")
        raise


@pytest.mark.parametrize("machine", MACHINES)
def test_graphs_on_every_machine(machine: tuple[int, int], machines: Path, regions: Any) -> None:
    check_graph(machine, GRAPHS, machines, regions)


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("family", IN_BFLOAT16)
def test_operations(family: str, machine: tuple[int, int], machines: Path, regions: Any) -> None:
    for seed in range(CASES):
        check_operation(family, machine, seed, machines, regions)


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_graphs(machine: tuple[int, int], machines: Path, regions: Any) -> None:
    for seed in range(GRAPHS):
        check_graph(machine, seed, machines, regions)

"""Every operation and random graphs on every size of machine: the simulator computes what the interpreter does.

`make test-full` runs 504 cases of each operation and 1,008 random graphs over all arrays and scratchpads, `make test` a
few of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from intaglio.targets.constraints import SUPPORTED
from tests.lowering.operator_cases import FAMILIES, MACHINES, check_bits, machine_file

CASES = 56
"""Cases of each operation on each machine: 504 on all nine."""

GRAPHS = 112
"""Random graphs on each machine: 1,008 on all nine."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


def check_operation(family: str, machine: tuple[int, int], seed: int, folder: Path, regions: Any) -> None:
    builder = regions.builder(seed, *family.encode(), *machine)
    module = builder.module(FAMILIES[family](builder))
    try:
        check_bits(module, machine_file(folder, *machine), regions.inputs_of(module, seed))
    except Exception as error:
        error.add_note(f"{family}, seed {seed}, machine {machine}")
        raise


def check_graph(machine: tuple[int, int], seed: int, folder: Path, regions: Any) -> None:
    builder = regions.builder(seed, 1234, *machine)
    module = builder.module(*regions.random_network(builder))
    # Small graphs need little room: with less of it, they are cut into stripes and blocks as large ones are.
    share = builder.choice([1, 4, 16, 32])
    try:
        check_bits(module, machine_file(folder, *machine), regions.inputs_of(module, seed), machine[1] // share)
    except Exception as error:
        error.add_note(f"graph, seed {seed}, machine {machine}, a share of one {share}th")
        raise


def test_every_operation_has_a_family(regions: Any) -> None:
    made = set[type]()
    for family in FAMILIES.values():
        builder = regions.builder(7)
        family(builder)
        made |= {type(op) for op in builder.block.ops}
    assert made >= set(SUPPORTED)


@pytest.mark.parametrize("family", FAMILIES)
def test_operations_on_a_few_machines(family: str, machines: Path, regions: Any) -> None:
    for number, machine in enumerate(MACHINES):
        if number % 4 == list(FAMILIES).index(family) % 4:
            check_operation(family, machine, CASES, machines, regions)


@pytest.mark.parametrize("machine", MACHINES)
def test_graphs_on_every_machine(machine: tuple[int, int], machines: Path, regions: Any) -> None:
    check_graph(machine, GRAPHS, machines, regions)


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("family", FAMILIES)
def test_operations(family: str, machine: tuple[int, int], machines: Path, regions: Any) -> None:
    for seed in range(CASES):
        check_operation(family, machine, seed, machines, regions)


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_graphs(machine: tuple[int, int], machines: Path, regions: Any) -> None:
    for seed in range(GRAPHS):
        check_graph(machine, seed, machines, regions)

"""Every operation and random graphs on every size of machine: the simulator computes what the interpreter does.

`make test-full` runs 504 cases of each operation in 8 bits, as many in 16, and 1,008 random graphs over all arrays and
scratchpads, `make test` a few of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from intaglio.targets.constraints import SUPPORTED
from tests.lowering.operator_cases import FAMILIES, IN_16_BITS, MACHINES, WIDTHS, check_bits, machine_file

CASES = 56
"""Cases of each operation on each machine: 504 on all nine."""

GRAPHS = 112
"""Random graphs on each machine: 1,008 on all nine."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


def check_operation(
    family: str, machine: tuple[int, int], seed: int, folder: Path, regions: Any, widths: str = "a8w8"
) -> None:
    bits, weight_bits = WIDTHS[widths]
    builder = regions.builder(seed, *family.encode(), *machine, bits=bits, weight_bits=weight_bits)
    module = builder.module(FAMILIES[family](builder))
    try:
        check_bits(module, machine_file(folder, *machine), regions.inputs_of(module, seed))
    except Exception as error:
        error.add_note(f"{family}, {widths}, seed {seed}, machine {machine}")
        raise


def check_graph(machine: tuple[int, int], seed: int, folder: Path, regions: Any) -> None:
    bits = ((8,), (8,), (8, 16))[seed % 3]
    builder = regions.builder(seed, 1234, *machine, bits=bits, weight_bits=bits)
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
        for seed in range(6):
            builder = regions.builder(seed)
            family(builder)
            made |= {type(op) for op in builder.block.ops}
    assert made >= set(SUPPORTED)


@pytest.mark.parametrize("family", FAMILIES)
def test_operations_on_a_few_machines(family: str, machines: Path, regions: Any) -> None:
    for number, machine in enumerate(MACHINES):
        if number % 4 == list(FAMILIES).index(family) % 4:
            check_operation(family, machine, CASES, machines, regions)
        elif number == 1 and family in IN_16_BITS:
            check_operation(family, machine, CASES, machines, regions, "a16w8")


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
@pytest.mark.parametrize("widths", [name for name in WIDTHS if name != "a8w8"])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("family", IN_16_BITS)
def test_operations_of_16_bits(
    family: str, machine: tuple[int, int], widths: str, machines: Path, regions: Any
) -> None:
    for seed in range(CASES // 2):
        check_operation(family, machine, seed, machines, regions, widths)


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_graphs(machine: tuple[int, int], machines: Path, regions: Any) -> None:
    for seed in range(GRAPHS):
        check_graph(machine, seed, machines, regions)

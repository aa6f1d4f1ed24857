"""What running a package once costs on the accelerator, by the simulator's clock; the same for all data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from intaglio.targets.simulator import Program
from intaglio.targets.simulator.steps import Transfer

CONSTANTS_REGION = 0
"""The DRAM region of weights, parameters and tables."""


@dataclass(frozen=True)
class LayerCost:
    """The cost of what one ONNX node has become.

    Args:
        name: the node, or None for instructions without.
        region: the accelerator region it is in.
        cycles: its part of the region's cycles; the parts add up.
        macs: multiply-accumulate operations, those of padding included.
        mac_utilization: `macs` of what the array could do in `cycles`.
        dram_bytes: bytes read and written over the DRAM port.
        instructions: number of instruction words.
    """

    name: str | None
    region: str
    cycles: int
    macs: int
    mac_utilization: float
    dram_bytes: int
    instructions: int


@dataclass(frozen=True)
class PackageProfile:
    """The cost of running a package once. Time on the host is not counted.

    Args:
        cycles: of all regions, one after another.
        macs: multiply-accumulate operations, those of padding included.
        mac_utilization: `macs` of what the array could do in `cycles`.
        dram_bytes: bytes read and written over the DRAM port.
        dram_bytes_read: those read.
        dram_bytes_written: those written.
        instructions: number of instruction words.
        regions: number of accelerator regions.
        target: name of the accelerator, or `host`.
        batch: samples that one run computes.
        constant_bytes: weights, parameters and tables of all regions.
        constant_bytes_read: those read in one run, each time anew.
        layers: by region and ONNX node, in the order in which they finish.
    """

    cycles: int
    macs: int
    mac_utilization: float
    dram_bytes: int
    dram_bytes_read: int
    dram_bytes_written: int
    instructions: int
    regions: int
    target: str
    batch: int
    constant_bytes: int
    constant_bytes_read: int
    layers: tuple[LayerCost, ...]

    @property
    def cycles_per_sample(self) -> float:
        """Cycles for each sample of the batch."""
        return self.cycles / self.batch

    @property
    def achieved_batch(self) -> float:
        """For how many samples a weight that is read serves: `batch` if each is read once, and at least one."""
        return max(1.0, self.batch * min(1.0, self.constant_bytes / max(1, self.constant_bytes_read)))

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        found = asdict(self)
        layers = found.pop("layers")
        derived = {"cycles_per_sample": self.cycles_per_sample, "achieved_batch": self.achieved_batch}
        return {**found, **derived, "layers": layers}


def _constants_read(program: Program) -> int:
    loads = (step.work for step in program.steps if isinstance(step.work, Transfer))
    return sum(load.size for load in loads if load.is_load and load.region == CONSTANTS_REGION)


def profile_programs(
    programs: Sequence[Program], batch: int = 1, launches: Mapping[str, int] | None = None
) -> PackageProfile:
    """Sum up the profiles of a package's regions.

    Args:
        programs: the regions.
        batch: samples that one run computes.
        launches: how often one run launches each region; once if it is not named.
    """
    layers: list[LayerCost] = []
    cycles = macs = read = written = constants = instructions = array_steps = 0
    for program in programs:
        profile = program.profile()
        times = (launches or {}).get(program.binary.name, 1)
        cycles += times * profile.cycles
        macs += times * profile.macs
        read += times * profile.dram_bytes["read"]
        written += times * profile.dram_bytes["written"]
        constants += times * _constants_read(program)
        instructions += profile.instructions
        array_steps += times * profile.cycles * program.target.macs_per_cycle
        layers += [
            LayerCost(
                layer.name,
                program.binary.name,
                times * layer.cycles,
                times * layer.macs,
                layer.mac_utilization,
                times * sum(layer.dram_bytes.values()),
                layer.instructions,
            )
            for layer in profile.layers
        ]
    return PackageProfile(
        cycles=cycles,
        macs=macs,
        mac_utilization=macs / array_steps if array_steps else 0.0,
        dram_bytes=read + written,
        dram_bytes_read=read,
        dram_bytes_written=written,
        instructions=instructions,
        regions=len(programs),
        target=programs[0].target.name if programs else "host",
        batch=batch,
        constant_bytes=sum(len(program.binary.constants) for program in programs),
        constant_bytes_read=constants,
        layers=tuple(layers),
    )

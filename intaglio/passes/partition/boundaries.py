"""What a partitioned module's regions cost at their boundaries, for summaries and limits.

Valid after the phases `partition`, `npu` and `isa`: what launches take and give does not change in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation

from intaglio.dialects import npu
from intaglio.dialects.quant import DequantizeCastOp, QuantizeCastOp
from intaglio.errors import CheckFailedError
from intaglio.ir.locations import name_of
from intaglio.passes.partition.placement import HOST, HOST_REASON, TARGET, computes
from intaglio.passes.quantization.coverage import functions_with_body
from intaglio.targets.host_costs import boundary_cycles, host_cycles, launch_cycles, stored_bytes
from intaglio.targets.target import Target, load_target


@dataclass(frozen=True)
class Boundary:
    """What crosses the boundary of a region, and what that costs by the model of `intaglio.targets.host_costs`.

    Attributes:
        region: its name.
        tensors: inputs and outputs.
        bytes: their sizes together.
        cycles: of the launch and the transfers, in cycles of the accelerator.
        cast_cycles: of the casts between floats and integers that the host does for this region.
    """

    region: str
    tensors: int
    bytes: int
    cycles: int
    cast_cycles: int


@dataclass(frozen=True)
class Boundaries:
    """The boundaries of all regions.

    Attributes:
        regions: one for each launch, in order.
    """

    regions: tuple[Boundary, ...]

    @property
    def tensors(self) -> int:
        """Tensors that cross, counted at each region."""
        return sum(region.tensors for region in self.regions)

    @property
    def bytes(self) -> int:
        """Bytes that cross, counted at each region."""
        return sum(region.bytes for region in self.regions)

    @property
    def cycles(self) -> int:
        """Cycles of all launches, transfers and casts."""
        return sum(region.cycles + region.cast_cycles for region in self.regions)


def launches_of(module: ModuleOp) -> Iterator[npu.LaunchOp]:
    """Yield the launches of a module in order."""
    return (
        op for function in functions_with_body(module) for op in function.body.block.ops if isinstance(op, npu.LaunchOp)
    )


def boundaries_of(module: ModuleOp) -> Boundaries:
    """The boundaries of a partitioned module.

    Raises:
        UserError: the module's target does not exist.
    """
    attribute = module.attributes.get(TARGET)
    if not isinstance(attribute, StringAttr) or attribute.data == HOST:
        return Boundaries(())
    target = load_target(attribute.data)
    counted: set[Operation] = set()
    return Boundaries(tuple(_boundary(launch, target, counted) for launch in launches_of(module)))


def _boundary(launch: npu.LaunchOp, target: Target, counted: set[Operation]) -> Boundary:
    """The boundary of a launch; casts that an earlier one has `counted` are left out."""
    sizes = [stored_bytes(value) for value in (*launch.operands, *launch.results)]
    before = {value.owner for value in launch.operands if isinstance(value.owner, QuantizeCastOp)}
    behind = {use.operation for result in launch.results for use in result.uses}
    casts = {*before, *(op for op in behind if isinstance(op, DequantizeCastOp))} - counted
    counted |= casts
    return Boundary(
        region=launch.callee.root_reference.data,
        tensors=len(sizes),
        bytes=sum(sizes),
        cycles=launch_cycles(target) + sum(boundary_cycles(size, target) for size in sizes),
        cast_cycles=sum(host_cycles(cast, target) for cast in casts),
    )


def refuse_regions(module: ModuleOp, most: int) -> None:
    """Refuse a module with too many regions.

    Args:
        module: a partitioned module.
        most: how many regions it may have.

    Raises:
        CheckFailedError: it has more; the operations of the host between them are named.
    """
    launches = list(launches_of(module))
    count = len({launch.callee.root_reference.data for launch in launches})
    if count <= most:
        return
    between = [op for op in _between(launches) if computes(op.name)]
    shown = [f'{op.name} "{name_of(op) or ""}" ({_reason(op)})' for op in between[:3]]
    more = f", and {len(between) - len(shown)} more" if len(between) > len(shown) else ""
    raise CheckFailedError(
        f"the accelerator's part is in {count} region{'s' if count > 1 else ''}, {most} allowed"
        + (f"; between them the host runs {'; '.join(shown)}{more}" if shown else "")
    )


def _between(launches: list[npu.LaunchOp]) -> list[Operation]:
    """The operations of the host that depend on a launch, and that a launch depends on."""
    block = launches[0].parent
    assert block is not None
    ops = [op for op in block.ops if op.parent is block]
    behind, before = set[Operation](launches), set[Operation](launches)
    for op in ops:
        if any(value.owner in behind for value in op.operands):
            behind.add(op)
    for op in reversed(ops):
        if any(use.operation in before for result in op.results for use in result.uses):
            before.add(op)
    return [op for op in ops if op in behind and op in before and op not in launches]


def _reason(op: Operation) -> str:
    attribute = op.attributes.get(HOST_REASON)
    return attribute.data if isinstance(attribute, StringAttr) else "for no reason given"

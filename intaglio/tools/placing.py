"""Where each operation of a file would run: of an ONNX model, of the text of a module, or of a package.

What has been partitioned is reported as it is. Anything earlier goes through the phases up to the assignment of
devices, on a copy in memory. A float model is quantized on the way without data: every observed tensor gets the same
stand-in range. That decides no placement, because what runs quantized follows from the graph, and the constraints of
the accelerator ask for types, shapes and attributes and not for scales. Real ranges, where the text of a module has
them, are kept.

```python
expectation = expected_placement("model.onnx", CompileOptions())
[(node.name, node.device, node.reasons) for node in expectation.nodes]
```
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Block, Operation

from intaglio.compiler import check_target, import_phase, run_phase
from intaglio.dialects.onnx import NodeOp
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.ir.context import make_context
from intaglio.ir.locations import names_in
from intaglio.ir.parsing import read_module
from intaglio.lowering.host_to_relax import check_host_operation
from intaglio.lowering.onnx_node import location_of
from intaglio.passes.calibration.calibrate import Calibrate, write_ranges
from intaglio.passes.calibration.observers import observers_of
from intaglio.passes.partition.placement import (
    ACCELERATOR,
    DEVICE,
    HOST,
    Placement,
    computes,
    placed_operations,
)
from intaglio.phases import PHASE, PHASE_NAMES, PHASES, CompileOptions
from intaglio.runtime.package import read_package

NOWHERE = "nowhere"
"""The device of an operation that neither the accelerator nor the host can run."""

STAND_IN_RANGE = (-1.0, 1.0)


@dataclass(frozen=True)
class PlacedNode:
    """What becomes of a node of the ONNX model.

    Attributes:
        name: its name, or that of its first output if it has none.
        operator: its operator, with the domain unless it is ONNX's own.
        operations: the kinds of operations that bear its name; empty when others compute it as well.
        within: the node whose operations compute it then, or take it as a constant; None when nothing is left of it.
        devices: where the operations run.
        reasons: why not on the accelerator.
    """

    name: str
    operator: str
    operations: tuple[str, ...]
    within: str | None
    devices: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Expectation:
    """Where operations run.

    Attributes:
        places: the operations, host first.
        nodes: the nodes of an ONNX model without constants; empty for other files.
        basis: what the answer rests on, a sentence.
    """

    places: tuple[Placement, ...]
    nodes: tuple[PlacedNode, ...]
    basis: str


def expected_placement(path: str | Path, options: CompileOptions) -> Expectation:
    """Find out where the operations of a file run, or would run.

    Args:
        path: an ONNX model, the text of a module at the end of any phase up to `partition`, or a package.
        options: target, and shapes of an ONNX model.

    Raises:
        UserError: the file cannot be read or compiled that far, or options do not fit it.
    """
    check_target(options)
    path = Path(path)
    if zipfile.is_zipfile(path):
        _check_fixed(options, path, "a package")
        places = [
            # A package keeps of the accelerator's operations only which region they are in.
            Placement(place.name, place.operation, HOST, place.reason, computes(place.operation))
            if place.operation is not None
            else Placement(place.name, place.device, ACCELERATOR, None, computes=True)
            for place in read_package(path).placement
        ]
        return Expectation(tuple(places), (), "what is in the package")
    if path.suffix == ".mlir":
        return _of_text(path, options)
    module = import_phase(path, options)
    nodes = _nodes(module)
    basis = _assign(module, 1, options)
    places = _places(module)
    return Expectation(tuple(places), _placed(nodes, _by_name(module, places)), basis)


def _check_fixed(options: CompileOptions, path: Path, what: str) -> None:
    if options.shapes or options.batch is not None:
        raise UserError(f"the shapes of {what} are fixed", where=str(path))
    if options.target is not None and what != "a module":
        raise UserError(f"the target of {what} is fixed", where=str(path))


def _of_text(path: Path, options: CompileOptions) -> Expectation:
    module = read_module(path)
    if any(DEVICE in op.attributes for op in module.walk()):
        _check_fixed(options, path, "a partitioned module")
        return Expectation(tuple(_places(module)), (), "the devices that the text names")
    _check_fixed(options, path, "a module")
    attribute = module.attributes.get(PHASE)
    phase = attribute.data if isinstance(attribute, StringAttr) else None
    first = PHASE_NAMES.index(phase) + 1 if phase in PHASE_NAMES else PHASE_NAMES.index("partition")
    if first > PHASE_NAMES.index("partition"):
        raise UserError(
            f"the text of phase {phase} no longer says where its operations came from",
            where=str(path),
            hint="inspect the package, or the text of phase partition or before",
        )
    basis = _assign(module, first, options)
    return Expectation(tuple(_places(module)), (), basis)


def _assign(module: ModuleOp, first: int, options: CompileOptions) -> str:
    """Run the phases from `first` up to the assignment of devices; return what the result rests on."""
    ranges = "ranges and casts that the module has"
    for phase in PHASES[first : PHASE_NAMES.index("partition")]:
        if phase.name == "calibrate" and options.target != HOST:
            ranges = _stand_in(module, options)
        else:
            run_phase(module, phase, options)
    for step in PHASES[PHASE_NAMES.index("partition")].steps:
        if step.name != "outline-regions" and step.when(options):
            step.make(options).apply(make_context(), module)
    return "floats, as compiled without calibration data" if options.target == HOST else ranges


def _stand_in(module: ModuleOp, options: CompileOptions) -> str:
    """Run the phase `calibrate` with stand-in ranges, on a float module.

    Channels are left as they are: what scales them needs their extrema to do it without other operations.
    """
    options = replace(options, params=replace(options.params, channel_equalization=False, smooth_quant=False))
    context = make_context()
    for step in PHASES[PHASE_NAMES.index("calibrate")].steps:
        if not step.when(options):
            continue
        made = step.make(options)
        if isinstance(made, Calibrate):
            write_ranges(module, dict.fromkeys(observers_of(module), STAND_IN_RANGE))
        else:
            made.apply(context, module)
    return "quantization with stand-in ranges, on which no constraint depends"


def _places(module: ModuleOp) -> list[Placement]:
    """As `placement`, with what neither device can run told apart."""
    return [_possible(op, place) if place.device == HOST else place for op, place in placed_operations(module)]


def _possible(op: Operation, place: Placement) -> Placement:
    try:
        check_host_operation(op)
    except UserError as error:
        reason = f"{place.reason}; {error.what}" if place.reason else error.what
        return replace(place, device=NOWHERE, reason=reason)
    return place


@dataclass(frozen=True)
class _Node:
    """A node of an imported model: its name and operator, and the names of the nodes that read its outputs."""

    name: str
    operator: str
    readers: tuple[str, ...]


def _nodes(module: ModuleOp) -> list[_Node]:
    """The nodes of an imported model in order; constants are none."""
    block = main_function(module).body.block
    names = {op: (names_in(location_of(op)) or [""])[0] for op in block.ops if isinstance(op, NodeOp)}
    found: list[_Node] = []
    for op, name in names.items():
        if (op.domain, op.op_type) == ("", "Constant"):
            continue
        users = (_member(use.operation, block) for result in op.results for use in result.uses)
        readers = tuple(dict.fromkeys(names[user] for user in users if isinstance(user, NodeOp)))
        found.append(_Node(name, f"{op.domain}.{op.op_type}" if op.domain else op.op_type, readers))
    return found


def _member(op: Operation, block: Block) -> Operation:
    """The operation of a block that an operation is or stands in."""
    while op.parent is not block:
        parent = op.parent_op()
        assert parent is not None
        op = parent
    return op


def _by_name(module: ModuleOp, places: list[Placement]) -> dict[str, list[Placement]]:
    """The operations that bear each name, alone or among others."""
    found: dict[str, list[Placement]] = {}
    for (op, _), place in zip(placed_operations(module), places, strict=True):
        for name in names_in(op.location):
            found.setdefault(name, []).append(place)
    return found


def _placed(nodes: list[_Node], by_name: Mapping[str, list[Placement]]) -> tuple[PlacedNode, ...]:
    """What becomes of each node; a node without operations of its own belongs to the first one that reads it."""
    hosts: dict[str, str] = {}
    found: list[PlacedNode] = []
    for node in reversed(nodes):
        within = None
        if node.name not in by_name:
            within = next((hosts.get(name, name) for name in node.readers if name in by_name or name in hosts), None)
        if within is not None:
            hosts[node.name] = within
        places = by_name.get(within or node.name, [])
        # Casts and changes of layout are of no interest where there is more.
        shown = [place for place in places if place.computes] or places
        found.append(
            PlacedNode(
                node.name,
                node.operator,
                () if within is not None else tuple(dict.fromkeys(place.kind for place in shown)),
                within,
                tuple(dict.fromkeys(place.device for place in shown)),
                tuple(dict.fromkeys(place.reason for place in shown if place.reason)),
            )
        )
    return tuple(reversed(found))

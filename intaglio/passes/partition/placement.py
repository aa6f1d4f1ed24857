"""Where each operation runs: the attributes that say so, and what reports and `--fail-on-host` make of them.

`assign-devices` sets `intaglio.device` on every operation of a function, and `intaglio.host_reason` on those of the
host; `outline-regions` moves the accelerator's into functions that have `intaglio.device` themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation
from xdsl.traits import IsTerminator

from intaglio.dialects import nn, npu
from intaglio.dialects.quant import DequantizeCastOp, QuantizeCastOp, StorageCastOp
from intaglio.errors import CheckFailedError
from intaglio.ir.locations import name_of
from intaglio.passes.quantization.coverage import functions_with_body

DEVICE = "intaglio.device"
HOST_REASON = "intaglio.host_reason"
TARGET = "intaglio.target"
ACCELERATOR = "accelerator"
HOST = "host"

IN_PARTS = "A region computes the whole batch, got parts, which take fewer cycles"
"""Why the host slices and joins tensors of a batch."""

_WITHOUT_COMPUTATION = (QuantizeCastOp, DequantizeCastOp, StorageCastOp, nn.ReshapeOp, nn.TransposeOp)


@dataclass(frozen=True)
class Placement:
    """Where an operation runs.

    Attributes:
        name: its name in the ONNX model, or None.
        kind: the operation, such as `nn.conv2d`.
        device: `accelerator` or `host`.
        reason: on the host, the constraint that kept it there with the offending values.
        computes: whether it is more than a cast or a change of layout.
    """

    name: str | None
    kind: str
    device: str
    reason: str | None
    computes: bool


def has_device(op: Operation) -> bool:
    """Whether an operation runs on a device: constants, returns and launches do not."""
    return not isinstance(op, nn.ConstantOp | npu.LaunchOp | func.CallOp) and not op.has_trait(IsTerminator)


def device_of(op: Operation) -> str:
    """The device assigned to an operation; the host when none is."""
    attribute = op.attributes.get(DEVICE)
    return attribute.data if isinstance(attribute, StringAttr) else HOST


def placement(module: ModuleOp) -> list[Placement]:
    """Where each operation runs, in program order, host functions first.

    Args:
        module: a module after `assign-devices` or `outline-regions`.
    """
    return [place for _, place in placed_operations(module)]


def placed_operations(module: ModuleOp) -> Iterator[tuple[Operation, Placement]]:
    """Yield each operation and where it runs, in the order of `placement`."""
    functions = sorted(functions_with_body(module), key=lambda function: device_of(function) == ACCELERATOR)
    for function in functions:
        yield from ((op, _placement(function, op)) for op in function.body.block.ops if has_device(op))


def _placement(function: func.FuncOp, op: Operation) -> Placement:
    device = ACCELERATOR if device_of(function) == ACCELERATOR else device_of(op)
    reason = op.attributes.get(HOST_REASON) if device == HOST else None
    text = reason.data if isinstance(reason, StringAttr) else None
    return Placement(name_of(op), op.name, device, text, computes(op.name) and text != IN_PARTS)


def computes(kind: str) -> bool:
    """Whether an operation of a kind, such as `nn.conv2d`, is more than a cast or a change of layout."""
    return all(kind != operation.name for operation in _WITHOUT_COMPUTATION)


def host_computation(module: ModuleOp) -> Iterator[Placement]:
    """Yield the operations on the host that compute: all but casts, reshapes and transposes."""
    return (place for place in placement(module) if place.device == HOST and place.computes)


def fail_on_host(module: ModuleOp) -> None:
    """Refuse a module of which the host computes a part.

    Casts between floats and integers and changes of layout are not counted.

    Raises:
        CheckFailedError: naming the first operations on the host, and why they are there.
    """
    refuse_fallbacks(placement(module))


def refuse_fallbacks(placed: Iterable[Placement]) -> None:
    """Refuse placements of which one computes elsewhere than on the accelerator; see `fail_on_host`.

    Raises:
        CheckFailedError: naming the first such operations, and why they are there.
    """
    places = [place for place in placed if place.device != ACCELERATOR and place.computes]
    if not places:
        return
    shown = [f'{place.kind} "{place.name or ""}" ({place.reason})' for place in places[:3]]
    more = f", and {len(places) - len(shown)} more" if len(places) > len(shown) else ""
    raise CheckFailedError(
        f"the host has to execute {len(places)} operations: {'; '.join(shown)}{more}",
        hint="change the model or the target, or compile without --fail-on-host",
    )

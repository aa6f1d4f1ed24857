"""Devices that the user chose for single operations, which override what the compiler would decide.

The choice is the attribute `intaglio.backend` of an operation, `"accelerator"` or `"host"`, written by hand or from a
mapping that names operations: by ONNX name, by a pattern of such names, or by their index among the operations that
run on a device, in program order at the end of the phase `quantize`.

```python
Backend.from_str("host"), requests_of({"head/*": Backend.HOST, 3: "accelerator"})
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation

from intaglio.assignment import is_pattern, matches
from intaglio.dialects.quant import DequantizeCastOp, QuantizeCastOp
from intaglio.errors import UserError, suggestion
from intaglio.ir.locations import describe, names_in, where
from intaglio.passes.partition.placement import ACCELERATOR, HOST, has_device
from intaglio.passes.quantization.coverage import functions_with_body

BACKEND = "intaglio.backend"
"""Attribute of an operation: the device that the user chose for it."""

_OPTION = "option 'backends' of pass assign-devices"


class Backend(Enum):
    """Where an operation runs."""

    ACCELERATOR = ACCELERATOR
    HOST = HOST

    @staticmethod
    def from_str(text: str) -> Backend:
        """The device of a name, in upper or lower case; SiMa.ai's `MLA` and `APU` are known too.

        Raises:
            UserError: there is no such device.
        """
        name = text.strip().lower()
        if name not in _BY_NAME:
            raise UserError(f"there is no backend {text!r}", hint=f"use {ACCELERATOR} or {HOST}")
        return _BY_NAME[name]

    def __str__(self) -> str:
        return self.value


_BY_NAME = {
    ACCELERATOR: Backend.ACCELERATOR,
    "mla": Backend.ACCELERATOR,
    HOST: Backend.HOST,
    "apu": Backend.HOST,
}

IndexToBackend = Mapping[int, "Backend | str"] | Mapping[str, "Backend | str"] | Mapping[int | str, "Backend | str"]
"""Devices by index, ONNX name or pattern."""


@dataclass(frozen=True)
class Request:
    """A device for the operations that a key means.

    Attributes:
        key: an index, or a name or pattern.
        backend: the device.
    """

    key: int | str
    backend: Backend

    @staticmethod
    def parse(text: str, where: str = _OPTION) -> Request:
        """The request in `NAME=DEVICE` or `#INDEX=DEVICE`.

        Raises:
            UserError: it is malformed, or there is no such device.
        """
        # Names of nodes may hold an equals sign, devices do not.
        name, equals, device = text.strip('"').rpartition("=")
        if not equals or not name:
            raise UserError(f"expected NAME=DEVICE or #INDEX=DEVICE, got {text!r}", where=where)
        try:
            backend = Backend.from_str(device)
        except UserError as error:
            raise UserError(error.what, where=where, hint=error.hint) from error
        index = name.removeprefix("#")
        return Request(int(index) if index != name and index.isdecimal() else name, backend)

    def __str__(self) -> str:
        key = f"#{self.key}" if isinstance(self.key, int) else self.key
        return f"{key}={self.backend}"


def requests_of(index_to_backend: IndexToBackend) -> tuple[Request, ...]:
    """The requests in a mapping.

    Raises:
        UserError: there is no such device.
    """
    return tuple(
        Request(key, device if isinstance(device, Backend) else Backend.from_str(device))
        for key, device in index_to_backend.items()
    )


def backend_of(op: Operation) -> Backend | None:
    """The device that the user chose for an operation, or None.

    Raises:
        UserError: the attribute names no device.
    """
    attribute = op.attributes.get(BACKEND)
    if attribute is None:
        return None
    try:
        return Backend.from_str(attribute.data if isinstance(attribute, StringAttr) else str(attribute))
    except UserError as error:
        raise UserError(f"{describe(op)}: {error.what}", where=where(op.location), hint=error.hint) from error


def choose(module: ModuleOp, requests: Sequence[Request], can_run: Callable[[Operation], bool]) -> None:
    """Set the attributes.

    A name counts more than a pattern, an index more than both, a later request more than one before it. A pattern that
    asks for the accelerator means the operations that can run there.

    Args:
        module: a module after quantization.
        requests: what the user chose.
        can_run: whether the accelerator can run an operation.

    Raises:
        UserError: a request means no operation.
    """
    if not requests:
        return
    ops = [op for function in functions_with_body(module) for op in function.body.block.ops if has_device(op)]
    by_name: dict[str, list[Operation]] = {}
    for op in ops:
        # Casts bear the names of the nodes beside them, and are not what is meant.
        for name in () if isinstance(op, QuantizeCastOp | DequantizeCastOp) else names_in(op.location):
            by_name.setdefault(name, []).append(op)
    ranked = sorted(requests, key=lambda request: 2 if isinstance(request.key, int) else request.key in by_name)
    for request in ranked:
        is_offer = request.backend is Backend.ACCELERATOR and not isinstance(request.key, int)
        for op in _meant(request, ops, by_name):
            if is_offer and request.key not in by_name and not can_run(op):
                continue
            op.attributes[BACKEND] = StringAttr(str(request.backend))


def _meant(request: Request, ops: Sequence[Operation], by_name: Mapping[str, list[Operation]]) -> Sequence[Operation]:
    key = request.key
    if isinstance(key, int):
        if not 0 <= key < len(ops):
            raise UserError(
                f"there is no operation {key} to choose a backend for",
                where="index_to_backend (--backend)",
                hint=f"indices are 0 to {len(ops) - 1}, in program order at the end of the phase quantize",
            )
        return [ops[key]]
    names = [key] if key in by_name else [name for name in by_name if matches(key, name)]
    if not names:
        raise UserError(
            f"no operation comes from a node of the {'pattern' if is_pattern(key) else 'name'} {key!r}",
            where="index_to_backend (--backend)",
            hint=suggestion(key, by_name) or "nodes that were folded away have no operation",
        )
    return [op for name in names for op in by_name[name]]

"""What passes have to say that is no error: remarks and warnings, to whoever listens.

A pass that finds nothing to do says so, and one that honours a request in another way than asked for. Nothing is
printed here: tools collect messages and print them on standard error, the driver hands them to its caller.

```python
with collecting() as remarks:
    module_pass.apply(context, module)
for found in remarks:
    print(found, file=sys.stderr)
```

Without a listener they go to the logger `intaglio`, at the levels INFO and WARNING.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

_LOGGER = logging.getLogger("intaglio")
_LOGGER.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Remark:
    """A message about a compilation.

    Attributes:
        severity: `warning` for what the user should look at, `remark` for what is good to know.
        message: what there is to say, with the names and values concerned.
        where: `file:line:column`, ONNX node, pass or option it concerns.
    """

    severity: Literal["remark", "warning"]
    message: str
    where: str | None = None

    def __str__(self) -> str:
        """One line, as compilers write them."""
        prefix = f"{self.where}: " if self.where else ""
        return f"{prefix}{self.severity}: {self.message}"


Listener = Callable[[Remark], None]

_listener: ContextVar[Listener | None] = ContextVar("intaglio_remarks", default=None)


def remark(message: str, where: str | None = None) -> None:
    """Say what is good to know.

    Args:
        message: one sentence without a full stop, with names and values.
        where: `file:line:column`, ONNX node, pass or option it concerns.
    """
    _send(Remark("remark", message, where))


def warn(message: str, where: str | None = None) -> None:
    """Say what the user should look at; see `remark` for the arguments."""
    _send(Remark("warning", message, where))


def _send(found: Remark) -> None:
    listener = _listener.get()
    if listener is not None:
        listener(found)
    else:
        _LOGGER.log(logging.WARNING if found.severity == "warning" else logging.INFO, "%s", found)


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Hand every message of the block to `listener`, and to nobody else."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def collecting() -> Generator[list[Remark]]:
    """Yield a list that receives every message of the block, each once however often it is said."""
    found: list[Remark] = []

    def add(message: Remark) -> None:
        if message not in found:
            found.append(message)

    with listening(add):
        yield found

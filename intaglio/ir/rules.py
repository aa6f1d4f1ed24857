"""Tables of rules: a function for each operation class, or for each ONNX operator.

```python
_RULES = Rules[type[Operation], Rule](package="intaglio.interpreter")

@_RULES.add(nn.ReluOp)
def relu(op: nn.ReluOp, operands: list[Array]) -> list[Array]: ...
```
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from xdsl.ir import Operation

Key = TypeVar("Key", bound=Hashable)
Function = TypeVar("Function")


class Rules(Generic[Key, Function]):
    """Functions by key; what a package registers is there from the first lookup on.

    Args:
        package: name of the package whose modules register rules when they are imported; None when whoever uses the
            table imports them.
    """

    def __init__(self, package: str | None = None) -> None:
        self._package = package
        self._functions: dict[Key, Function] = {}

    def add(self, *keys: Key) -> Callable[[Function], Function]:
        """Register the decorated function under some keys, none of which has one."""

        def register(function: Function) -> Function:
            for key in keys:
                assert key not in self._functions, f"two rules for {key}"
                self._functions[key] = function
            return function

        return register

    def get(self, key: Key) -> Function | None:
        """The function of a key, or None."""
        self._load()
        return self._functions.get(key)

    def keys(self) -> Sequence[Key]:
        """The keys that have a function, in the order of registration."""
        self._load()
        return tuple(self._functions)

    def _load(self) -> None:
        if self._package is None:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
        self._package = None


def of_class(rules: Rules[type[Operation], Function], op: Operation) -> Function | None:
    """The rule of an operation's class or of the nearest of its bases that has one, or None."""
    return next((found for kind in type(op).__mro__ if (found := rules.get(kind)) is not None), None)

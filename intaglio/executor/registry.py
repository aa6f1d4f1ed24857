"""Which operations have fast kernels. All others run by the interpreter's rules, so an entry is never needed.

```python
@kernel(nn.Conv2dOp)
def conv2d(op: nn.Conv2dOp, constants: Constants) -> Kernel | None:
    ...  # prepare: pack weights, choose multipliers
    return lambda operands: [convolved(operands[0])]
```

A *builder* is called once for each operation of a module. It prepares what does not depend on the data and returns the
kernel, or None where the operation has a form that only the interpreter knows. Modules of this package are imported
the first time a builder is asked for; a builder serves exactly the operation classes that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from xdsl.ir import Operation

from intaglio.ir.rules import Rules

Array = np.ndarray[Any, np.dtype[Any]]
Op = TypeVar("Op", bound=Operation)

Kernel = Callable[[list[Array]], list[Array]]
"""From the operands to the results. Constant operands come as they are, all others with the samples on a new first
axis; results have them there too."""

Constants = Mapping[int, Array]
"""Values of the constant operands by their number."""

Builder = Callable[[Any, Constants], Kernel | None]

_BUILDERS = Rules[type[Operation], Builder](package="intaglio.executor")


def kernel(*kinds: type[Op]) -> Callable[[Callable[[Op, Constants], Kernel | None]], Builder]:
    """Register the decorated function as the builder of kernels for the given operation classes."""
    return _BUILDERS.add(*kinds)


def find_builder(op: Operation) -> Builder | None:
    """The builder for an operation, or None."""
    return _BUILDERS.get(type(op))

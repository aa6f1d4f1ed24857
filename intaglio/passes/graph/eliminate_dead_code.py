"""Remove operations whose results nobody uses.

```mlir
%a = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32>
%b = nn.tanh %a : (tensor<2xf32>) -> tensor<2xf32>   // nobody uses %b
func.return %x : tensor<2xf32>
// becomes
func.return %x : tensor<2xf32>
```

Operations with effects stay, checks among them. Functions and their arguments stay: they are the module's
interface.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.transforms.dead_code_elimination import is_trivially_dead


@dataclass(frozen=True)
class EliminateDeadCode(ModulePass):
    """Remove operations without effects whose results nobody uses."""

    name = "eliminate-dead-code"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass; users stand after their operands, so one walk from the end finds all."""
        for inner in list(op.walk(reverse=True)):
            if inner.parent is not None and is_trivially_dead(inner):
                inner.detach()
                inner.erase()

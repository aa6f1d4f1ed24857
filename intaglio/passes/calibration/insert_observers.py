"""Mark the tensors whose range the quantizer needs.

```mlir
%1 = nn.add %0, %a : ...                                   %1 = nn.add %0, %a : ...
                                                    ->     %2 = quant.observe %1 {method = "min_max"} : ...
func.return %1 : ...                                       func.return %2 : ...
```

Observed are the results of operations that will have quantization parameters of their own, and float tensors at
the places where they will be cast (for a network's input that is after changes of layout). Constants are not,
because their range is known, nor results that share their input's parameters. The pass runs after fusion: a
clamp that is part of its producer is observed as one result.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from intaglio.dialects.quant import ObserveOp
from intaglio.params import CalibrationMethod, default_calibration
from intaglio.passes.quantization.coverage import (
    LAYERS,
    Coverage,
    activations,
    constant_of,
    defining_block,
    functions_with_body,
)
from intaglio.precision import Precision


@dataclass(frozen=True)
class InsertObservers(ModulePass):
    """Put an observer on every tensor the quantizer needs a range for.

    A value that has one already keeps it, so that observers may be placed or edited by hand.

    Options:
        method: calibration method of the new observers, with settings in braces if it has any.
        channels: put one on every tensor that a layer reads as well, for statistics of its channels.
        precision: of operations that none is asked of; those in bfloat16 or float need no ranges.
    """

    name = "insert-observers"
    method: str = default_calibration().name
    channels: bool = False
    precision: str = "a8w8"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Insert the observers.

        Raises:
            UserError: there is no such method or precision.
        """
        precision = Precision.parse(self.precision)
        method = CalibrationMethod.from_str(self.method)
        for function in functions_with_body(op):
            coverage = Coverage(function, precision)
            values = dict.fromkeys(coverage.values_to_observe())
            if self.channels:
                layers = [op for op in coverage.quantized if isinstance(op, LAYERS)]
                values |= dict.fromkeys(value for op in layers for value in activations(op) if not constant_of(value))
            for value in values:
                _observe(value, str(method))


def _observe(value: SSAValue, method: str) -> None:
    if any(isinstance(use.operation, ObserveOp) for use in value.uses):
        return
    observer = ObserveOp(value, method)
    block, definition = defining_block(value)
    if definition is not None:
        observer.location = definition.location
        block.insert_op_after(observer, definition)
    elif block.first_op is not None:
        block.insert_op_before(observer, block.first_op)
    value.replace_uses_with_if(observer.result, lambda use: use.operation is not observer)

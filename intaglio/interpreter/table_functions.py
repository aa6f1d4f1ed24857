"""The real function of each activation that is a table on quantized tensors: for interpreter, host and accelerator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from intaglio.dialects import nn
from intaglio.numerics.tables import TABLE_FUNCTIONS

RealFunction = Callable[[np.ndarray[Any, np.dtype[np.float64]]], np.ndarray[Any, np.dtype[np.float64]]]


def table_function(op: nn.ActivationOp) -> RealFunction:
    """The function of float64 arrays that an operation of one of `nn.TABLE_OPS` applies."""
    match op:
        case nn.HardSigmoidOp():
            parameters = {"alpha": op.alpha.value.data, "beta": op.beta.value.data}
            return partial(TABLE_FUNCTIONS["hard_sigmoid"], **parameters)
        case nn.EluOp():
            return partial(TABLE_FUNCTIONS["elu"], alpha=op.alpha.value.data)
        case nn.LeakyReluOp():
            return partial(TABLE_FUNCTIONS["leaky_relu"], alpha=op.alpha.value.data)
        case nn.GeluOp():
            return TABLE_FUNCTIONS["gelu_tanh" if op.approximate.data == "tanh" else "gelu"]
        case _:
            return TABLE_FUNCTIONS[op.name.removeprefix("nn.")]

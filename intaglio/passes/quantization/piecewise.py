"""Hard sigmoid and hard swish of 16-bit values, without a table.

```mlir
                                              %1 = nn.mul %0, %alpha
%1 = nn.hard_swish %0 : (f32) -> f32    ->    %2 = nn.add %1, %beta clamp <0.0, 1.0>
                                              %3 = nn.mul %0, %2
```

A table of 513 entries is linear in between, and cuts off the corners of these functions by far more than one of 65,536
steps. They are made of a few exact operations instead; 8-bit tables have an entry for every value, and stay.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import IntegerType, TensorType
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import UniformQuantizedType, uniform
from intaglio.dialects.weights import constant_attr
from intaglio.passes.quantization.quantizer import Quantizer

_LARGEST = 32767


def quantize_piecewise(op: nn.HardSigmoidOp | nn.HardSwishOp, quantizer: Quantizer) -> None:
    """Replace a hard sigmoid or hard swish that reads 16-bit values."""
    x, kind = quantizer.activation(op.input), quantizer.element_type(op.input)
    is_gate = isinstance(op, nn.HardSigmoidOp)
    alpha, beta = (op.alpha.value.data, op.beta.value.data) if is_gate else (1 / 6, 0.5)
    shape = nn.tensor_of(op.input).get_shape()
    line = quantizer.insert(
        nn.MulOp(x, _number(alpha, quantizer), TensorType(_wide(abs(alpha) * kind.scale * _LARGEST), shape))
    )
    result = quantizer.result_type(op.result)
    unit = nn.ClampAttr.of(0.0, 1.0)
    gate = nn.AddOp(line, _number(beta, quantizer), result if is_gate else TensorType(_wide(1.0), shape), clamp=unit)
    if is_gate:
        quantizer.replace(op, gate)
        return
    quantizer.replace(op, nn.MulOp(x, quantizer.insert(gate), result))


def _wide(magnitude: float) -> UniformQuantizedType:
    """The 16-bit type that reaches to a magnitude."""
    return uniform(16, float(np.float32(max(magnitude / _LARGEST, float(np.finfo(np.float32).tiny)))))


def _number(value: float, quantizer: Quantizer) -> SSAValue:
    """A constant of one 16-bit value."""
    kind = _wide(abs(value))
    stored = np.array(np.rint(value / kind.scale), np.int16)
    return quantizer.insert(nn.ConstantOp(constant_attr("", stored, IntegerType(16)), TensorType(kind, [])))

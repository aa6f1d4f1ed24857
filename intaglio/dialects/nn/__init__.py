"""The `nn` dialect: what the optimiser, the quantizer and the accelerator reason about.

Activations are NHWC, convolution weights OHWI, padding explicit as `[top, left, bottom, right]`, shapes
static. The same operations take float tensors or tensors of `!quant.uniform` types; what they compute on the
latter is said in each docstring and defined to the last bit in `intaglio.numerics`.

Every operation refuses a tensor whose shape is not static; the numbered constraints of each come on top.

In the formulas `s` and `z` are scale and zero point of a quantized tensor, `requantize` is
`intaglio.numerics.requantization.requantize` (TOSA RESCALE, single rounding).
"""

from xdsl.ir import Dialect

from intaglio.dialects.nn.activation import (
    ActivationOp,
    ClipOp,
    HardSigmoidOp,
    HardSwishOp,
    ReluOp,
    SigmoidOp,
    TanhOp,
)
from intaglio.dialects.nn.constant import ConstantOp
from intaglio.dialects.nn.elementwise import AddOp, DivOp, ElementwiseOp, MulOp, SubOp
from intaglio.dialects.nn.linear import Conv2dOp, DenseOp, MatmulOp
from intaglio.dialects.nn.normalization import BatchNormOp, SoftmaxOp
from intaglio.dialects.nn.pooling import AvgPool2dOp, MaxPool2dOp, PoolOp
from intaglio.dialects.nn.shape import ConcatOp, PadOp, ReshapeOp, TransposeOp
from intaglio.dialects.nn.types import ClampAttr, tensor_of
from intaglio.dialects.weights import WeightsAttr

Nn = Dialect(
    "nn",
    [
        ConstantOp,
        Conv2dOp,
        DenseOp,
        MatmulOp,
        AddOp,
        SubOp,
        MulOp,
        DivOp,
        ReluOp,
        ClipOp,
        HardSigmoidOp,
        HardSwishOp,
        SigmoidOp,
        TanhOp,
        MaxPool2dOp,
        AvgPool2dOp,
        ReshapeOp,
        TransposeOp,
        ConcatOp,
        PadOp,
        SoftmaxOp,
        BatchNormOp,
    ],
    [ClampAttr, WeightsAttr],
)

__all__ = [
    "ActivationOp",
    "AddOp",
    "AvgPool2dOp",
    "BatchNormOp",
    "ClampAttr",
    "ClipOp",
    "ConcatOp",
    "ConstantOp",
    "Conv2dOp",
    "DenseOp",
    "DivOp",
    "ElementwiseOp",
    "HardSigmoidOp",
    "HardSwishOp",
    "MatmulOp",
    "MaxPool2dOp",
    "MulOp",
    "Nn",
    "PadOp",
    "PoolOp",
    "ReluOp",
    "ReshapeOp",
    "SigmoidOp",
    "SoftmaxOp",
    "SubOp",
    "TanhOp",
    "TransposeOp",
    "WeightsAttr",
    "tensor_of",
]

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
from intaglio.dialects.nn.convolution import ConvTranspose2dOp
from intaglio.dialects.nn.elementwise import (
    AddOp,
    DivOp,
    ElementwiseOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    PowOp,
    SubOp,
)
from intaglio.dialects.nn.function import (
    AbsOp,
    EluOp,
    ErfOp,
    ExpOp,
    GeluOp,
    LeakyReluOp,
    LogOp,
    MishOp,
    ReciprocalOp,
    SiluOp,
    SoftplusOp,
    SqrtOp,
)
from intaglio.dialects.nn.linear import Conv2dOp, DenseOp, MatmulOp
from intaglio.dialects.nn.logic import CastOp, CompareOp, SelectOp
from intaglio.dialects.nn.normalization import (
    AxisNormOp,
    BatchNormOp,
    LayerNormOp,
    LocalResponseNormOp,
    RmsNormOp,
    SoftmaxOp,
)
from intaglio.dialects.nn.pooling import AvgPool2dOp, MaxPool2dOp, PoolOp
from intaglio.dialects.nn.reduction import (
    ReduceL2Op,
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceOp,
    ReduceProdOp,
    ReduceSumOp,
)
from intaglio.dialects.nn.resize import NEAREST, ResizeOp
from intaglio.dialects.nn.selection import BroadcastOp, GatherOp, SliceOp
from intaglio.dialects.nn.shape import ConcatOp, PadOp, ReshapeOp, TransposeOp
from intaglio.dialects.nn.types import ClampAttr, accumulator_type, is_accumulator, tensor_of
from intaglio.dialects.weights import WeightsAttr

Nn = Dialect(
    "nn",
    [
        ConstantOp,
        Conv2dOp,
        ConvTranspose2dOp,
        DenseOp,
        MatmulOp,
        AddOp,
        SubOp,
        MulOp,
        DivOp,
        MaximumOp,
        MinimumOp,
        PowOp,
        CompareOp,
        SelectOp,
        CastOp,
        ReluOp,
        ClipOp,
        HardSigmoidOp,
        HardSwishOp,
        SigmoidOp,
        TanhOp,
        GeluOp,
        SiluOp,
        LeakyReluOp,
        EluOp,
        SoftplusOp,
        MishOp,
        AbsOp,
        ExpOp,
        LogOp,
        SqrtOp,
        ReciprocalOp,
        ErfOp,
        MaxPool2dOp,
        AvgPool2dOp,
        ReduceMeanOp,
        ReduceSumOp,
        ReduceMaxOp,
        ReduceMinOp,
        ReduceL2Op,
        ReduceProdOp,
        ReshapeOp,
        TransposeOp,
        ConcatOp,
        PadOp,
        SliceOp,
        BroadcastOp,
        GatherOp,
        ResizeOp,
        SoftmaxOp,
        BatchNormOp,
        LayerNormOp,
        RmsNormOp,
        LocalResponseNormOp,
    ],
    [ClampAttr, WeightsAttr],
)

TABLE_OPS: tuple[type[ActivationOp], ...] = (
    AbsOp,
    EluOp,
    ErfOp,
    ExpOp,
    GeluOp,
    HardSigmoidOp,
    HardSwishOp,
    LeakyReluOp,
    LogOp,
    MishOp,
    ReciprocalOp,
    SigmoidOp,
    SiluOp,
    SoftplusOp,
    SqrtOp,
    TanhOp,
)
"""The activations that on quantized tensors are tables: all but those that limit."""

__all__ = [
    "NEAREST",
    "TABLE_OPS",
    "AbsOp",
    "ActivationOp",
    "AddOp",
    "AvgPool2dOp",
    "AxisNormOp",
    "BatchNormOp",
    "BroadcastOp",
    "CastOp",
    "ClampAttr",
    "ClipOp",
    "CompareOp",
    "ConcatOp",
    "ConstantOp",
    "Conv2dOp",
    "ConvTranspose2dOp",
    "DenseOp",
    "DivOp",
    "ElementwiseOp",
    "EluOp",
    "ErfOp",
    "ExpOp",
    "GatherOp",
    "GeluOp",
    "HardSigmoidOp",
    "HardSwishOp",
    "LayerNormOp",
    "LeakyReluOp",
    "LocalResponseNormOp",
    "LogOp",
    "MatmulOp",
    "MaxPool2dOp",
    "MaximumOp",
    "MinimumOp",
    "MishOp",
    "MulOp",
    "Nn",
    "PadOp",
    "PoolOp",
    "PowOp",
    "ReciprocalOp",
    "ReduceL2Op",
    "ReduceMaxOp",
    "ReduceMeanOp",
    "ReduceMinOp",
    "ReduceOp",
    "ReduceProdOp",
    "ReduceSumOp",
    "ReluOp",
    "ReshapeOp",
    "ResizeOp",
    "RmsNormOp",
    "SelectOp",
    "SigmoidOp",
    "SiluOp",
    "SliceOp",
    "SoftmaxOp",
    "SoftplusOp",
    "SqrtOp",
    "SubOp",
    "TanhOp",
    "TransposeOp",
    "WeightsAttr",
    "accumulator_type",
    "is_accumulator",
    "tensor_of",
]

"""The `npu` dialect: work on the accelerator before it becomes instructions.

A program holds buffers in named memories, and tasks: asynchronous transfers and the work of the matrix and vector
units, joined by tokens. Tasks carry the quantities of the instruction that they become, with buffers and byte offsets
instead of addresses. Phase `npu` makes it in steps: `nn-to-npu` tiles the network into tasks, `interleave-layers` lets
those of neighbouring layers take turns, `overlap-transfers` moves transfers away from the tasks that need them, `allocate-scratchpad` assigns addresses, `insert-tokens`
orders tasks of different queues. The machine is specified in `docs/accelerator.md`.
"""

from xdsl.ir import Dialect

from intaglio.dialects.npu.attributes import (
    Bounds,
    BoundsAttr,
    FeatureMap,
    FeatureMapAttr,
    Grid,
    GridAttr,
    Operand,
    OperandAttr,
    Origin,
    OriginAttr,
    Placement,
    PlacementAttr,
    Scale,
    ScaleAttr,
    TapWeights,
    TapWeightsAttr,
    Transfer,
    TransferAttr,
    WeightTiles,
    WeightTilesAttr,
)
from intaglio.dialects.npu.elementwise import (
    AddOp,
    BinaryTaskOp,
    ConvertOp,
    InterpolateOp,
    LookupOp,
    MaximumOp,
    MinimumOp,
    MultiplyOp,
    ScaledSumOp,
    SubtractOp,
)
from intaglio.dialects.npu.launch import LaunchOp
from intaglio.dialects.npu.matrix import MatrixMultiplyOp, RequantizeOp
from intaglio.dialects.npu.program import AllocateOp, ConstantOp, ProgramOp, in_and_outputs
from intaglio.dialects.npu.rows import NormalizeOp, SoftmaxOp, TransposeOp
from intaglio.dialects.npu.tasks import MapTaskOp, TaskOp, buffer_type, space_of
from intaglio.dialects.npu.transfers import LoadOp, StoreOp, TransferOp
from intaglio.dialects.npu.types import TOKEN, BufferType, Space, SpaceAttr, TokenType
from intaglio.dialects.npu.windows import DepthwiseOp, MaxOp, RootOp, SumOp

Npu = Dialect(
    "npu",
    [
        LaunchOp,
        ProgramOp,
        ConstantOp,
        AllocateOp,
        LoadOp,
        StoreOp,
        MatrixMultiplyOp,
        RequantizeOp,
        DepthwiseOp,
        MaxOp,
        SumOp,
        RootOp,
        AddOp,
        SubtractOp,
        MultiplyOp,
        ConvertOp,
        InterpolateOp,
        LookupOp,
        MinimumOp,
        MaximumOp,
        TransposeOp,
        SoftmaxOp,
        NormalizeOp,
    ],
    [
        BufferType,
        TokenType,
        SpaceAttr,
        BoundsAttr,
        FeatureMapAttr,
        GridAttr,
        OperandAttr,
        OriginAttr,
        PlacementAttr,
        ScaleAttr,
        TapWeightsAttr,
        TransferAttr,
        WeightTilesAttr,
    ],
)

__all__ = [
    "TOKEN",
    "AddOp",
    "AllocateOp",
    "BinaryTaskOp",
    "Bounds",
    "BoundsAttr",
    "BufferType",
    "ConstantOp",
    "ConvertOp",
    "DepthwiseOp",
    "FeatureMap",
    "FeatureMapAttr",
    "Grid",
    "GridAttr",
    "InterpolateOp",
    "LaunchOp",
    "LoadOp",
    "LookupOp",
    "MapTaskOp",
    "MatrixMultiplyOp",
    "MaxOp",
    "MaximumOp",
    "MinimumOp",
    "MultiplyOp",
    "NormalizeOp",
    "Npu",
    "Operand",
    "OperandAttr",
    "Origin",
    "OriginAttr",
    "Placement",
    "PlacementAttr",
    "ProgramOp",
    "RequantizeOp",
    "RootOp",
    "Scale",
    "ScaleAttr",
    "ScaledSumOp",
    "SoftmaxOp",
    "Space",
    "SpaceAttr",
    "StoreOp",
    "SubtractOp",
    "SumOp",
    "TapWeights",
    "TapWeightsAttr",
    "TaskOp",
    "TokenType",
    "Transfer",
    "TransferAttr",
    "TransferOp",
    "TransposeOp",
    "WeightTiles",
    "WeightTilesAttr",
    "buffer_type",
    "in_and_outputs",
    "space_of",
]

"""Split the channels with outlying weights in two, so that one scale serves a weight better.

```mlir
%0 = nn.dense %x, %v ... -> tensor<1x16xf32>        %0 = nn.dense %x, %v_with_17_rows ... -> tensor<1x17xf32>
%1 = nn.dense %0, %w ...                       ->   %1 = nn.dense %0, %w_with_17_columns ...
```

The scale of a weight follows from its largest element, which may lie far beyond the others. An input channel with such
an element is made twice by the layer before, and read twice with half of the weight: the function is the same, the
largest element is halved (Zhao et al. 2019, "Improving Neural Network Quantization without Retraining using Outlier
Channel Splitting"). The price is a channel more; `limit` says how many at most.

Split are channels between convolutions and dense layers whose values go nowhere else but to such layers, through ReLUs,
pools, and sums. Depthwise and grouped convolutions have no outlying input channels, and are not touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, TensorType, f32
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.ir.locations import name_of
from intaglio.passes.calibration.channels import ChannelValues, Floats, channel_values, write_channel_values
from intaglio.passes.graph.matching import new_constant
from intaglio.passes.quantization.channel_groups import ChannelGroup, Layer, channel_groups
from intaglio.passes.quantization.channel_scaling import ChannelScaling, groups_of
from intaglio.passes.quantization.coverage import constant_of, functions_with_body
from intaglio.remarks import remark

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class SplitTensors(ModulePass):
    """Split input channels with outlying weights in two, each with half of the weight.

    Options:
        threshold: how many times the median of the channels' largest weights an outlier's is at least.
        limit: the share of channels that are split at most, rounded up.
    """

    name = "split-tensors"
    threshold: float = 2.5
    limit: float = 0.05

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Split channels in every function.

        Raises:
            UserError: an option is out of range.
        """
        if self.threshold <= 1 or not 0 < self.limit <= 1:
            raise UserError(
                f"threshold={self.threshold} and limit={self.limit} are out of range",
                where=f"pass {self.name}",
                hint="a threshold above 1, a limit above 0 and at most 1",
            )
        split = sum(split_channels(function, self.threshold, self.limit) for function in functions_with_body(op))
        if not split:
            remark(f"nothing to split: no weight has channels {self.threshold:g} times larger than usual", self.name)


def split_channels(function: func.FuncOp, threshold: float, limit: float) -> int:
    """Split outlying channels of a float function.

    Args:
        function: of one block, on the `nn` level; observers may stand in it.
        threshold: see `SplitTensors`.
        limit: see `SplitTensors`.

    Returns:
        How many channels were split.
    """
    scaling = ChannelScaling()
    split = 0
    for group in channel_groups(function):
        if not _is_widened(group):
            continue
        ranges = np.max([_relative(scaling.column_ranges(consumer)) for consumer in group.consumers], axis=0)
        most = int(np.ceil(limit * group.channels))
        outliers = np.argsort(-ranges, kind="stable")[:most]
        outliers = np.sort(outliers[ranges[outliers] >= threshold])
        if len(outliers):
            _split(group, outliers)
            split += len(outliers)
    return split


def _is_widened(group: ChannelGroup) -> bool:
    """Whether a channel more is a matter of shapes and constants only."""
    layers = [*group.sources, *group.consumers]
    return all(isinstance(layer, Layer) and groups_of(layer) == 1 for layer in layers) and all(
        _keeps_shape(value.owner) for value in group.values
    )


def _keeps_shape(op: object) -> bool:
    """Whether an operation's attributes say nothing of how many channels there are."""
    return not isinstance(op, nn.SliceOp | nn.MulOp)


def _relative(ranges: Floats) -> Floats:
    """Ranges in units of their median."""
    median = float(np.median(ranges))
    return ranges / median if median > 0 else np.zeros(len(ranges))


def _split(group: ChannelGroup, outliers: np.ndarray) -> None:
    order = np.concatenate([np.arange(group.channels), outliers])
    for source in group.sources:
        for index in range(1, len(source.operands)):
            _rewrite(source, index, lambda values: values[order])
    share = np.ones(group.channels)
    share[outliers] = 0.5
    for consumer in group.consumers:
        _rewrite(consumer, 1, lambda values: (values * share)[..., order])
    for op, index in group.constants:
        _rewrite(op, index, lambda values: values if values.shape[-1:] != (group.channels,) else values[..., order])
    for value in group.values:
        _widen(value, len(order))
        if isinstance(observer := value.owner, ObserveOp) and (known := channel_values(observer)) is not None:
            fields = (known.means, known.mean_squares, known.minima, known.maxima)
            write_channel_values(observer, ChannelValues(*(entry[order] for entry in fields)))


def _widen(value: SSAValue, channels: int) -> None:
    shape = nn.tensor_of(value).get_shape()
    Rewriter.replace_value_with_new_type(value, TensorType(f32, [*shape[:-1], channels]))


def _rewrite(op: Operation, index: int, change: Callable[[Array], Array]) -> None:
    old = constant_of(op.operands[index])
    assert old is not None and op.parent is not None
    values = change(array_of(old.value))
    new = new_constant(name_of(op) or op.name, values, f32, old)
    op.parent.insert_op_before(new, op)
    op.operands[index] = new.result
    if old.result.first_use is None:
        old.detach()
        old.erase()

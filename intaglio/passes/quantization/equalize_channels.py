"""Make the channels between two layers alike, so that one scale serves them all.

```mlir
%0 = nn.conv2d %x, %w clamp <0.0, inf> ...        %0 = nn.conv2d %x, %w_divided_by_f clamp <0.0, inf> ...
%1 = nn.conv2d %0, %v ...                    ->   %1 = nn.conv2d %0, %v_times_f ...
```

A ReLU lets positive factors through, so that a channel's unit between two layers is free. The factors chosen make three
ranges of each channel alike, as far as one factor can: the weights that make it, its values (if calibration has left
statistics of channels), and the weights that read it. That is cross-layer equalization (Nagel et al. 2019, "Data-Free
Quantization Through Weight Equalization and Bias Correction", section 4.1), with the activations as a third party.
Which layers are tied together, through residual connections for example, is found in `channel_groups`. It makes no
difference whether the model came with batch norms folded or with constants as nodes: both are the same text by now.

The function in floats stays the same. A bound such as that of ReLU6 is one for each channel once units differ, and
they are written down, as an `nn.minimum`. With statistics of channels, factors are such that integers do without it:
channels that came near the bound keep their unit, and the others are only made larger, and no more than that twice the
largest value seen stays below the bound of the former. No bound is then less than the end of the range that is
calibrated, where integers saturate (see `limits`).

The pass runs on floats, before the ranges that are quantized to are calibrated: ranges of what it changes are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from intaglio.dialects.quant import ObserveOp
from intaglio.passes.calibration.channels import channel_values
from intaglio.passes.quantization.channel_groups import ChannelGroup, Layer, bounds_of, channel_groups
from intaglio.passes.quantization.channel_scaling import ChannelScaling, Floats, WeightRanges
from intaglio.passes.quantization.coverage import functions_with_body
from intaglio.remarks import remark

_ROUNDS = 50
"""Groups share layers, so that factors are found in rounds; they settle in about ten."""

_SETTLED = 1e-3
_NOTICEABLE = 0.02
"""Logarithms of factors: of a round that ends the search, and below which a group is left alone."""

_LARGEST = np.log(2.0**20)
"""A factor is at most this; beyond, weights near the end of float32's range would suffer."""

_HEADROOM = 2.0
"""How many times the largest value seen of a channel has to stay below the bound of those that keep their unit."""


@dataclass(frozen=True)
class EqualizeChannels(ModulePass):
    """Move scales between layers until the ranges of channels are alike; the float function stays the same."""

    name = "equalize-channels"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Equalize every function."""
        found = changed = 0
        for function in functions_with_body(op):
            groups, equalized = equalize(function)
            found, changed = found + groups, changed + equalized
        if not found:
            remark("nothing to equalize: no channels lie between two layers with only ReLUs in between", self.name)
        elif not changed:
            remark(f"nothing to equalize: the channels of all {found} groups are alike", self.name)


def equalize(function: func.FuncOp) -> tuple[int, int]:
    """Equalize the channels of a float function.

    Args:
        function: of one block, on the `nn` level; what its observers know of channels is used.

    Returns:
        How many groups of channels there are, and how many of them were changed.
    """
    groups = [
        _Balance(group)
        for group in channel_groups(function)
        if all(isinstance(source, Layer) for source in group.sources)
    ]
    trial = WeightRanges()
    for _ in range(_ROUNDS):
        if max((group.improve(trial) for group in groups), default=0.0) < _SETTLED:
            break
    changed = [group for group in groups if np.abs(group.logarithms).max() > _NOTICEABLE]
    scaling = ChannelScaling()
    for group in changed:
        scaling.divide(group.group, np.exp(group.logarithms))
    scaling.finish()
    return len(groups), len(changed)


class _Balance:
    """The search for the factors of one group.

    Attributes:
        group: the group.
        logarithms: of the factors so far.
        limits: the lowest that they may be, 0 being the highest; None when they are free.
    """

    def __init__(self, group: ChannelGroup) -> None:
        self.group = group
        self.logarithms: Floats = np.zeros(group.channels)
        known = [
            values
            for value in group.values
            if isinstance(observer := value.owner, ObserveOp) and (values := channel_values(observer)) is not None
        ]
        self._magnitudes = np.max([values.magnitudes for values in known], axis=0) if known else None
        self.limits: Floats | None = None
        if group.bounded and known:
            largest = np.max([values.maxima for values in known], axis=0)
            bound = min(bounds_of(op)[1] for op in group.bounded)
            with np.errstate(divide="ignore"):
                self.limits = np.clip(np.log(np.maximum(largest, 0.0) * _HEADROOM / bound), -_LARGEST, 0.0)

    def improve(self, ranges: WeightRanges) -> float:
        """Adjust the factors to the ranges of the moment; returns the largest change of a logarithm."""
        made = [ranges.of_rows(source) for source in self.group.sources if isinstance(source, Layer)]
        read = [ranges.of_columns(consumer) for consumer in self.group.consumers]
        terms = [_logarithms(_relative(made)), -_logarithms(_relative(read))]
        if self._magnitudes is not None:
            terms.append(_logarithms(self._magnitudes) - self.logarithms)
        wanted = self.logarithms + _mean_of_known(terms)
        new = np.clip(wanted - wanted.mean(), -_LARGEST, _LARGEST) if self.limits is None else self._limited(wanted)
        change = new - self.logarithms
        self.logarithms = new
        ranges.divide(self.group, np.exp(change))
        return float(np.abs(change).max())

    def _limited(self, wanted: Floats) -> Floats:
        """The factors within the limits that are next to the ones wanted, which all may be moved by one amount."""
        assert self.limits is not None
        return np.clip(wanted + _shift(wanted, self.limits), self.limits, 0.0)


def _shift(wanted: Floats, limits: Floats) -> float:
    """The amount to be added to all numbers so that their limits, and 0 above, raise as much as they cut off in sum.

    That is linear between the amounts at which a number meets a limit. Where none need be limited, it is the least.
    """
    below, above = limits - wanted, -wanted
    if below.max() <= min(0.0, above.min()) and above.min() >= 0.0:
        return 0.0
    if below.max() <= above.min():
        return float(below.max())
    meeting = np.sort(np.concatenate([below, above]))
    raised = _ramps(-below, -meeting[::-1])[::-1]
    cut = _ramps(above, meeting)
    excess = cut - raised
    last = int(np.searchsorted(excess, 0.0)) - 1
    slope = (excess[last + 1] - excess[last]) / (meeting[last + 1] - meeting[last])
    return float(meeting[last] - excess[last] / slope)


def _ramps(corners: Floats, amounts: Floats) -> Floats:
    """The sum of `max(amount - corner, 0)` over all corners, for amounts in order."""
    ordered = np.sort(corners)
    counts = np.searchsorted(ordered, amounts)
    return counts * amounts - np.concatenate([[0.0], np.cumsum(ordered)])[counts]


def _relative(ranges: list[Floats]) -> Floats:
    """The largest range of each channel, where the largest of each weight is 1."""
    return np.max([entry / largest if (largest := entry.max()) > 0 else entry for entry in ranges], axis=0)


def _logarithms(ranges: Floats) -> Floats:
    """Logarithms; NaN for a channel of zeros, which says nothing."""
    with np.errstate(divide="ignore"):
        return np.where(ranges > 0, np.log(ranges), np.nan)


def _mean_of_known(terms: list[Floats]) -> Floats:
    """What is to be added to logarithms, were each term the only one, on average; 0 where nothing is known.

    A channel whose weights are zero on one side costs nothing in any unit: it asks for no other one, and only moves
    where all channels do.
    """
    stacked = np.stack(terms)
    lacking = np.isnan(stacked)
    counts = (~lacking).sum(axis=0)
    total = np.where(lacking, 0.0, stacked).sum(axis=0)
    return np.where(lacking[:2].any(axis=0), 0.0, total / np.maximum(counts, 1))

"""Move outlying channels of normalized activations into the weights that read them.

```mlir
%0 = nn.layer_norm %x scale %s offset %o ...         %0 = nn.layer_norm %x scale %s_over_f offset %o_over_f ...
%1 = nn.dense %0, %w bias %b ...                ->   %1 = nn.dense %0, %w_times_f bias %b ...
```

A few channels behind a layer normalization are often far larger than the others, and one scale for all of them leaves
the others few steps. The normalization's own scale and offset can give each channel another unit, which the dense
layers behind it take up in the columns of their weights (Xiao et al. 2023, "SmoothQuant", section 4). The factor of a
channel is `activation ** alpha / weight ** (1 - alpha)`, from the largest magnitudes of both: with `alpha` of 0 the
weights are alike afterwards, with 1 the activations. Without an `alpha`, one is searched for each normalization, by the
error that rounding inputs and weights to 8 bits leaves in the results on average; leaving things as they are is
among the candidates.

The float function stays the same. The pass needs statistics of channels, and runs before the ranges that are quantized
to are calibrated: ranges of what it changes are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from intaglio.dialects.quant import ObserveOp
from intaglio.errors import UserError
from intaglio.passes.calibration.channels import ChannelValues, Floats, channel_values
from intaglio.passes.quantization.channel_groups import ChannelGroup, Norm, channel_groups
from intaglio.passes.quantization.channel_scaling import ChannelScaling, columns, groups_of
from intaglio.passes.quantization.coverage import functions_with_body
from intaglio.remarks import remark

_CANDIDATES = tuple(np.linspace(0.0, 1.0, 21))


@dataclass(frozen=True)
class SmoothQuant(ModulePass):
    """Move scales from normalized activations with outlying channels into the weights that read them.

    Needs observers with statistics of channels (`channels=true` of insert-observers and calibrate).

    Options:
        alpha: how much is moved, from 0 (weights become alike) to 1 (activations do); searched when absent.
    """

    name = "smooth-quant"
    alpha: float | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Smooth every function.

        Raises:
            UserError: `alpha` is out of range.
        """
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise UserError(f"alpha={self.alpha} is out of range", where=f"pass {self.name}", hint="from 0 to 1")
        found = changed = 0
        for function in functions_with_body(op):
            groups, smoothed = smooth(function, self.alpha)
            found, changed = found + groups, changed + smoothed
        if not found:
            remark("nothing to smooth: no normalization is read by layers only, with its channels observed", self.name)
        elif not changed:
            remark(f"nothing to smooth: the channels behind all {found} normalizations are best as they are", self.name)


def smooth(function: func.FuncOp, alpha: float | None = None) -> tuple[int, int]:
    """Smooth the activations behind the normalizations of a float function.

    Args:
        function: of one block, on the `nn` level, with statistics of channels in its observers.
        alpha: from 0 to 1; None to search one for each group of channels.

    Returns:
        How many groups of observed channels lie behind normalizations, and how many were changed.
    """
    scaling = ChannelScaling()
    found = changed = 0
    for group in channel_groups(function):
        known = _known(group)
        if known is None or not any(isinstance(source, Norm) for source in group.sources):
            continue
        found += 1
        weights = np.max([scaling.column_ranges(consumer) for consumer in group.consumers], axis=0)
        choices = [np.ones(group.channels)] if alpha is None else []
        choices += [
            factors(known.magnitudes, weights, each) for each in ((alpha,) if alpha is not None else _CANDIDATES)
        ]
        errors = [rounding_error(group, known, choice, scaling) for choice in choices]
        best = choices[int(np.argmin(errors))]
        if not np.allclose(best, 1.0, rtol=0.02):
            scaling.divide(group, best)
            changed += 1
    scaling.finish()
    return found, changed


def factors(activations: Floats, weights: Floats, alpha: float) -> Floats:
    """What channels are divided by, 1 on geometric average; 1 for channels that are zero on either side.

    Args:
        activations: largest magnitude of each channel.
        weights: largest magnitude of the weights that read it.
        alpha: from 0 to 1.
    """
    used = (activations > 0) & (weights > 0)
    if not used.any():
        return np.ones(len(used))
    logarithms = alpha * np.log(np.where(used, activations, 1.0)) - (1 - alpha) * np.log(np.where(used, weights, 1.0))
    return np.where(used, np.exp(logarithms - logarithms[used].mean()), 1.0)


def rounding_error(group: ChannelGroup, known: ChannelValues, choice: Floats, scaling: ChannelScaling) -> float:
    """The mean square error that rounding to 8 bits leaves in what the layers of a group compute, all added up.

    Rounding errors are taken as evenly spread over a step and independent; steps are those of one scale for the
    activations and of one for each output channel of a weight.
    """
    values = known.divided(choice)
    step = (max(values.maxima.max(), 0.0) - min(values.minima.min(), 0.0)) / 255
    total = 0.0
    for consumer in group.consumers:
        weight = scaling.weight(consumer)
        groups = groups_of(consumer)
        scaled = weight * columns(choice, weight, groups)
        rows = (len(weight), -1)
        steps = np.abs(scaled).reshape(rows).max(axis=1) / 127
        power = np.broadcast_to(columns(values.mean_squares, weight, groups), weight.shape).reshape(rows).sum(axis=1)
        total += float(step**2 * np.sum(scaled**2) + np.sum(steps**2 * power)) / 12
    return total


def _known(group: ChannelGroup) -> ChannelValues | None:
    """What is known of the channels of a group: of several observed values, all that any of them has seen."""
    found = [
        values
        for value in group.values
        if isinstance(observer := value.owner, ObserveOp) and (values := channel_values(observer)) is not None
    ]
    if not found:
        return None
    return ChannelValues(
        found[-1].means,
        np.max([values.mean_squares for values in found], axis=0),
        np.min([values.minima for values in found], axis=0),
        np.max([values.maxima for values in found], axis=0),
    )

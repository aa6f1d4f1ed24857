"""Attention masks: numbers such as -10000, added to scores or put in their place, so that softmax ignores them.

```mlir
%2 = nn.add %scores, %mask : ...        // scores from -6 to 8, mask 0 or -10000
%3 = nn.softmax %2 axis 3 : ...
```

The sum has a range of 10000, of which 8 bits would leave the scores nothing. What softmax makes of a score only depends
on its distance from the largest one, and an element `M = 8 + log(n)` below all others of its row, which has `n`
elements, takes no more than `exp(-8) / n` from them: all masked elements together less than a tenth of a step of a
probability. So with scores from `a` to `b` and a mask of at most `h`,

- a mask's values are limited below at `h - (b - a) - M`, which is as good as minus infinity;
- the sum's range is from `a + h - M` to `b + h`, and what is masked saturates at its lower end;
- a constant that is selected in the place of scores is limited below at `a - M`.

This holds where only softmax reads the result, changes of shape in between aside, and where the mask comes at least
that low; a bias of other uses or sizes, or that lowers whole rows, keeps its range. Rows that are masked altogether get
equal probabilities instead of those of their scores; nobody reads them. Graded biases keep their differences as long as
they matter.

A mask that is known when the network is compiled and has elements of -1000 or less needs no observer, and neither does
the sum: their ranges follow from that of the scores. Infinite elements are welcome there.
"""

from __future__ import annotations

import math

import numpy as np
from xdsl.dialects import func
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp
from intaglio.dialects.weights import array_of, constant_attr
from intaglio.ir.locations import describe
from intaglio.passes.quantization.node_settings import precision_of
from intaglio.precision import Precision
from intaglio.remarks import remark

Range = tuple[float, float]

NEVER_MEANT = -1000.0
"""A mask's element that no softmax can tell from minus infinity."""

_SMALLEST = float(np.finfo(np.float32).min)
_MOVES = (nn.ReshapeOp, nn.TransposeOp, nn.BroadcastOp, nn.SliceOp)


def softmax_length(value: SSAValue) -> int | None:
    """The number of elements of the softmax that alone reads a value, moved or not; None if others read it too."""
    lengths: set[int] = set()
    for use in value.uses:
        reader = use.operation
        if isinstance(reader, nn.SoftmaxOp):
            lengths.add(nn.tensor_of(value).get_shape()[reader.axis.value.data])
        elif isinstance(reader, (ObserveOp, nn.ReshapeOp, nn.TransposeOp)):
            lengths.add(softmax_length(reader.results[0]) or 0)
        else:
            lengths.add(0)
    return max(lengths) if lengths and 0 not in lengths else None


def known_values(value: SSAValue) -> list[np.ndarray]:
    """The constants of which a value's elements are chosen; none when they are not known at compile time."""
    op = value.owner
    if isinstance(op, nn.ConstantOp):
        return [array_of(op.value)]
    if isinstance(op, (*_MOVES, ObserveOp)):
        return known_values(op.operands[0])
    if isinstance(op, nn.SelectOp):
        chosen = [known_values(operand) for operand in (op.lhs, op.rhs)]
        return chosen[0] + chosen[1] if all(chosen) else []
    return []


def lowest_known(value: SSAValue) -> float:
    """The smallest element of a value known at compile time; infinite when it is not known, or NaN is in it."""
    lows = [float(array.min()) for array in known_values(value) if array.size]
    return min(lows) if lows and not any(map(math.isnan, lows)) else math.inf


def needs_no_observer(value: SSAValue) -> bool:
    """Whether a value is a mask, or scores with one, whose range follows from that of the scores."""
    if lowest_known(value) <= NEVER_MEANT:
        return True
    op = value.owner
    return (
        isinstance(op, nn.AddOp)
        and softmax_length(value) is not None
        and any(lowest_known(operand) <= NEVER_MEANT for operand in op.operands)
    )


def limit_masks(function: func.FuncOp, ranges: dict[SSAValue, Range], default: Precision) -> None:
    """Limit the masks of a float function, their constants and the ranges of what they are added to.

    What is to compute in floats or bfloat16 keeps its constants.

    Args:
        function: without observers; constants are replaced.
        ranges: calibrated ranges by value; those of sums and of masks are set or narrowed.
        default: precision of operations that none is asked of.
    """
    for op in list(function.body.block.ops):
        in_integers = (precision_of(op) or default).is_integer
        if isinstance(op, nn.AddOp) and op.clamp is None:
            _limit_sum(op, ranges, in_integers=in_integers)
        elif isinstance(op, nn.SelectOp) and in_integers:
            _limit_selection(op, ranges)


def _limit_sum(op: nn.AddOp, ranges: dict[SSAValue, Range], *, in_integers: bool) -> None:
    count = softmax_length(op.result)
    if count is None:
        return
    bounds = {operand: range_of_value(operand, ranges) for operand in op.operands}
    for scores, mask in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        low, high = bounds[scores] or (0.0, 0.0)
        lowest, highest = bounds[mask] or (0.0, 0.0)
        margin = _margin(count)
        least = highest - (high - low) - margin
        # What was calibrated, rather than known, may be scores of their own unless it is beyond any doubt.
        if not known_values(mask) and lowest > NEVER_MEANT:
            continue
        if bounds[scores] is None or known_values(scores):
            continue
        if lowest >= least or _shifts_rows(mask, least):
            ranges.setdefault(op.result, (low + lowest, high + highest))
            continue
        if in_integers and isinstance(mask.owner, nn.ConstantOp):
            _limit_constant(op, op.operands.index(mask), least)
        elif in_integers and all(use.operation is op or _is_like(use.operation, op) for use in mask.uses):
            ranges[mask] = least, highest
        # A sum of floats may still be cast to integers for softmax.
        ranges[op.result] = low + highest - margin, high + highest
        return


def _shifts_rows(mask: SSAValue, least: float) -> bool:
    """Whether a constant lowers whole rows (along the last dimension) by less than a mask would.

    Softmax does not notice that, whereas limited rows would be all alike.
    """
    rows = [array.max(axis=-1) for array in known_values(mask) if array.ndim and array.size]
    return any(bool(np.any((highest < least) & (highest > NEVER_MEANT))) for highest in rows)


def _limit_selection(op: nn.SelectOp, ranges: dict[SSAValue, Range]) -> None:
    count = softmax_length(op.result)
    if count is None:
        return
    for index, other in ((1, op.rhs), (2, op.lhs)):
        bounds = range_of_value(other, ranges)
        if bounds is None or known_values(other) or not isinstance(op.operands[index].owner, nn.ConstantOp):
            continue
        least = bounds[0] - _margin(count)
        if lowest_known(op.operands[index]) < least:
            _limit_constant(op, index, least)


def _margin(count: int) -> float:
    return 8.0 + math.log(max(count, 1))


def _is_like(op: Operation, other: nn.AddOp) -> bool:
    """Whether another addition takes the same mask to scores that only softmax reads."""
    return isinstance(op, nn.AddOp) and op is not other and softmax_length(op.result) is not None


def range_of_value(value: SSAValue, ranges: dict[SSAValue, Range]) -> Range | None:
    """The range of a value: calibrated, that of what it is moved from, or of constants; None if it is not known."""
    if value in ranges:
        return ranges[value]
    if known := [np.clip(array, _SMALLEST, -_SMALLEST) for array in known_values(value) if array.size]:
        low, high = min(float(array.min()) for array in known), max(float(array.max()) for array in known)
        return None if math.isnan(low) or math.isnan(high) else (low, high)
    op = value.owner
    return range_of_value(op.operands[0], ranges) if isinstance(op, _MOVES) else None


def _limit_constant(op: nn.AddOp | nn.SelectOp, index: int, least: float) -> None:
    """Put a constant in the place of another one that has elements below `least`, which become that."""
    original = op.operands[index].owner
    assert isinstance(original, nn.ConstantOp)
    values = array_of(original.value)
    limited = np.maximum(values, np.asarray(least, values.dtype))
    kind = nn.tensor_of(original.result).get_element_type()
    key = getattr(original.value, "key", "")
    constant = nn.ConstantOp(constant_attr(str(key), limited, kind))
    constant.location = original.location
    constant.result.name_hint = original.result.name_hint
    block = original.parent
    assert block is not None
    block.insert_op_after(constant, original)
    op.operands[index] = constant.result
    remark(f"{describe(original)} masks scores: its elements below {least:.4g} are stored as that")
    if original.result.first_use is None:
        original.detach()
        original.erase()

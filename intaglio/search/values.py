"""Values of one network in many precisions: which of them are the same, and keeping those that are.

Two modules that differ in the precision of one group compute the same up to that group. Every value gets a number that
stands for how it is computed: operation, properties, types, and the numbers of its operands. Equal numbers mean equal
arrays for equal inputs, so that what one evaluation has computed the next need not compute again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np
from xdsl.dialects import func
from xdsl.ir import SSAValue

Array = np.ndarray[Any, np.dtype[Any]]


class ValueNumbers:
    """Numbers for the values of functions; the same number in two functions means the same value."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def of(self, function: func.FuncOp) -> dict[SSAValue, int]:
        """The number of each argument and result in a function without nested regions."""
        numbers: dict[SSAValue, int] = {}
        for argument in function.body.block.args:
            numbers[argument] = self._number(("argument", argument.index, argument.type))
        for op in function.body.block.ops:
            operands = tuple(numbers[operand] for operand in op.operands)
            properties = tuple(sorted(op.properties.items(), key=lambda item: item[0]))
            regions = tuple(map(str, op.regions))
            for index, result in enumerate(op.results):
                numbers[result] = self._number((op.name, index, result.type, properties, operands, regions))
        return numbers

    def _number(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


class ArrayCache:
    """Arrays by key, the least recently used given up when there are too many bytes.

    Args:
        most_bytes: how many bytes to keep.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._arrays: OrderedDict[Hashable, Array] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        """Whether an array is there."""
        return key in self._arrays

    def __getitem__(self, key: Hashable) -> Array:
        """The array of a key."""
        self._arrays.move_to_end(key)
        return self._arrays[key]

    def __setitem__(self, key: Hashable, array: Array) -> None:
        """Keep an array, unless it alone is too large."""
        if key in self._arrays or array.nbytes > self._most:
            return
        self._arrays[key] = array
        self._bytes += array.nbytes
        while self._bytes > self._most:
            _, old = self._arrays.popitem(last=False)
            self._bytes -= old.nbytes

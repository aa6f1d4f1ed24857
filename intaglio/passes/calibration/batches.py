"""Cutting batches into the runs that a network takes.

A network's inputs have fixed shapes, mostly of one sample. Data often comes in batches, with samples on a new first
axis or one after another along the first dimension, as in files of samples (see `intaglio.data`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from intaglio.data import LABEL
from intaglio.errors import UserError

Array = np.ndarray[Any, np.dtype[Any]]


def split_batches(
    items: Iterable[Mapping[str, Array]], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[Mapping[str, Array]]:
    """Yield one array of the input's shape for each input, in the order of the data.

    What is neither of the input's shape nor a batch of it is handed on as it is, for the caller to refuse.

    Args:
        items: samples or batches, which may differ in size; labels are left out.
        shapes: shape of each input by name.

    Raises:
        UserError: the inputs of a batch differ in their number of samples.
    """
    for index, item in enumerate(items):
        arrays = {name: np.asarray(array) for name, array in item.items() if name in shapes or name != LABEL}
        sizes = {name: _runs_in(arrays[name].shape, shape) for name, shape in shapes.items() if name in arrays}
        if len(sizes) < len(shapes) or None in sizes.values() or set(sizes.values()) == {1}:
            known = {name: sizes.get(name) for name in arrays}
            yield {name: a.reshape(shapes[name]) if known[name] == 1 else a for name, a in arrays.items()}
            continue
        counts = {name: size or 0 for name, size in sizes.items()}
        if len(set(counts.values())) > 1:
            differing = ", ".join(f"{name} has {count}" for name, count in counts.items())
            raise UserError(f"the inputs differ in their number of samples: {differing}", where=f"batch {index}")
        runs = {name: arrays[name].reshape(counts[name], *shape) for name, shape in shapes.items()}
        for run in range(next(iter(counts.values()))):
            yield {name: array[run] for name, array in runs.items()}


def samples_per_run(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How many samples a network takes at once: the first dimension, when all inputs agree on it."""
    firsts = {shape[0] if len(shape) > 1 else 1 for shape in shapes.values()}
    return firsts.pop() if len(firsts) == 1 else 1


def _runs_in(got: tuple[int, ...], shape: tuple[int, ...]) -> int | None:
    """How many arrays of the input's shape an array holds, None when it is no batch of them."""
    if got == shape:
        return 1
    if got and got[1:] == shape:
        return got[0]
    if got and shape and shape[0] > 0 and got[1:] == shape[1:] and got[0] % shape[0] == 0:
        return got[0] // shape[0]
    return None

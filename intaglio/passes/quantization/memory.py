"""Keeping what becomes of constants from one quantization of a module to the next.

A search quantizes one module hundreds of times, each time with other precisions for a few operations. Scales of weights
and stored constants are most of the work, and the same for all operations whose precision is as it was before. Within
`remembering(memory)` they are kept in the memory and made once; elsewhere nothing is kept.

What a result is made of is known by identity where it is large. The memory holds on to it, so that its identity is not
given to something else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Result = TypeVar("Result")

Memory = dict[Hashable, tuple[Any, Any]]
"""Results with what they were made of, by its identities and by what is compared."""

_active: ContextVar[Memory | None] = ContextVar("memory of quantization", default=None)


@contextmanager
def remembering(memory: Memory) -> Generator[None]:
    """Use what is in a memory, and add to it, within the block."""
    token = _active.set(memory)
    try:
        yield
    finally:
        _active.reset(token)


def remembered(objects: tuple[object, ...], others: Hashable, make: Callable[[], Result]) -> Result:
    """A result from the memory, or made and kept there; just made where there is no memory.

    Args:
        objects: what it is made of, known by identity; these must not change afterwards.
        others: what else it depends on, compared.
        make: makes it.
    """
    memory = _active.get()
    if memory is None:
        return make()
    key = (*map(id, objects), others)
    if key not in memory:
        memory[key] = objects, make()
    return memory[key][1]

"""Compiling Python functions on arrays to machine code: Numba, with the settings that all kernels share.

Integer arithmetic wraps as the machine's, floats keep IEEE 754 (no fast-math), and the interpreter lock is released,
so that threads may work on different samples. Machine code is cached on disk, beside the source or in the user's cache
folder, so that only the first run on a machine compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

_numba: Any = numba
"""The package has no types."""


def compiled(function: Function) -> Function:
    """Compile a function when it is first called with arguments of a kind."""
    return cast(Function, _numba.njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)(function))

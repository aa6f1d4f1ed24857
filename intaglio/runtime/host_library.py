"""Running a compiled host library in this process.

The library calls back for accelerator regions and for sums of products. TVM finds such functions by global names;
which session a call belongs to is known by its thread, because a library calls back on the thread that runs it.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.errors import UserError
from intaglio.lowering.host_to_relax.callbacks import CONVOLUTION, DYNAMIC_QUANTIZATION, LAUNCH, MATRIX_PRODUCT
from intaglio.lowering.tvm import carried_dtype, load_tvm
from intaglio.numerics.bfloat16 import BFLOAT16
from intaglio.runtime import host_kernels

Array = NDArray[Any]

Launcher = Callable[[int, list[Array]], list[Array]]
"""Runs an accelerator region, by its number, on its inputs."""

_running = threading.local()


class HostLibrary:
    """A host library, loaded. Runs in one thread at a time; others wait.

    Args:
        content: the shared library, as `intaglio.lowering.tvm.compile_library` gives it. It is machine code: load
            only what you would run.
        launcher: called for each accelerator region that the library starts.

    Raises:
        UserError: the content is no library for this machine.
    """

    def __init__(self, content: bytes, launcher: Launcher) -> None:
        tvm = load_tvm()
        with tempfile.TemporaryDirectory(prefix="intaglio-") as folder:
            path = Path(folder) / "host.so"
            path.write_bytes(content)
            try:
                self._start(tvm.runtime.load_module(str(path)), launcher)
            except Exception as error:
                raise UserError(
                    f"the host library cannot be loaded: {str(error).strip().splitlines()[-1][:200]}",
                    hint="it was compiled for another kind of machine, or the package is damaged",
                ) from error

    @classmethod
    def in_memory(cls, executable: Any, launcher: Launcher) -> HostLibrary:
        """What `intaglio.lowering.tvm.compile_executable` gives, without linking it to a shared library."""
        library = cls.__new__(cls)
        library._start(executable, launcher)
        return library

    def another(self, launcher: Launcher) -> HostLibrary:
        """The same library, to run in another thread at the same time."""
        return HostLibrary.in_memory(self._executable, launcher)

    def _start(self, executable: Any, launcher: Launcher) -> None:
        _register_functions()
        self._executable = executable
        self._launcher = launcher
        self._lock = threading.Lock()
        self._machine = load_tvm(submodule="relax").VirtualMachine(executable, load_tvm().cpu())

    def run(self, arguments: Sequence[Array]) -> list[Array]:
        """Run `main`.

        Args:
            arguments: one array for each argument, of its shape and dtype.

        Returns:
            One array for each result. Floats of 8 bits or fewer are their bits, as uint8.
        """
        tensor = load_tvm().runtime.tensor
        stored = [np.asarray(array, order="C") for array in arguments]
        stored = [array.view(carried_dtype(array.dtype)) for array in stored]
        with self._lock:
            _running.launcher = self._launcher
            try:
                results = self._machine["main"](*map(tensor, stored))
            finally:
                del _running.launcher
        return [result.numpy() for result in results]


def _array_of(tensor: Any) -> Array:
    """What a tensor holds: a view, or a copy of bfloat16."""
    return tensor.numpy() if str(tensor.dtype) == "bfloat16" else np.from_dlpack(tensor)


@cache
def _register_functions() -> None:
    """Give TVM the functions that host libraries call; tensors arrive as views, results as writable ones."""

    def kernel(function: Callable[[Sequence[int], Array, Array, Array], None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            lhs, rhs, result = (np.from_dlpack(tensor) for tensor in arguments[-3:])
            function([int(scalar) for scalar in arguments[:-3]], lhs, rhs, result)

        return call

    def launch(region: int, inputs: int, *tensors: Any) -> None:
        results = _running.launcher(region, [_array_of(tensor) for tensor in tensors[:inputs]])
        for target, result in zip(tensors[inputs:], results, strict=True):
            # NumPy has no bfloat16 of its own, so that DLPack gives no view of it.
            if str(target.dtype) == "bfloat16":
                target.copyfrom(result.view(BFLOAT16))
            else:
                np.from_dlpack(target)[...] = result

    def quantize_dynamically(*tensors: Any) -> None:
        x, centered, scale = (np.from_dlpack(tensor) for tensor in tensors)
        host_kernels.quantize_dynamically(x, centered, scale)

    register = load_tvm().register_global_func
    register(CONVOLUTION, kernel(host_kernels.convolution), override=True)
    register(MATRIX_PRODUCT, kernel(host_kernels.matrix_product), override=True)
    register(DYNAMIC_QUANTIZATION, quantize_dynamically, override=True)
    register(LAUNCH, launch, override=True)

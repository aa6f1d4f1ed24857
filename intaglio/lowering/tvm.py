"""All contact with TVM: importing it, building a Relax function, compiling that to a shared library.

TVM has no types, moves its names between releases and changes process-wide state when imported, so nothing else
imports it. It is imported when the first function is called, not when this module is.

Two things are deliberately not used. `FoldConstant` compiles each operator just in time; constants are folded in
our own IR before. `mcpu=native` and AVX-512 targets compute wrong results in this release; libraries are compiled
for a named baseline processor instead.
"""

from __future__ import annotations

import importlib
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.errors import UserError

Expr = Any
"""A Relax expression (a tensor of the host function), or inside a computation a TVM tensor or scalar expression."""

Computation = Callable[..., Expr]
"""Takes one `te.Tensor` per operand and returns the `te.Tensor` of the result."""

_MACHINES: dict[str, dict[str, Any]] = {
    "x86_64": {"mcpu": "x86-64-v3", "mtriple": "x86_64-linux-gnu"},
    "aarch64": {"mcpu": "generic", "mtriple": "aarch64-linux-gnu", "mattr": ["+neon"]},
}
"""Target options by machine. Named baselines, so that a package runs on every machine of its kind."""

_OLDEST_GLIBC = "2.17"
"""Libraries are linked against this version of the C library's mathematical functions."""


@cache
def load_tvm(*, submodule: str = "") -> ModuleType:
    """Import TVM once, or one of its submodules, and keep what its import would change.

    It replaces `sys.excepthook`, which would take over the reports of commands that import it, and runs one thread
    unless `TVM_NUM_THREADS` is set.

    Args:
        submodule: dotted name below `tvm`; empty for the package itself.
    """
    os.environ.setdefault("TVM_NUM_THREADS", str(os.cpu_count() or 1))
    hook = sys.excepthook
    try:
        return importlib.import_module(f"tvm.{submodule}" if submodule else "tvm")
    finally:
        sys.excepthook = hook


def host_baseline() -> str:
    """Name the processors that host libraries compiled here run on, such as `x86_64-linux-gnu x86-64-v3`.

    Raises:
        UserError: libraries cannot be compiled on this machine.
    """
    options = _target_options()
    return f"{options['mtriple']} {options['mcpu']}"


def _target_options() -> dict[str, Any]:
    machine = platform.machine()
    if machine not in _MACHINES or sys.platform != "linux":
        raise UserError(
            f"host code cannot be compiled on {machine} under {sys.platform}",
            hint=f"use Linux on one of: {', '.join(_MACHINES)}",
        )
    return _MACHINES[machine]


def is_small_float(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is a float of 8 bits or fewer."""
    return dtype.name.startswith(("float8", "float4"))


def carried_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which tensors of `dtype` travel through host code: floats of 8 bits or fewer are their bits.

    TVM converts such floats wrongly.
    """
    return np.dtype(np.uint8) if is_small_float(dtype) else dtype


class HostBuilder:
    """Emits the operations of one Relax function; made by `build_function`."""

    def __init__(self, block_builder: Any) -> None:
        self._builder = block_builder
        self.relax = load_tvm(submodule="relax")
        self.te = load_tvm(submodule="te")
        self.topi = load_tvm(submodule="topi")
        self.tirx = load_tvm(submodule="tirx")

    def constant(self, array: NDArray[Any]) -> Expr:
        """A tensor known now; it is stored in the library."""
        array = np.asarray(array, order="C")
        array = array.view(carried_dtype(array.dtype))
        return self.relax.const(array, array.dtype.name)

    def operator(self, name: str, *arguments: Any, **options: Any) -> Expr:
        """The result of a Relax operator, `name` being that below `relax.op`, such as `nn.softmax`."""
        function: Any = self.relax.op
        for part in name.split("."):
            function = getattr(function, part)
        return self._builder.emit(function(*arguments, **options))

    def compute(self, name: str, computation: Computation, *operands: Expr) -> Expr:
        """The result of a computation given as TVM tensor expressions; `name` shows in profiles."""
        return self._builder.emit_te(computation, *operands, primfunc_name_hint=name)

    def packed(
        self,
        function: str,
        scalars: Sequence[int],
        operands: Sequence[Expr],
        results: Sequence[tuple[Sequence[int], np.dtype[Any]]],
    ) -> list[Expr]:
        """Call a function registered by the runtime, which writes into results allocated by the library.

        Args:
            function: its global name.
            scalars: integers that come first.
            operands: tensors that follow; the result tensors come last.
            results: shape and dtype of each result.
        """
        types = [self.relax.TensorType(tuple(shape), carried_dtype(dtype).name) for shape, dtype in results]
        arguments = (*(self.relax.prim_value(scalar) for scalar in scalars), *operands)
        call = self._builder.emit(
            self.relax.op.call_dps_packed(function, arguments, out_ty=types[0] if len(types) == 1 else types)
        )
        if len(types) == 1:
            return [call]
        return [self._builder.emit(self.relax.TupleGetItem(call, index)) for index in range(len(types))]


def build_function(
    arguments: Sequence[tuple[Sequence[int], np.dtype[Any]]],
    body: Callable[[HostBuilder, list[Expr]], list[Expr]],
) -> Any:
    """Build a Relax module with one function, `main`, that returns a tuple.

    Args:
        arguments: shape and dtype of each argument.
        body: given a builder and the arguments, emits the operations and returns the results.
    """
    relax = load_tvm(submodule="relax")
    parameters = [
        relax.Var(f"argument{index}", relax.TensorType(tuple(shape), carried_dtype(dtype).name))
        for index, (shape, dtype) in enumerate(arguments)
    ]
    block_builder = relax.BlockBuilder()
    with block_builder.function("main", parameters, pure=True):
        try:
            with block_builder.dataflow():
                results = body(HostBuilder(block_builder), list(parameters))
                output = block_builder.emit_output(relax.Tuple(results))
        except BaseException:
            # A builder that is left in the middle of a function writes a warning when it is destroyed.
            block_builder.emit_func_output(relax.Tuple([]))
            raise
        block_builder.emit_func_output(output)
    return block_builder.finalize()


def compile_executable(module: Any) -> Any:
    """Compile a Relax module to an executable in memory, which a virtual machine of this process can run.

    Raises:
        UserError: libraries cannot be compiled on this machine.
    """
    tvm, relax = load_tvm(), load_tvm(submodule="relax")
    transforms = relax.transform
    target = tvm.target.Target({"kind": "llvm", **_target_options()})
    fuse = tvm.ir.transform.Sequential(
        [
            transforms.LegalizeOps(),
            transforms.AnnotateTIROpPattern(),
            transforms.FuseOps(),
            transforms.FuseTIR(),
        ]
    )
    with target:
        return tvm.compile(_inlined(fuse(module)), target)


def compile_library(module: Any) -> bytes:
    """Compile a Relax module to a shared library for this machine's baseline; the same module gives the same bytes.

    Raises:
        UserError: libraries cannot be compiled on this machine, or the linker fails.
    """
    executable = compile_executable(module)
    with tempfile.TemporaryDirectory(prefix="intaglio-") as folder:
        library = Path(folder) / "host.so"
        executable.export_library(str(library), workspace_dir=folder, fcompile=_link)
        return library.read_bytes()


def _inlined(module: Any) -> Any:
    """Compute intermediate results of fused functions where they are used.

    Fusion alone puts loop after loop into one function, with a buffer between each two. What is broadcast keeps
    its buffer, since it would be computed again for each use.
    """
    tirx, s_tir = load_tvm(submodule="tirx"), load_tvm(submodule="s_tir")
    for variable, function in list(module.functions.items()):
        if not isinstance(function, tirx.PrimFunc):
            continue
        schedule = s_tir.Schedule(function)

        def elements(block: Any, schedule: Any = schedule) -> int:
            axes = schedule.get(block).iter_vars
            return math.prod(int(axis.dom.extent) for axis in axes if axis.iter_type == tirx.IterVar.DataPar)

        try:
            root = schedule.get_sblock("root")
        except s_tir.ScheduleError:
            # A function that was not made of tensor expressions alone, such as a sort.
            continue
        for block in schedule.get_child_blocks(root)[:-1]:
            if any(elements(consumer) > elements(block) for consumer in schedule.get_consumers(block)):
                continue
            # Reductions and the function's results cannot be inlined either.
            with suppress(s_tir.ScheduleError):
                schedule.compute_inline(block)
        module[variable] = schedule.mod["main"]
    return module


def _link(output: str, objects: Sequence[str], options: Sequence[str] | None = None, **_: Any) -> None:
    """Link object files with the clang that the `ziglang` package carries, so that no system compiler is needed.

    Symbols and build ids are stripped because they hold temporary file names, and the only library named is that of
    mathematical functions: TVM's runtime is in the process that loads the result.
    """
    with tempfile.TemporaryDirectory(prefix="intaglio-zig-") as cache_folder:
        environment = os.environ | {"ZIG_LOCAL_CACHE_DIR": cache_folder, "ZIG_GLOBAL_CACHE_DIR": cache_folder}
        command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-nostdlib", "-lm", "-s"]
        command += ["-Wl,--build-id=none", "-target", f"{_target_options()['mtriple']}.{_OLDEST_GLIBC}"]
        command += ["-o", output, *objects, *(options or ())]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"linking the host library failed: {done.stderr.strip()[-400:]}")

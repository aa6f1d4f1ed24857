"""Running the ONNX backend's node cases through the whole compiler, with the accelerator disabled.

A case goes the way of a model: import, phase graph, Relax, TVM, and its library runs on the case's inputs. Inputs
that decide shapes are frozen to their values (`intaglio.frontend.freezing`). A case whose inputs are all frozen or
folded away is told apart from one that passes: nothing of it has been compiled.

Cases run in worker processes, one at a time each, so that a crash or an endless loop costs one case.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from intaglio.compiler import run_phase
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.frontend.freezing import deciding_inputs, freeze_inputs
from intaglio.frontend.importer import import_model
from intaglio.frontend.interface import check_compilable
from intaglio.interpreter.values import value_dtype
from intaglio.lowering.host_to_relax import host_to_relax
from intaglio.lowering.tvm import compile_executable
from intaglio.phases import PHASES, CompileOptions
from intaglio.runtime.host_library import HostLibrary

CATEGORIES = (
    "passes",
    "folded entirely",
    "import refused",
    "no rule",
    "TVM error",
    "wrong result",
    "crash",
    "time limit",
)

SECONDS = 60
"""Time limit of a case."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Args:
        case: its name.
        operator: the operator it is about.
        category: one of `CATEGORIES`.
        detail: a sentence on what went wrong, empty for a case that passes.
        seconds: time taken.
    """

    case: str
    operator: str
    category: str
    detail: str
    seconds: float


@cache
def cases() -> dict[str, Any]:
    """All node cases of the installed onnx by name; computing their expected outputs takes seconds."""
    with np.errstate(all="ignore"):
        return {case.name: case for case in collect_testcases(None)}


def operator_of(case: Any) -> str:
    """The operator that a case is about: its node's, or for an expanded case that of the case's name."""
    nodes = case.model.graph.node
    base = cases().get(case.name.split("_expanded")[0])
    if "_expanded" in case.name and base is not None:
        return f"{base.model.graph.node[-1].op_type} (expanded)"
    return nodes[0].op_type if len(nodes) == 1 else nodes[-1].op_type


def run_case(name: str) -> tuple[str, str]:
    """Category and detail of a case, in this process."""
    case = cases()[name]
    frozen = deciding_inputs(case.model)
    names = [value.name for value in case.model.graph.input]
    inputs, expected = case.data_sets[0]
    if any(isinstance(value, list | str) or value is None for value in (*inputs, *expected)):
        return (
            "import refused",
            "an input or output is a sequence or optional value, which has no place in compiled code",
        )
    values = {key: _array(value) for key, value in zip(names, inputs, strict=False)}
    try:
        model = freeze_inputs(case.model, {key: values[key] for key in frozen})
        module = import_model(model.SerializeToString())
        check_compilable(module)
    except UserError as error:
        return "import refused", _line(error)
    try:
        run_phase(module, PHASES[1], CompileOptions(target="host"))
        function = main_function(module)
        relax = host_to_relax(function, {})
    except UserError as error:
        return "no rule", _line(error)
    if all(argument.first_use is None for argument in function.body.block.args):
        return "folded entirely", "every input is frozen or folded away"
    try:
        library = HostLibrary.in_memory(compile_executable(relax), _no_launch)
        kept = [key for key in names if key not in frozen]
        arguments = [
            _argument(values[key], argument.type) for key, argument in zip(kept, function.body.block.args, strict=True)
        ]
        results = [
            result.view(value_dtype(value.type))
            for result, value in zip(library.run(arguments), function.body.block.last_op.operands, strict=True)
        ]
    except Exception as error:
        return "TVM error", f"{type(error).__name__}: {_line(error)}"
    try:
        for result, reference in zip(results, expected, strict=True):
            _compare(result, reference, case)
    except AssertionError as error:
        return "wrong result", " ".join(str(error).split())[:300]
    return "passes", ""


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if len(lines) < 3 else lines[-1])[:300] if lines else type(error).__name__


def _array(value: Any) -> Any:
    """The array of an input or output; types that NumPy has not come as tensors of ONNX."""
    if isinstance(value, list):
        return value
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def _no_launch(region: int, inputs: list[Any]) -> list[Any]:
    raise AssertionError("no accelerator")


def _argument(value: Any, kind: Any) -> Any:
    return np.asarray(value).astype(value_dtype(kind), copy=False)


def _compare(result: Any, reference: Any, case: Any) -> None:
    """Check a result as ONNX's own runner does: bfloat16 may differ by two units in the last place.

    Types of fewer than 8 bits come in a byte each.
    """
    reference = _array(reference)
    assert result.shape == reference.shape, f"shape {result.shape}, expected {reference.shape}"
    rtol = case.rtol
    if reference.dtype.name in ("int4", "uint4", "int2", "uint2"):
        reference = reference.astype(result.dtype)
    assert result.dtype == reference.dtype, f"dtype {result.dtype}, expected {reference.dtype}"
    if result.dtype.kind == "V" or result.dtype.name.startswith(("bfloat16", "float8", "float4")):
        rtol = max(rtol, 2**-6) if result.dtype.name == "bfloat16" else 0.0
        result, reference = result.astype(np.float32), reference.astype(np.float32)
    np.testing.assert_allclose(result, reference, rtol=rtol, atol=case.atol)


# Workers.


def _work(connection: Connection) -> None:
    while (name := connection.recv_bytes().decode()) != "":
        start = time.perf_counter()
        try:
            category, detail = run_case(name)
        except Exception as error:
            category, detail = "crash", f"{type(error).__name__}: {_line(error)}"
        seconds = time.perf_counter() - start
        connection.send_bytes(json.dumps([category, detail, seconds]).encode())


class _Worker:
    """A process that runs one case after the other."""

    def __init__(self) -> None:
        self._start()
        self.case = ""
        self.deadline = 0.0

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self.connection, other = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def give(self, case: str) -> None:
        self.case, self.deadline = case, time.monotonic() + SECONDS
        self.connection.send_bytes(case.encode())

    def take(self) -> tuple[str, str, float]:
        """The outcome of the case, which is ready, or past its time, or lost with the process."""
        try:
            if self.connection.poll():
                category, detail, seconds = json.loads(self.connection.recv_bytes())
                return category, detail, seconds
            outcome = ("time limit", f"took longer than {SECONDS} s", float(SECONDS))
        except EOFError:
            outcome = ("crash", "the process died", 0.0)
        self.process.kill()
        self.process.join()
        self._start()
        return outcome

    def stop(self) -> None:
        self.connection.send_bytes(b"")
        self.process.join()


def run_cases(
    names: Sequence[str], *, jobs: int = 2, progress: Callable[[Outcome], None] | None = None
) -> list[Outcome]:
    """Run cases in worker processes.

    Args:
        names: names of cases.
        jobs: number of processes.
        progress: called with each outcome as it comes.

    Returns:
        The outcomes in the order of the names.
    """
    found: dict[str, Outcome] = {}
    for outcome in _outcomes(names, jobs):
        found[outcome.case] = outcome
        if progress is not None:
            progress(outcome)
    return [found[name] for name in names]


def _outcomes(names: Sequence[str], jobs: int) -> Iterator[Outcome]:
    cases()  # so that the workers inherit them
    left = list(reversed(names))
    idle = [_Worker() for _ in range(min(jobs, len(left)))]
    busy: list[_Worker] = []
    while left or busy:
        while idle and left:
            worker = idle.pop()
            worker.give(left.pop())
            busy.append(worker)
        seconds = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
        ready = set(wait([worker.connection for worker in busy], seconds))
        now = time.monotonic()
        for worker in [worker for worker in busy if worker.connection in ready or worker.deadline <= now]:
            category, detail, taken = worker.take()
            busy.remove(worker)
            idle.append(worker)
            yield Outcome(worker.case, operator_of(cases()[worker.case]), category, detail, taken)
    for worker in idle:
        worker.stop()

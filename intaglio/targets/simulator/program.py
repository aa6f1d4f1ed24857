"""A program on the simulated accelerator: checked once, then run and timed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.errors import UserError
from intaglio.numerics.bfloat16 import BFLOAT16
from intaglio.targets.binary import ProgramBinary, Shape
from intaglio.targets.encoding import ProgramError
from intaglio.targets.instructions import REGIONS
from intaglio.targets.simulator.checks import check_steps
from intaglio.targets.simulator.clock import time_steps
from intaglio.targets.simulator.decode import decode_steps
from intaglio.targets.simulator.execute import Executor
from intaglio.targets.simulator.profile import Profile, make_profile
from intaglio.targets.simulator.steps import Step
from intaglio.targets.target import Target, load_target

Array = npt.NDArray[Any]

MAX_DRAM_BYTES = 1 << 31
"""DRAM that the simulated machine has."""

_SAMPLES_AT_ONCE = 16
_MEMORY_AT_ONCE = 256 << 20
"""Limits of how many samples `run_batch` simulates together: their number, and the bytes they need."""


class Program:
    """A decoded and checked program.

    Running it is safe from several threads; they take turns.

    Args:
        binary: words, constants and memory sizes.
        target: the accelerator; by default the preset that the binary names.

    Raises:
        UserError: there is no such target; ProgramError, naming the instruction: the program is wrong.
    """

    def __init__(self, binary: ProgramBinary, target: Target | None = None) -> None:
        self.binary = binary
        self.target = load_target(binary.target) if target is None else target
        regions = binary.region_bytes
        if len(regions) > REGIONS or sum(regions) > MAX_DRAM_BYTES:
            raise ProgramError(
                f"the program needs {len(regions)} DRAM regions of {sum(regions)} bytes, the limits are "
                f"{REGIONS} and {MAX_DRAM_BYTES}",
                where=binary.name,
            )
        self.steps: tuple[Step, ...] = tuple(decode_steps(binary.words, binary.debug, self.target))
        check_steps(self.steps, self.target, regions, len(binary.inputs))
        self._executors: dict[int, Executor] = {}
        self._lock = Lock()
        self._profile: Profile | None = None

    @staticmethod
    def from_binary(binary: ProgramBinary, target: Target | None = None) -> Program:
        """Return the program of a binary; see the constructor."""
        return Program(binary, target)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Run the program on one sample.

        Args:
            inputs: arrays of the shapes and types that the binary says; bfloat16 for its bits.

        Returns:
            The outputs.

        Raises:
            UserError: the inputs do not fit; ProgramError: requantization parameters in memory are invalid.
        """
        self._check_inputs(inputs, self.binary.inputs)
        with self._lock:
            results = self._executor(1).run([_as_bytes(array, 1) for array in inputs])
        described = zip(results, self.binary.outputs, self.binary.output_types, strict=True)
        return [array.view(kind).reshape(shape) for array, shape, kind in described]

    def run_batch(self, inputs: Sequence[Array]) -> list[Array]:
        """Run the program on several samples, which is faster than one by one.

        Args:
            inputs: arrays with the samples on a new first axis.

        Returns:
            The outputs, likewise.

        Raises:
            UserError: as `run`.
        """
        count = len(inputs[0]) if inputs else 0
        self._check_inputs(inputs, [(count, *shape) for shape in self.binary.inputs])
        each = self.target.scratchpad_bytes + sum(self.binary.region_bytes)
        group = max(1, min(count, _SAMPLES_AT_ONCE, _MEMORY_AT_ONCE // each))
        described = list(zip(self.binary.outputs, self.binary.output_types, strict=True))
        outputs = [np.empty((count, math.prod(shape) * kind.itemsize), np.int8) for shape, kind in described]
        flat = [_as_bytes(array, count) for array in inputs]
        with self._lock:
            for start in range(0, count, group):
                # A last group that is too small is filled up with repetitions of the last sample.
                chosen = np.minimum(np.arange(start, start + group), count - 1)
                results = self._executor(group).run([array[chosen] for array in flat])
                for output, result in zip(outputs, results, strict=True):
                    output[start : start + group] = result[: count - start]
        return [
            array.view(kind).reshape(count, *shape) for array, (shape, kind) in zip(outputs, described, strict=True)
        ]

    def profile(self) -> Profile:
        """Return what the program takes on the clock; computed once."""
        if self._profile is None:
            self._profile = make_profile(time_steps(self.steps, self.target), self.target)
        return self._profile

    def _executor(self, samples: int) -> Executor:
        if samples not in self._executors:
            binary = self.binary
            self._executors = {size: made for size, made in self._executors.items() if size == 1}
            self._executors[samples] = Executor(
                self.steps, self.target, binary.constants, binary.region_bytes, len(binary.inputs), samples
            )
        return self._executors[samples]

    def _check_inputs(self, inputs: Sequence[npt.NDArray[Any]], shapes: Sequence[Shape]) -> None:
        where = self.binary.name
        if len(inputs) != len(shapes):
            raise UserError(f"the program has {len(shapes)} inputs, got {len(inputs)}", where=where)
        for number, (array, shape, kind) in enumerate(zip(inputs, shapes, self.binary.input_types, strict=True)):
            is_bits = array.dtype == BFLOAT16 and kind.itemsize == BFLOAT16.itemsize
            if array.shape != shape or not (array.dtype == kind or is_bits):
                raise UserError(
                    f"input {number} must be {kind} of shape {list(shape)}, got {array.dtype} of {list(array.shape)}",
                    where=where,
                )


def _as_bytes(array: Array, samples: int) -> npt.NDArray[np.int8]:
    """The bytes of each sample."""
    return np.ascontiguousarray(array).reshape(samples, -1).view(np.int8)

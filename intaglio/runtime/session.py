"""Running a package: the host library in this process, accelerator regions in the simulator.

```python
session = Session("model.igpkg")
outputs = session.run({"input": image})
```
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from intaglio.errors import UserError
from intaglio.runtime.batching import run_together
from intaglio.runtime.host_library import HostLibrary, Launcher
from intaglio.runtime.package import Package, TensorSpec, read_package
from intaglio.runtime.profile import PackageProfile, profile_programs
from intaglio.targets.binary import ProgramBinary
from intaglio.targets.simulator import Program
from intaglio.targets.target import Target

Array = NDArray[Any]

_SAMPLES_AT_ONCE = 16
"""Samples of a batch that run at the same time, each in a thread."""


class Session:
    """A package, loaded and ready to run. Safe to use from several threads, which take turns.

    Args:
        package: a package file, or its content already read.

    Attributes:
        package: the package.
        programs: its accelerator regions in the simulator, in the order of `package.regions`.

    Raises:
        UserError: the file is missing, damaged or no package, or an instruction stream breaks a rule of the
            accelerator.
    """

    def __init__(self, package: str | Path | Package) -> None:
        self.package = package if isinstance(package, Package) else read_package(package)
        self.programs = load_programs(self.package.target, self.package.regions)
        self._batch_lock = Lock()
        self._hosts: list[_Host] = []

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of each input."""
        return self.package.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of each output."""
        return self.package.outputs

    @cached_property
    def _host(self) -> HostLibrary:
        return HostLibrary(self.package.host_library, lambda region, inputs: self.programs[region].run(inputs))

    def run(self, feeds: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Run the model once.

        Args:
            feeds: one array for each input by name, of its shape; floats of any width for a float input.

        Returns:
            One array for each output by name.

        Raises:
            UserError: names, shapes or types do not fit the inputs.
        """
        arguments = checked_feeds(feeds, self.inputs)
        results = self._host.run(arguments)
        pairs = zip(self.outputs, results, strict=True)
        return {tensor.name: result.view(np.dtype(tensor.dtype)) for tensor, result in pairs}

    def run_batch(self, samples: Mapping[str, ArrayLike] | Iterable[Mapping[str, ArrayLike]]) -> dict[str, Array]:
        """Run many samples, whose accelerator regions are simulated together; the results are those of `run`.

        Args:
            samples: arrays of shape `[N, *shape]` by input name, or one mapping for each sample, as `run` takes it.

        Returns:
            Arrays of shape `[N, *shape]` by output name.

        Raises:
            UserError: as `run`; or there are no samples, or the inputs differ in their number.
        """
        results: list[list[Array]] = []
        iterator = iter(_one_by_one(samples))
        while part := [checked_feeds(sample, self.inputs) for sample in islice(iterator, _SAMPLES_AT_ONCE)]:
            results += self._run_together(part)
        if not results:
            raise UserError("there are no samples to run")
        columns = zip(self.outputs, zip(*results, strict=True), strict=True)
        return {tensor.name: np.stack(arrays).view(np.dtype(tensor.dtype)) for tensor, arrays in columns}

    def _run_together(self, samples: Sequence[list[Array]]) -> list[list[Array]]:
        if not self.programs or len(samples) == 1:
            return [self._host.run(arguments) for arguments in samples]
        with self._batch_lock:
            while len(self._hosts) < len(samples):
                self._hosts.append(_Host(self._host))
            hosts = [host.run for host in self._hosts]
            return run_together(hosts, samples, lambda region, inputs: self.programs[region].run_batch(inputs))

    def profile(self) -> PackageProfile:
        """Return what running the model once costs on the accelerator; it does not depend on the input."""
        launches = Counter(boundary.region for boundary in self.package.boundaries.regions)
        return profile_programs(self.programs, self.package.batch, launches)


class _Host:
    """A host library that calls another launcher at every run."""

    def __init__(self, library: HostLibrary) -> None:
        self._launchers: list[Launcher] = []
        self._library = library.another(self._launch)

    def run(self, arguments: Sequence[Array], launcher: Launcher) -> list[Array]:
        self._launchers = [launcher]
        return self._library.run(arguments)

    def _launch(self, region: int, inputs: list[Array]) -> list[Array]:
        (launcher,) = self._launchers
        return launcher(region, inputs)


def _one_by_one(
    samples: Mapping[str, ArrayLike] | Iterable[Mapping[str, ArrayLike]],
) -> Iterable[Mapping[str, ArrayLike]]:
    if not isinstance(samples, Mapping):
        return samples
    arrays = {name: np.asarray(array) for name, array in cast("Mapping[str, ArrayLike]", samples).items()}
    if any(array.ndim == 0 for array in arrays.values()) or len({len(array) for array in arrays.values()}) > 1:
        raise UserError("the inputs differ in their number of samples", hint="stack samples on a new first axis")
    count = len(next(iter(arrays.values()))) if arrays else 0
    return ({name: array[index] for name, array in arrays.items()} for index in range(count))


def load_programs(target: Target | None, regions: Sequence[ProgramBinary]) -> list[Program]:
    """Decode and check the instruction stream of each region.

    Args:
        target: the accelerator; by default the preset that each region names.
        regions: the programs.

    Raises:
        UserError: a stream breaks a rule of the accelerator; the instruction is named.
    """
    return [Program.from_binary(region, target) for region in regions]


def checked_feeds(feeds: Mapping[str, ArrayLike], inputs: tuple[TensorSpec, ...]) -> list[Array]:
    """Return the arrays for the inputs in their order, in their types.

    Raises:
        UserError: names, shapes or types do not fit the inputs.
    """
    wanted = ", ".join(f"{tensor.name} {tensor.dtype}{list(tensor.shape)}" for tensor in inputs)
    names = {tensor.name for tensor in inputs}
    if set(feeds) != names:
        missing, unknown = sorted(names - set(feeds)), sorted(set(feeds) - names)
        what = f"no array for input {missing[0]!r}" if missing else f"the model has no input {unknown[0]!r}"
        raise UserError(what, hint=f"give {wanted}")
    arrays: list[Array] = []
    for tensor in inputs:
        array = np.asarray(feeds[tensor.name])
        if array.shape != tensor.shape:
            raise UserError(
                f"input {tensor.name!r} has shape {list(array.shape)}, expected {list(tensor.shape)}",
                hint=f"give {wanted}",
            )
        dtype = np.dtype(tensor.dtype)
        if not np.can_cast(array.dtype, dtype, "same_kind"):
            raise UserError(f"input {tensor.name!r} has type {array.dtype}, expected {dtype}", hint=f"give {wanted}")
        arrays.append(array.astype(dtype, copy=False))
    return arrays

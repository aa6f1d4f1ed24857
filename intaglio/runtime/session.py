"""Running a package: the host library in this process, accelerator regions in the simulator.

```python
session = Session("model.igpkg")
outputs = session.run({"input": image})
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from intaglio.errors import UserError
from intaglio.runtime.host_library import HostLibrary
from intaglio.runtime.package import Package, TensorSpec, read_package
from intaglio.runtime.profile import PackageProfile, profile_programs
from intaglio.targets.binary import ProgramBinary
from intaglio.targets.simulator import Program
from intaglio.targets.target import Target

Array = NDArray[Any]


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

    def profile(self) -> PackageProfile:
        """Return what running the model once costs on the accelerator; it does not depend on the input."""
        return profile_programs(self.programs)


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

"""Collects the FileCheck tests, `filecheck/**/*.mlir`, as pytest items that run inside this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from intaglio.ir.filecheck import FileCheckError, run_test
from intaglio.tools.opt import run_opt

# Tests share two cores with each other, so the time of one example says nothing.
settings.register_profile("intaglio", deadline=None)
settings.load_profile("intaglio")

COMMANDS = {"intaglio-opt": run_opt}


class FileCheckItem(pytest.Item):
    """One `.mlir` file; all its RUN lines."""

    def runtest(self) -> None:
        """Run the test in a temporary folder of its own."""
        with TemporaryDirectory(prefix="filecheck-") as folder:
            run_test(self.path, COMMANDS, Path(folder) / f"{self.path.stem}.tmp")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> object:
        """Show what FileCheck says instead of a traceback."""
        if isinstance(excinfo.value, FileCheckError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Name the test by its file."""
        return self.path, 0, self.path.name


class FileCheckFile(pytest.File):
    """A `.mlir` file under `filecheck/`."""

    def collect(self) -> Iterator[pytest.Item]:
        """Make one item of the file."""
        yield FileCheckItem.from_parent(self, name=self.path.stem)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect `.mlir` files below `filecheck`, except those in `Inputs` folders, which tests read."""
    if file_path.suffix != ".mlir" or "filecheck" not in file_path.parts or "Inputs" in file_path.parts:
        return None
    return FileCheckFile.from_parent(parent, path=file_path)

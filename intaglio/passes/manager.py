"""Running passes: verification after each, IR dumps, timing and crash reproducers.

What is not running the passes is an `Instrumentation`; the pass manager itself knows none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from intaglio.errors import UserError
from intaglio.files import write_atomically
from intaglio.ir.printing import print_module
from intaglio.ir.verification import verify_module


class InvalidIRError(Exception):
    """A pass left IR that does not verify: an error in the compiler, not in the input."""

    def __init__(self, pass_name: str, violation: UserError) -> None:
        self.pass_name = pass_name
        self.violation = violation
        super().__init__(f"{violation}\n  note: the IR is invalid after pass {pass_name}")


class Instrumentation:
    """Is told about every pass before and after it runs, and when it fails."""

    def before(self, current: ModulePass, module: ModuleOp, remaining: Sequence[ModulePass]) -> None:
        """Called before a pass runs; `remaining` starts with it."""

    def after(self, current: ModulePass, module: ModuleOp) -> None:
        """Called after a pass has run and, with verify-each, its result has verified."""

    def failed(self, current: ModulePass, error: Exception) -> None:
        """Called when a pass or the verification of its result raised an error."""

    def finish(self) -> None:
        """Called once at the end, also after an error."""


@dataclass
class PassManager:
    """Runs passes in order."""

    passes: Sequence[ModulePass]
    verify_each: bool = True
    """Verify the module, dominance included, after every pass."""

    instrumentations: Sequence[Instrumentation] = ()

    def run(self, context: Context, module: ModuleOp) -> None:
        """Run all passes on `module`.

        Raises:
            InvalidIRError: a pass left IR that does not verify.
            UserError: a pass found something wrong with its input.
        """
        try:
            for index, current in enumerate(self.passes):
                self._run_one(context, module, current, self.passes[index:])
        finally:
            for instrumentation in self.instrumentations:
                instrumentation.finish()

    def _run_one(
        self, context: Context, module: ModuleOp, current: ModulePass, remaining: Sequence[ModulePass]
    ) -> None:
        for instrumentation in self.instrumentations:
            instrumentation.before(current, module, remaining)
        try:
            current.apply(context, module)
            if self.verify_each:
                self._verify(current, module)
        except Exception as error:
            for instrumentation in self.instrumentations:
                instrumentation.failed(current, error)
            raise
        for instrumentation in self.instrumentations:
            instrumentation.after(current, module)

    @staticmethod
    def _verify(current: ModulePass, module: ModuleOp) -> None:
        try:
            verify_module(module)
        except UserError as error:
            raise InvalidIRError(current.name, error) from error


ALL = frozenset({"*"})
"""Stands for every pass in the sets of `PrintIR`."""


@dataclass
class PrintIR(Instrumentation):
    """Prints the IR around passes to a stream, or to numbered files of a folder.

    Args:
        stream: where to print when there is no folder.
        print_before: names of passes to print the IR before; `ALL` for every pass.
        print_after: names of passes to print the IR after.
        only_changes: print after a pass only when it changed the text.
        folder: write `01_fold-batch-norm_after.mlir` ... here instead.
    """

    stream: TextIO
    print_before: Collection[str] = ()
    print_after: Collection[str] = ()
    only_changes: bool = False
    folder: Path | None = None
    _number: int = field(default=0, init=False)
    _text_before: str = field(default="", init=False)

    def before(self, current: ModulePass, module: ModuleOp, remaining: Sequence[ModulePass]) -> None:
        """Print if asked for, and remember the text if changes are."""
        self._number += 1
        asked = self._asked(self.print_before, current.name)
        if asked or self.only_changes:
            self._text_before = print_module(module)
        if asked:
            self._print("before", current.name, self._text_before)

    def after(self, current: ModulePass, module: ModuleOp) -> None:
        """Print if asked for and changed."""
        if not self._asked(self.print_after, current.name):
            return
        text = print_module(module)
        if not self.only_changes or text != self._text_before:
            self._print("after", current.name, text)

    @staticmethod
    def _asked(names: Collection[str], name: str) -> bool:
        return name in names or names == ALL

    def _print(self, when: str, name: str, text: str) -> None:
        if self.folder is None:
            self.stream.write(f"// -----// IR {when} {name} //----- //\n{text}\n")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / f"{self._number:02}_{name}_{when}.mlir", text)


@dataclass
class Timing(Instrumentation):
    """Measures passes and prints a table of seconds, share and ops at the end."""

    stream: TextIO
    clock: Callable[[], float] = time.perf_counter
    _start: float = field(default=0.0, init=False)
    _rows: list[tuple[str, float, int]] = field(default_factory=list[tuple[str, float, int]], init=False)

    def before(self, current: ModulePass, module: ModuleOp, remaining: Sequence[ModulePass]) -> None:
        """Start the clock."""
        self._start = self.clock()

    def after(self, current: ModulePass, module: ModuleOp) -> None:
        """Note the time a pass took, verification included, and the ops it left."""
        seconds = self.clock() - self._start
        self._rows.append((current.name, seconds, sum(1 for _ in module.walk())))

    def finish(self) -> None:
        """Print the table."""
        total = sum(seconds for _, seconds, _ in self._rows)
        self.stream.write(f"{'seconds':>10} {'share':>7} {'ops':>9}  pass\n")
        for name, seconds, ops in self._rows:
            share = seconds / total if total else 0.0
            self.stream.write(f"{seconds:10.4f} {share:7.1%} {ops:9}  {name}\n")
        self.stream.write(f"{total:10.4f} {1:7.1%} {'':>9}  total\n")


@dataclass
class CrashReproducer(Instrumentation):
    """Writes the IR a failing pass was given, with the command that runs it again, to a file."""

    path: Path
    _text: str = field(default="", init=False)
    _pipeline: str = field(default="", init=False)

    def before(self, current: ModulePass, module: ModuleOp, remaining: Sequence[ModulePass]) -> None:
        """Keep the text of the module and the rest of the pipeline."""
        self._text = print_module(module)
        self._pipeline = ",".join(str(item) for item in remaining)

    def failed(self, current: ModulePass, error: Exception) -> None:
        """Write the reproducer."""
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        header = f"// {current.name} failed: {reason}\n// intaglio-opt {self.path.name} -p '{self._pipeline}'\n"
        write_atomically(self.path, header + self._text)

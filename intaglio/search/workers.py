"""Where evaluations are carried out: in this process, in others on this machine, or on a Dask cluster.

Executors are named by text: `processes:4`, or `dask://host:port` with the extra `intaglio[dask]`. Results do not
depend on how many workers there are: what is evaluated next never depends on which evaluation ends first.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from intaglio.errors import UserError


class ProcessExecutor(Executor):
    """Processes on this machine, which can be started again when one of them has died.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        # Forking a process that runs threads, as onnxruntime does, may lock up.
        return ProcessPoolExecutor(self._workers, mp_context=multiprocessing.get_context("spawn"))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Give a call to one of the processes."""
        return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def restart(self) -> None:
        """End what is left of the processes and start new ones."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._start()

    @property
    def process_ids(self) -> list[int]:
        """The processes that run."""
        return list(self._pool._processes)  # pyright: ignore[reportPrivateUsage]  # there is no public way to ask


@contextmanager
def workers(name: str | Executor | None) -> Generator[Executor | None]:
    """The executor that a text names, ended with the block; an executor given as such is left alone.

    Args:
        name: `processes:N` (`processes` alone for one a core), `dask://host:port`, an executor, or None for this
            process.

    Raises:
        UserError: there is no such executor, or it cannot be reached.
    """
    if name is None or isinstance(name, Executor):
        yield name
        return
    if name.startswith("dask://"):
        with _dask(name.removeprefix("dask://")) as executor:
            yield executor
        return
    kind, _, count = name.partition(":")
    if kind != "processes" or (count and not (count.isdecimal() and 1 <= int(count) <= 1024)):
        raise UserError(
            f"there is no executor {name!r}", where="--executor", hint="use processes:N or dask://host:port"
        )
    executor = ProcessExecutor(int(count) if count else os.cpu_count() or 1)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def _dask(address: str) -> Generator[Executor]:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise UserError(
            "Dask is not installed", where="--executor", hint='install it with: pip install "intaglio[dask]"'
        ) from error
    try:
        client = distributed.Client(f"tcp://{address}", timeout="10s")
    except (OSError, ValueError) as error:
        raise UserError(f"no Dask scheduler answers: {error}", where=f"dask://{address}") from error
    try:
        yield client.get_executor(pure=False)
    finally:
        client.close()

"""Running many samples of a package: hosts in threads of their own, their accelerator regions together.

Host code is compiled for one sample and calls the accelerator in the middle. Each sample therefore has a thread that
runs its host and waits in every call. When all samples wait (or are done), the calls of the same region are run as one
batch, which the simulator does faster than one by one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BatchLauncher = Callable[[int, list[Array]], list[Array]]
"""Runs a region, by its number, on inputs with the samples on a new first axis."""

Host = Callable[[Sequence[Array], Callable[[int, list[Array]], list[Array]]], list[Array]]
"""Runs the host code of one sample, given its arguments and what to call for accelerator regions."""


@dataclass(eq=False)
class _Call:
    """A call of a region by one sample, waiting for its results."""

    region: int
    inputs: list[Array]
    results: list[Array] = field(default_factory=list[Array])
    error: Exception | None = None
    is_done: bool = False


class _Meeting:
    """Where the calls of all samples meet.

    Args:
        launcher: runs a batch of a region.
        samples: how many samples run.
    """

    def __init__(self, launcher: BatchLauncher, samples: int) -> None:
        self._launcher = launcher
        self._running = samples
        self._waiting: list[_Call] = []
        self._changed = threading.Condition()

    def call(self, region: int, inputs: list[Array]) -> list[Array]:
        """Wait for the others, and return this sample's results of a region."""
        # Memory of the host, which is used again for other tensors.
        call = _Call(region, [np.array(array) for array in inputs])
        with self._changed:
            self._waiting.append(call)
            self._run_if_all_wait()
            self._changed.wait_for(lambda: call.is_done)
        if call.error is not None:
            raise call.error
        return call.results

    def leave(self) -> None:
        """A sample is done, or has failed."""
        with self._changed:
            self._running -= 1
            self._run_if_all_wait()

    def _run_if_all_wait(self) -> None:
        if not self._waiting or len(self._waiting) < self._running:
            return
        calls, self._waiting = self._waiting, []
        for region in dict.fromkeys(call.region for call in calls):
            self._run(region, [call for call in calls if call.region == region])
        self._changed.notify_all()

    def _run(self, region: int, calls: list[_Call]) -> None:
        try:
            inputs = [np.stack(arrays) for arrays in zip(*(call.inputs for call in calls), strict=True)]
            results = self._launcher(region, inputs)
            for index, call in enumerate(calls):
                call.results = [array[index] for array in results]
        except Exception as error:  # whatever it is, it is raised again in the threads that wait
            for call in calls:
                call.error = error
        for call in calls:
            call.is_done = True


def run_together(
    hosts: Sequence[Host], arguments: Sequence[Sequence[Array]], launcher: BatchLauncher
) -> list[list[Array]]:
    """Run samples, each by a host of its own.

    Args:
        hosts: at least as many as samples.
        arguments: the host's arguments for each sample.
        launcher: runs a batch of a region.

    Returns:
        The host's results for each sample.
    """
    meeting = _Meeting(launcher, len(arguments))

    def run(host: Host, values: Sequence[Array]) -> list[Array]:
        try:
            return host(values, meeting.call)
        finally:
            meeting.leave()

    with ThreadPoolExecutor(max(len(arguments), 1)) as pool:
        return list(pool.map(run, hosts[: len(arguments)], arguments))

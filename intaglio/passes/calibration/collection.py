"""The statistics of all observed tensors of a network: collecting, saving, resuming and merging them.

A file of statistics is a safetensors file. Its metadata holds the number of samples and the name and method of each
tensor; its arrays are the statistics. It depends on the network only by those names, so that machines which
calibrate parts of the data with the same model can each write one, and one of them adds them up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors
import safetensors.numpy
from safetensors import SafetensorError

from intaglio.calibration_methods import CalibrationMethod
from intaglio.errors import UserError
from intaglio.files import parse_document, write_atomically
from intaglio.passes.calibration.channels import ChannelStatistics
from intaglio.passes.calibration.statistics import (
    Grid,
    MinMaxStatistics,
    NotFiniteError,
    Range,
    RangeStatistics,
    statistics_for,
)

Array = np.ndarray[Any, np.dtype[Any]]

_safetensors: Any = safetensors
"""The package has no types for opening files."""

_FORMAT = "intaglio.statistics.1"

_LARGEST_FILE = 1 << 30


class NetworkStatistics:
    """Statistics of each observed tensor of a network.

    Attributes:
        samples: how many samples they are of.
        tensors: the statistics by the tensor's name, in the network's order.
        channels: the statistics of each tensor's channels by its name; empty when they were not asked for.

    Args:
        methods: the calibration method of each tensor by name.
        channels: whether to keep statistics of channels.
    """

    def __init__(self, methods: Mapping[str, CalibrationMethod], *, channels: bool = False) -> None:
        self.samples = 0
        self.tensors: dict[str, RangeStatistics[Any]] = {
            name: statistics_for(method) for name, method in methods.items()
        }
        self.channels = {name: ChannelStatistics() for name in (methods if channels else ())}

    def copy(self) -> NetworkStatistics:
        """Statistics of their own that are equal to these."""
        result = NetworkStatistics(
            {name: statistics.method for name, statistics in self.tensors.items()}, channels=bool(self.channels)
        )
        for name, statistics in result.tensors.items():
            statistics.restore({key: array.copy() for key, array in self.tensors[name].state().items()})
        for name, statistics in result.channels.items():
            statistics.restore(self.channels[name].state())
        result.samples = self.samples
        return result

    def update(self, values: Sequence[Array], batch: int = 1) -> None:
        """Take in one run of the network.

        Args:
            values: what each tensor holds, in order.
            batch: how many samples the run was of. The first axis of the tensors that it divides counts them; other
                tensors are taken as of one sample.

        Raises:
            UserError: a value is NaN or infinite; the tensor is named.
        """
        for (name, statistics), array in zip(self.tensors.items(), values, strict=True):
            rows = batch if array.ndim > 1 and array.shape[0] == batch else 1
            channels = self.channels.get(name)
            extrema = None if channels is None else channels.update(array)
            try:
                if extrema is not None and isinstance(statistics, MinMaxStatistics):
                    statistics.widen(extrema)
                else:
                    statistics.update(array, rows)
            except NotFiniteError as error:
                what = "sample" if batch == 1 else f"batch of {batch} samples from"
                raise UserError(
                    f"{what} {self.samples} makes values of {name!r} {error}",
                    hint="the float network itself does not work on this sample",
                ) from error
        self.samples += batch

    def ranges(self, grid: Grid | None = None) -> dict[str, Range]:
        """The range of each tensor.

        Args:
            grid: the integers that values will be quantized to; by default 8 bits, asymmetric.

        Raises:
            UserError: there were no samples.
        """
        if not self.samples:
            raise UserError("there are no samples to calibrate with")
        return {name: statistics.range(grid or Grid()) for name, statistics in self.tensors.items()}

    def extrema(self) -> dict[str, Range]:
        """The smallest and the largest value seen of each tensor whose range may leave some out."""
        found = {name: statistics.extrema() for name, statistics in self.tensors.items()}
        return {name: bounds for name, bounds in found.items() if bounds is not None}

    def merge(self, other: NetworkStatistics) -> None:
        """Take in the statistics of other samples.

        Raises:
            UserError: they are of other tensors or methods, or a method does not allow it. Nothing is changed.
        """
        if list(self.channels) != list(other.channels):
            raise UserError(
                "only one of the parts has statistics of channels",
                hint="collect all parts with the same model and options",
            )
        if list(self.tensors) != list(other.tensors):
            differing = sorted(set(self.tensors) ^ set(other.tensors))
            raise UserError(
                "the statistics are of different networks"
                + (f": only one has the tensor {differing[0]!r}" if differing else ""),
                hint="collect all parts with the same model and options",
            )
        merged = {name: statistics_for(statistics.method) for name, statistics in self.tensors.items()}
        for name, statistics in merged.items():
            statistics.restore(self.tensors[name].state())
            statistics.merge(other.tensors[name])
        self.tensors = merged
        for name, statistics in self.channels.items():
            statistics.merge(other.channels[name])
        self.samples += other.samples

    def save(self, path: str | Path) -> None:
        """Write a file of statistics in one step.

        Raises:
            UserError: the file cannot be written.
        """
        arrays: dict[str, Array] = {}
        entries: list[dict[str, str]] = []
        for index, (name, statistics) in enumerate(self.tensors.items()):
            entries.append({"name": name, "method": str(statistics.method)})
            state = statistics.state() | (self.channels[name].state() if name in self.channels else {})
            arrays |= {f"{index}.{key}": np.ascontiguousarray(array) for key, array in state.items()}
        metadata = {"format": _FORMAT, "samples": str(self.samples), "tensors": json.dumps(entries)}
        write_atomically(path, safetensors.numpy.save(arrays, metadata=metadata))

    @staticmethod
    def load(path: str | Path) -> NetworkStatistics:
        """Read a file of statistics.

        Raises:
            UserError: the file cannot be read or is no such file.
        """
        metadata, arrays = _read(Path(path))
        try:
            samples = int(metadata["samples"])
            entries = cast("list[dict[str, str]]", parse_document(metadata["tensors"], "JSON", where=str(path)))
            result = NetworkStatistics(
                {str(entry["name"]): CalibrationMethod.from_str(str(entry["method"])) for entry in entries},
                channels="0.channel_count" in arrays,
            )
            for index, (name, statistics) in enumerate(result.tensors.items()):
                prefix = f"{index}."
                state = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
                statistics.restore(state)
                if name in result.channels:
                    result.channels[name].restore(state)
        except (KeyError, TypeError, ValueError, UserError) as error:
            reason = error.what if isinstance(error, UserError) else error
            raise UserError(f"the statistics are damaged: {reason}", where=str(path)) from error
        if samples < 0 or len(result.tensors) != len(entries):
            raise UserError("the statistics are damaged: samples or names do not add up", where=str(path))
        result.samples = samples
        return result


def _read(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    hint = "intaglio calibrate --statistics writes such files"
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise UserError("the file is too large for statistics", where=str(path), hint=hint)
        with _safetensors.safe_open(path, framework="numpy") as file:
            metadata = cast("dict[str, str]", file.metadata() or {})
            arrays = {key: cast(Array, file.get_tensor(key)) for key in cast("list[str]", file.keys())}
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror or error}", where=str(path)) from error
    except SafetensorError as error:
        raise UserError("this is no file of calibration statistics", where=str(path), hint=hint) from error
    if metadata.get("format") != _FORMAT:
        raise UserError("this is no file of calibration statistics", where=str(path), hint=hint)
    return metadata, arrays

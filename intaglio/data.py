"""Sample data: what a network is calibrated, run and evaluated on.

A sample is one array per model input, of the input's shape. An `.npz` file holds one array per input, named as
the input, with the samples in one of two layouts told apart by the number of dimensions:

- on a new first axis: `(N, *shape)`;
- one after another along the first dimension: `(N * shape[0], *shape[1:])`.

So for an input of shape `(1, 1, 28, 28)` both `(N, 1, 1, 28, 28)` and `(N, 1, 28, 28)` are N samples. A sample of
a model compiled for batches of 4 is a batch: of an input of shape `(4, 1, 28, 28)`, a file with `(N * 4, 1, 28, 28)`
has N, and a number of entries that leaves a part of a batch is refused. Beside the
inputs there may be an array `label` with one entry for each entry of the first axis.

Files are read as a stream, one sample at a time, so that memory does not grow with their size. Pickled objects
are refused.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from intaglio.errors import UserError

Array = np.ndarray[Any, np.dtype[Any]]

LABEL = "label"
"""Name of the array of labels in a file of samples."""


@dataclass(frozen=True)
class _Member:
    """An array in an `.npz` file, as its header describes it."""

    file_name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool


class Samples:
    """The samples of an `.npz` file; iterating reads the file once.

    Attributes:
        path: the file.
        labels: the array `label`, or None; its first axis is that of the input arrays.

    Args:
        path: the file.
        inputs: shape of each model input by name.
        dtypes: dtype of the inputs that are not float32.

    Raises:
        UserError: the file cannot be read or does not fit the inputs. Values are checked while iterating.
    """

    def __init__(
        self,
        path: str | Path,
        inputs: Mapping[str, Sequence[int]],
        dtypes: Mapping[str, np.dtype[Any]] | None = None,
    ) -> None:
        self.path = Path(path)
        self._shapes = {name: tuple(shape) for name, shape in inputs.items()}
        self._dtypes = {name: np.dtype((dtypes or {}).get(name, np.float32)) for name in inputs}
        members = _headers(self.path)
        self._check_names(members)
        self._members = {name: members[name] for name in self._shapes}
        for name, member in self._members.items():
            _check_dtype(name, member.dtype, self._dtypes[name], str(self.path))
        self._length = self._check_shapes()
        label = members.get(LABEL) if LABEL not in self._shapes else None
        self.labels = None if label is None else self._read_labels(label)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[dict[str, Array]]:
        with reading_archive(self.path), zipfile.ZipFile(self.path) as archive, ExitStack() as stack:
            arrays = {
                name: stack.enter_context(closing(_stream(archive, member, self._length)))
                for name, member in self._members.items()
            }
            for index in range(self._length):
                where = f"{self.path}, sample {index}"
                sample = {name: next(array).reshape(self._shapes[name]) for name, array in arrays.items()}
                yield {name: _converted(name, value, self._dtypes[name], where) for name, value in sample.items()}

    def _check_names(self, members: Mapping[str, _Member]) -> None:
        missing = [name for name in self._shapes if name not in members]
        unknown = [name for name in members if name not in self._shapes and name != LABEL]
        if missing or unknown:
            parts = [f"there is no array {missing[0]!r}"] if missing else []
            parts += [f"array {unknown[0]!r} is no input of the model"] if unknown else []
            raise UserError(
                " and ".join(parts),
                where=str(self.path),
                hint=f"name the arrays as the inputs: {', '.join(self._shapes)} (and {LABEL})",
            )

    def _check_shapes(self) -> int:
        lengths = {name: self._count(name) for name in self._shapes}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise UserError(f"the inputs differ in their number of samples: {counts}", where=str(self.path))
        length = next(iter(lengths.values()), 0)
        if length == 0:
            raise UserError("the file has no samples", where=str(self.path))
        return length

    def _count(self, name: str) -> int:
        """Number of samples in the array of an input."""
        shape, got = self._shapes[name], self._members[name].shape
        if got[1:] == shape and got:
            return got[0]
        if shape and shape[0] > 0 and got[1:] == shape[1:] and len(got) == len(shape) and got[0] % shape[0] == 0:
            return got[0] // shape[0]
        if shape and shape[0] > 1 and got[1:] == shape[1:]:
            raise UserError(
                f"array {name!r} has {got[0]} entries, which do not make whole batches of {shape[0]}",
                where=str(self.path),
                hint="leave some out or repeat some, or compile for another batch size",
            )
        raise UserError(
            f"array {name!r} has shape {list(got)}, but the input has shape {list(shape)}",
            where=str(self.path),
            hint=f"stack N samples on a new first axis: {['N', *shape]}".replace("'", ""),
        )

    def _read_labels(self, member: _Member) -> Array:
        first_axis = next(iter(self._members.values())).shape[0]
        if member.shape[:1] != (first_axis,):
            raise UserError(
                f"array {LABEL!r} has shape {list(member.shape)}, expected {first_axis} on its first axis",
                where=str(self.path),
            )
        with reading_archive(self.path), zipfile.ZipFile(self.path) as archive:
            (labels,) = _stream(archive, member, 1)
            return labels.reshape(member.shape)


def load_samples(
    path: str | Path,
    inputs: Mapping[str, Sequence[int]],
    dtypes: Mapping[str, np.dtype[Any]] | None = None,
) -> Samples:
    """Open an `.npz` file of samples; see the module for its layout.

    Float arrays of any width are taken for float inputs, integers where no value can be lost.

    Args:
        path: the file.
        inputs: shape of each model input by name.
        dtypes: dtype of the inputs that are not float32.

    Raises:
        UserError: the file cannot be read, or names, shapes, types or labels do not fit, or it is empty. NaN and
            infinite values are reported when the sample is read.
    """
    return Samples(path, inputs, dtypes)


def checked_samples(
    samples: Iterable[Mapping[str, Array]],
    inputs: Mapping[str, Sequence[int]],
    dtypes: Mapping[str, np.dtype[Any]] | None = None,
) -> Iterator[dict[str, Array]]:
    """Yield each sample of an iterable after checking it against the inputs, one at a time.

    Raises:
        UserError: names, shape, type or values of a sample do not fit.
    """
    for index, sample in enumerate(samples):
        where = f"sample {index}"
        if set(sample) - {LABEL} != set(inputs) - {LABEL} or not set(inputs) <= set(sample):
            raise UserError(
                f"the sample has the arrays {', '.join(sample) or 'none'}",
                where=where,
                hint=f"give one array for each input: {', '.join(inputs)}",
            )
        result: dict[str, Array] = {}
        for name, shape in inputs.items():
            value = np.asarray(sample[name])
            if value.shape != tuple(shape):
                raise UserError(
                    f"array {name!r} has shape {list(value.shape)}, but the input has shape {list(shape)}", where=where
                )
            dtype = np.dtype((dtypes or {}).get(name, np.float32))
            _check_dtype(name, value.dtype, dtype, where)
            result[name] = _converted(name, value, dtype, where)
        yield result


def _check_dtype(name: str, got: np.dtype[Any], expected: np.dtype[Any], where: str) -> None:
    """Accept floats for floats, and otherwise only what loses no value."""
    if got.kind == expected.kind == "f" or (got.kind == expected.kind and np.can_cast(got, expected)):
        return
    hint = "apply the model's preprocessing before saving" if got.kind in "iu" and expected.kind == "f" else None
    raise UserError(f"array {name!r} is {got}, but the input is {expected}", where=where, hint=hint)


def _converted(name: str, value: Array, dtype: np.dtype[Any], where: str) -> Array:
    """The array in the input's dtype, refusing NaN, infinity and what becomes infinite."""
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(value, dtype=dtype).reshape(value.shape)
    if dtype.kind == "f" and not np.isfinite(converted).all():
        kind = "NaN" if np.isnan(converted).any() else "infinite"
        raise UserError(f"array {name!r} has {kind} values", where=where, hint="remove the sample or mend the data")
    return converted


@contextmanager
def reading_archive(path: Path) -> Generator[None]:
    """Turn what zipfile and the system raise while reading into a UserError."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError("there is no such file", where=str(path)) from error
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror or error}", where=str(path)) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(
            f"the file is no sound .npz archive: {error}", where=str(path), hint="write it with numpy.savez"
        ) from error


def array_headers(path: str | Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and dtype of each array of an `.npz` file, without reading their values.

    Raises:
        UserError: the file cannot be read or is no sound archive of arrays.
    """
    return {name: (member.shape, member.dtype) for name, member in _headers(Path(path)).items()}


def _headers(path: Path) -> dict[str, _Member]:
    """The arrays of an archive by name, from their headers alone."""
    with reading_archive(path), zipfile.ZipFile(path) as archive:
        members: dict[str, _Member] = {}
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            with archive.open(info) as stream:
                shape, fortran_order, dtype = _read_header(cast(BinaryIO, stream), f"{path}, array {name!r}")
                header_size = stream.tell()
            if header_size + math.prod(shape) * dtype.itemsize != info.file_size:
                raise UserError(f"array {name!r} is cut short or damaged", where=str(path))
            members[name] = _Member(info.filename, shape, dtype, fortran_order)
        return members


def _read_header(stream: BinaryIO, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and dtype of the `.npy` data in `stream`, which is left at the first value."""
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read(stream)
    except ValueError as error:
        raise UserError(f"not a NumPy array: {error}", where=where, hint="write the file with numpy.savez") from error
    if dtype.hasobject:
        raise UserError("the array holds Python objects", where=where, hint="save arrays of numbers")
    return shape, fortran_order, dtype


def _stream(archive: zipfile.ZipFile, member: _Member, parts: int) -> Generator[Array]:
    """Yield an array in `parts` equal pieces along its first axis, each flattened."""
    count = math.prod(member.shape) // parts
    with archive.open(member.file_name) as stream:
        _read_header(cast(BinaryIO, stream), member.file_name)
        if member.fortran_order and len(member.shape) > 1:
            whole = np.frombuffer(stream.read(), member.dtype).reshape(member.shape, order="F")
            yield from np.ascontiguousarray(whole).reshape(parts, count)
            return
        for _ in range(parts):
            data = stream.read(count * member.dtype.itemsize)
            if len(data) != count * member.dtype.itemsize:
                raise EOFError("the data ends early")
            yield np.frombuffer(data, member.dtype)


class Replayed:
    """Samples that can be read once, such as those of a generator, with the first ones kept for reading them again.

    Iterating a second time gives the samples that are kept, and then what nobody has read yet.

    Args:
        samples: read as they are asked for.
        most_bytes: samples are kept as long as they have no more bytes together; the first is always.
    """

    def __init__(self, samples: Iterable[Mapping[str, Array]], most_bytes: int = 64 << 20) -> None:
        self._rest = iter(samples)
        self._left = most_bytes
        self._kept: list[Mapping[str, Array]] = []
        self._keeps = True

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        index = 0
        while index < len(self._kept):
            yield self._kept[index]
            index += 1
        for sample in self._rest:
            self._left -= sum(np.asarray(array).nbytes for array in sample.values())
            self._keeps = self._keeps and (self._left >= 0 or not self._kept)
            if self._keeps:
                self._kept.append(sample)
            yield sample

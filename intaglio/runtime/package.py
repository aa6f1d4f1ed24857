"""The package file `.igpkg`: all that running a compiled model needs, in one zip file.

| member | what it holds |
|---|---|
| `manifest.json` | names, shapes and types of inputs and outputs; the regions; size and digest of every other member |
| `host.so` | the host's part, compiled by TVM |
| `target.toml` | the accelerator it was compiled for; absent when the host runs everything |
| `regions/NAME.bin` | a region's instruction words, 16 bytes each |
| `regions/NAME.constants` | the content of its constants region |
| `regions/NAME.debug.json` | the ONNX name that each instruction comes from |

Members are stored, not compressed, in a fixed order and with fixed times, so that equal content is equal bytes.
Nothing in a package says where or when it was made. A reader checks size and digest (blake2b, 16 bytes) of
each member before using it, which finds damage; it does not protect from a forger, and the host library is machine
code: run packages only from people you trust.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from intaglio.errors import UserError
from intaglio.files import write_atomically
from intaglio.passes.partition.boundaries import Boundaries, Boundary
from intaglio.targets.binary import ProgramBinary
from intaglio.targets.target import Target, parse_target

FORMAT = 1
"""Version of the format; a reader takes no other."""

SUFFIX = ".igpkg"

_MANIFEST = "manifest.json"
_HOST = "host.so"
_TARGET = "target.toml"
_MEMBER_NAME = re.compile(r"(regions/)?[A-Za-z0-9_]+\.(json|so|toml|bin|constants|debug\.json)")
_LARGEST_MANIFEST = 64 << 20
_DAMAGED = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error)
"""What `zipfile` raises on files that are damaged: in this order, bad structure, an early end, unknown compression,
encryption, names that are no text, offsets out of range, short headers."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model.

    Args:
        name: its name in the ONNX model.
        shape: its dimensions.
        dtype: its NumPy type, such as `float32`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class PlacedOperation:
    """An operation of the compiled model and where it runs.

    Args:
        name: its name in the ONNX model, or None.
        operation: what it is, such as `nn.softmax`; None on the accelerator, where only instructions are left.
        device: `host` or the name of an accelerator region.
        reason: why it is on the host.
    """

    name: str | None
    operation: str | None
    device: str
    reason: str | None


@dataclass(frozen=True)
class Package:
    """What a package file holds.

    Args:
        model: name of the model.
        target: the accelerator, or None when the host runs everything.
        inputs: what the model takes.
        outputs: what it gives.
        host_library: the shared library of the host's part.
        host_baseline: the processors that it runs on.
        regions: accelerator programs; the host library knows each by its place here.
        placement: every operation and where it runs.
        boundaries: what crosses the boundaries of the regions, and what the compiler took that to cost.
        batch: how many samples one run takes, stacked along the first dimension of inputs that left it open.
        versions: the versions of the packages that compiled it.
    """

    model: str
    target: Target | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    host_library: bytes
    host_baseline: str
    regions: tuple[ProgramBinary, ...]
    placement: tuple[PlacedOperation, ...]
    boundaries: Boundaries
    batch: int
    versions: Mapping[str, str]


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def package_bytes(package: Package) -> bytes:
    """Return the content of the package file; equal packages give equal bytes."""
    members: dict[str, bytes] = {_HOST: package.host_library}
    if package.target is not None:
        members[_TARGET] = package.target.to_toml().encode()
    for region in package.regions:
        members[f"regions/{region.name}.bin"] = region.words
        members[f"regions/{region.name}.constants"] = region.constants
        members[f"regions/{region.name}.debug.json"] = _debug_json(region.debug)
    manifest = {
        "format": FORMAT,
        "model": package.model,
        "inputs": [asdict(tensor) for tensor in package.inputs],
        "outputs": [asdict(tensor) for tensor in package.outputs],
        "host_baseline": package.host_baseline,
        "regions": [
            {
                "name": region.name,
                "arena_bytes": region.arena_bytes,
                "scratchpad_bytes": region.scratchpad_bytes,
                "scratchpad_live_bytes": region.scratchpad_live_bytes,
                "inputs": region.inputs,
                "outputs": region.outputs,
                "element_bytes": region.element_bytes,
                "target": region.target,
            }
            for region in package.regions
        ],
        "placement": [asdict(operation) for operation in package.placement],
        "boundaries": [asdict(boundary) for boundary in package.boundaries.regions],
        "batch": package.batch,
        "versions": dict(package.versions),
        "members": {name: {"bytes": len(data), "blake2b": _digest(data)} for name, data in members.items()},
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {_MANIFEST: _json(manifest), **members}.items():
            # ZipInfo's own default is this date; the system and mode are set so that no machine differs.
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, data)
    return stream.getvalue()


def write_package(package: Package, path: str | Path) -> None:
    """Write a package file in one step.

    Raises:
        UserError: the file cannot be written.
    """
    write_atomically(path, package_bytes(package))


def _debug_json(names: Sequence[str | None]) -> bytes:
    """Names once each, and for each instruction the index of its name or -1."""
    indices = {name: index for index, name in enumerate(dict.fromkeys(name for name in names if name is not None))}
    instructions = [-1 if name is None else indices[name] for name in names]
    return json.dumps({"names": list(indices), "instructions": instructions}, separators=(",", ":")).encode()


def is_package(path: str | Path) -> bool:
    """Whether a file is a zip file, as packages are; it may still be damaged or something else."""
    return zipfile.is_zipfile(path)


def read_package(path: str | Path) -> Package:
    """Read and check a package file.

    Raises:
        UserError: the file is missing, is no package, is damaged, or has another version of the format.
    """
    path = Path(path)
    where = str(path)
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            members = _checked_members(archive, where)
    except FileNotFoundError:
        raise UserError("no such file", where=where) from None
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror or error}", where=where) from error
    except _DAMAGED as error:
        raise UserError(
            f"not a package, or a damaged one: {error or type(error).__name__}",
            where=where,
            hint="packages are made by intaglio compile",
        ) from error
    try:
        return _package(_Fields(json.loads(members[_MANIFEST]), "manifest"), members)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the package is damaged: {error}", where=where) from error


def _checked_members(archive: zipfile.ZipFile, where: str) -> dict[str, bytes]:
    """Return the content of every member after comparing names, sizes and digests with the manifest."""
    infos = {info.filename: info for info in archive.infolist()}
    if _MANIFEST not in infos:
        raise UserError(f"not a package: it has no {_MANIFEST}", where=where)
    for name, info in infos.items():
        if not _MEMBER_NAME.fullmatch(name):
            raise UserError(f"the package has a member of the impossible name {name[:80]!r}", where=where)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise UserError(f"the member {name} is compressed, which packages are not", where=where)
    if len(infos) != len(archive.infolist()):
        raise UserError("the package has two members of one name", where=where)
    if infos[_MANIFEST].file_size > _LARGEST_MANIFEST:
        raise UserError(f"{_MANIFEST} has {infos[_MANIFEST].file_size} bytes, too many", where=where)
    members = {_MANIFEST: archive.read(_MANIFEST)}
    try:
        manifest = _Fields(json.loads(members[_MANIFEST]), "manifest")
        version = manifest.integer("format")
        if version != FORMAT:
            raise UserError(
                f"the package has format {version}, this version of Intaglio reads format {FORMAT}",
                where=where,
                hint="compile the model again",
            )
        expected = manifest.fields("members")
        if set(expected.names) != set(infos) - {_MANIFEST}:
            different = sorted(set(expected.names) ^ (set(infos) - {_MANIFEST}))
            raise UserError(f"the package and its manifest differ in the member {different[0]!r}", where=where)
        for name in expected.names:
            entry = expected.fields(name)
            if infos[name].file_size != entry.integer("bytes"):
                raise UserError(
                    f"the member {name} has {infos[name].file_size} bytes, not as many as said", where=where
                )
            members[name] = archive.read(name)
            if _digest(members[name]) != entry.text("blake2b"):
                raise UserError(f"the package is damaged: the digest of {name} is wrong", where=where)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the package is damaged: {error}", where=where) from error
    return members


class _Fields:
    """A JSON object whose fields are checked when they are read.

    Raises:
        ValueError: from every method, when a field is missing or of another type.
    """

    def __init__(self, document: object, where: str) -> None:
        if not isinstance(document, dict):
            raise ValueError(f"{where} is no JSON object")
        self._document = cast("dict[str, object]", document)
        self._where = where

    @property
    def names(self) -> list[str]:
        return list(self._document)

    def _get(self, name: str, kind: type[Any]) -> Any:
        value = self._document.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{self._where} has no {kind.__name__} {name!r}")
        return value

    def integer(self, name: str) -> int:
        value: int = self._get(name, int)
        if value < 0:
            raise ValueError(f"{name!r} of {self._where} is {value}")
        return value

    def text(self, name: str) -> str:
        return self._get(name, str)

    def optional_text(self, name: str) -> str | None:
        return None if self._document.get(name) is None else self.text(name)

    def fields(self, name: str) -> _Fields:
        return _Fields(self._get(name, dict), f"{name!r} of {self._where}")

    def items(self, name: str) -> list[object]:
        return self._get(name, list)

    def objects(self, name: str) -> list[_Fields]:
        return [_Fields(item, f"an entry of {name!r}") for item in self.items(name)]

    def integers(self, name: str, least: int = 0) -> tuple[int, ...]:
        values = self.items(name)
        if not all(isinstance(value, int) and value >= least for value in values):
            raise ValueError(f"{name!r} of {self._where} must hold integers from {least}")
        return tuple(cast("list[int]", values))

    def shapes(self, name: str) -> tuple[tuple[int, ...], ...]:
        return tuple(_Fields({"shape": item}, name).integers("shape") for item in self.items(name))


def _package(manifest: _Fields, members: Mapping[str, bytes]) -> Package:
    target = members.get(_TARGET)
    regions = tuple(_region(fields, members) for fields in manifest.objects("regions"))
    if regions and target is None:
        raise ValueError(f"there are regions but no {_TARGET}")
    versions = manifest.fields("versions")
    return Package(
        model=manifest.text("model"),
        target=None if target is None else parse_target(target.decode(), where=_TARGET),
        inputs=_tensors(manifest.objects("inputs")),
        outputs=_tensors(manifest.objects("outputs")),
        host_library=_member(members, _HOST),
        host_baseline=manifest.text("host_baseline"),
        regions=regions,
        placement=tuple(
            PlacedOperation(
                fields.optional_text("name"),
                fields.optional_text("operation"),
                fields.text("device"),
                fields.optional_text("reason"),
            )
            for fields in manifest.objects("placement")
        ),
        boundaries=Boundaries(
            tuple(
                Boundary(
                    fields.text("region"),
                    fields.integer("tensors"),
                    fields.integer("bytes"),
                    fields.integer("cycles"),
                    fields.integer("cast_cycles"),
                )
                for fields in manifest.objects("boundaries")
            )
        ),
        batch=manifest.integer("batch"),
        versions={name: versions.text(name) for name in versions.names},
    )


def _member(members: Mapping[str, bytes], name: str) -> bytes:
    if name not in members:
        raise ValueError(f"the member {name} is missing")
    return members[name]


def _tensors(entries: Sequence[_Fields]) -> tuple[TensorSpec, ...]:
    tensors = tuple(TensorSpec(entry.text("name"), entry.integers("shape"), entry.text("dtype")) for entry in entries)
    for tensor in tensors:
        try:
            np.dtype(tensor.dtype)
        except TypeError as error:
            raise ValueError(f"{tensor.name!r} has the unknown type {tensor.dtype!r}") from error
    return tensors


def _region(fields: _Fields, members: Mapping[str, bytes]) -> ProgramBinary:
    name = fields.text("name")
    words = _member(members, f"regions/{name}.bin")
    debug = _Fields(json.loads(_member(members, f"regions/{name}.debug.json")), f"the debug map of {name}")
    names, indices = debug.items("names"), debug.integers("instructions", least=-1)
    if not all(isinstance(entry, str) for entry in names) or any(index >= len(names) for index in indices):
        raise ValueError(f"the debug map of {name} names what it does not have")
    program = ProgramBinary(
        name=name,
        words=words,
        constants=_member(members, f"regions/{name}.constants"),
        arena_bytes=fields.integer("arena_bytes"),
        inputs=fields.shapes("inputs"),
        outputs=fields.shapes("outputs"),
        debug=tuple(None if index < 0 else cast("str", names[index]) for index in indices),
        target=fields.text("target"),
        element_bytes=fields.integers("element_bytes", least=1),
        scratchpad_bytes=fields.integer("scratchpad_bytes"),
        scratchpad_live_bytes=fields.integer("scratchpad_live_bytes"),
    )
    tensors = len(program.inputs) + len(program.outputs)
    if len(program.element_bytes) not in (0, tensors) or not set(program.element_bytes) <= {1, 2}:
        raise ValueError(f"{name} has {tensors} inputs and outputs of {list(program.element_bytes)} bytes an element")
    if program.instructions != len(program.debug):
        raise ValueError(f"the debug map of {name} is for {len(program.debug)} of {program.instructions} instructions")
    return program

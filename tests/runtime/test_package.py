"""Package files: the same content is the same bytes, and nothing damaged or forged gets past the reader."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import UserError
from intaglio.passes.partition.boundaries import Boundaries, Boundary
from intaglio.runtime.package import (
    Package,
    PlacedOperation,
    TensorSpec,
    package_bytes,
    read_package,
    write_package,
)
from intaglio.targets.assembler import assemble
from intaglio.targets.binary import ProgramBinary
from intaglio.targets.target import load_target

REGION = ProgramBinary(
    name="region_0",
    words=assemble("end"),
    constants=bytes(range(40)),
    arena_bytes=64,
    inputs=((1, 4), (2,)),
    outputs=((1, 4),),
    debug=("stem/Conv: 日本",),
    target="gen1",
    scratchpad_bytes=192,
    scratchpad_live_bytes=128,
)
PACKAGE = Package(
    model="net",
    target=load_target("gen1"),
    inputs=(TensorSpec("input:0", (1, 4), "float32"),),
    outputs=(TensorSpec("a/b", (1, 4), "float32"), TensorSpec("c", (), "int64")),
    host_library=b"\x7fELF" + bytes(100),
    host_baseline="x86_64-linux-gnu x86-64-v3",
    regions=(REGION, replace(REGION, name="region_1", debug=(None,))),
    placement=(
        PlacedOperation("out", "nn.softmax", "host", "Softmax is not supported"),
        PlacedOperation(None, None, "region_0", None),
    ),
    boundaries=Boundaries((Boundary("region_0", 2, 8, 5_234, 1_008),)),
    batch=1,
    versions={"intaglio": "0.1.0"},
)


def saved(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "net.igpkg"
    path.write_bytes(content)
    return path


def members_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rezipped(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def with_manifest(change: Callable[[dict[str, Any]], None]) -> bytes:
    """The package with its manifest changed, and everything else as it was."""
    members = members_of(package_bytes(PACKAGE))
    manifest = json.loads(members["manifest.json"])
    change(manifest)
    return rezipped([("manifest.json", json.dumps(manifest).encode()), *list(members.items())[1:]])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_package(PACKAGE, tmp_path / "net.igpkg")
    assert read_package(tmp_path / "net.igpkg") == PACKAGE
    host_only = replace(PACKAGE, target=None, regions=())
    write_package(host_only, tmp_path / "host.igpkg")
    assert read_package(tmp_path / "host.igpkg") == host_only


def test_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    content = package_bytes(PACKAGE)
    assert package_bytes(read_package(saved(tmp_path, content))) == content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    assert infos[0].filename == "manifest.json"
    assert str(tmp_path).encode() not in content


def test_members_hold_the_plain_bytes() -> None:
    members = members_of(package_bytes(PACKAGE))
    assert members["regions/region_0.bin"] == REGION.words
    assert members["regions/region_0.constants"] == REGION.constants
    assert members["host.so"] == PACKAGE.host_library
    assert json.loads(members["regions/region_0.debug.json"]) == {"names": ["stem/Conv: 日本"], "instructions": [0]}


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_package(tmp_path / "no.igpkg")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the file"):
        read_package(tmp_path)


def test_something_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a package"):
        read_package(saved(tmp_path, b"ONNX or whatever"))
    with pytest.raises(UserError, match=r"it has no manifest\.json"):
        read_package(saved(tmp_path, rezipped([("x.npy", b"")])))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path: Path, part: float) -> None:
    content = package_bytes(PACKAGE)
    with pytest.raises(UserError, match="not a package, or a damaged one"):
        read_package(saved(tmp_path, content[: int(len(content) * part)]))


@pytest.mark.parametrize("name", [name for name in members_of(package_bytes(PACKAGE)) if name != "manifest.json"])
def test_a_changed_member_is_found_by_its_digest(tmp_path: Path, name: str) -> None:
    members = members_of(package_bytes(PACKAGE))
    members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])
    with pytest.raises(UserError, match=f"the digest of {name} is wrong"):
        read_package(saved(tmp_path, rezipped(list(members.items()))))


def test_a_member_of_another_size(tmp_path: Path) -> None:
    members = members_of(package_bytes(PACKAGE))
    members["host.so"] += b"x"
    with pytest.raises(UserError, match=r"host\.so has 105 bytes, not as many as said"):
        read_package(saved(tmp_path, rezipped(list(members.items()))))


def test_another_version(tmp_path: Path) -> None:
    content = with_manifest(lambda manifest: manifest.update(format=2))
    with pytest.raises(UserError, match="has format 2, this version of Intaglio reads format 1"):
        read_package(saved(tmp_path, content))


@pytest.mark.parametrize(
    "name", ["../evil.so", "/etc/x.so", "regions/../../x.bin", "C:x.so", "a\\b.so", "a/b.bin", ".so"]
)
def test_names_that_leave_the_package(tmp_path: Path, name: str) -> None:
    members = [*members_of(package_bytes(PACKAGE)).items(), (name, b"")]
    with pytest.raises(UserError, match="impossible name"):
        read_package(saved(tmp_path, rezipped(members)))


def test_compressed_members_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    members = [*members_of(package_bytes(PACKAGE)).items(), ("bomb.bin", bytes(1 << 20))]
    with pytest.raises(UserError, match="is compressed, which packages are not"):
        read_package(saved(tmp_path, rezipped(members, zipfile.ZIP_DEFLATED)))


def test_two_members_of_one_name(tmp_path: Path) -> None:
    members = [*members_of(package_bytes(PACKAGE)).items(), ("host.so", b"other")]
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = rezipped(members)
    with pytest.raises(UserError, match="two members of one name"):
        read_package(saved(tmp_path, content))


def test_a_member_that_the_manifest_does_not_know(tmp_path: Path) -> None:
    members = [*members_of(package_bytes(PACKAGE)).items(), ("extra.bin", b"")]
    with pytest.raises(UserError, match=r"differ in the member 'extra\.bin'"):
        read_package(saved(tmp_path, rezipped(members)))


MANIFESTS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda m: m.pop("model"), "the manifest has no str 'model'|manifest has no str 'model'"),
    (lambda m: m.update(inputs=3), "no list 'inputs'"),
    (lambda m: m.update(inputs=[3]), "is no JSON object"),
    (lambda m: m["inputs"][0].update(shape=[-1]), "must hold integers from 0"),
    (lambda m: m["inputs"][0].update(dtype="strange"), "unknown type 'strange'"),
    (lambda m: m["regions"][0].update(name="region_7"), r"member regions/region_7\.bin is missing"),
    (lambda m: m["regions"][0].update(arena_bytes=-1), "'arena_bytes' of an entry of 'regions' is -1"),
    (lambda m: m["regions"][0].update(arena_bytes=True), "no int 'arena_bytes'"),
    (lambda m: m.update(placement=None), "no list 'placement'"),
    (lambda m: m.update(members={}), "differ in the member"),
]


@pytest.mark.parametrize(("change", "message"), MANIFESTS)
def test_manifests_that_make_no_sense(tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_package(saved(tmp_path, with_manifest(change)))


def test_a_debug_map_for_other_instructions(tmp_path: Path) -> None:
    wrong = replace(PACKAGE, regions=(replace(REGION, debug=("a", "b")),))
    with pytest.raises(UserError, match="the debug map of region_0 is for 2 of 1 instructions"):
        read_package(saved(tmp_path, package_bytes(wrong)))


@settings(deadline=None, max_examples=1000)
@given(position=st.integers(0, len(package_bytes(PACKAGE)) - 1), value=st.integers(1, 255))
def test_any_changed_byte_is_an_error_or_no_change(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    content = bytearray(package_bytes(PACKAGE))
    content[position] ^= value
    path = saved(tmp_path_factory.mktemp("changed"), bytes(content))
    try:
        package = read_package(path)
    except UserError:
        return
    # Times, modes and versions of the zip file are not content.
    assert package == PACKAGE

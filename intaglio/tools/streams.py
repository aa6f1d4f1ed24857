"""Whether a change leaves the compiler's output as it was: instruction streams and constants of two commits.

    python -m intaglio.tools.streams [--base REV] [--target NAME ...] [--models DIR]

Compiles a corpus with the work tree and with REV (by default HEAD), which is checked out into a temporary folder, and
compares the regions of the packages byte by byte. A refactoring leaves them equal. Where they differ, the first
instruction that does is shown, as both have it, and the exit code is 1.

The corpus is the shipped examples; `--models DIR` adds every `NAME.onnx` there that has its calibration data beside it,
in `NAME.npz`.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from intaglio.errors import UserError
from intaglio.targets.assembler import disassemble

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("gen1", "gen1-d16")
WORD = 16
"""Bytes of an instruction."""

Members = Mapping[str, bytes]
"""What a package has of its regions: words in `NAME.bin`, constants in `NAME.constants`."""


def corpus(models: Path | None) -> dict[str, tuple[Path, Path]]:
    """Model and calibration data by name."""
    examples = sorted((ROOT / "examples").glob("*/model.onnx"))
    found = {path.parent.name: (path, path.with_name("calibration.npz")) for path in examples}
    others = sorted(models.glob("*.onnx")) if models is not None else []
    return found | {path.stem: (path, data) for path in others if (data := path.with_suffix(".npz")).exists()}


@contextmanager
def checked_out(revision: str) -> Generator[Path]:
    """A folder with the files of a commit of this repository.

    Raises:
        UserError: git does not know the commit.
    """
    with tempfile.TemporaryDirectory(prefix="intaglio-base-") as folder:
        done = subprocess.run(["git", "archive", revision], cwd=ROOT, check=False, capture_output=True)
        if done.returncode:
            raise UserError(f"git has no {revision!r}: {done.stderr.decode(errors='replace').strip()}", where=str(ROOT))
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def compiled(tree: Path, model: Path, data: Path, target: str) -> Members | str:
    """The regions of the package that the compiler in `tree` makes, or its message if it makes none."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.igpkg"
        arguments = [str(model), "-o", str(package), "--calibration", str(data), "--target", target]
        done = subprocess.run(
            [sys.executable, "-m", "intaglio.tools.cli", "compile", *arguments],
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree)},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            return done.stderr.strip()
        with zipfile.ZipFile(package) as archive:
            names = [name for name in archive.namelist() if name.endswith((".bin", ".constants"))]
            return {Path(name).name: archive.read(name) for name in names}


def difference(before: Members | str, after: Members | str) -> str | None:
    """What differs first, None if nothing does."""
    if before == after:
        return None
    if isinstance(before, str) or isinstance(after, str):
        return "\n".join(
            f"    {label}: {found if isinstance(found, str) else 'compiled'}"
            for label, found in (("before", before), ("after", after))
        )
    if before.keys() != after.keys():
        return f"    regions: {sorted(before)} before, {sorted(after)} after"
    name = next(name for name in before if before[name] != after[name])
    old, new = before[name], after[name]
    pairs = enumerate(zip(old, new, strict=False))
    place = next((at for at, (byte, other) in pairs if byte != other), min(len(old), len(new)))
    if name.endswith(".constants"):
        return f"    {name}: {len(old)} bytes before, {len(new)} after; the first that differs is {place}"
    index = place // WORD
    lines = [f"    {name}: {len(old) // WORD} instructions before, {len(new) // WORD} after; first at {index}"]
    for label, words in (("before", old), ("after", new)):
        word = words[index * WORD : (index + 1) * WORD]
        lines.append(f"    {label}: {disassemble(word).strip() if word else 'the end'}")
    return "\n".join(lines)


@click.command()
@click.option("--base", default="HEAD", metavar="REV", show_default=True, help="The commit to compare with.")
@click.option("--target", "targets", multiple=True, default=TARGETS, show_default=True, help="A preset; repeatable.")
@click.option("--models", type=click.Path(path_type=Path), metavar="DIR", help="More models, NAME.onnx by NAME.npz.")
def main(base: str, targets: Sequence[str], models: Path | None) -> None:
    """Compare instruction streams of the work tree with those of a commit."""
    differing = 0
    try:
        with checked_out(base) as folder:
            for name, (model, data) in corpus(models).items():
                for target in targets:
                    before, after = (compiled(tree, model, data, target) for tree in (folder, ROOT))
                    found = difference(before, after)
                    differing += found is not None
                    click.echo(f"{name:20} {target:12} {'equal' if found is None else 'DIFFERS'}")
                    if found is not None:
                        click.echo(found)
    except UserError as error:
        raise click.ClickException(str(error)) from error
    if differing:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

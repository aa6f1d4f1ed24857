"""Damaged ONNX files are imported or refused: no traceback, at most ten seconds and two gigabytes each."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "mutations.py"


def outcomes(first: int, count: int) -> list[tuple[str, str]]:
    """Kind of damage and what came of it for each file; fails when one ended the process, naming it."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(first), str(count)],
        check=False,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"exit code {done.returncode} at {lines[-1:]}\n{done.stderr[-3000:]}"
    pairs = [line.split(" ", 1)[1].split(": ", 1) for line in lines]
    assert len(pairs) == count
    return [(kind, outcome) for kind, outcome in pairs]


def check_variety(found: list[tuple[str, str]]) -> None:
    """All kinds of damage occur, some models survive it, and messages are of many kinds."""
    results = Counter(outcome for _, outcome in found)
    assert len({kind for kind, _ in found}) == 16
    assert results["imported"] > len(found) // 20
    assert len(results) > len(found) // 10


def test_a_sample_of_damaged_files():
    check_variety(outcomes(10_000, 200))


@pytest.mark.slow
def test_two_thousand_damaged_files():
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(outcomes, [0, 1000], [1000, 1000]))
    check_variety([*parts[0], *parts[1]])

"""`intaglio.tools.streams` names the first thing that two compilers made differently."""

from __future__ import annotations

import pytest

from intaglio.errors import UserError
from intaglio.targets.assembler import assemble
from intaglio.tools.streams import Members, checked_out, corpus, difference

LOAD, END = assemble("load.run region=2 dram_offset=0 scratchpad=0 bytes=64 signal=0"), assemble("end")
OTHER = assemble("load.run region=2 dram_offset=0 scratchpad=64 bytes=64 signal=0")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a.bin": LOAD + END}, {"a.bin": LOAD + END}, None),
        ({"a.bin": LOAD + END}, {"a.bin": OTHER + END}, "2 instructions before, 2 after; first at 0"),
        ({"a.bin": LOAD + END}, {"a.bin": LOAD}, "2 instructions before, 1 after; first at 1"),
        ({"a.constants": b"abc"}, {"a.constants": b"abd"}, "3 bytes before, 3 after; the first that differs is 2"),
        ({"a.bin": END}, {}, "regions: ['a.bin'] before, [] after"),
        ({"a.bin": END}, "error: no", "after: error: no"),
    ],
)
def test_the_first_difference(before: Members | str, after: Members | str, expected: str | None) -> None:
    found = difference(before, after)
    assert found is None if expected is None else expected in (found or "")


def test_differing_instructions_are_shown() -> None:
    assert "scratchpad=64" in (difference({"a.bin": LOAD}, {"a.bin": OTHER}) or "")


def test_the_corpus_has_the_examples() -> None:
    assert {"fashion_resnet8", "ppocr_cls"} <= set(corpus(None))
    assert all(path.exists() for files in corpus(None).values() for path in files)


def test_a_commit_that_does_not_exist() -> None:
    with pytest.raises(UserError, match="git has no 'no-such-commit'"), checked_out("no-such-commit"):
        pass

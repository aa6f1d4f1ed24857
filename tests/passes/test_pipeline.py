"""Pipelines as text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from intaglio.errors import UserError
from intaglio.passes import pipeline
from intaglio.passes.pipeline import parse_pipeline, suggestion


class Color(Enum):
    RED = "red"
    GREEN = "green"


class _NoOp(ModulePass):
    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


@dataclass(frozen=True)
class Plain(_NoOp):
    name = "plain"


@dataclass(frozen=True)
class Rich(_NoOp):
    name = "rich"
    bits: int = 8
    percentile: float = 99.9
    per_channel: bool = False
    method: Literal["mse", "max"] = "max"
    color: Color = Color.RED
    skip: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    path: str = ""
    maybe: bool | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Needy(_NoOp):
    name = "needy"
    data: str


PASSES: dict[str, type[ModulePass]] = {"plain": Plain, "rich": Rich, "needy": Needy}


@pytest.fixture(autouse=True)
def _passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "pass_modules", lambda: dict.fromkeys(PASSES, "module"))
    monkeypatch.setattr(pipeline, "get_pass", PASSES.__getitem__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("plain", (Plain(),)),
        ("plain,rich, plain", (Plain(), Rich(), Plain())),
        ("builtin.module(plain,builtin.module(rich),plain)", (Plain(), Rich(), Plain())),
        ("rich{}", (Rich(),)),
        ("rich{bits=4 per-channel}", (Rich(bits=4, per_channel=True),)),
        ("rich{per_channel=false}", (Rich(),)),
        ("rich{per-channel=true percentile=99}", (Rich(per_channel=True, percentile=99.0),)),
        ("rich{percentile=1e-3}", (Rich(percentile=0.001),)),
        ("rich{method=mse color=green}", (Rich(method="mse", color=Color.GREEN),)),
        ('rich{skip="a, b",c sizes=1,2,3}', (Rich(skip=("a, b", "c"), sizes=(1, 2, 3)),)),
        ('rich{path="a b/{c}.npz"},plain', (Rich(path="a b/{c}.npz"), Plain())),
        ("rich{maybe limit=3}", (Rich(maybe=True, limit=3),)),
        ("rich{maybe=false limit=none}", (Rich(maybe=False, limit=None),)),
        ("needy{data=/tmp/x.npz}", (Needy("/tmp/x.npz"),)),
    ],
)
def test_pipelines(text: str, expected: tuple[ModulePass, ...]) -> None:
    passes = parse_pipeline(text)
    assert passes == expected
    assert [type(item) for item in passes] == [type(item) for item in expected]
    percentiles = [item.percentile for item in passes if isinstance(item, Rich)]
    assert all(type(value) is float for value in percentiles)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("plian", "there is no pass 'plian'", "did you mean plain?"),
        ("zzzzzz", "there is no pass 'zzzzzz'", "--list-passes shows all"),
        ("rich{bit=4}", "pass rich has no option 'bit'", "did you mean bits?"),
        ("plain{x=4}", "pass plain has no option 'x'", "it has no options"),
        ("rich{bits=four}", "expected an integer, got 'four'", None),
        ("rich{bits}", "needs a value", "write it as name=value"),
        ("rich{bits=4 bits=5}", "given twice", None),
        ("rich{percentile=high}", "expected a number, got 'high'", None),
        ("rich{per-channel=maybe}", "expected true or false, got 'maybe'", None),
        ("rich{method=best}", "expected one of mse, max, got 'best'", None),
        ("rich{color=blue}", "expected one of red, green, got 'blue'", None),
        ("rich{limit=x}", "expected an integer, got 'x'", None),
        ("needy", "pass needy needs option 'data'", None),
        ("plain plain", "expected ',', found ' plain'", None),
        ("plain,", "expected a pass name, found the end", None),
        (",plain", "expected a pass name, found ',plain'", None),
        ("rich{bits=4", "expected '}', found the end", None),
        ("func.func(plain)", "passes cannot be nested in 'func.func'", "passes run on builtin.module"),
    ],
)
def test_mistakes_are_user_errors(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(UserError) as info:
        parse_pipeline(text)
    assert message in info.value.what
    assert info.value.where is not None
    if hint is not None:
        assert info.value.hint == hint


OPTION_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), max_size=8)


@given(
    st.builds(
        Rich,
        bits=st.integers(-100, 100),
        percentile=st.sampled_from([0.5, 12.25, 100.0]),
        per_channel=st.booleans(),
        method=st.sampled_from(["mse", "max"]),
        skip=st.lists(OPTION_TEXT.filter(bool), min_size=1, max_size=3).map(tuple),
        path=OPTION_TEXT.filter(bool),
        limit=st.integers(1, 9),
    )
)
def test_the_text_of_a_pass_is_its_pipeline(item: Rich) -> None:
    assert parse_pipeline(f"plain,{item}") == (Plain(), item)


def test_suggestions_name_what_is_close() -> None:
    assert suggestion("fold-batchnorm", ["fold-batch-norm", "quantize"]) == "did you mean fold-batch-norm?"
    assert suggestion("x", ["fold-batch-norm"]) is None

"""The page of an analysis: sound, self-contained, and safe with any name."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from intaglio.analysis.error_statistics import ChannelError, TensorError
from intaglio.analysis.page import page
from intaglio.analysis.plots import ticks
from intaglio.analysis.report import Distribution, Divergence, LayerReport, NoiseReport
from intaglio.errors import UserError

VOID = {"meta"}
LOADING = {"src", "href", "data", "srcset", "action", "poster", "background"}


def layer(name: str, sqnr_db: float, hint: str | None = None) -> LayerReport:
    error = TensorError(sqnr_db, 0.5, 0.9, 20.0, 1.0, 0.1)
    return LayerReport(
        name=name,
        kind="nn.conv2d",
        stored="i8",
        precision="a8w8",
        shape=(1, 4, 4, 2),
        accumulated=error,
        local=error,
        low=-1.0,
        high=3.0,
        representable=(-1.5, 2.5),
        clipped=0.01,
        worst_channels=[ChannelError(1, 12.0, 0.4, 0.1, 0.8)],
        floats=Distribution([-1.0, 0.0, 1.0, 3.0], [3, 10, 1]),
        quantized=Distribution([-1.0, 0.0, 2.5], [4, 10]),
        hint=hint,
        moves_only=False,
    )


def report(*names: str) -> NoiseReport:
    layers = [layer(name, 30.0 - 5 * index) for index, name in enumerate(names)]
    layers.append(layer("exact", math.inf))
    return NoiseReport(
        model='a "model"',
        samples=3,
        layers=layers,
        outputs={"y": layers[0].accumulated},
        divergence=Divergence(names[0], "float and quantized", "SQNR 3.0 dB"),
        threshold_db=10.0,
    )


class Checker(HTMLParser):
    """Collects what a page would load, and holds tags to be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [f"{tag} {name}={value}" for name, value in attrs if name.split(":")[-1] in LOADING]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [f"{tag} {name}={value}" for name, value in attrs if name.split(":")[-1] in LOADING]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_loads_nothing() -> None:
    text = page(report("stem/Conv", "fc"))
    checker = Checker()
    checker.feed(text)
    assert checker.loads == []
    assert checker.open == []
    assert not re.search(r"https?:|@import|url\(|<link|<iframe|fetch\(|XMLHttpRequest", text)
    assert {"svg", "table", "polyline", "details"} <= set(checker.tags)


def test_names_cannot_break_the_page() -> None:
    name = '<script>alert("x")</script>&"\''
    text = page(report(name))
    assert name not in text
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" in text
    checker = Checker()
    checker.feed(text)
    assert checker.tags.count("script") == 1


def test_what_has_no_error_leaves_gaps_in_the_plot() -> None:
    text = page(report("a", "b", "c"))
    points = re.findall(r'<polyline class="s0" points="([^"]*)"', text)
    assert [len(line.split()) for line in points] == [3]
    assert ">equal<" in text
    assert "inf," not in text


def test_the_page_is_written_in_one_step(tmp_path: Path) -> None:
    report("a").write_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page(report("a"))
    with pytest.raises(UserError, match="cannot write"):
        report("a").write_html(tmp_path / "no" / "report.html")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-1, 1, [-1, -0.5, 0, 0.5, 1]), (7, 7, [7]), (12, 48, [20, 30, 40])],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)

"""Remarks reach the listener at hand, and the logger without one."""

import logging

import pytest

from intaglio.remarks import Remark, collecting, listening, remark, warn


def test_collected_once_each_in_order():
    with collecting() as found:
        remark("nothing to do", "pass a")
        warn("all values are zero", "conv")
        remark("nothing to do", "pass a")
    assert found == [Remark("remark", "nothing to do", "pass a"), Remark("warning", "all values are zero", "conv")]
    assert [str(message) for message in found] == [
        "pass a: remark: nothing to do",
        "conv: warning: all values are zero",
    ]


def test_the_innermost_listener_hears_alone():
    outer: list[Remark] = []
    with listening(outer.append):
        with collecting() as inner:
            remark("inner")
        remark("outer")
    assert [found.message for found in inner] == ["inner"]
    assert [found.message for found in outer] == ["outer"]


def test_without_a_listener_the_log_has_it(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, logger="intaglio"):
        remark("nothing to do")
        warn("careful")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "remark: nothing to do"),
        ("WARNING", "warning: careful"),
    ]

"""What the page of operators says of ONNX's operators is what the node cases say now."""

from __future__ import annotations

import json

import pytest

from tests.backend.survey import FILE, survey


@pytest.mark.slow
def test_the_file_is_fresh() -> None:
    assert json.loads(FILE.read_text(encoding="utf-8")) == survey(), "run python tests/backend/survey.py"

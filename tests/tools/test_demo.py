"""The demo says what it does, and does it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from intaglio.tools.demo import main


def test_help_runs_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--output", str(tmp_path / "out"), "--help"])
    assert result.exit_code == 0 and "Compile and evaluate the example networks" in result.output
    assert not (tmp_path / "out").exists()


def test_a_few_images(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--output", str(tmp_path / "out"), "--limit", "2"])
    assert result.exit_code == 0, result.output
    assert "100% of images" in result.output
    assert sorted(path.name for path in (tmp_path / "out").glob("*.igpkg")) == [
        "fashion_resnet8.igpkg",
        "ppocr_cls.igpkg",
    ]

"""Options of a run: what is kept of a source, and what was given beside a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from selftaught.cli.choices import ModelKind
from selftaught.cli.run_options import going_on, lasting, settings_given
from selftaught.errors import InputError


def test_a_folder_lasts_as_its_whole_path_and_a_name_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "digits", "linear"):
        (tmp_path / name).mkdir()
    assert lasting("photos") == str(tmp_path / "photos")
    assert lasting("digits") == "digits"
    assert lasting("linear", names=("linear",)) == "linear"
    assert lasting("linear") == str(tmp_path / "linear")
    assert lasting("nowhere/x.csv") == "nowhere/x.csv"


def test_options_win_over_the_file_and_what_was_not_given_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("epochs = 3\nflip = true\nseed = 4\n", encoding="utf-8")
    options = {"model": ModelKind.CNN, "epochs": None, "flip": False, "seed": 0, "quiet": True}
    known = ("model", "epochs", "flip", "seed")
    assert settings_given(options, known, path) == {"model": "cnn", "epochs": 3, "flip": True, "seed": 0}
    assert settings_given(options, known, None) == {"model": "cnn", "seed": 0}


def test_resume_and_fresh_exclude_each_other() -> None:
    assert (going_on(True, False), going_on(False, True), going_on(False, False)) == (True, False, None)
    with pytest.raises(InputError, match="give one of them"):
        going_on(True, True)

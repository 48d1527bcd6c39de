"""Sweeps: each level against the first, the level where one would stop, and how they are printed and read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from selftaught import load
from selftaught.audit import Population, audit, save_predictions, sweep
from selftaught.cli import main
from selftaught.cli.audit_view import print_sweep
from selftaught.cli.sweep_run import levels_of
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from tests.audit.populations import planted

LABELS = np.arange(400) % 4
IDS = np.array([f"e{k}" for k in range(400)])
DATA = Examples(np.zeros((400, 2), np.float32), LABELS, IDS, class_names=("a", "b", "c", "d"), name="made")


def ladder(*harms: float) -> dict[float, Population]:
    """Levels that hurt class 2 alone, by more and more."""
    return {
        level / 10: planted(6, LABELS, seed=level, name=f"level {level}", harm=harm * (LABELS == 2))
        for level, harm in enumerate(harms)
    }


def test_each_level_is_the_audit_against_the_first() -> None:
    made = ladder(0.0, 0.0, 3.0)
    found = sweep(made, DATA)
    assert [one.name for one in found.levels] == ["dense", "10 %", "20 %"]
    for one in found.levels[1:]:
        assert one.audit is not None
        assert one.audit.to_dict() == audit(made[0.0], made[one.amount], DATA).to_dict()
        assert one.accuracy == pytest.approx(float((made[one.amount].predicted == LABELS).mean()))
    assert [one.where for one in found.levels[2].worse] == ["class c"]
    assert found.levels[2].hurt is not None
    assert found.levels[2].hurt.where == "class c"
    assert found.safest is found.levels[1]
    assert 0 < found.levels[1].not_ruled_out < 0.3
    json.dumps(found.to_dict(), allow_nan=False)


def test_one_stops_before_the_first_harm_even_if_a_later_level_shows_none() -> None:
    assert sweep(ladder(0.0, 3.0, 0.0), DATA).safest.name == "dense"
    assert sweep(ladder(0.0, 0.0, 0.0), DATA).safest.name == "20 %"


def test_what_cannot_be_swept_is_refused() -> None:
    with pytest.raises(InputError, match="two levels or more, got 1"):
        sweep(ladder(0.0), DATA)
    with pytest.raises(DataError, match="has no labels"):
        sweep(ladder(0.0, 0.0), Examples(DATA.inputs, None, IDS))


@pytest.mark.parametrize("text", ["0", "0,1", "a", "-0.1", "0.5,,", "120%"])
def test_levels_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match=r"a sweep needs a level above 0|shares of zeros"):
        levels_of(text)


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0)


def test_more_than_two_populations_are_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    iris = load("iris")
    assert iris.labels is not None
    rng = np.random.default_rng(0)
    for name, harm in (("dense", 0), ("half", 0), ("tenth", 4)):
        logits = rng.normal(0, 1, (6, 150, 3))
        logits[:, np.arange(150), iris.labels] += 2.5 - harm * (iris.labels == 1)
        save_predictions(tmp_path / f"{name}.npz", Population.from_logits(logits, iris.ids))
    places = [tmp_path / f"{name}.npz" for name in ("dense", "half", "tenth")]
    assert run("audit", *places, "--data", "iris", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["tested"], found["safest"]) == (True, str(places[1]))
    assert found["levels"][2]["hurt"]["where"] == "class versicolor"
    assert found["levels"][2]["worse"] == ["class versicolor"]
    assert run("audit", *places, "--data", "iris", "--out", tmp_path / "out") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "no class or group is significantly worse" in text
    assert (tmp_path / "out" / "audit.html").is_file()
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["safest"] == str(places[1])


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--data", "iris"), "two populations or more, got 0"),
        (("a.npz", "--data", "iris"), "two populations or more, got 1"),
        (("a.npz", "b.npz", "--models", "3"), "--models goes with --sweep"),
        (("a.npz", "b.npz", "--mitigate"), "--mitigate goes with --sweep"),
        (("a.npz", "--sweep", "0,0.5", "--data", "digits"), "--sweep trains its own populations"),
        (("--sweep", "0,0.5", "--data", "diabetes"), "has no classes to predict"),
    ],
)
def test_wrong_use_is_one_line(words: tuple[str, ...], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", *words) == 2
    told = capsys.readouterr().err
    assert wanted in told
    assert told.count("\n") == 1


def test_who_is_hurt_most_is_large_enough_to_tell() -> None:
    few = np.where(np.arange(400) < 3, "few", "many")
    data = Examples(DATA.inputs, LABELS, IDS, groups={"size": few}, class_names=("a", "b", "c", "d"), name="made")
    made = {0.0: planted(6, LABELS, seed=0, name="a"),
            0.5: planted(6, LABELS, seed=1, name="b", harm=9.0 * (few == "few"))}  # fmt: skip
    level = sweep(made, data, groups=["size"]).levels[1]
    assert level.audit is not None
    lost = {one.where: one.finding.value for one in level.audit.impacts if one.measure in ("recall", "accuracy")}
    assert min(lost, key=lambda name: lost[name]) == "size = few"
    assert level.hurt is not None
    assert level.hurt.finding.n >= 30


def test_two_models_a_population_are_not_called_safe(capsys: pytest.CaptureFixture[str]) -> None:
    made = {0.0: planted(2, LABELS, seed=0, name="a"), 0.5: planted(2, LABELS, seed=1, name="b", harm=5.0)}
    print_sweep(sweep(made, DATA))
    told = capsys.readouterr().out
    assert "too few models or examples to tell a change from chance" in told
    assert "no class or group is significantly worse" not in told

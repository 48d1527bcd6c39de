"""Removing and retraining: images of which one pixel matters, rows that are kept, and what the result says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selftaught.audit import Roar, RoarProgress, roar
from selftaught.cli import main
from selftaught.errors import DataError, InputError, ResumeError
from selftaught.examples import Examples
from selftaught.seeds import rng_for
from selftaught.training import SGD, AdamW, TrainConfig, mlp, train

pytest.importorskip("captum")
CONFIG = TrainConfig(epochs=10, batch_size=32, optimiser=AdamW(lr=0.03), device="cpu")


def speck(n: int = 160, side: int = 6, seed: int = 0) -> Examples:
    """Noise in which the brightness of one pixel, at (1, 4), is the class."""
    rng = rng_for(seed, "speck")
    pixels = rng.normal(0.5, 0.1, (n, side, side)).astype(np.float32)
    labels = rng.permutation(n) % 2
    pixels[:, 1, 4] = 0.2 + 0.6 * labels + rng.normal(0, 0.05, n)
    ids = np.array([f"{seed}-{k}" for k in range(n)])
    return Examples(pixels, labels, ids, class_names=("dark", "bright"), name="speck")


TRAIN, TEST = speck(), speck(seed=1)


def measured(**more: Any) -> Roar:
    given: dict[str, Any] = {"estimators": ("gradient",), "fractions": (0.1,), "seeds": (0, 1), "config": CONFIG}
    given |= more
    return roar(lambda seed: mlp(TRAIN, hidden=(8,), seed=seed), TRAIN, TEST, **given)


@pytest.fixture(scope="module")
def once() -> Roar:
    return measured()


def test_an_explanation_that_finds_the_only_pixel_beats_noise(once: Roar) -> None:
    assert once.finished
    assert once.unchanged > 0.97
    assert once.accuracies("gradient", 0.1).max() < 0.7, "the pixel is gone"
    assert once.accuracies("random", 0.1).min() > 0.8, "it is mostly there"
    for control in ("random", "random+blur", "sobel"):
        assert once.against("gradient", control, 0.1).value < -0.1
    assert any(one.startswith("removing what gradient points at hurts more than") for one in once.statements)
    assert "2304.13836" in once.statements[-1]
    assert not once.loses("gradient", 0.1)
    json.dumps(once.to_dict(), allow_nan=False)


def test_kept_alone_that_pixel_is_enough() -> None:
    kept = measured(keep=True)
    assert kept.accuracies("gradient", 0.1).min() > 0.95
    assert kept.accuracies("random", 0.1).max() < 0.8
    assert any(one.startswith("keeping what gradient points at helps more than") for one in kept.statements)


def test_channels_are_ranked_by_themselves_and_another_model_can_be_explained() -> None:
    blind = mlp(TRAIN, hidden=(8,), seed=3)  # untrained: it points anywhere
    found = measured(model=blind, per="channel", seeds=(0,))
    assert found.per == "channel"
    assert found.accuracies("gradient", 0.1)[0] > 0.8
    assert any("in this single run" in one for one in found.statements)


def test_trainings_side_by_side_are_those_one_by_one(once: Roar) -> None:
    alone = measured(together=1)
    assert [row["accuracy"] for row in alone.rows] == pytest.approx([row["accuracy"] for row in once.rows], abs=0.02)


def test_what_was_measured_is_kept_and_gone_on_with(once: Roar, tmp_path: Path) -> None:
    seen: list[RoarProgress] = []

    def stop_early(progress: RoarProgress) -> str | None:
        seen.append(progress)
        return "stop" if progress.done >= 4 else None

    first = measured(folder=tmp_path, together=2, on_progress=stop_early)
    assert not first.finished
    assert len(first.rows) == 4
    stored = json.loads((tmp_path / "roar.json").read_text())["rows"]
    assert len(stored) == 4
    seen.clear()
    second = measured(folder=tmp_path, together=2, resume=True, on_progress=lambda one: seen.append(one))
    assert second.finished
    assert seen[0].reused == 4
    assert [row["accuracy"] for row in second.rows] == pytest.approx([row["accuracy"] for row in once.rows], abs=0.02)
    wider = measured(folder=tmp_path, seeds=(0, 1, 2), estimators=())
    assert wider.rows[0] == second.rows[0]
    assert len(wider.rows) == 3 * 4
    with pytest.raises(ResumeError, match="another keep"):
        measured(folder=tmp_path, keep=True)
    with pytest.raises(ResumeError, match="to go on with"):
        measured(folder=tmp_path / "other", resume=True)
    (tmp_path / "roar.json").write_text("[]")
    with pytest.raises(ResumeError, match="cannot be read"):
        measured(folder=tmp_path)


def test_wrong_use_is_one_line_before_any_training() -> None:
    with pytest.raises(InputError, match="did you mean 'gradient'"):
        measured(estimators=("gradiant",))
    with pytest.raises(InputError, match="fractions must be between 0 and 1"):
        measured(fractions=(1.0,))
    with pytest.raises(InputError, match="seeds must be different"):
        measured(seeds=(1, 1))
    with pytest.raises(InputError, match="not in seconds"):
        measured(config=TrainConfig(seconds=1))
    with pytest.raises(DataError, match="only images"):
        roar(lambda seed: mlp(TRAIN, seed=seed), speck().take(np.arange(0)), TEST.__class__(
            np.zeros((2, 3), np.float32), np.zeros(2, int), np.array(["a", "b"]), class_names=("x", "y")))
    with pytest.raises(DataError, match="no ReLU"):
        roar(lambda seed: mlp(TRAIN, hidden=(), seed=seed), TRAIN, TEST, estimators=("guided-backprop",), config=CONFIG)


def hand_made(lead: float, seeds: int = 5, *, keep: bool = False) -> Roar:
    spread = (0.0, 0.01, -0.01, 0.005, -0.005)[:seeds]
    values = {"random": 0.5, "sobel": 0.5, "random+blur": 0.4, "gradient": 0.4 + lead, "gradient+blur": 0.4}
    rows = [
        {"arm": arm, "fraction": 0.9, "seed": k, "without": 0.1,
         "accuracy": value + 0.1 * k + one * (arm == "gradient")}
        for arm, value in values.items() for k, one in enumerate(spread)
    ]  # fmt: skip
    return Roar(tuple(rows), ("gradient",), (0.9,), tuple(range(seeds)), keep, "pixel", (10, 20), True)


def test_the_sentence_is_that_of_the_interval() -> None:
    lost = hand_made(0.1)
    assert lost.loses("gradient", 0.9)
    assert lost.statements[0].startswith(
        "removing blurred noise hurts more than removing what gradient points at (90%: +0.100 ["
    )
    found = lost.against("gradient", "random+blur", 0.9)
    margin = 2.7764 * np.std([0, 0.01, -0.01, 0.005, -0.005], ddof=1) / 5**0.5  # Student's t with 4 degrees of freedom
    assert found.interval == pytest.approx((0.1 - margin, 0.1 + margin), abs=1e-4)
    assert found.null is not None
    assert found.null[1] == pytest.approx(0.3)  # the control's own halves, at most seeds 0 and 1 against 3 and 4
    assert "is not told apart from blurred noise" in hand_made(0.0).statements[0]
    assert hand_made(-0.1).statements[0].startswith("removing what gradient points at hurts more than removing blurred")
    assert not hand_made(-0.1).loses("gradient", 0.9)
    assert hand_made(-0.1, keep=True).loses("gradient", 0.9)
    assert hand_made(-0.1, keep=True).statements[0].startswith("keeping blurred noise helps more than keeping what")
    assert hand_made(0.1, seeds=1).against("gradient", "random", 0.9).verdict == "no null"


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0)


def test_the_command_explains_what_train_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "speck.npz", inputs=np.uint8(255 * np.clip(TRAIN.inputs, 0, 1)), labels=TRAIN.labels)
    data, model = tmp_path / "speck.npz", tmp_path / "model"
    from selftaught import load

    train(load(str(data)), model="cnn", hidden=(4,), out=model, config=TrainConfig(steps=4, optimiser=SGD()))
    words = ("saliency", model, "--data", data, "--estimators", "gradient", "--fractions", "0.5", "--seeds", 2)
    capsys.readouterr()
    assert run(*words, "--quiet") == 0
    text = capsys.readouterr().out
    for line in ("random+blur", "gradient+blur", "2304.13836", "128 images to train on, 32 to test on"):
        assert line in text
    assert "trainings" not in text
    sheet = (model / "saliency" / "maps.svg").read_text()
    assert sheet.count("<image ") == 8 * 5
    assert run(*words, "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["finished"]
    assert run(*words, "--resume", "--keep") == 2
    assert "rows of another keep" in capsys.readouterr().err
    for wrong, wanted in (
        (("--estimators", "ig"), "estimator must be one of"),
        (("--data", "digits"), "were in the model's training"),
        (("--seeds", "0"), "seeds must be at least 1"),
        (("--fractions", "0.5,x"), "not a number"),
        (("--epochs", "0"), "epochs"),
    ):
        kept = [one for pair in zip(words[2::2], words[3::2], strict=True) if pair[0] != wrong[0] for one in pair]
        assert run(*words[:2], *kept, *wrong, "--out", tmp_path / "new") == 2
        error = capsys.readouterr().err
        assert wanted in error
        assert error.count("\n") == 1

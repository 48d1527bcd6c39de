"""Corruptions are what they say, and a planted weakness to one of them is found beside seed churn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from selftaught import load
from selftaught.audit import CORRUPTIONS, TABLE_CORRUPTIONS, Population, corrupt, corruption_names, robustness
from selftaught.audit.corruptions import _ratio
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.seeds import rng_for

DIGITS = load("digits").take(np.arange(300))
WINE = load("wine")


@pytest.mark.parametrize("examples", [DIGITS, WINE], ids=["images", "table"])
def test_every_corruption_repeats_itself_keeps_ids_and_grows(examples: Examples) -> None:
    names = corruption_names(examples)
    assert names == tuple(CORRUPTIONS if examples is DIGITS else TABLE_CORRUPTIONS)
    clean = examples.inputs.astype(np.float32) / (255 if examples is DIGITS else 1)
    before = examples.inputs.copy()
    for kind in names:
        sizes = []
        for strength in (1, 2, 3):
            found = corrupt(examples, kind, strength, seed=1)
            assert np.array_equal(found.inputs, corrupt(examples, kind, strength, seed=1).inputs)
            assert found.inputs.shape == examples.inputs.shape
            assert np.array_equal(found.ids, examples.ids)
            sizes.append(float(np.abs((found.inputs - clean) / clean.std()).mean()))
        assert 0 < sizes[0] < sizes[1] < sizes[2], kind
    assert np.array_equal(examples.inputs, before)


def test_corruptions_are_their_formulas() -> None:
    pixels = rng_for(0, "pixels").random((3, 8, 8, 2)).astype(np.float32)
    pixels[0, 0, 0], pixels[0, 0, 1] = 0, 1
    given = replace(DIGITS.take(np.arange(3)), inputs=pixels)
    assert corrupt(given, "brightness", 1).inputs == pytest.approx(np.minimum(pixels + 0.1, 1))
    mean = pixels.mean(axis=(1, 2, 3), keepdims=True)
    assert corrupt(given, "contrast", 2).inputs == pytest.approx(mean + 0.4 * (pixels - mean), rel=1e-5)
    blurred = corrupt(given, "blur", 3).inputs
    assert blurred.std() < 0.5 * pixels.std()
    assert blurred.mean() == pytest.approx(pixels.mean(), rel=1e-2)
    constant = replace(given, inputs=np.full((3, 8, 8, 2), 0.25, np.float32))
    assert corrupt(constant, "blur", 3).inputs == pytest.approx(0.25)
    wide = replace(given, inputs=np.full((200, 8, 8), 0.5, np.float32), ids=np.arange(200).astype(str))
    wide.inputs[0, 0, 0], wide.inputs[0, 0, 1] = 0, 1
    assert (corrupt(wide, "noise", 2).inputs - wide.inputs).std() == pytest.approx(0.1, rel=0.05)
    mixed, gone = (corrupt(WINE, kind, 2).inputs for kind in ("permuted", "missing"))
    assert np.array_equal(np.sort(mixed, axis=0), np.sort(WINE.inputs.astype(np.float32), axis=0))
    assert (mixed != WINE.inputs).any(axis=0).sum() == 3  # a quarter of 13
    assert (np.ptp(gone, axis=0) == 0).sum() == 3
    few, many = (set(np.flatnonzero((corrupt(WINE, "permuted", k).inputs != WINE.inputs).any(axis=0))) for k in (1, 3))
    assert few < many


def models(weakness: float, name: str, count: int = 6):
    """Answers that are right with a chance of 0.9, less a weakness on pale images."""

    def say(data: Examples) -> Population:
        pale = data.inputs.dtype == np.float32 and float(data.inputs.std()) < 0.012
        chance = 0.9 - weakness * (0.3 + 0.7 * pale)
        ease = rng_for(0, "ease").random(len(data))  # the same example is hard for all models
        noise = rng_for(0, "noise", name, str(pale)).normal(0, 0.05, (count, len(data)))
        right = (ease + noise) < chance
        labels = np.asarray(data.labels)
        return Population.from_labels(np.where(right, labels, (labels + 1) % 10), data.ids, classes=10, name=name)

    return say


def test_a_weakness_to_one_corruption_is_found_and_seeds_alone_are_not() -> None:
    seen: list[tuple[str, int]] = []
    found = robustness(
        models(0, "before"), models(0.3, "after"), DIGITS, kinds=("contrast", "brightness"), strengths=(3,),
        on_done=lambda kind, strength: seen.append((kind, strength)),
    )  # fmt: skip
    assert seen == [("contrast", 3), ("brightness", 3)]
    pale, bright = found
    assert pale.finding.verdict == "change"
    assert pale.finding.value == pytest.approx(-0.21, abs=0.06)
    assert pale.ratio == pytest.approx(0.3 / 0.09, rel=0.4)
    assert pale.ratio_interval[0] > 1.5
    assert bright.finding.verdict == "seed churn"
    same = robustness(models(0, "before"), models(0, "other"), DIGITS, kinds=("contrast",), strengths=(3,))[0]
    assert same.finding.verdict == "seed churn"
    assert np.isnan(same.ratio), "nothing changed on clean inputs to divide by"
    assert same.to_dict()["ratio"] is None


def test_the_ratio_is_of_relative_changes() -> None:
    def outcomes(share: float) -> np.ndarray:
        return np.tile(np.arange(1000) < share * 1000, (4, 1)).astype(float)

    ratio, (low, high) = _ratio((outcomes(0.8), outcomes(0.72)), (outcomes(0.5), outcomes(0.35)), 0)
    assert ratio == pytest.approx(0.3 / 0.1)
    assert low < 3 < high


def test_wrong_use_is_one_line() -> None:
    with pytest.raises(InputError, match="did you mean 'noise'"):
        corrupt(DIGITS, "nois", 1)
    with pytest.raises(InputError, match="strength must be"):
        corrupt(DIGITS, "noise", 4)
    with pytest.raises(InputError, match="corruption must be one of noise, permuted, missing"):
        robustness(models(0, "a"), models(0, "b"), WINE, kinds=("blur",))
    with pytest.raises(DataError, match="no classes"):
        robustness(models(0, "a"), models(0, "b"), load("diabetes"))

"""Which pixels go: ranks against sorting by hand, blur and Sobel against closed forms, masks that stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selftaught import load
from selftaught.audit import (
    box_blur,
    channel_means,
    pixels_of,
    random_scores,
    replaced,
    sobel_scores,
    top_units,
)
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.seeds import rng_for


def images(n: int = 6, side: int = 7, channels: int = 3) -> Examples:
    pixels = rng_for(0, "pixels").integers(0, 256, (n, side, side, channels)).astype(np.uint8)
    return Examples(pixels, np.arange(n) % 2, np.array([f"i{k}" for k in range(n)]), class_names=("a", "b"))


@given(st.integers(0, 1000), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_the_top_units_are_those_that_sorting_by_hand_takes(seed: int, fraction: float) -> None:
    rng = rng_for(seed, "ranks")
    scores = rng.integers(0, 4, (3, 4, 5)).astype(np.float32)  # many ties
    ties = rng.random((3, 4, 5)).astype(np.float32)
    found = top_units(scores, fraction, ties)
    for mine, score, tie in zip(found, scores, ties, strict=True):
        units = sorted(range(20), key=lambda k: (-score.flat[k], -tie.flat[k]))
        assert set(np.flatnonzero(mine)) == set(units[: round(20 * fraction)])


def test_equal_scores_take_no_side() -> None:
    ties = random_scores(images(400))
    marked = top_units(np.zeros((400, 7, 7), np.float32), 0.5, ties)
    assert marked.mean(axis=0) == pytest.approx(24 / 49, abs=0.12)  # four standard deviations: no place is preferred


def test_a_random_mask_belongs_to_its_image() -> None:
    given = images()
    order = np.array([3, 0, 5])
    assert np.array_equal(random_scores(given, seed=1)[order], random_scores(given.take(order), seed=1))
    assert not np.array_equal(random_scores(given, seed=1), random_scores(given, seed=2))
    assert random_scores(given, per="channel").shape == (6, 7, 7, 3)


def test_what_is_marked_becomes_the_mean_and_with_keep_all_else() -> None:
    given = images()
    pixels, means = pixels_of(given), channel_means(pixels_of(given))
    assert means == pytest.approx(given.inputs.reshape(-1, 3).mean(axis=0) / 255, rel=1e-5)
    marked = random_scores(given) > 0.6
    gone, kept = replaced(given, marked, means).inputs, replaced(given, marked, means, keep=True).inputs
    assert np.allclose(gone[marked], means)
    assert np.array_equal(gone[~marked], pixels[~marked])
    assert np.array_equal(kept[marked], pixels[marked])
    assert np.allclose(kept[~marked], means)
    assert np.array_equal(replaced(given, marked, means).ids, given.ids)
    single = random_scores(given, per="channel") > 0.6
    assert np.array_equal(replaced(given, single, means).inputs[~single], pixels[~single])
    grey = replace(given, inputs=given.inputs[..., 0])
    assert replaced(grey, marked, means[:1]).inputs.shape == (6, 7, 7)


def test_sobel_and_blur_are_what_their_formulas_say() -> None:
    ramp = np.broadcast_to(np.arange(9.0, dtype=np.float32)[:, None], (9, 9))[None, ..., None]
    assert sobel_scores(ramp)[0, 4, 4] == pytest.approx(8)  # 1 + 2 + 1, over two rows
    two = np.concatenate([ramp, 2 * ramp], axis=3)
    assert sobel_scores(np.concatenate([0 * ramp, ramp]))[:, 4, 4].tolist() == pytest.approx([0, 8])
    assert sobel_scores(two)[0, 4, 4] == pytest.approx(8 * 5**0.5)
    assert sobel_scores(two, per="channel")[0, 4, 4].tolist() == pytest.approx([8, 16])
    scores = rng_for(0, "blur").random((2, 9, 9)).astype(np.float32)
    assert box_blur(scores)[1, 4, 5] == pytest.approx(scores[1, 2:7, 3:8].mean(), rel=1e-5)
    assert box_blur(scores, size=1) == pytest.approx(scores)
    assert box_blur(np.ones((1, 6, 6, 2), np.float32)) == pytest.approx(1)


def test_wrong_use_is_one_line() -> None:
    ones = np.ones((1, 2, 2), np.float32)
    with pytest.raises(InputError, match="between 0 and 1"):
        top_units(ones, 1.0, ones)
    with pytest.raises(InputError, match="must be finite"):
        top_units(np.full((1, 2, 2), np.nan, np.float32), 0.5, ones)
    with pytest.raises(InputError, match="must be odd"):
        box_blur(ones, size=4)
    with pytest.raises(DataError, match="only images"):
        pixels_of(load("iris"))

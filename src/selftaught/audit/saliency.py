"""Removing and retraining for a model that `selftaught train` left: its own data, shape and settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from selftaught.audit.attribution import attributions
from selftaught.audit.map_sheet import saliency_sheet
from selftaught.audit.pixel_masks import Per, box_blur, channel_means, pixels_of, random_scores, sobel_scores
from selftaught.audit.remove_and_retrain import RoarProgress, roar
from selftaught.audit.roar_result import BLURRED_RANDOM, RANDOM, SOBEL, Roar
from selftaught.audit.trained import seen_ids
from selftaught.datasets.set_apart import draw_rows, strata
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.seeds import rng_for
from selftaught.training import TrainConfig, load_trained, recorded_config, untrained_like
from selftaught.writing import write_atomically

__all__ = ["SHEET", "TrainedImages", "roar_of_trained", "sheet_of", "trained_images"]

SHEET = "maps.svg"
SHOWN = 8


@dataclass(frozen=True, eq=False)
class TrainedImages:
    """A trained model, and the images that it learned from and did not."""

    model: torch.nn.Module
    train: Examples
    test: Examples


def trained_images(
    folder: str | os.PathLike[str], examples: Examples, *, images: int = 4000, seed: int = 0
) -> TrainedImages:
    """Return a model of `selftaught train` with images that it learned from, and as many others, both drawn by class.

    Args:
        folder: of the model.
        examples: the data that it was trained on.
        images: the most of either.
        seed: of the draw.

    Raises:
        InputError: the data are other ones, or none is left to test on.
        ResumeError: there is no model.
    """
    place = Path(folder).expanduser()
    model = load_trained(place)
    if images < 1:
        raise InputError(f"images must be at least 1, got {images}")
    seen = np.isin(examples.ids, seen_ids([place]))
    for rows, told in ((seen, "were in the model's training"), (~seen, "are left to test on")):
        if not rows.any():
            raise InputError(f"no images of {examples.name!r} {told}; give --data what the model was trained on")
    parts = []
    for name, there in (("train", seen), ("test", ~seen)):
        chosen = np.flatnonzero(there).astype(np.int64)
        drawn = draw_rows(rng_for(seed, "audit", "saliency", name), chosen, strata(examples), min(images, len(chosen)))
        parts.append(examples.take(np.sort(drawn)))
    return TrainedImages(model, parts[0], parts[1])


def roar_of_trained(
    folder: str | os.PathLike[str],
    examples: Examples,
    *,
    out: str | os.PathLike[str],
    estimators: Sequence[str],
    fractions: Sequence[float] = (0.5, 0.9),
    seeds: int = 5,
    keep: bool = False,
    per: Per = "pixel",
    images: int = 4000,
    epochs: int | None = None,
    seed: int = 0,
    resume: bool | None = None,
    on_progress: Callable[[RoarProgress], str | None] | None = None,
) -> Roar:
    """Explain a model of `selftaught train`, remove what its explanations point at, and train models like it again.

    The retrained models have its shape, settings and images; a folder gets the rows and a sheet of maps.

    Args:
        folder: of the model.
        examples: the data that it was trained on; those it has not seen are the test images.
        out: folder for the rows, after every training, and for `maps.svg`.
        estimators, fractions, keep, per, resume, on_progress: as for `roar`.
        seeds: how many trainings of every arm.
        images: the most to train on, and to test on.
        epochs: of every training, where they shall be other ones than the model's own.
        seed: the first one.

    Raises:
        InputError, DataError, ResumeError, MissingExtraError: as `roar` and `trained_images` do.
    """
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}")
    given = trained_images(folder, examples, images=images, seed=seed)
    config = recorded_config(folder)
    if epochs is not None:
        config = TrainConfig(**{**config.model_dump(), "epochs": epochs, "steps": None})
    found = roar(
        lambda number: untrained_like(folder, given.train, seed=number), given.train, given.test,
        estimators=estimators, fractions=fractions, seeds=tuple(range(seed, seed + seeds)), keep=keep, per=per,
        config=config, model=given.model, folder=out, resume=resume, on_progress=on_progress,
    )  # fmt: skip
    sheet = sheet_of(given.model, given.train, given.test, estimators, fraction=max(fractions), seed=seed)
    write_atomically(Path(out).expanduser() / SHEET, sheet.encode())
    return found


def sheet_of(
    model: torch.nn.Module,
    train: Examples,
    test: Examples,
    estimators: Sequence[str],
    *,
    fraction: float = 0.9,
    seed: int = 0,
) -> str:
    """Return a sheet of the first test images with the maps of all estimators and controls, as SVG.

    Args:
        model: that is explained.
        train: images whose mean and deviation standardise.
        test: images to show, the first eight.
        estimators: names of `ALL_ESTIMATORS`.
        fraction: of the pixels that is drawn bright.
        seed: of noise and of the random scores.
    """
    shown = test.take(np.arange(min(SHOWN, len(test))))
    pixels = pixels_of(train)
    spread = np.asarray(pixels.std(axis=(0, 1, 2), dtype=np.float64), np.float32)
    chance = random_scores(shown, seed=seed)
    maps = {RANDOM: chance, BLURRED_RANDOM: box_blur(chance), SOBEL: sobel_scores(pixels_of(shown))}
    for name in estimators:
        maps[name] = attributions(model, shown, name, mean=channel_means(pixels), deviation=spread, seed=seed)
    names = [shown.class_names[int(one)] for one in shown.labels] if shown.labels is not None else [""] * len(shown)
    return saliency_sheet(pixels_of(shown), maps, names, fraction=fraction)

"""Remove and retrain: does what an explanation points at matter more than noise, and than blurred noise?"""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from selftaught.audit.attribution import attributions, require_captum
from selftaught.audit.estimators import ESTIMATORS, read_estimator
from selftaught.audit.pixel_masks import (
    Per,
    box_blur,
    channel_means,
    pixels_of,
    random_scores,
    replaced,
    sobel_scores,
    top_units,
)
from selftaught.audit.roar_result import BLUR, BLURRED_RANDOM, NONE, RANDOM, SOBEL, Roar
from selftaught.audit.roar_rows import Key, RoarRows, unchanged_file
from selftaught.errors import DataError, InputError, require_one_of
from selftaught.examples import Examples
from selftaught.training import TrainConfig, evaluate, fit_population
from selftaught.training.batches import as_inputs
from selftaught.training.checkpoint import load_tensors, save_tensors, weights_digest
from selftaught.training.devices import pick_device
from selftaught.training.stack import pick_engine

__all__ = ["RoarProgress", "roar"]

MakeModel = Callable[[int], nn.Module]
_SIDE_BY_SIDE = 16  # members trained at once, where that is faster


@dataclass(frozen=True)
class RoarProgress:
    """How far the trainings are.

    Args:
        done, total: rows.
        reused: of those done, rows of earlier runs.
        seconds: since the call.
        seconds_left: about; None until a row of this run is done.
        arm: what was measured last.
    """

    done: int
    total: int
    reused: int
    seconds: float
    seconds_left: float | None
    arm: str


def roar(
    make_model: MakeModel,
    train: Examples,
    test: Examples,
    *,
    estimators: Sequence[str] = ESTIMATORS,
    fractions: Sequence[float] = (0.5, 0.9),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    keep: bool = False,
    per: Per = "pixel",
    config: TrainConfig | None = None,
    model: nn.Module | None = None,
    together: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool | None = None,
    on_progress: Callable[[RoarProgress], str | None] | None = None,
) -> Roar:
    """Replace the pixels that explanations point at, in training and test images, and train again from the start.

    ROAR and, with `keep`, KAR ("A Benchmark for Interpretability Methods in Deep Neural Networks", arXiv 1806.10758).
    Masks are made once for each image, never for each epoch. Controls are always measured: random pixels (one mask for
    each image, the same for all seeds), Sobel's magnitude, blurred random scores, and every estimator blurred: without
    them an order of estimators says little (arXiv 2304.13836).

    Args:
        make_model: makes an untrained model from a seed.
        train, test: images with classes.
        estimators: names of `ALL_ESTIMATORS`.
        fractions: of the pixels, by rank.
        seeds: of initial weights and trainings; with fewer than two there is no interval.
        keep: replace all other pixels instead.
        per: rank pixels with all their channels, or each "channel" of a pixel by itself.
        config: how to train; in epochs or steps, with the seeds above.
        model: the model that is explained; by default that of the first seed, trained here.
        together: how many trainings run side by side; by default the seeds of an arm, and more where it is faster.
        folder: where rows are kept after every training; the same call goes on there.
        resume: True insists on rows in the folder, False starts over, None goes on where there are some.
        on_progress: called after every training; "stop" ends with what there is.

    Raises:
        MissingExtraError: Captum is not installed.
        InputError: an option is unknown or out of its range.
        DataError: no images with classes, or a model that cannot be explained by gradients.
        ResumeError: the folder holds rows of other settings.
    """
    require_captum()
    config = config or TrainConfig()
    _require_fitting(train, test, estimators, fractions, seeds, per, config)
    work = _Work(make_model, train, test, tuple(seeds), keep, per, config, model)
    work.require_explainable(estimators)
    wanted = [(NONE, 0.0), *((arm, one) for arm in _arms(estimators) for one in fractions)]
    store = RoarRows(folder, work.identity(), resume)
    began = time.perf_counter()
    total, reused = len(wanted) * len(seeds), sum(key in store.rows for key in _keys(wanted, seeds))

    def told(arm: str) -> bool:
        """Tell how far it is; return whether to stop."""
        if on_progress is None:
            return False
        done, passed = sum(key in store.rows for key in _keys(wanted, seeds)), time.perf_counter() - began
        left = passed / (done - reused) * (total - done) if done > reused else None
        return on_progress(RoarProgress(done, total, reused, passed, left, arm)) == "stop"

    if reused < total:
        base = work.unchanged(store.folder)
        for seed, one in base.items():
            accuracy = evaluate(one, test).score
            store.rows.setdefault((NONE, 0.0, seed), {"accuracy": accuracy, "without": accuracy})
        store.write()
        stopped = told(NONE)
        explained = copy.deepcopy(model if model is not None else base[seeds[0]]).to(pick_device(config.device))
        for group in _grouped(work.changed(explained, wanted[1:], store.rows), work.side_by_side(together)):
            if stopped:
                break
            for job, accuracy in zip(group, work.accuracies(group), strict=True):
                without = evaluate(base[job.seed], job.test).score
                store.rows[job.arm, job.fraction, job.seed] = {"accuracy": accuracy, "without": without}
            store.write()
            stopped = told(group[-1].arm)
    rows = tuple(
        {"arm": arm, "fraction": fraction, "seed": seed, **store.rows[arm, fraction, seed]}
        for arm, fraction, seed in _keys(wanted, seeds) if (arm, fraction, seed) in store.rows
    )  # fmt: skip
    return Roar(rows, tuple(estimators), tuple(fractions), tuple(seeds), keep, per, (len(train), len(test)),
                len(rows) == total)  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Job:
    """A training to be done."""

    arm: str
    fraction: float
    seed: int
    train: Examples
    test: Examples


@dataclass(frozen=True, eq=False)
class _Work:
    """What is trained and explained, and how."""

    make_model: MakeModel
    train: Examples
    test: Examples
    seeds: tuple[int, ...]
    keep: bool
    per: Per
    config: TrainConfig
    model: nn.Module | None

    def require_explainable(self, estimators: Sequence[str]) -> None:
        """Explain one image by every estimator, so that a model that cannot be explained is told before any training.

        Raises:
            DataError: it cannot.
        """
        given = self.model if self.model is not None else self.make_model(self.seeds[0])
        image = self.test.take(np.arange(1))
        ones = np.ones(pixels_of(image).shape[3], np.float32)
        for name in estimators:
            attributions(given, image, name, mean=0 * ones, deviation=ones, per=self.per)

    def identity(self) -> dict[str, Any]:
        """Return what rows must share to be read together."""
        explained = None if self.model is None else weights_digest(self.model)
        told = {
            "train": self.train.digest(), "test": self.test.digest(), "first seed": self.seeds[0], "keep": self.keep,
            "per": self.per, "config": self.config.model_dump(mode="json", exclude={"seed"}), "explained": explained,
            "model": str(self.make_model(self.seeds[0])),
        }  # fmt: skip
        return dict(json.loads(json.dumps(told)))

    def unchanged(self, folder: Path | None) -> dict[int, nn.Module]:
        """Return a model of each seed, trained on unchanged images; those that the folder has are read from it."""
        found: dict[int, nn.Module] = {}
        lost = []
        for seed in self.seeds:
            found[seed] = self.make_model(seed)
            stored = None if folder is None else load_tensors(unchanged_file(folder, seed))
            if stored is None:
                lost.append(seed)
            else:
                found[seed].load_state_dict(stored[0])
        if lost:
            fit_population([found[seed] for seed in lost], self.train, self._configs(lost))
        for seed in lost if folder is not None else ():
            save_tensors(unchanged_file(folder, seed), found[seed].state_dict(), {})  # type: ignore[arg-type]
        return {seed: one.eval() for seed, one in found.items()}

    def changed(
        self, explained: nn.Module, wanted: Sequence[tuple[str, float]], known: Mapping[Key, Any]
    ) -> Iterator[_Job]:
        """Give the trainings that are not known yet, arm by arm; each explanation is computed once."""
        pixels = pixels_of(self.train)
        means = channel_means(pixels)
        spread = np.asarray(pixels.std(axis=(0, 1, 2), dtype=np.float64), np.float32)
        sides = (self.train, self.test)
        chance = [random_scores(one, per=self.per, seed=self.seeds[0]) for one in sides]
        last: tuple[str, list[NDArray[np.float32]]] = ("", [])
        for arm, fraction in wanted:
            seeds = [seed for seed in self.seeds if (arm, fraction, seed) not in known]
            if not seeds:
                continue
            source = arm.removesuffix(BLUR)
            if source == RANDOM:
                scores = chance
            elif source == last[0]:
                scores = last[1]
            else:
                scores = [self._scores(explained, one, source, means, spread) for one in sides]
                last = (source, scores)
            if arm.endswith(BLUR):
                scores = [box_blur(one) for one in scores]
            train, test = (
                replaced(one, top_units(its, fraction, ties), means, keep=self.keep)
                for one, its, ties in zip(sides, scores, chance, strict=True)
            )
            for seed in seeds:
                yield _Job(arm, fraction, seed, train, test)

    def _scores(
        self, explained: nn.Module, examples: Examples, source: str, means: NDArray[np.float32],
        spread: NDArray[np.float32],
    ) -> NDArray[np.float32]:  # fmt: skip
        if source == SOBEL:
            return sobel_scores(pixels_of(examples), per=self.per)
        return attributions(
            explained, examples, source, mean=means, deviation=spread, per=self.per, seed=self.seeds[0]
        )

    def accuracies(self, jobs: Sequence[_Job]) -> list[float]:
        """Train a model for each job, all side by side; return the accuracies on their test images."""
        found = fit_population(
            [self.make_model(job.seed) for job in jobs], [job.train for job in jobs],
            self._configs([job.seed for job in jobs]), valid=[job.test for job in jobs],
        )  # fmt: skip
        return [one.score for one in found.valid]

    def side_by_side(self, together: int | None) -> int:
        """Return how many trainings run at once: more than the seeds of an arm only where that is faster."""
        if together is not None:
            return together
        rows = as_inputs(torch.from_numpy(self.train.inputs[: self.config.batch_size].copy()))
        engine = pick_engine(self.make_model(self.seeds[0]), rows.to(pick_device("cpu")))
        on_cpu = pick_device(self.config.device).type == "cpu"
        return len(self.seeds) if engine == "turns" and on_cpu else max(len(self.seeds), _SIDE_BY_SIDE)

    def _configs(self, seeds: Sequence[int]) -> list[TrainConfig]:
        return [self.config.model_copy(update={"seed": seed}) for seed in seeds]


def _arms(estimators: Sequence[str]) -> list[str]:
    named = [name for one in estimators for name in (one, one + BLUR)]
    return [RANDOM, BLURRED_RANDOM, SOBEL, *named]


def _keys(wanted: Sequence[tuple[str, float]], seeds: Sequence[int]) -> Iterator[Key]:
    return ((arm, fraction, seed) for arm, fraction in wanted for seed in seeds)


def _grouped(jobs: Iterator[_Job], size: int) -> Iterator[list[_Job]]:
    group: list[_Job] = []
    for job in jobs:
        group.append(job)
        if len(group) >= size:
            yield group
            group = []
    if group:
        yield group


def _require_fitting(
    train: Examples,
    test: Examples,
    estimators: Sequence[str],
    fractions: Sequence[float],
    seeds: Sequence[int],
    per: str,
    config: TrainConfig,
) -> None:
    for one in (train, test):
        pixels_of(one.take(np.arange(min(1, len(one)))))
        if one.labels is None or not one.num_classes:
            raise DataError(f"{one.name!r} has no classes; accuracy after retraining needs them")
    if not len(train) or not len(test):
        raise DataError(f"{train.name!r} needs images to train on and images to test on")
    require_one_of("per", per, ("pixel", "channel"))
    for name in estimators:
        read_estimator(name)
    for what, given in (("estimators", estimators), ("fractions", fractions), ("seeds", seeds)):
        if len(set(given)) < len(given) or (not given and what != "estimators"):
            raise InputError(f"{what} must be different ones, at least one, got {list(given)}")
    if not all(0 < one < 1 for one in fractions):
        raise InputError(f"fractions must be between 0 and 1, got {list(fractions)}")
    if min(seeds) < 0:
        raise InputError(f"seeds must be at least 0, got {min(seeds)}")
    if config.seconds is not None:
        raise InputError("arms must train equally long; give the budget in epochs or steps, not in seconds")

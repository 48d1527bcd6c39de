"""Every claim's machinery on a miniature: it runs, repeats itself, and its rows are read by its own rule."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass, replace
from typing import Any

import pytest

from selftaught.claims import CLAIMS, SCALES, Claim

#: ladders of pruned populations as small as they can be
MINI: dict[str, Any] = {
    "seeds": 1, "models": 4, "common": 20, "rare": 5, "kept": 10, "epochs": 2, "widths": (2,), "batch_size": 16,
}  # fmt: skip
#: what makes a configuration a miniature
SMALL: dict[str, dict[str, Any]] = {
    "linear-from-nothing": {"seeds": 1, "programs": 200, "unseen": 16},
    "affine-from-nothing": {"seeds": 1, "programs": 100, "unseen": 16},
    "nonlinear-setup": {"seeds": 1, "programs": 60, "unseen": 16},
    "class-pairs": {"seeds": 1, "programs": 60, "tuning": 4, "final": 16},
    "invention": {"seeds": 1, "programs": 60, "unseen": 16, "tuning": 4},
    "few-examples-invite-noise": {"seeds": 1, "programs": 60, "tasks": 16, "unseen": 16},
    "lanes-pay": {"seeds": 1, "rows": 50, "repeats": 1, "seconds": 0.001, "bred": 200},
    "layer-rejection": {"seeds": 1, "layers": 2, "steps": 2, "ascent": 1},
    "small-batch-layer": {"seeds": 1, "steps": 1, "train": 64},
    "transplant": {"seeds": 1, "steps": 2, "train": 100},
    "batchnorm-only": {"seeds": 1, "steps": 2, "width": 8},
    "roar": {"seeds": 1, "epochs": 1, "widths": (2,), "train": 64, "test": 30, "estimators": ("gradient",)},
    "layer-search-beats-random": {"seeds": 1, "budget": 6, "steps": 2, "check": 2, "ascent": 1},
    "sparse-starts": {"seeds": 1, "epochs": 4, "examples": 900, "held": 100, "every": 5},
    "supermask": {"seeds": 1, "epochs": 1, "examples": 700},
    "layer-for-sparse": {"seeds": 1, "budget": 6, "steps": 2, "ascent": 1, "again": 1},
    "sparse-kernel": {"seeds": 1, "size": 64, "repeats": 1, "seconds": 0.001},
    "masked-is-not-faster": {"seeds": 1, "widths": (16, 16), "batch": 2, "rounds": 1},
    "structured-is-faster": {"seeds": 1, "widths": (32, 32), "batch": 2, "rounds": 1},
    "liveness-pays": {"seeds": 1, "rows": 50, "repeats": 1, "seconds": 0.001, "programs": 200},
    "evolution-beats-random": {"seeds": 1, "trials": 20},
    "controller-beats-random": {"seeds": 1, "trials": 20},
    "nb201-budget": {"blocks": 1, "searches": 2},
    "efficientnet-table": {"seeds": 1},
    "compound-scaling": {"seeds": 1, "examples": 64, "epochs": 1},
    "cell-transfer": {"seeds": 1, "cells": 1, "examples": 32, "epochs": (1, 1), "widths": (2, 2)},
    "weight-inheritance": {"seeds": 1, "children": 1, "examples": 32, "epochs": (1, 1), "width": 2},
    "forgotten-examples": MINI,
    "rare-classes-pay": {**MINI, "levels": (0.0, 0.9)},
    "quantised-forgets-less": {**MINI, "levels": (0.0, 0.9)},
    "difficulty-measures": {"seeds": 1, "images": 60, "epochs": 2, "widths": (2,), "models": 2},
    "rare-or-mislabelled": {"seeds": 1, "images": 150, "epochs": 2, "widths": (2,), "models": 2},
    "uneven-training": {"seeds": 1, "epochs": 2, "largest": 20, "test": 5, "every": 1},
    "distil-keeps-tail": {"seeds": 1, "epochs": 6, "largest": 60, "test": 5},
    "generalisation-stability": {"seeds": 1, "epochs": 2, "train": 320, "valid": 50, "cuts": (2,)},
    "early-exit": {
        "seeds": 1, "epochs": 1, "train": 64, "valid": 32, "blocks": 2, "exits": (1,), "shallow": (1,), "width": 4,
        "timed": 2, "rounds": 1,
    },
    "protected-compression": {"seeds": 1, "epochs": 1, "tuning": 1, "examples": 1100},
    "gradient-flow": {"seeds": 1, "steps": 3, "early": 2, "train": 100, "widths": (8,), "density": 0.3},
}
#: claims whose measurement imports torch; their miniatures run in `test_torch_miniatures`
WITH_TORCH = (
    "efficientnet-table", "compound-scaling", "cell-transfer", "weight-inheritance", "layer-rejection",
    "small-batch-layer", "batchnorm-only", "layer-search-beats-random", "transplant", "sparse-starts", "supermask",
    "sparse-kernel", "masked-is-not-faster", "structured-is-faster", "layer-for-sparse", "uneven-training",
    "distil-keeps-tail", "generalisation-stability", "early-exit", "gradient-flow", "roar",
    "protected-compression",
    "forgotten-examples", "rare-classes-pay", "quantised-forgets-less", "difficulty-measures", "rare-or-mislabelled",
)  # fmt: skip
TIMES = {
    "cpu_seconds", "ratio", "lanes_per_second", "scalar_per_second", "live_per_second", "all_per_second",
    "dense_seconds", "csr_ratio", "dense_ratio", "masked_ratio", "noise", "labelled", "time",
}  # fmt: skip


def miniature(claim: Claim) -> Any:
    return replace(claim.config("tiny"), **SMALL[claim.name])


def test_every_claim_has_its_miniature() -> None:
    assert set(SMALL) == set(CLAIMS)


@pytest.mark.parametrize("name", [name for name in CLAIMS if name not in WITH_TORCH])
def test_a_miniature_runs_and_its_rows_are_judged(name: str) -> None:
    run_miniature(name)


def run_miniature(name: str) -> None:
    """Run a claim's miniature, judge its rows as stored, and run its first part once more."""
    claim = CLAIMS[name]
    config = miniature(claim)
    rows = claim.run(config)
    stored = json.loads(json.dumps(rows, allow_nan=False))
    verdict = claim.judge(stored)
    assert verdict.status == "inconclusive", "one seed is no evidence"
    assert verdict.findings
    assert verdict == claim.judge(rows)
    part = claim.plan(config)[0]
    again = claim.measure(config, part)
    kept = [{k: v for k, v in row.items() if k not in TIMES} for row in rows[: len(again)]]
    assert kept == [{k: v for k, v in row.items() if k not in TIMES} for row in again]


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_whole(name: str) -> None:
    claim = CLAIMS[name]
    assert claim.name == name
    assert tuple(claim.scales) == SCALES
    assert claim.sentence.endswith(".")
    assert claim.source.endswith(".")
    assert claim.control
    seconds = [claim.scales[scale].seconds for scale in SCALES]
    assert seconds == sorted(seconds)
    assert seconds[0] <= 60
    for scale in SCALES:
        config = claim.config(scale, seed=5)
        assert is_dataclass(config)
        assert config.seed == 5
        assert json.loads(json.dumps(asdict(config)))  # type: ignore[arg-type]
        parts = claim.plan(config)
        keys = [json.dumps(dict(part), sort_keys=True) for part in parts]
        assert len(keys) == len(set(keys)), "parts are told apart by what they are"
        seeds = {part["seed"] for part in parts}
        assert min(seeds) == 5
        assert len(seeds) >= 3, "a status needs three seeds"
        with pytest.raises(AttributeError):
            config.seed = 6


def test_random_search_gets_as_many_proposals_as_the_search_made() -> None:
    claim = CLAIMS["linear-from-nothing"]
    rows = claim.run(miniature(claim))
    for bias in ("free", "learner"):
        evolution, control = (
            next(row for row in rows if (row["bias"], row["arm"]) == (bias, arm)) for arm in ("evolution", "random")
        )
        assert control["programs"] == evolution["proposed"] > evolution["programs"]
        assert control["search"] == "random"


def test_a_search_that_finds_it_stops_and_holds_on_final_tasks() -> None:
    claim = CLAIMS["linear-from-nothing"]
    config = replace(claim.config("tiny"), biases=("learner",), seeds=1, unseen=20)
    found = claim.measure(config, {"bias": "learner", "seed": 0})[0]
    assert found["ended"] == "solved"
    assert found["reached"]
    assert found["programs"] < config.programs
    assert found["fitness_select"] >= config.target
    assert found["fitness_final"] == pytest.approx(sum(found["final_scores"]) / 20, abs=1e-5)


def test_cifar_is_left_out_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = CLAIMS["class-pairs"]
    config = claim.config("small")
    monkeypatch.delenv("SELFTAUGHT_DATA", raising=False)
    assert {part["data"] for part in claim.plan(config)} == {"digits"}
    monkeypatch.setattr("selftaught.datasets.load", lambda source: source)
    assert {part["data"] for part in claim.plan(config)} == {"digits", "cifar10"}

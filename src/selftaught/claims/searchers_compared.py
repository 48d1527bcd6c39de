"""What the claims on searchers share: one searcher beside random search, at equal evaluations and paired seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selftaught.claims.claim import Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

__all__ = ["CONTROL", "DIGITS", "SearchersCompared", "judge", "measure", "plan", "scales_of"]

CONTROL = "random search with as many evaluations, repeats included, on the same spaces and seeds"
#: the space that needs no files
DIGITS = "digits"


@dataclass(frozen=True)
class SearchersCompared:
    """Searches of one searcher and of random search.

    Args:
        searcher: a name of `selftaught.search.SEARCHERS`.
        spaces: "digits" (networks of random filters), and published tables; one that is not at hand is left out.
        seeds: pairs of searches a space.
        trials: evaluations of a search.
        seed: the first seed.
        options: of the searcher.
    """

    searcher: str
    spaces: tuple[str, ...]
    seeds: int
    trials: int
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


def plan(config: SearchersCompared) -> list[Part]:
    """Return a part a seed and space that is here."""
    return [
        {"space": space, "seed": config.seed + k}
        for space in config.spaces
        if _present(space)
        for k in range(config.seeds)
    ]


def _present(space: str) -> bool:
    from selftaught.claims.known_spaces import known_space
    from selftaught.errors import DataError

    if space == DIGITS:
        return True
    try:
        known_space(space)
    except DataError:
        return False
    return True


def measure(config: SearchersCompared, part: Part) -> list[dict[str, Any]]:
    """Search twice; return a row an arm: the score searched on, and what the pick is worth on test."""
    rows = []
    for arm, searcher, options in (("claimed", config.searcher, config.options), ("random", "random", {})):
        found = _found(part["space"], searcher, part["seed"], config.trials, options)
        rows.append({**part, "arm": arm, "searcher": searcher, "trials": config.trials, **found})
    return rows


def _found(space: str, searcher: str, seed: int, trials: int, options: Mapping[str, Any]) -> dict[str, float]:
    """Return the signal and every test accuracy of one search, in per cent."""
    from selftaught.claims.known_spaces import known_space, search_known
    from selftaught.claims.random_filters import random_filters, score_filters
    from selftaught.search import search

    if space != DIGITS:
        return search_known(known_space(space), searcher, seed=seed, trials=trials, options=options)
    study = search(
        lambda candidate: score_filters(candidate)[0], random_filters(), trials=trials, searcher=searcher, seed=seed,
        options=options, repeats="evaluate",
    )  # fmt: skip
    return {
        "signal": study.best_value, "repeats": float(study.repeats), "test": score_filters(study.best.candidate)[1]
    }  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the score searched on, on every space; tell of test accuracies beside it."""
    verdicts, told = [], []
    for space in sorted({row["space"] for row in rows}):
        arms = {(row["arm"], row["seed"]): row for row in rows if row["space"] == space}
        seeds = sorted(seed for arm, seed in arms if arm == "claimed" and ("random", seed) in arms)
        pairs = [(arms["claimed", seed], arms["random", seed]) for seed in seeds]
        if not pairs:
            continue
        gains = [ours["signal"] - control["signal"] for ours, control in pairs]
        verdicts.append(gain(f"{space}: points more validation accuracy than random search", gains, digits=2))
        columns = sorted(set(pairs[0][0]) - {*_KEYS})
        means = [f"{c} {sum(a[c] - b[c] for a, b in pairs) / len(pairs):+.2f}" for c in columns]
        told.append(f"{space}: the picks' accuracy on test, not part of the claim: {', '.join(means)}")
    found = combine(verdicts) if verdicts else Verdict("inconclusive", ("nothing was measured",))
    return Verdict(found.status, (*found.findings, *told))


_KEYS = (
    "space",
    "seed",
    "arm",
    "searcher",
    "trials",
    "signal",
    "repeats",
    "part",
    "scale",
    "machine",
    "seconds",
    "config",
)


def scales_of(searcher: str, **options: Any) -> dict[str, Scale]:
    """Return the three scales of such a claim."""
    spaces = (DIGITS, "nb201", "macro")
    return {
        name: Scale(
            SearchersCompared(searcher=searcher, spaces=spaces, seeds=seeds, trials=trials, options=options), seconds
        )
        for name, seeds, trials, seconds in (
            ("tiny", 20, 100, 40), ("small", 100, 200, 400), ("full", 500, 200, 2000),
        )
    }  # fmt: skip

"""The end of a search: what the winners are worth on test examples, and the files that are left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError
from selftaught.examples import Task
from selftaught.objectives.models import load_model
from selftaught.objectives.retraining import Entrant, Retraining
from selftaught.search import Study
from selftaught.spaces import Cost, Network, Space, network_to_json
from selftaught.spaces.build import cost_of
from selftaught.training import evaluate
from selftaught.writing import write_atomically

__all__ = ["Judged", "judge", "rank_correlation", "write_found"]


@dataclass(frozen=True)
class Judged:
    """A network trained with several seeds, and its scores in per cent (accuracy, or variance explained).

    Args:
        name: of the entrant.
        network: what was built.
        cost: counted.
        valid: a score a seed.
        test: a score a seed.
        files: weights a seed.
        gains: (n,) what each test example adds to the mean score, in per cent.
    """

    name: str
    network: Network
    cost: Cost
    valid: tuple[float, ...]
    test: tuple[float, ...]
    files: tuple[Path, ...]
    gains: NDArray[np.float64] = field(repr=False)

    def difference(self, other: Judged) -> tuple[float, float, float]:
        """Return by how many points the test score is better than another's, with a 95 % interval over examples.

        Examples are paired, and scores averaged over seeds; the interval is normal and knows nothing of other seeds.
        """
        gained = self.gains - other.gains
        mean = float(gained.mean())
        half = 1.96 * float(gained.std(ddof=1)) / len(gained) ** 0.5 if len(gained) > 1 else 0.0
        return mean, mean - half, mean + half

    def as_data(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "name": self.name, "cost": asdict(self.cost), "valid": self.valid, "test": self.test,
            "valid_mean": float(np.mean(self.valid)), "test_mean": float(np.mean(self.test)),
            "network": json.loads(network_to_json(self.network)),
        }  # fmt: skip


def judge(entrant: Entrant, study: Study, again: Retraining, task: Task) -> Judged:
    """Score every seed of an entrant on the test examples.

    Raises:
        InputError: the task has no test examples, or no seed could be trained.
    """
    if task.test is None:
        raise InputError("the winner is judged on test examples; the task has none")
    runs = [trial for trial in study.succeeded if trial.candidate["entrant"] == entrant.name and trial.score]
    if not runs:
        raise InputError(f"{entrant.name} could not be trained: {study.failed[0].error if study.failed else 'no run'}")
    files = tuple(again.file_of(entrant.name, int(trial.candidate["seed"])) for trial in runs)
    found = [evaluate(load_model(path), task.test) for path in files]
    gains: list[NDArray[np.float64]] = []
    for one in found:
        right = one.metric == "accuracy"
        variance = float(np.var(one.targets.astype(np.float64))) or 1.0
        gains.append(one.correct.astype(np.float64) if right else 1 - one.losses.astype(np.float64) / variance)
    return Judged(
        entrant.name, entrant.network, cost_of(entrant.network),
        tuple(trial.score.value for trial in runs if trial.score), tuple(100 * one.score for one in found), files,
        100 * np.mean(gains, axis=0),
    )  # fmt: skip


def rank_correlation(study: Study, means: Mapping[str, float], space: Space) -> dict[str, float] | None:
    """Return Spearman's correlation of the search's score and the final one over the candidates trained again.

    `gap` is how far the search's own first choice is behind the best of them at the end, in points.
    """
    from scipy.stats import spearmanr

    pairs = [
        (trial.score.value, means[name])
        for trial in study.top(len(means))
        if trial.score is not None and (name := f"found {space.encode(trial.candidate)}") in means
    ]
    small, large = [a for a, _ in pairs], [b for _, b in pairs]
    if len(pairs) < 3 or len(set(small)) < 2 or len(set(large)) < 2:
        return None
    return {"spearman": float(spearmanr(small, large).statistic), "gap": max(large) - large[0], "n": float(len(pairs))}


def write_found(
    folder: Path, result: Mapping[str, Any], judged: Judged, winner: Entrant, arms: Mapping[str, Study], space: str
) -> None:
    """Write result.json, history.jsonl, candidate.json and model.safetensors, each whole or not at all."""
    best = judged.files[int(np.argmax(judged.valid))]
    write_atomically(folder / "model.safetensors", best.read_bytes())
    network = json.loads(network_to_json(judged.network))
    candidate = {"space": space, "candidate": dict(winner.candidate or {}), "network": network}
    write_atomically(folder / "candidate.json", (json.dumps(candidate, indent=1) + "\n").encode())
    write_history(folder, arms)
    write_atomically(folder / "result.json", (json.dumps(result, indent=1) + "\n").encode())


def write_history(folder: Path, arms: Mapping[str, Study]) -> None:
    """Write every trial of every study as a line, in the order in which they ended."""
    lines = [
        json.dumps({"study": arm, **asdict(trial), "score": asdict(trial.score) if trial.score else None})
        for arm, study in arms.items()
        for trial in study.trials
    ]
    write_atomically(folder / "history.jsonl", "".join(f"{line}\n" for line in lines).encode())

"""A hand-made run of which every figure is known, written as the files that a real run leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HEAD = "selftaught-program 1\ntask: binary\n"


def program(setup: str = "pass", predict: str = "pass", learn: str = "pass") -> str:
    """The text of a program; lines are parted by semicolons."""
    parts = []
    for name, lines in (("setup", setup), ("predict", predict), ("learn", learn)):
        parts.append(f"{name}:\n" + "\n".join("    " + line.strip() for line in lines.split(";")))
    return HEAD + "\n".join(parts)


FIRST = program(predict="s1 = dot(v0, v1)")
SECOND = program(predict="s1 = dot(v0, v1)", learn="v1 = s0 * v0")
THIRD = program(predict="s1 = dot(v0, v1)", learn="s3 = s0 - s1; v1 = s3 * v0")
WINNER = program("s2 = 0.1", "s1 = dot(v0, v1)", "s3 = s0 - s1; s3 = s2 * s3; v2 = s3 * v0; v1 = v1 + v2")

#: (programs, fitness, elapsed, parent, island, text). The parent of the third was not kept: number 60 of island 0 was
#: born after 40 and is none of the records. The winner is a child of the third.
HISTORY = (
    (1, 0.5, 1.0, -1, 0, FIRST),
    (3, 0.4, 1.1, -1, 1, FIRST),
    (40, 0.6, 2.0, 1, 0, SECOND),
    (55, 0.45, 2.5, 3, 1, SECOND),
    (90, 0.8, 4.0, 60, 0, THIRD),
    (700, 0.95, 9.0, 90, 0, WINNER),
)


def interval(mean: float, tasks: int = 64) -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.005, "tasks": tasks}


def records() -> list[dict[str, Any]]:
    return [
        {
            "programs": programs, "fitness": fitness, "elapsed": elapsed, "parent": parent, "move": 1, "island": island,
            "number": number, "program": text,
        }
        for number, (programs, fitness, elapsed, parent, island, text) in enumerate(HISTORY)
    ]  # fmt: skip


def result(**other: Any) -> dict[str, Any]:
    return {
        "seed": 3, "bias": "free", "search": "live", "programs": 2000, "programs_before_resume": 0,
        "programs_per_second": 150.0, "cpu_seconds": 11.5, "evaluations_to_best": 700, "fitness_search": 0.95,
        "fitness_select": 0.93, "fitness_test": interval(0.92),
        "baselines": {"linear": interval(0.9), "net": interval(0.85), "reference": interval(0.7)},
        "program": WINNER, "version": "0.1.0", "reason": "seconds", "warnings": [],
        "tasks": {"name": "pears", "kind": "binary", "metric": "accuracy", "features": 4, "search": 16,
                  "selection": 32, "final": 64, "elapsed": 12.0},
    } | other  # fmt: skip


def explanation(**other: Any) -> dict[str, Any]:
    drop = {"function": "learn", "line": 2, "text": "v2 = s3 * v0", "drop": 0.4, "low": 0.38, "high": 0.41}
    idle = {"function": "setup", "line": 0, "text": "s2 = 0.1", "drop": -0.001, "low": -0.003, "high": 0.001}
    return {
        "program": WINNER, "short": THIRD, "fitness": interval(0.92), "short_fitness": interval(0.91), "floor": 0.002,
        "bits": {"before": 90.0, "after": 60.0}, "drops": [drop, idle],
        "techniques": [
            {"name": "gradient step", "found_by": "both", "instructions": [["learn", 2], ["learn", 3]],
             "evidence": "cosine 0.99", "gain": 0.41}
        ],
        "formulas": [{"name": "update", "latex": "w", "text": "w <- w + 0.1 e x"}], "warnings": [],
    } | other  # fmt: skip


def timeline() -> list[dict[str, Any]]:
    named = [[], [], ["linear model"], [], ["linear model", "gradient step"], ["gradient step"]]
    return [
        {"programs": one[0], "elapsed": one[2], "fitness": one[1], "techniques": names, "island": one[4]}
        for one, names in zip(HISTORY, named, strict=True)
    ]


def write_run(folder: Path, *, explained: bool = True, **other: Any) -> Path:
    """Write a run's files; `other` replaces parts of result.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result(**other)))
    (folder / "history.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records()))
    (folder / "settings.json").write_text(
        json.dumps({"data": "pears", "workers": 1, "start": "empty", "operators": {"setup": ["scalar_constant"]}})
    )
    (folder / "config.toml").write_text('data = "pears"\n')
    (folder / "program.txt").write_text(WINNER)
    if explained:
        (folder / "explanation.json").write_text(json.dumps(explanation()))
        (folder / "timeline.json").write_text(json.dumps(timeline()))
    return folder

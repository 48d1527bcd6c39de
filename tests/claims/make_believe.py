"""A claim that takes no time: its rows are functions of the seed, so every status can be had."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selftaught.claims import Claim, Part, Row, Scale, Verdict, gain


@dataclass(frozen=True)
class Config:
    """What the make-believe measures: `gains` one a seed; `log` notes every measured part in a file."""

    gains: tuple[float, ...]
    seed: int = 0
    log: str = ""
    breaks_at: int = -1
    dies_at: int = -1


def plan(config: Config) -> list[Part]:
    return [{"seed": config.seed + k, "number": k} for k in range(len(config.gains))]


def measure(config: Config, part: Part) -> list[dict[str, Any]]:
    number = part["number"]
    if config.log:
        with Path(config.log).open("a", encoding="utf-8") as stream:
            stream.write(f"{number}\n")
    if number == config.breaks_at:
        raise KeyboardInterrupt
    if number == config.dies_at:
        os._exit(9)
    return [
        {"seed": part["seed"], "arm": arm, "value": config.gains[number] * (arm == "new")} for arm in ("new", "old")
    ]


def judge(rows: Sequence[Row]) -> Verdict:
    new = {row["seed"]: row["value"] for row in rows if row["arm"] == "new"}
    old = {row["seed"]: row["value"] for row in rows if row["arm"] == "old"}
    return gain("new minus old", [new[seed] - old[seed] for seed in sorted(new)])


def claim(*gains: float, **config: Any) -> Claim:
    """Return the make-believe claim; its tiny scale measures these gains."""
    return Claim(
        name="make-believe", sentence="New is better than old.", source="Nowhere.", control="old",
        scales={"tiny": Scale(Config(gains, **config), 1.0)}, plan=plan, measure=measure, judge=judge,
    )  # fmt: skip

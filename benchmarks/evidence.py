"""Repeat the experiments behind the claims, each with its control; every run is a line of JSON.

``python benchmarks/evidence.py [--tiny] [--only NAME] [--seeds N] [--first SEED] [--seconds S] [--jobs N] [--out F]``

`random-control` is not run by itself: each run of an experiment at bias `free` is followed by a random search
over the same operators and sizes with as many programs, within the experiment's limit of CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import evidence_page, machine
from benchmarks.searches import SET_UPS, Bias, Kind, Search
from benchmarks.solving import SELECTION, solve, warm_up
from selftaught.programs.baselines import linear_learner
from selftaught.programs.evaluate import Evaluator
from selftaught.seeds import rng_for

__all__ = ["EXPERIMENTS", "main"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "evidence.jsonl"
TINY = ROOT / "runs" / "benchmarks" / "evidence-tiny.jsonl"
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Experiment:
    """One question.

    Args:
        set_up: a name of `SET_UPS`.
        biases: bias levels of the live search.
        target: fitness on selection tasks that ends a run.
        bar: mean fitness on final tasks that counts as reached.
        seeds: runs a bias level.
        programs: the most programs of a run.
        seconds: the most CPU seconds of a run.
        tiny: (seeds, programs, seconds) of the tiny scale.
        linear: whether the hand-written linear learner runs beside it.
    """

    set_up: str
    biases: tuple[Bias, ...]
    target: float
    bar: float
    seeds: int
    programs: int
    seconds: float
    tiny: tuple[int, int, float]
    linear: bool = False


EXPERIMENTS = {
    "linear-from-nothing": Experiment(
        "linear 5/1/4", ("free", "learner"), 0.999, 0.999, 10, 5_000_000, 600.0, (2, 100_000, 4.0)
    ),
    "affine-from-nothing": Experiment(
        "affine 6/2/6", ("free", "learner"), 0.999, 0.999, 10, 20_000_000, 900.0, (1, 100_000, 4.0)
    ),
    "rings": Experiment("rings", ("free",), 0.8, 0.75, 5, 100_000_000, 300.0, (1, 100_000, 4.0), linear=True),
    "interaction": Experiment(
        "interaction", ("free",), 0.8, 0.75, 5, 100_000_000, 300.0, (1, 100_000, 4.0), linear=True
    ),
}


def interval(scores: Sequence[float], seed: int) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean over tasks."""
    values = np.asarray(scores)
    picks = rng_for(seed, "evidence", "bootstrap").integers(len(values), size=(2000, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def run(
    name: str, experiment: Experiment, kind: Kind, bias: Bias, seed: int, programs: int, seconds: float, unseen: int
) -> dict[str, Any]:
    """Run one search of an experiment; return its line."""
    set_up = SET_UPS[experiment.set_up]
    found = solve(
        Search(set_up, kind, bias=bias, seed=seed),
        experiment.target,
        most_programs=programs,
        most_seconds=seconds,
        unseen=unseen,
    )
    low, high = interval(found["final_scores"], seed)
    control = kind == "random"
    return {
        "experiment": "random-control" if control else name,
        "of": name,
        "set_up": experiment.set_up,
        "bias": "none" if control else bias,
        "target": experiment.target,
        "bar": experiment.bar,
        "reached": found["fitness_final"] >= experiment.bar,
        "low": low,
        "high": high,
        "limits": {"programs": programs, "cpu_seconds": seconds},
        **found,
    }


def linear_line(name: str, experiment: Experiment, seed: int, unseen: int) -> dict[str, Any]:
    """Score the hand-written linear learner, its rate tuned on the search tasks, on the final tasks."""
    search = Search(SET_UPS[experiment.set_up], "random", seed=seed)
    programs = [linear_learner(rate) for rate in RATES]
    means = search.evaluator.score_many(programs).mean(axis=1)
    chosen = programs[int(means.argmax())]
    scores = Evaluator(search.task_set("final", unseen, **SELECTION)).score(chosen)
    low, high = interval([float(score) for score in scores], seed)
    return {
        "experiment": "linear-control",
        "of": name,
        "set_up": experiment.set_up,
        "bias": "none",
        "search": "tuned",
        "seed": seed,
        "target": experiment.target,
        "bar": experiment.bar,
        "reached": bool(scores.mean() >= experiment.bar),
        "solved": bool(scores.mean() >= experiment.target),
        "programs": len(programs),
        "cpu_seconds": 0.0,
        "fitness_search": float(means.max()),
        "fitness_final": float(scores.mean()),
        "low": low,
        "high": high,
        "final_scores": [round(float(score), 6) for score in scores],
        "program": str(chosen),
    }


def write(rows: Sequence[dict[str, Any]], out: Path) -> None:
    """Write all lines under a temporary name, then rename."""
    out.parent.mkdir(parents=True, exist_ok=True)
    waiting = out.with_suffix(".tmp")
    waiting.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    os.replace(waiting, out)


def lines_of(name: str, seed: int, programs: int, limit: float, unseen: int) -> list[dict[str, Any]]:
    """Run an experiment and its controls with one seed; return the lines."""
    experiment = EXPERIMENTS[name]
    set_up = SET_UPS[experiment.set_up]
    warm_up(Search(set_up, "random", seed=99), *(Search(set_up, "live", bias=b, seed=99) for b in experiment.biases))
    rows = [linear_line(name, experiment, seed, unseen)] if experiment.linear else []
    for bias in experiment.biases:
        row = run(name, experiment, "live", bias, seed, programs, limit, unseen)
        rows.append(row)
        if bias == "free":
            rows.append(run(name, experiment, "random", "free", seed, row["programs"], limit, unseen))
    return rows


def measure(
    names: Sequence[str],
    *,
    tiny: bool,
    seeds: int | None,
    seconds: float | None,
    out: Path,
    first: int = 0,
    jobs: int = 1,
) -> list[dict[str, Any]]:
    """Run experiments, writing each line as it comes; lines of other experiments in the file are kept.

    Args:
        names: of `EXPERIMENTS`.
        tiny: at the tiny scale.
        seeds: runs a bias level; the experiment's own number when None.
        seconds: the most CPU seconds of a run; the experiment's own when None.
        out: the file of lines.
        first: the first seed.
        jobs: processes; with 1 everything runs in this one.
    """
    rows: list[dict[str, Any]] = []
    if out.exists():
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        rows = [row for row in rows if row["of"] not in names]
    stamp = {"scale": "tiny" if tiny else "full", "machine": machine.describe()["processor"]}

    def keep(row: dict[str, Any]) -> None:
        rows.append({**row, **stamp})
        write(rows, out)
        print(
            f"  {row['experiment']} ({row['of']}, {row['bias']}) seed {row['seed']}: {row['programs']:,} programs, "
            f"{row['cpu_seconds']:.2f} CPU s, unseen {row['fitness_final']:.4f} [{row['low']:.4f}, {row['high']:.4f}]",
            flush=True,
        )

    work = []
    for name in names:
        experiment = EXPERIMENTS[name]
        runs, programs, limit = experiment.tiny if tiny else (experiment.seeds, experiment.programs, experiment.seconds)
        limit = seconds if seconds is not None else limit
        work += [(name, first + seed, programs, limit, 20 if tiny else 100) for seed in range(seeds or runs)]
    print(f"{len(work)} runs (load {machine.load()})", flush=True)
    if jobs == 1:
        for task in work:
            for row in lines_of(*task):
                keep(row)
        return rows
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for future in [pool.submit(lines_of, *task) for task in work]:
            for row in future.result():
                keep(row)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, print the summary and, at full scale, write docs/evidence.md."""
    parser = argparse.ArgumentParser(description="Repeat the experiments, each with its control.")
    parser.add_argument("--tiny", action="store_true", help="about a minute; shows that all runs")
    parser.add_argument("--only", action="append", choices=list(EXPERIMENTS), help="an experiment; may be repeated")
    parser.add_argument("--seeds", type=int, help="runs a bias level, instead of the experiment's own number")
    parser.add_argument("--seconds", type=float, help="most CPU seconds a run, instead of the experiment's own")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes that run experiments side by side (1)")
    parser.add_argument("--out", type=Path, help="the file of lines (benchmarks/results/evidence.jsonl)")
    chosen = parser.parse_args(arguments)
    if chosen.seeds is not None and chosen.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {chosen.seeds}")
    out = chosen.out or (TINY if chosen.tiny else RESULTS)
    names = chosen.only or list(EXPERIMENTS)
    if chosen.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {chosen.jobs}")
    rows = measure(
        names,
        tiny=chosen.tiny,
        seeds=chosen.seeds,
        seconds=chosen.seconds,
        out=out,
        first=chosen.first,
        jobs=chosen.jobs,
    )
    page = evidence_page.render(rows)
    print("\n" + page)
    if out == RESULTS:
        (ROOT / "docs" / "evidence.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

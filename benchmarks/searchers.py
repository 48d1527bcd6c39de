"""Measure the searchers on published tables, their speed beside Optuna's, and the store.

``SELFTAUGHT_DATA=FOLDER python benchmarks/searchers.py [--quick] [--only SECTION ...] [--seeds N] [--out FILE]``

- `tables`: 200 seeds of 100 evaluations a searcher and table; operators, edges and names are shuffled by the seed.
- `noise`: the same on cells of NAS-Bench-201 with noise of deviation 1 on every evaluation.
- `asks`: asks a CPU second with 100 and 1,000 trials told, on cells of NAS-Bench-201, beside Optuna's own samplers.
- `store`: trials a second written to a SQLite file, one transaction each and in lists, up to 100,000 trials.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from benchmarks.machine import describe, load
from benchmarks.programs import write
from selftaught.claims.known_spaces import TABLES, KnownSpace, known_space, search_known
from selftaught.claims.statistics import mean_interval
from selftaught.errors import DataError
from selftaught.search import make_searcher
from selftaught.seeds import rng_for
from selftaught.spaces import nb201_cell
from selftaught.store import open_store
from selftaught.trial import Score, Trial

__all__ = ["SECTIONS", "main"]

RESULTS = Path(__file__).resolve().parent / "results" / "search.json"
Rows = list[dict[str, Any]]
#: no searcher was developed on the seeds from here on
FIRST_SEED = 20_000

#: name -> searcher and options
COMPARED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "random": ("random", {}),
    "evolution, P 64, S 16": ("regularized-evolution", {}),
    "evolution, P 10, S 3": ("regularized-evolution", {"population": 10}),
    "the same, the worst leaves": ("regularized-evolution", {"population": 10, "removal": "worst"}),
    "policy gradient, REINFORCE": ("policy-gradient", {}),
    "policy gradient, PPO": ("policy-gradient", {"algorithm": "ppo"}),
    "the same with an LSTM, REINFORCE": ("policy-gradient", {"policy": "autoregressive"}),
    "local search": ("local-search", {}),
    "TPE (Optuna)": ("tpe", {}),
    "pairwise": ("pairwise", {}),
}


def say(text: str) -> None:
    print(text, flush=True)


def tables(quick: bool, seeds: int) -> Rows:
    """Search every table with every searcher; keep what each seed found."""
    rows: Rows = []
    for table in TABLES:
        try:
            known = known_space(table)
        except DataError as error:
            say(f"  left out: {error}")
            continue
        rows += _searched(table, known, quick, seeds)
    return rows


def page_lines(rows: Rows) -> list[str]:
    """Return the rows of `tables` as lines of docs/search.md: means and 95 % intervals of what the picks are worth."""
    found = []
    for name in COMPARED:
        cells = [name]
        for table, columns in ((table, TABLES[table].reports) for table in TABLES):
            row = next((row for row in rows if row["table"] == table and row["name"] == name), None)
            for column in columns:
                if row is None:
                    cells.append("")
                    continue
                low, high = mean_interval(row[column])
                cells.append(f"{np.mean(row[column]):.2f} [{low:.2f}, {high:.2f}]")
        found.append(f"| {' | '.join(cells)} |")
    return found


def noise(quick: bool, seeds: int) -> Rows:
    """Search cells of NAS-Bench-201 with noisy scores; the pick is the best as it was seen."""
    try:
        return _searched("nb201", known_space("nb201"), quick, seeds, deviation=1.0)
    except DataError as error:
        say(f"  left out: {error}")
        return []


def _searched(table: str, known: KnownSpace, quick: bool, seeds: int, *, deviation: float = 0.0) -> Rows:
    """Search with every searcher; return a row each with what every seed found."""
    rows: Rows = []
    for name, (searcher, options) in COMPARED.items():
        start = time.process_time()
        found = [
            search_known(known, searcher, seed=seed, trials=15 if quick else 100, options=options, noise=deviation)
            for seed in range(FIRST_SEED, FIRST_SEED + (2 if quick else seeds))
        ]
        each = {column: [round(one[column], 4) for one in found] for column in found[0]}
        rows.append(
            {"table": table, "name": name, "searcher": searcher, "options": dict(options), "seeds": len(found),
             "first_seed": FIRST_SEED, "noise": deviation,
             "cpu_seconds": round(time.process_time() - start, 2), **each}
        )  # fmt: skip
        said = []
        for column in ("signal", *known.reports):
            low, high = mean_interval(each[column])
            said.append(f"{column} {np.mean(each[column]):.3f} [{low:.3f}, {high:.3f}]")
        say(f"  {table}, {name}: {', '.join(said)}")
    return rows


def asks(quick: bool, seeds: int) -> Rows:
    """Time asks with a long history; the searchers take turns."""
    rows: Rows = []
    for trials in (20,) if quick else (100, 1000):
        timed: dict[str, Callable[[int], None]] = {}
        for name, (searcher, options) in COMPARED.items():
            timed[name] = _asking(searcher, options, trials)
        timed["TPE (Optuna's own study)"] = _optuna_asking("TPESampler", trials)
        timed["random (Optuna's own study)"] = _optuna_asking("RandomSampler", trials)
        best = dict.fromkeys(timed, 0.0)
        for turn in range(1 if quick else 3):
            for name, ask in timed.items():
                number, start = 0, time.process_time()
                while number < 3 or (time.process_time() - start < (0.01 if quick else 0.5) and number < 2000):
                    ask(trials + turn * 2000 + number)
                    number += 1
                best[name] = max(best[name], number / max(time.process_time() - start, 1e-9))
        for name, rate in best.items():
            rows.append({"name": name, "trials": trials, "asks_per_cpu_second": round(rate, 1)})
            say(f"  {name}: {rate:,.0f} asks/s with {trials} trials told")
    return rows


def _history(trials: int) -> list[Trial]:
    space = nb201_cell()
    drawn = (space.sample(rng_for(0, "history", k)) for k in range(trials))
    return [Trial(k, cell, score=Score(50 + 9 * float(rng_for(1, k).normal()))) for k, cell in enumerate(drawn)]


def _asking(name: str, options: Mapping[str, Any], trials: int) -> Callable[[int], None]:
    searcher = make_searcher(name, nb201_cell(), budget=trials, **options)
    for trial in _history(trials):
        searcher.tell(trial)
    return lambda number: (searcher.ask(number), None)[1]


def _optuna_asking(name: str, trials: int) -> Callable[[int], None]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = nb201_cell()
    study = optuna.create_study(direction="maximize", sampler=getattr(optuna.samplers, name)(seed=0))
    shape = {p.name: optuna.distributions.CategoricalDistribution(p.choices) for p in space.parameters}
    for trial in _history(trials):
        value = trial.score.value if trial.score else None
        study.add_trial(optuna.trial.create_trial(params=dict(trial.candidate), distributions=shape, value=value))

    def ask(_: int) -> None:
        asked = study.ask(shape)
        study.tell(asked, state=optuna.trial.TrialState.FAIL)

    return ask


def store(quick: bool, seeds: int) -> Rows:
    """Write trials to a SQLite file, one transaction each and in lists, and look whether it slows down."""
    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder:
        for way, size, total in (("one a transaction", 1, 100_000), ("lists of 1,000", 1000, 100_000)):
            total = 2000 if quick else total
            with open_store(f"{folder}/{size}.db") as opened:
                study = opened.study("one")
                drawn = _history(1000)
                step = total // 10
                for first in range(0, total, step):
                    trials = [
                        Trial(k, drawn[k % 1000].candidate, score=drawn[k % 1000].score)
                        for k in range(first, first + step)
                    ]
                    wall, cpu = time.perf_counter(), time.process_time()
                    for start in range(0, step, size):
                        opened.add(study, trials[start : start + size])
                    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                    rows.append(
                        {"way": way, "stored": first + step, "trials_per_second": round(step / wall),
                         "trials_per_cpu_second": round(step / max(cpu, 1e-9))}
                    )  # fmt: skip
                start_reading = time.perf_counter()
                count = len(opened.trials(study, order="told"))
                read = round(count / (time.perf_counter() - start_reading))
                rows.append({"way": f"reading, {way}", "stored": count, "trials_per_second": read})
            for row in (rows[-11], rows[-2], rows[-1]):
                say(f"  {row['way']}, {row['stored']:,} stored: {row['trials_per_second']:,} trials/s")
    return rows


SECTIONS: Mapping[str, Callable[[bool, int], Rows]] = {"tables": tables, "noise": noise, "asks": asks, "store": store}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the searchers and the store on this machine.")
    parser.add_argument("--quick", action="store_true", help="a miniature in seconds: shows that all runs, no figures")
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="a section; may be repeated")
    parser.add_argument("--seeds", type=int, default=200, help="seeds a searcher and table (200)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where figures go (benchmarks/results/search.json)")
    chosen = parser.parse_args(arguments)
    if chosen.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {chosen.seeds}")
    import json

    results: dict[str, Any] = json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.exists() else {}
    for name in chosen.only or list(SECTIONS):
        say(f"{name} (load {load()})")
        rows = SECTIONS[name](chosen.quick, chosen.seeds)
        results[name] = {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": describe(),
            "load": load(),
            "rows": rows,
        }
        write(results, chosen.out)
    say(f"figures: {os.path.relpath(chosen.out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

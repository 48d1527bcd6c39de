"""Measure program evolution: kernel, whole searches, time to a solution, two threads.

``python benchmarks/programs.py [--quick] [--only NAME ...] [--out FILE]``

Sections are measured one by one and written as they are done; `--only` measures some and keeps the others'
figures. Rates are per CPU second of one thread, the best and the median of interleaved repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import machine
from benchmarks.searches import SET_UPS, Kind, Search
from benchmarks.solving import solve, warm_up
from benchmarks.timing import Case, Effort, measure
from benchmarks.workloads import (
    Batch,
    batch_of,
    evaluate_with_kernel,
    evaluate_with_reference,
    evolved_batch,
    mean_fitness,
    random_batch,
)
from selftaught.programs.baselines import linear_learner, two_layer_network
from selftaught.programs.builtin import builtin_tasks

__all__ = ["SECTIONS", "main"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "programs.json"
QUICK = ROOT / "runs" / "benchmarks" / "quick.json"
TRAIN, VALID = 1000, 100
Rows = list[dict[str, Any]]


def say(text: str) -> None:
    print(text, flush=True)


def kernel(effort: Effort) -> Rows:
    """Time the programs written by hand: lanes, the scalar kernel, the reference interpreter."""
    rows: Rows = []
    for features in (4,) if effort.quick else (4, 8, 16):
        cases = []
        for name, program in (("linear", linear_learner()), ("net", two_layer_network())):
            for count in (16, 32):
                tasks = builtin_tasks(
                    "linear_regression", count=count, features=features, num_train=TRAIN, num_valid=VALID
                )
                keys = {"program": name, "features": features, "tasks": count, "train": TRAIN, "valid": VALID}
                for lanes in (
                    (16, 32) if count == 32 else (16,)
                ):  # which is faster for 32 tasks depends on the processor
                    cases.append(_case(batch_of(program, 20), tasks, lanes, True, {**keys, "engine": "lanes"}))
                if count == 16:
                    cases.append(_case(batch_of(program), tasks, 1, True, {**keys, "engine": "scalar"}))
                    reference = evaluate_with_reference([program], tasks)
                    cases.append(Case({**keys, "engine": "reference", "lanes": count}, reference))
        rows += measure(cases, effort)
        _tell(rows[-len(cases) :])
    return rows


def _case(batch: Batch, tasks: Any, lanes: int, live: bool, keys: dict[str, Any]) -> Case:
    return Case(
        {**keys, "lanes": lanes, "live": live, "count": len(batch)},
        evaluate_with_kernel(batch, tasks, lanes, live=live),
    )


def random(effort: Effort) -> Rows:
    """Time random programs before and after liveness, and on the scalar kernel before it."""
    rows: Rows = []
    for features in (4,) if effort.quick else (4, 8, 16):
        cases = []
        for sizes, fills in (((5, 5, 10), True), ((21, 21, 45), True), ((21, 21, 45), False)):
            batch = random_batch(4 if effort.quick else 200, sizes, fills=fills)
            tasks = builtin_tasks("linear_regression", features=features, num_train=TRAIN, num_valid=VALID)
            name = f"random {'/'.join(map(str, sizes))}, {'fills' if fills else 'no fills'}"
            keys = {"program": name, "features": features, "tasks": 16, "train": TRAIN, "valid": VALID}
            fitness = mean_fitness(batch, tasks, 16)
            for engine, lanes, live in (("lanes", 16, False), ("lanes", 16, True), ("scalar", 1, False)):
                case = _case(batch, tasks, lanes, live, {**keys, "engine": engine})
                cases.append(Case(case.keys, case.run, {"mean_fitness": fitness}))
        rows += measure(cases, effort)
        _tell(rows[-len(cases) :])
    return rows


def evolved(effort: Effort) -> Rows:
    """Time populations that a classic search has bred, with and without liveness."""
    wanted = [("demo, 1000 examples", 0), ("demo, 1000 examples", 1), ("full operators, linear tasks", 0)]
    wanted += [("full operators, teacher tasks", 0), ("from the linear learner", 0), ("from the network", 0)]
    rows: Rows = []
    for name, seed in wanted[:1] if effort.quick else wanted:
        batch, tasks, best = evolved_batch(SET_UPS[name], 500 if effort.quick else 20_000, seed=seed)
        keys = {
            "program": name,
            "seed": seed,
            "features": tasks.features,
            "tasks": tasks.count,
            "train": TRAIN,
            "valid": VALID,
        }
        extra = {"best_fitness": best, "mean_size": float(batch.sizes.sum(axis=1).mean())}
        cases = []
        for engine, lanes, live in (("lanes", 16, False), ("lanes", 16, True), ("scalar", 1, False)):
            case = _case(batch, tasks, lanes, live, {**keys, "engine": engine})
            cases.append(Case(case.keys, case.run, extra))
        rows += measure(cases, effort)
        _tell(rows[-len(cases) :])
    return rows


def search(effort: Effort) -> Rows:
    """Time whole searches: selection, mutation, liveness, keys and evaluations together."""
    amounts = {"demo": 100_000, "linear": 100_000, "nonlinear": 30_000}
    cases = []
    for name, most in amounts.items():
        for kind in ("classic", "live"):
            set_up = SET_UPS[name]
            keys = {
                "set_up": name,
                "search": kind,
                "features": set_up.features,
                "tasks": set_up.tasks,
                "train": set_up.train,
                "valid": set_up.valid,
            }
            fresh = FreshSearch(name, kind, 500 if effort.quick else most)
            cases.append(Case(keys, fresh.run, prepare=fresh.prepare))
    rows = measure(cases, effort)
    _tell(rows)
    return rows


class FreshSearch:
    """A search from the beginning at each pass, another seed each time; nothing ends it early."""

    def __init__(self, name: str, kind: Kind, most: int) -> None:
        self.name, self.kind, self.most = name, kind, most
        self.seed = 0
        self.search: Search | None = None

    def prepare(self) -> None:
        """Make the tasks and the arrays."""
        self.search = Search(SET_UPS[self.name], self.kind, seed=self.seed)
        self.seed += 1

    def run(self) -> dict[str, float]:
        """Search; return the programs proposed, those with a new key, and those evaluated."""
        found = self.search
        if found is None:
            raise RuntimeError("prepare() comes before run()")
        found.run(self.most)
        counts = found.counters()
        # The classic search takes a repeated program's score from memory and counts it; the live one proposes another.
        repeated = counts["key_hits"]
        programs = counts["programs"] + (repeated if self.kind == "live" else 0)
        return {"programs": programs, "distinct": programs - repeated, "evaluated": counts["evaluated"]}


def solution(effort: Effort) -> Rows:
    """Run searches until a program holds on unseen tasks."""
    plan = [
        ("demo", "free", 8, 0.9999, 5_000_000),
        ("linear 5/1/4", "free", 10, 0.999, 5_000_000),
        ("linear 5/1/4", "learner", 10, 0.999, 1_000_000),
        ("affine 6/2/6", "free", 10, 0.999, 20_000_000),
        ("affine 6/2/6", "learner", 10, 0.999, 5_000_000),
    ]
    rows: Rows = []
    for name, bias, seeds, target, most in plan:
        set_up = SET_UPS[name]
        runs = []
        warm_up(Search(set_up, "live", bias=bias, seed=99))  # type: ignore[arg-type]
        for seed in range(1 if effort.quick else seeds):
            found = Search(set_up, "live", bias=bias, seed=seed)  # type: ignore[arg-type]
            run = solve(found, target, most_programs=2_000 if effort.quick else most, unseen=4 if effort.quick else 100)
            runs.append({key: value for key, value in run.items() if key != "final_scores"})
            say(
                f"  {name} {bias} seed {seed}: {run['ended']}, {run['programs']:,} programs, "
                f"{run['cpu_seconds']:.2f} CPU s, unseen {run['fitness_final']:.6f}"
            )
        rows.append(
            {
                "set_up": name,
                "search": "live",
                "bias": bias,
                "target": target,
                "limit": most,
                "features": set_up.features,
                "tasks": set_up.tasks,
                "train": set_up.train,
                "valid": set_up.valid,
                "runs": runs,
            }
        )
    return rows


def threads(effort: Effort) -> Rows:
    """Time one and two threads at the same work a thread, in turns."""
    rows: Rows = []
    for features in (4,) if effort.quick else (4, 16):
        tasks = builtin_tasks("linear_regression", features=features, num_train=TRAIN, num_valid=VALID)
        batch = batch_of(two_layer_network(), 20)
        passes = [evaluate_with_kernel(batch, tasks, 16, live=False) for _ in range(2)]
        passes[0]()
        start = time.thread_time()
        passes[0]()
        count = max(1, round(effort.seconds / max(time.thread_time() - start, 1e-9)))
        found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        for _ in range(effort.repeats):
            for workers in (1, 2):
                found[workers].append(_together(passes[:workers], count))
        one, two = found[1], found[2]
        rows.append(
            {
                "program": "net",
                "features": features,
                "tasks": 16,
                "train": TRAIN,
                "valid": VALID,
                "repeats": effort.repeats,
                "load": machine.load()[:1],
                "per_cpu_second": {"one": max(cpu for cpu, _ in one), "two": max(cpu for cpu, _ in two)},
                "per_wall_second": {"one": max(wall for _, wall in one), "two": max(wall for _, wall in two)},
            }
        )
        row = rows[-1]
        say(f"  F={features}: wall speed-up {row['per_wall_second']['two'] / row['per_wall_second']['one']:.2f}")
    return rows


def _together(passes: Sequence[Callable[[], dict[str, float]]], count: int) -> tuple[float, float]:
    """Run each pass so often in its own thread; return programs per CPU second and per wall second."""
    cpu, done = [0.0] * len(passes), [0.0] * len(passes)

    def work(number: int) -> None:
        start = time.thread_time()
        for _ in range(count):
            done[number] += passes[number]()["programs"]
        cpu[number] = time.thread_time() - start

    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(passes))]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    wall = time.perf_counter() - start
    return sum(done) / max(sum(cpu), 1e-9), sum(done) / wall


def _tell(rows: Rows) -> None:
    for row in rows:
        name = row.get("program") or f"{row['set_up']}, {row['search']}"
        how = f" {row['engine']} {row['lanes']}" if "engine" in row else ""
        how += " live" if row.get("live") else ""
        rate = row["programs_per_second"]
        say(
            f"  {name} F={row['features']} D={row['tasks']}{how}: {rate['best']:,.0f} programs/s "
            f"(median {rate['median']:,.0f})"
        )


#: name -> (what it measures, CPU seconds of a turn)
SECTIONS: dict[str, tuple[Callable[[Effort], Rows], float]] = {
    "kernel": (kernel, 0.5),
    "random": (random, 1.0),
    "evolved": (evolved, 0.5),
    "search": (search, 1.0),
    "solution": (solution, 0.0),
    "threads": (threads, 0.5),
}


def measure_sections(names: Sequence[str], *, quick: bool, repeats: int, out: Path) -> dict[str, Any]:
    """Measure sections and write each into the results as it is done; return the results."""
    results: dict[str, Any] = {}
    if out.exists():
        results = json.loads(out.read_text(encoding="utf-8"))
    this = machine.describe()
    for name in names:
        section, seconds = SECTIONS[name]
        effort = Effort(repeats=1, seconds=0.002, quick=True) if quick else Effort(repeats, seconds)
        say(f"{name} (load {machine.load()})")
        before, start = machine.load(), time.process_time()
        rows = section(effort)
        results[name] = {
            "quick": quick,
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": this,
            "load": {"before": before, "after": machine.load()},
            "cpu_seconds": round(time.process_time() - start, 1),
            "rows": rows,
        }
        write(results, out)
    return results


def write(results: dict[str, Any], out: Path) -> None:
    """Write results under a temporary name, then rename."""
    out.parent.mkdir(parents=True, exist_ok=True)
    waiting = out.with_suffix(".tmp")
    waiting.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.replace(waiting, out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the speed of program evolution on this machine.")
    parser.add_argument("--quick", action="store_true", help="a miniature in seconds: shows that all runs, no figures")
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="a section; may be repeated")
    parser.add_argument("--repeats", type=int, default=5, help="turns of every case (5)")
    parser.add_argument("--out", type=Path, default=None, help="where figures go (benchmarks/results/programs.json)")
    chosen = parser.parse_args(arguments)
    if chosen.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {chosen.repeats}")
    out = chosen.out or (QUICK if chosen.quick else RESULTS)
    this = machine.describe()
    say(f"{this['processor']}, {this['cores']} cores, {' '.join(this['flags'])}; {this['versions']}")
    measure_sections(chosen.only or list(SECTIONS), quick=chosen.quick, repeats=chosen.repeats, out=out)
    say(f"figures: {os.path.relpath(out)}" + ("" if chosen.quick else "; `make docs` writes them up"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

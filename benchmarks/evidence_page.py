"""Write the experiments' lines up as a page: counts and means with their intervals, and a verdict from the lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from selftaught.seeds import rng_for

__all__ = ["fisher", "render", "wilson"]

Row = Mapping[str, Any]

INTRODUCTION = """\
# Evidence

Written by `make evidence` from its own runs; every run is a line of `benchmarks/results/evidence.jsonl`, with its
program. The searches begin with nothing: empty programs. A run ends when its best program holds on selection tasks,
or at its limit; then that program is scored once on final tasks that nothing before has seen. *Reached* counts the
runs whose mean there is at least the bar. Intervals are 95 %: Wilson's for counts, bootstrapped over the runs for
means. A claim *holds* when more runs reach the bar than of the random control (Fisher's exact test, one-sided, p <
0.05), and is *refuted* when no more do and Wilson's interval stays below one half.

- `linear-from-nothing`: linear regression, F = 4, at most 5/1/4 instructions of 4/3/1 slots, six operators.
- `affine-from-nothing`: the same with an intercept, at most 6/2/6 instructions of 5/3/1 slots, seven operators.
- `rings`: two classes on two shells around the origin; `interaction`: the sign of a product of two hidden
  directions. Every operator, at most 7/11/23 instructions of 5/9/2 slots. A linear learner is at chance on both by
  construction.
- `random-control`: random programs of the same operators and sizes, as many as the search at bias `free` took,
  within the same limit of CPU seconds.
- `linear-control`: the linear learner written by hand, its learning rate tuned on the search tasks.

The bias level `free` knows nothing but the language; `learner` adds rules that a program which learns must follow.
"""


def wilson(successes: int, runs: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a rate (JASA 22, 1927)."""
    z = 1.959964
    rate, scale = successes / runs, 1 + z * z / runs
    centre = (rate + z * z / (2 * runs)) / scale
    half = z * math.sqrt(rate * (1 - rate) / runs + z * z / (4 * runs * runs)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def fisher(successes: int, runs: int, others: int, other_runs: int) -> float:
    """Return Fisher's exact one-sided p of so many successes or more, were both rates the same."""
    total = successes + others
    ways = math.comb(runs + other_runs, total)
    most = min(runs, total)
    return sum(math.comb(runs, k) * math.comb(other_runs, total - k) for k in range(successes, most + 1)) / ways


def _code(program: str) -> str:
    """Return a program's text without its header."""
    return program[program.index("setup:") :].strip()


def _mean(values: Sequence[float], digits: int) -> str:
    """Write a mean with its bootstrap interval over the runs."""
    found = np.asarray(values, float)
    text = f"{found.mean():,.{digits}f}"
    if len(found) < 2:
        return text
    picks = rng_for(0, "evidence page").integers(len(found), size=(2000, len(found)))
    low, high = np.quantile(found[picks].mean(axis=1), (0.025, 0.975))
    return f"{text} [{low:,.{digits}f}, {high:,.{digits}f}]"


def _group(rows: Sequence[Row]) -> dict[tuple[str, str, str], list[Row]]:
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["of"], row["experiment"], row["bias"]), []).append(row)
    return groups


def _verdict(name: str, groups: Mapping[tuple[str, str, str], list[Row]]) -> str:
    """Compare the search at bias `free` with random search at the same number of programs."""
    found, control = groups.get((name, name, "free")), groups.get((name, "random-control", "none"))
    if not found or not control:
        return "inconclusive: one side is missing"
    reached, luck = sum(row["reached"] for row in found), sum(row["reached"] for row in control)
    text = f"{reached} of {len(found)} runs reach the bar, random search {luck} of {len(control)}"
    if fisher(reached, len(found), luck, len(control)) < 0.05:
        return f"holds: {text}"
    if wilson(reached, len(found))[1] < 0.5 and reached <= luck:
        return f"refuted: {text}"
    return f"inconclusive: {text}"


def render(rows: Sequence[Row]) -> str:
    """Return the page as Markdown."""
    groups = _group(rows)
    text = INTRODUCTION
    if any(row["scale"] == "tiny" for row in rows):
        text += "\n**These runs are of the tiny scale: they show that everything runs, and little else.**\n"
    for name in dict.fromkeys(row["of"] for row in rows):
        members = [(key, found) for key, found in groups.items() if key[0] == name]
        bar = members[0][1][0]["bar"]
        text += f"\n## {name}\n\nBar: {bar:g} on final tasks. {_verdict(name, groups).capitalize()}.\n\n"
        text += "| what | bias | reached | interval | programs, mean | CPU s, mean | final tasks, mean | least |\n"
        text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        for (_, what, bias), found in members:
            reached = sum(row["reached"] for row in found)
            low, high = wilson(reached, len(found))
            finals = [row["fitness_final"] for row in found]
            text += (
                f"| {what} | {bias} | {reached} of {len(found)} | {low:.2f} to {high:.2f} "
                f"| {_mean([row['programs'] for row in found], 0)} | {_mean([row['cpu_seconds'] for row in found], 2)} "
                f"| {_mean(finals, 4)} | {min(finals):.4f} |\n"
            )
        best = max(
            (row for row in rows if row["experiment"] == name), key=lambda row: row["fitness_final"], default=None
        )
        if best is not None:
            text += f"\nThe best program (seed {best['seed']}, {best['fitness_final']:.4f} on final tasks):\n\n"
            text += f"```\n{_code(best['program'])}\n```\n"
    machines = ", ".join(dict.fromkeys(row["machine"] for row in rows))
    return text + f"\nMeasured on: {machines}.\n"

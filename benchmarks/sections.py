"""The sections of docs/performance.md, each from its figures and the original's."""

from __future__ import annotations

import statistics

from benchmarks.writing import (
    Row,
    against,
    best,
    figures,
    find,
    number,
    opening,
    original_rate,
    rate,
    table,
    task_of,
    times,
)

__all__ = ["evolved", "kernel", "originals", "random", "search", "solution", "threads"]

ABOUT_ORIGINAL = """\
## The original's figures

The original's program (AutoML-Zero, C++) was compiled and timed **separately, not by this benchmark**: its figures
are data in `benchmarks/original.json`, and none of its code is here. The columns *times the original* use only
figures taken on a machine of the same kind (vendor and processor family) at the same D and number of examples, and
stay empty where there are none. Random programs are other programs there, drawn in the same way, and samples
differ: where several of the original's samples were timed, the column gives the range.
"""


def kernel(section: Row, original: Row) -> str:
    """The programs written by hand."""
    lines = []
    for row in (row for row in section["rows"] if row["engine"] == "lanes"):
        keys = {"program": row["program"], **task_of(row)}
        scalar = find(section["rows"], engine="scalar", **keys)
        reference = find(section["rows"], engine="reference", **keys)
        theirs = find(figures(original, section, "kernel"), **keys)
        lines.append(
            {
                "program": row["program"],
                "F": str(row["features"]),
                "D": str(row["tasks"]),
                "lanes": str(row["lanes"]),
                "programs/s": rate(row),
                "task-steps/s": number(best(row, "task_steps") or 0),
                "scalar kernel": rate(scalar),
                "times scalar": times(best(row), best(scalar)),
                "reference": rate(reference),
                "times reference": times(best(row), best(reference)),
                "original": original_rate(theirs),
                "times the original": against(best(row), theirs),
            }
        )
    text = (
        "The linear learner (6 instructions) and the two-layer network (19), 1,000 training and 100 validation "
        "examples. The scalar kernel is the same compiler with one lane, one task after the other; the reference "
        "interpreter runs NumPy over all tasks at once."
    )
    return opening("The kernel on programs written by hand", text, section) + table(lines)


def random(section: Row, original: Row) -> str:
    """Random programs before and after liveness."""
    lines = []
    for row in (row for row in section["rows"] if row["engine"] == "lanes" and not row["live"]):
        keys = {"program": row["program"], **task_of(row)}
        live = find(section["rows"], engine="lanes", live=True, **keys)
        scalar = find(section["rows"], engine="scalar", **keys)
        theirs = find(figures(original, section, "kernel"), **keys)
        lines.append(
            {
                "programs": row["program"],
                "F": str(row["features"]),
                "sampled": str(row["count"]),
                "all instructions run, programs/s": rate(row),
                "task-steps/s": number(best(row, "task_steps") or 0),
                "live ones only": rate(live),
                "scalar kernel": rate(scalar),
                "times scalar": times(best(row), best(scalar)),
                "original": original_rate(theirs),
                "times the original": against(best(row), theirs),
                "with liveness": against(best(live), theirs),
            }
        )
    text = (
        "Every instruction drawn uniformly: operator, operands, constants; D = 16, 1,000/100 examples. *Fills* are the "
        "operators that fill a vector or a matrix with random numbers, in Predict and Learn. *Times the original* "
        "compares runs of all instructions, dead ones too."
    )
    return opening("Random programs", text, section) + table(lines)


def evolved(section: Row, original: Row) -> str:
    """Populations bred by the classic search."""
    lines = []
    for row in (row for row in section["rows"] if row["engine"] == "lanes" and not row["live"]):
        keys = {"program": row["program"], "seed": row["seed"], **task_of(row)}
        live = find(section["rows"], engine="lanes", live=True, **keys)
        scalar = find(section["rows"], engine="scalar", **keys)
        lines.append(
            {
                "population": row["program"],
                "seed": str(row["seed"]),
                "F": str(row["features"]),
                "instructions": f"{row['mean_size']:.1f}",
                "best fitness": f"{row['best_fitness']:.3f}",
                "scalar kernel": rate(scalar),
                "lanes": rate(row),
                "lanes, live instructions only": rate(live),
                "times scalar": times(best(row), best(scalar)),
                "times scalar with liveness": times(best(live), best(scalar)),
            }
        )
    text = (
        "The 100 members of a classic search after 20,000 programs, D = 16, 1,000/100 examples; finding the live "
        "instructions is part of the time. The scalar kernel runs all instructions."
    )
    return opening("Evolved populations", text, section) + table(lines)


def search(section: Row, original: Row) -> str:
    """Whole searches."""
    lines = []
    for row in section["rows"]:
        keys = {"set_up": row["set_up"], **task_of(row)}
        theirs = find(figures(original, section, "search"), cache=False, **keys)
        cached = find(figures(original, section, "search"), cache=True, **keys)
        lines.append(
            {
                "set-up": row["set_up"],
                "search": row["search"],
                "F, D, examples": f"{row['features']}, {row['tasks']}, {row['train']:,}/{row['valid']}",
                "individuals/s": rate(row),
                "distinct/s": rate(row, "distinct"),
                "evaluated/s": number(best(row, "evaluated") or 0),
                "original, no cache": original_rate(theirs),
                "times the original": against(best(row), theirs),
                "original, with its cache": original_rate(cached),
                "times that": against(best(row), cached),
            }
        )
    text = (
        "Selection, mutation, liveness, keys, the memory of scores and the evaluations together. An individual is a "
        "program that was proposed; *distinct* ones had a key that was not in memory. The classic search counts and "
        "keeps repeated programs with their remembered score; the live search proposes another one instead. The "
        "original's individuals are those of its own search, repeated ones included."
    )
    return opening("Whole searches", text, section) + table(lines)


def solution(section: Row, original: Row) -> str:
    """Time to a solution."""
    lines = []
    for row in section["rows"]:
        solved = [run for run in row["runs"] if run["solved"]]
        programs, seconds = ([run[name] for run in row["runs"]] for name in ("programs", "cpu_seconds"))
        lines.append(
            {
                "set-up": row["set_up"],
                "bias": row["bias"],
                "solved": f"{len(solved)} of {len(row['runs'])}",
                "target": f"{row['target']:g}",
                "programs, mean (median, most)": (
                    f"{statistics.mean(programs):,.0f} ({statistics.median(programs):,.0f}, {max(programs):,})"
                ),
                "CPU s, mean (median, most)": (
                    f"{statistics.mean(seconds):.2f} ({statistics.median(seconds):.2f}, {max(seconds):.2f})"
                ),
                "least fitness when solved": f"{min(run['fitness_final'] for run in solved):.6f}" if solved else "",
            }
        )
    told = "".join(
        f"\nThe original took {entry['cpu_seconds']} CPU seconds and {entry['programs'] / 1e6:.2f} million programs on "
        f"average over {entry['seeds']} seeds of the {entry['set_up']} set-up, with its cache; measured separately, on "
        f"this machine: {one['processor']}.\n"
        for one in original["machines"]
        for entry in one["solution"]
    )
    text = (
        "From empty programs until one reaches the target on the search tasks and on 100 selection tasks; then it is "
        "scored once on 100 other tasks of 1,000/100 examples, and solved means that it reaches the target there too. "
        "Runs that were not solved count with what they used."
    )
    return opening("Time to a solution", text, section) + table(lines) + told


def threads(section: Row, original: Row) -> str:
    """Two threads."""
    lines = []
    for row in section["rows"]:
        cpu, wall = row["per_cpu_second"], row["per_wall_second"]
        lines.append(
            {
                "program": row["program"],
                "F": str(row["features"]),
                "one thread, programs/CPU s": number(cpu["one"]),
                "two threads": number(cpu["two"]),
                "ratio": f"{cpu['two'] / cpu['one']:.2f}",
                "one thread, programs/s of wall time": number(wall["one"]),
                "two threads of wall time": number(wall["two"]),
                "speed-up": f"{wall['two'] / wall['one']:.2f}",
            }
        )
    text = (
        "An evaluator a thread, in one process; the interpreter's lock is not held. The speed-up is lower where the "
        "machine is busy with other work."
    )
    return opening("Two threads", text, section) + table(lines)


def originals(original: Row) -> str:
    """Every figure of the original, by machine."""
    text = ABOUT_ORIGINAL
    for one in original["machines"]:
        text += (
            f"\n**{one['name']}.** {one['processor']}. {one['compiler']}, `{one['flags']}`; slots {one['slots']}; "
            f"{one['statistic']}.\n\n"
        )
        lines = []
        for row in (*one["kernel"], *one["search"]):
            name = row.get("program") or f"search: {row['set_up']}, {'with' if row['cache'] else 'no'} cache"
            lines.append(
                {
                    "program": name,
                    "F": str(row["features"]),
                    "D": str(row["tasks"]),
                    "examples": f"{row['train']:,}/{row['valid']}",
                    "programs/s": number(row["best"]) if "best" in row else "",
                    "range": f"{number(row['low'])} to {number(row['high'])}" if "low" in row else "",
                }
            )
        text += table(lines)
    return text

"""Write evidence up as a page of Markdown: the same rows give the same text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from selftaught.claims.evidence import Evidence, Row
from selftaught.claims.statistics import mean_interval

__all__ = ["render_page"]

INTRODUCTION = """\
# Evidence

Written by `make evidence` from the raw rows of each claim; edits are lost. Each status is computed from rows alone:
`selftaught reproduce NAME` measures a claim again, and `selftaught reproduce NAME --from-rows FILE` judges rows again.
Intervals are 95 %: Wilson's for counts, bootstrapped over the runs for means. How to read a claim, and how to add one:
[claims.md](claims.md).
"""
_TINY = """
**The tiny scale is about a minute a claim. It shows that everything runs and what a minute can show; *inconclusive*
there says that a minute is too short, not that the claim is wrong.** Where a claim was also measured at a larger scale,
its tables and its program are of the largest.
"""
_SCALES = ("tiny", "small", "full")

#: Fields that tell groups of rows apart, in this order.
_GROUPS = ("data", "experiment", "program", "kind", "features", "bias", "tasks", "arm")
#: field -> (its column, decimals)
_FIGURES = {
    "fitness_start": ("before", 4),
    "fitness_final": ("final tasks, mean", 4),
    "programs": ("programs", 0),
    "proposed": ("proposed", 0),
    "cpu_seconds": ("CPU s", 2),
    "ratio": ("times as fast", 2),
}


def render_page(found: Sequence[Evidence]) -> str:
    """Return the page of several claims as Markdown; evidence of one claim at several scales makes one section."""
    text = INTRODUCTION
    claims: dict[str, list[Evidence]] = {}
    for one in sorted(found, key=_rank):
        claims.setdefault(one.name, []).append(one)
    claims = {one.name: claims[one.name] for one in found}
    scales = sorted({_scale(one) for one in found}, key=_place)
    if "tiny" in scales:
        text += _TINY
    text += "\n" + _table(
        [
            {"claim": f"[{name}](#{name})"}
            | {scale or "status": "" for scale in scales}
            | {_scale(one) or "status": f"**{one.status}**" for one in several}
            for name, several in claims.items()
        ]
    )
    text += "".join(_section(several) for several in claims.values())
    machines = sorted({str(row["machine"]) for one in found for row in one.rows if "machine" in row})
    return text + (f"\nMeasured on: {', '.join(machines)}.\n" if machines else "")


def _place(scale: str) -> int:
    return _SCALES.index(scale) if scale in _SCALES else -1


def _rank(one: Evidence) -> int:
    return _place(_scale(one))


def _scale(one: Evidence) -> str:
    return ", ".join(sorted({str(row["scale"]) for row in one.rows if "scale" in row}))


def _section(several: Sequence[Evidence]) -> str:
    """Write a claim up: what it found at each scale, smallest first, and the figures of the largest."""
    one = several[-1]
    text = f"\n## {one.name}\n\n{one.claim}\n\n- Source: {one.source}\n- Control: {one.control}.\n"
    for each in several:
        scale = f" at the {_scale(each)} scale" if len(several) > 1 else ""
        text += f"\n**{each.status.capitalize()}{scale}.** Repeat: `{_command(each)}`\n\n"
        text += "".join(f"- {line}\n" for line in each.findings)
    groups: dict[tuple[str, ...], list[Row]] = {}
    fields = [name for name in _GROUPS if len({_word(row, name) for row in one.rows}) > 1]
    for row in one.rows:
        groups.setdefault(tuple(_word(row, name) for name in fields), []).append(row)
    lines = []
    for key, rows in groups.items():
        line = dict(zip(fields, key, strict=True)) | {"runs": str(len(rows))}
        for name, (column, digits) in _FIGURES.items():
            values = [float(row[name]) for row in rows if name in row]
            line[column] = _mean(values, digits) if values else ""
        lines.append(line)
    text += "\n" + _table(lines) if lines else ""
    return text + _best(one)


def _word(row: Row, name: str) -> str:
    """Return a field as a group's name; a whole program is none."""
    text = str(row.get(name, ""))
    return "" if "\n" in text else text


def _command(one: Evidence) -> str:
    words = ["selftaught", "reproduce", one.name]
    configs = [row["config"] for row in one.rows if isinstance(row.get("config"), Mapping)]
    if scale := _scale(one):
        words += ["--scale", scale]
    if configs and configs[0].get("seed"):
        words += ["--seed", str(configs[0]["seed"])]
    return shlex.join(words)


def _mean(values: Sequence[float], digits: int) -> str:
    mean = sum(values) / len(values)
    text = f"{mean:,.{digits}f}"
    if len(values) < 2:
        return text
    low, high = mean_interval(values)
    return f"{text} [{low:,.{digits}f}, {high:,.{digits}f}]"


def _best(one: Evidence) -> str:
    """Show the best program of the claimed side."""
    evolved = [row for row in one.rows if row.get("search") == "live" and "\n" in str(row.get("program", ""))]
    if not evolved:
        return ""
    best = max(evolved, key=lambda row: row["fitness_final"])
    code = str(best["program"])
    code = code[code.index("setup:") :].strip() if "setup:" in code else code
    return (
        f"\nThe best program (seed {best['seed']}, {best['fitness_final']:.4f} on final tasks):\n\n```\n{code}\n```\n"
    )


def _table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Write lines of the same columns; columns without any entry are left out."""
    head = [name for name in lines[0] if any(line[name] for line in lines)]
    rows = [head, ["---"] * len(head), *([str(line[name]) for name in head] for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"

"""Pieces of a page: numbers, rates, ratios, tables, and the original's figures that go with a line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.machine import kind

__all__ = [
    "against",
    "best",
    "figures",
    "find",
    "number",
    "opening",
    "original_rate",
    "rate",
    "table",
    "task_of",
    "times",
]

Row = Mapping[str, Any]


def number(value: float) -> str:
    """Write a rate or a count with about three digits or more."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def rate(row: Row | None, name: str = "programs") -> str:
    """Write the best rate and the median."""
    found = (row or {}).get(f"{name}_per_second")
    return f"{number(found['best'])} ({number(found['median'])})" if found else ""


def best(row: Row | None, name: str = "programs") -> float | None:
    """Return the best rate."""
    return float(row[f"{name}_per_second"]["best"]) if row else None


def times(ours: float | None, theirs: float | None) -> str:
    """Write a ratio."""
    return f"{ours / theirs:.1f}" if ours and theirs else ""


def table(lines: Sequence[Mapping[str, str]]) -> str:
    """Write lines of one set of columns as a Markdown table; columns without any entry are left out."""
    head = [name for name in lines[0] if any(line[name] for line in lines)]
    rows = [head, ["---"] * len(head), *([line[name] for name in head] for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _same(row: Row, keys: Row) -> bool:
    return all(row.get(name) == value for name, value in keys.items())


def find(rows: Iterable[Row], **keys: Any) -> Row | None:
    """Return the first line that has these values."""
    return next((row for row in rows if _same(row, keys)), None)


def task_of(row: Row) -> dict[str, Any]:
    """Return what two figures must share to be compared."""
    return {name: row[name] for name in ("features", "tasks", "train", "valid")}


def _counterpart(original: Row, section: Row) -> Row | None:
    """Return the original's figures for the kind of machine that a section was measured on."""
    return next((m for m in original["machines"] if kind(m) == kind(section["machine"])), None)


def figures(original: Row, section: Row, part: str) -> Sequence[Row]:
    """Return the original's figures of the section's kind of machine."""
    found = _counterpart(original, section)
    return found[part] if found else ()


def against(ours: float | None, theirs: Row | None) -> str:
    """Write how many times faster, as a range where the original's figure is one."""
    if ours is None or theirs is None:
        return ""
    if "low" in theirs:
        low, high = times(ours, theirs["high"]), times(ours, theirs["low"])
        return low if low == high else f"{low} to {high}"
    return times(ours, theirs["best"])


def original_rate(theirs: Row | None) -> str:
    """Write the original's rate, or its range."""
    if theirs is None:
        return ""
    return f"{number(theirs['low'])} to {number(theirs['high'])}" if "low" in theirs else number(theirs["best"])


def opening(title: str, text: str, section: Row) -> str:
    """Write a section's title, what it shows, and when and under which load it was measured."""
    return f"## {title}\n\n{textwrap.fill(f'{text} {_load(section)}', 118)}\n\n"


def _load(section: Row) -> str:
    values = [value for row in section["rows"] for value in row.get("load", ())]
    values += [value for part in section["load"].values() for value in part[:1]]
    repeats = sorted({row["repeats"] for row in section["rows"] if "repeats" in row})
    turns = f"; {', '.join(map(str, repeats))} repeats" if repeats else ""
    loads = f"; load average {min(values):.2f} to {max(values):.2f}" if values else ""
    return f"Measured {section['date']}{turns}{loads}."

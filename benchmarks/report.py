"""Write docs/performance.md from benchmarks/results and the original's figures; the same input gives the same text.

``python -m benchmarks.report``
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import evidence, latency_sections, sections
from benchmarks.writing import Row

__all__ = ["main", "render"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ORIGINAL = ROOT / "benchmarks" / "original.json"

INTRODUCTION = """\
# Performance

Written by `make docs` from what `make bench` measured; edits are lost. Rates are per CPU second of one thread: the
best, and in brackets the median, of interleaved repeats. A *program* is scored on all D tasks; a *task-step* is one
training example of one task. Nothing is remembered between two programs of a kernel table.
"""


def machines(results: Mapping[str, Row]) -> str:
    """The machine of each section, said once where it is the same."""
    text = "## The machine\n\n"
    seen: list[tuple[Row, list[str]]] = []
    for name, section in results.items():
        for machine, names in seen:
            if machine == section["machine"]:
                names.append(name)
                break
        else:
            seen.append((section["machine"], [name]))
    for machine, names in seen:
        family = f", family {machine['family']} model {machine['model']}" if machine["family"] is not None else ""
        clock = f", {machine['reported_mhz']} MHz reported" if machine["reported_mhz"] else ""
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        text += (
            f"- {', '.join(names)}: {machine['processor']} ({machine['llvm_name']}{family}{clock}), "
            f"{machine['cores']} cores, {' '.join(machine['flags']) or 'no vector flags known'}; {machine['system']}; "
            f"{versions}\n"
        )
    return text


SECTIONS = {
    "kernel": sections.kernel,
    "random": sections.random,
    "evolved": sections.evolved,
    "search": sections.search,
    "solution": sections.solution,
    "threads": sections.threads,
}


def render(results: Mapping[str, Row], original: Row) -> str:
    """Return the page as Markdown."""
    parts = [INTRODUCTION]
    if any(section["quick"] for section in results.values()):
        parts.append("**These figures are of a quick run: they show that everything runs, and nothing else.**\n")
    parts.append(machines(results))
    parts += [write(results[name], original) for name, write in SECTIONS.items() if name in results]
    parts.append(sections.originals(original))
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages for which there are results."""
    parser = argparse.ArgumentParser(description="Write docs/performance.md and docs/evidence.md from the results.")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    chosen = parser.parse_args(arguments)
    figures, rows = chosen.results / "programs.json", chosen.results / "claims"
    if not figures.exists() and not any(rows.glob("*/*.jsonl")):
        print(f"there are no results in {chosen.results.name}/; measure first: make bench", file=sys.stderr)
        return 2
    if figures.exists():
        original = json.loads(ORIGINAL.read_text(encoding="utf-8"))
        page = render(json.loads(figures.read_text(encoding="utf-8")), original)
        latency = chosen.results / "latency.json"
        if latency.exists():
            page += "\n" + latency_sections.compressed(json.loads(latency.read_text(encoding="utf-8")))
        (chosen.docs / "performance.md").write_text(page, encoding="utf-8")
    evidence.write_page(rows, chosen.docs / "evidence.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())

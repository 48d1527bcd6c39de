"""Reproduce the claims at one scale, keep their rows, write docs/evidence.md from them.

``python benchmarks/evidence.py [--scale tiny|small|full] [--only NAME ...] [--seed K] [--jobs N] [--rows DIR]``

Rows of a claim are kept in a file of the scale's folder; interrupted, it goes on where it stopped. Rows of another
configuration (another seed or version) are measured anew. The page shows every scale that has rows.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from selftaught.claims import CLAIMS, SCALES, Advance, Evidence, judge_rows, render_page, reproduce
from selftaught.errors import ResumeError, SelftaughtError

__all__ = ["collect", "main", "write_page"]

ROOT = Path(__file__).resolve().parents[1]
ROWS = ROOT / "benchmarks" / "results" / "claims"
PAGE = ROOT / "docs" / "evidence.md"


def say(advance: Advance) -> None:
    about = f", about {advance.seconds_left:.0f} s left" if advance.done < advance.total else ""
    print(f"  {advance.done} of {advance.total} parts after {advance.elapsed:.0f} s{about}", flush=True)


def collect(names: Sequence[str], *, scale: str, seed: int, jobs: int, rows: Path) -> list[Evidence]:
    """Reproduce claims one after the other; return their evidence."""
    found = []
    for name in names:
        print(f"{name}, scale {scale}", flush=True)
        path = rows / scale / f"{name}.jsonl"
        try:
            one = reproduce(name, scale=scale, seed=seed, jobs=jobs, rows=path, on_advance=say)
        except ResumeError as error:
            print(f"  {error}: measured anew", flush=True)
            one = reproduce(name, scale=scale, seed=seed, jobs=jobs, rows=path, fresh=True, on_advance=say)
        print(f"{one}\n", flush=True)
        found.append(one)
    return found


def write_page(rows: Path, page: Path) -> bool:
    """Judge all rows of a folder, a folder a scale, and write the page; say whether there were any."""
    paths = [(name, rows / scale / f"{name}.jsonl") for name in CLAIMS for scale in SCALES]
    found = [judge_rows(name, path) for name, path in paths if path.exists()]
    if found:
        page.write_text(render_page(found), encoding="utf-8")
    return bool(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description="Reproduce the claims and write them up.")
    parser.add_argument("--scale", choices=SCALES, default="tiny", help="how much to measure (tiny)")
    parser.add_argument("--only", action="append", choices=list(CLAIMS), help="a claim; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (0)")
    parser.add_argument(
        "--jobs", type=int, default=min(os.cpu_count() or 1, 8), help="processes (one a core, at most 8)"
    )
    parser.add_argument("--rows", type=Path, default=ROWS, help="folder of the raw rows (benchmarks/results/claims)")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page goes (docs/evidence.md)")
    chosen = parser.parse_args(arguments)
    try:
        collect(chosen.only or list(CLAIMS), scale=chosen.scale, seed=chosen.seed, jobs=chosen.jobs, rows=chosen.rows)
        write_page(chosen.rows, chosen.page)
    except SelftaughtError as error:
        print(f"evidence: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("evidence: interrupted; finished rows are kept, the same command goes on", file=sys.stderr)
        return 130
    print(f"the page: {os.path.relpath(chosen.page)}; raw rows: {os.path.relpath(chosen.rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

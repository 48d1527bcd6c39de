"""Spaces whose every candidate is known beforehand, by published tables, so that a search is free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import DataError
from selftaught.search import search
from selftaught.seeds import rng_for
from selftaught.spaces import Candidate, ChoiceSpace, Parameter, find_space

__all__ = ["TABLES", "KnownSpace", "Table", "hidden", "known_space", "search_known"]


@dataclass(frozen=True)
class Table:
    """A published table of a space.

    Args:
        file: its name in the folder of local files.
        space: a name of `selftaught.spaces.SPACES`; column "arch" holds its text form.
        signal: the column that a search may see.
        reports: columns that tell what the pick is worth; seen once, at the end.
    """

    file: str
    space: str
    signal: str
    reports: tuple[str, ...]


TABLES: Mapping[str, Table] = {
    "nb201": Table(
        "nb201_table.csv.gz", "nb201", "c10_val_12", ("c10_test_200", "c100_test_200", "in16_test_200")
    ),
    "macro": Table("nasbench_macro_cifar10.csv.gz", "macro", "acc1", ("mean_acc",)),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class KnownSpace:
    """A space with a row of numbers for every candidate.

    Args:
        space: the space.
        signal: the column that a search may see, larger being better.
        reports: columns for the end.
        columns: name -> one number a candidate; NaN where there is none.
        rows: text form -> the candidate's place in the columns.
    """

    space: ChoiceSpace
    signal: str
    reports: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float64]]
    rows: Mapping[str, int]

    def value(self, candidate: Candidate, column: str) -> float:
        """Return a candidate's number in a column."""
        return float(self.columns[column][self.rows[self.space.encode(candidate)]])


@cache
def known_space(name: str) -> KnownSpace:
    """Read a table from the folder that SELFTAUGHT_DATA names.

    Raises:
        DataError: it is not there.
    """
    import polars as pl

    from selftaught.datasets.local_files import candidate_folders

    table = TABLES[name]
    how = f"put {table.file} into a folder"
    (folder,) = candidate_folders((".",), name=f"the table {name}", how=how)
    if not (folder / table.file).is_file():
        raise DataError(f"the table {name} needs {table.file} in {folder}, which has none")
    frame = pl.read_csv(folder / table.file, schema_overrides={"arch": pl.String})
    numeric = [column for column, kind in frame.schema.items() if kind.is_numeric()]
    columns = {column: frame[column].cast(pl.Float64).to_numpy() for column in numeric}
    rows = {text: place for place, text in enumerate(frame["arch"].to_list())}
    return KnownSpace(find_space(table.space), table.signal, table.reports, columns, rows)


def hidden(space: ChoiceSpace, seed: int) -> tuple[ChoiceSpace, Mapping[str, tuple[str, Mapping[Any, Any]]]]:
    """Return the space with its parameters and each one's choices shuffled and renamed, and the way back.

    Nothing of the order or the names is left for a searcher to profit from; what it finds is found by scores alone.

    Args:
        space: without conditions.
        seed: of the shuffle.

    Returns:
        The hidden space, and for each of its parameters the true name and hidden choice -> true choice.
    """
    rng = rng_for(seed, "hidden")
    parameters, back = [], {}
    for place, number in enumerate(rng.permutation(len(space.parameters))):
        true = space.parameters[number]
        names = tuple(f"c{k}" for k in range(len(true.choices)))
        shuffled = [true.choices[k] for k in rng.permutation(len(names))]
        parameters.append(Parameter(f"p{place}", names))
        back[f"p{place}"] = (true.name, dict(zip(names, shuffled, strict=True)))
    return ChoiceSpace("hidden", tuple(parameters)), back


def search_known(
    known: KnownSpace,
    searcher: str,
    *,
    seed: int,
    trials: int,
    options: Mapping[str, Any] | None = None,
    signal: str | None = None,
    reports: Sequence[str] | None = None,
    noise: float = 0.0,
) -> dict[str, float]:
    """Search a known space, shuffled and renamed by the seed; return what the pick by the signal is worth.

    Args:
        known: the space and its numbers.
        searcher: a name of `selftaught.search.SEARCHERS`.
        seed: of the shuffle and the searcher.
        trials: evaluations, repeats included.
        options: of the searcher.
        signal: another column to search on.
        reports: other columns to report.
        noise: standard deviation of what is added to the signal at every evaluation, repeats included.

    Returns:
        "signal" as it was seen, the repeats, and every reported column of the pick.
    """
    space, back = hidden(known.space, seed)
    column = signal or known.signal

    def true(candidate: Candidate) -> Candidate:
        found = {back[name][0]: back[name][1][choice] for name, choice in candidate.items()}
        return {parameter.name: found[parameter.name] for parameter in known.space.parameters}

    evaluations = count()

    def seen(candidate: Candidate) -> float:
        drawn = rng_for(seed, "noise", next(evaluations)).normal() if noise else 0.0
        return known.value(true(candidate), column) + noise * drawn

    study = search(
        seen, space, trials=trials, searcher=searcher, seed=seed, options=options, repeats="evaluate"
    )  # fmt: skip
    pick = true(study.best.candidate)
    found = {"signal": study.best_value, "repeats": float(study.repeats)}
    return found | {name: known.value(pick, name) for name in reports or known.reports}

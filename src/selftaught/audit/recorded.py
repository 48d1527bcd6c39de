"""Difficulty from a ledger of recorded outcomes: what training left behind, without another run."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from selftaught.audit.difficulty import aum, el2n, forgetting, mean_confidence, variability
from selftaught.errors import InputError
from selftaught.ledger import Ledger

__all__ = ["recorded", "recorded_difficulty"]


def recorded(ledger: Ledger, measure: str, ids: ArrayLike, *, model: str | None = None) -> NDArray[np.float64]:
    """Return a measure with axes model, seed and epoch as one array, (seeds, epochs, n); NaN where nothing is recorded.

    Args:
        ledger: that `RecordOutcomes` filled.
        measure: such as "confidence".
        ids: (n,) of the examples.
        model: its name there; needed where there are several.

    Raises:
        InputError: there is no such measure or model, the measure has other axes, or the seeds were recorded after
            different epochs.
    """
    import polars as pl

    frame = ledger.read(measure)
    if frame.columns[1:-1] != ["model", "seed", "epoch"]:
        raise InputError(f"{measure} has the axes {', '.join(frame.columns[1:-1])}, and must have model, seed, epoch")
    models = sorted(frame["model"].unique().to_list())
    if model is None and len(models) > 1:
        raise InputError(f"the ledger in {ledger.folder} has the models {', '.join(models)}; say which")
    chosen = models[0] if model is None else model
    if chosen not in models:
        raise InputError(f"the ledger in {ledger.folder} has no model {chosen!r}; it has {', '.join(models)}")
    frame = frame.filter(pl.col("model") == chosen)
    seeds = sorted(frame["seed"].unique().to_list())
    epochs = sorted(frame["epoch"].unique().to_list())
    uneven = [one for one in seeds if frame.filter(pl.col("seed") == one)["epoch"].n_unique() < len(epochs)]
    if uneven:
        raise InputError(f"seed {uneven[0]} of {chosen} was recorded after other epochs; record all alike")
    names = [str(one) for one in np.asarray(ids)]
    place = pl.DataFrame({"id": names, "column": np.arange(len(names))}, schema_overrides={"id": pl.String})
    rows = frame.join(place, on="id", how="inner")
    found = np.full((len(seeds), len(epochs), len(names)), np.nan)
    where = np.searchsorted(seeds, rows["seed"].to_numpy()), np.searchsorted(epochs, rows["epoch"].to_numpy())
    found[*where, rows["column"].to_numpy()] = rows["value"].cast(pl.Float64).to_numpy()
    return found


def recorded_difficulty(
    ledger: Ledger, ids: ArrayLike, *, model: str | None = None, early: float = 1 / 3
) -> dict[str, NDArray[np.float64]]:
    """Return the columns of difficulty that a ledger holds, each the mean over its seeds; `confidence` is the first.

    They are `confidence`, `variability`, `forgetting`, and `aum` and `el2n` where margin and error norm are recorded.
    Forgetting is the mean over the seeds that ever learned the example, and infinite where none did.

    Args:
        ledger: that `RecordOutcomes` filled; best after every epoch, as forgetting is counted between records.
        ids: (n,) of the examples; NaN where one has no record.
        model: its name in the ledger; needed where there are several.
        early: the record for EL2N, as a share of all: the paper's is epoch 20 of 200, a short run needs a larger one.

    Raises:
        InputError: the ledger has no confidence and correctness, or `early` is no share.
    """
    if not 0 < early <= 1:
        raise InputError(f"early must be above 0 and at most 1, got {early}")
    given = recorded(ledger, "confidence", ids, model=model)
    right = recorded(ledger, "correct", ids, model=model)
    unknown = np.isnan(given).any(axis=(0, 1))
    events = np.stack([forgetting(one == 1) for one in right])
    learned = np.isfinite(events)
    total = np.where(learned, events, 0).sum(axis=0)
    found = {
        "confidence": np.mean([mean_confidence(one) for one in given], axis=0),
        "variability": np.mean([variability(one) for one in given], axis=0),
        "forgetting": np.where(learned.any(axis=0), total / np.maximum(learned.sum(axis=0), 1), np.inf),
    }
    there = ledger.measures
    if "margin" in there:
        found["aum"] = np.mean([aum(one) for one in recorded(ledger, "margin", ids, model=model)], axis=0)
    if "error_norm" in there:
        norms = recorded(ledger, "error_norm", ids, model=model)
        found["el2n"] = el2n(norms[:, max(round(early * norms.shape[1]), 1) - 1])
    return {name: np.where(unknown, np.nan, column) for name, column in found.items()}

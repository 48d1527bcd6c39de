"""The store: what is told comes back, in batches, once a number."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from selftaught.errors import InputError
from selftaught.store import open_store
from selftaught.trial import Score, Trial

TRIALS = [
    Trial(0, "s1 = 0", score=Score(0.25, {"programs": 7.0})),
    Trial(1, {"a": [1, 2]}, parent=0, score=Score(0.5), cost=1.5),
    Trial(2, "x", error="it diverged"),
]


def test_trials_come_back(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "trials.db")) as store:
        study = store.study("one", {"seed": 1})
        store.tell(study, TRIALS)
        assert store.study("one") == study
    with open_store(f"sqlite:///{tmp_path / 'trials.db'}") as store:
        assert store.studies() == ["one"]
        told = store.trials(store.study("one"))
    assert told[0] == TRIALS[0]
    assert told[1].candidate == '{"a": [1, 2]}'
    assert (told[1].parent, told[1].cost, told[2].score, told[2].error) == (0, 1.5, None, "it diverged")


def test_a_number_told_again_is_replaced(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "trials.db")) as store:
        one, two = store.study("one"), store.study("two")
        store.tell(one, TRIALS)
        store.tell(two, TRIALS[:1])
        store.tell(one, [Trial(1, "new")])
        assert [t.candidate for t in store.trials(one)] == ["s1 = 0", "new", "x"]
        store.forget(one, after=0)
        assert [t.number for t in store.trials(one)] == [0]
        assert [t.number for t in store.trials(two)] == [0]


def test_a_thousand_trials_at_once(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "trials.db")) as store:
        study = store.study("many")
        for _ in range(2):
            store.tell(study, (Trial(number, "p") for number in range(1200)))
        assert len(store.trials(study)) == 1200


def test_sqlite_writes_ahead(tmp_path: Path) -> None:
    open_store(str(tmp_path / "trials.db")).close()
    connection = sqlite3.connect(tmp_path / "trials.db")
    try:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        connection.close()


@pytest.mark.parametrize("url", ["nosuch://x", "sqlite:////nosuch/folder/x.db", "postgresql+nosuch://x", "://"])
def test_a_bad_address_is_one_line(url: str) -> None:
    with pytest.raises(InputError, match="cannot be opened") as caught:
        open_store(url)
    assert "\n" not in str(caught.value)

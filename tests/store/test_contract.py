"""The store keeps its contract; a file of an earlier version is brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from selftaught.errors import ResumeError
from selftaught.store import Store, open_store
from selftaught.testing import ContractError, check_store
from selftaught.trial import Score, Trial


def test_a_file_keeps_the_contract(tmp_path: Path) -> None:
    check_store(lambda: open_store(str(tmp_path / "trials.db")))


def test_the_contract_finds_a_store_that_replaces_what_is_added(tmp_path: Path) -> None:
    class Replacing(Store):
        def add(self, study: int, trials: Iterable[Trial]) -> None:
            self.tell(study, trials)

    with pytest.raises(ContractError, match="a number is added once"):
        check_store(lambda: Replacing(open_store(str(tmp_path / "trials.db"))._engine))


def test_a_file_without_an_order_of_ending_counts_by_number(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with open_store(str(path)) as store:
        store.tell(store.study("one"), [Trial(1, "b"), Trial(0, "a", score=Score(1.0))])
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE trials DROP COLUMN told")
    connection.close()
    with open_store(str(path)) as store:
        study = store.study("one")
        assert [trial.candidate for trial in store.trials(study, order="told")] == ["a", "b"]
        store.add(study, [Trial(2, "c")])
        assert [trial.candidate for trial in store.trials(study, order="told")] == ["a", "b", "c"]


def test_a_list_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "trials.db")) as store:
        study = store.study("one")
        store.add(study, [Trial(7, "x")])
        with pytest.raises(ResumeError):
            store.add(study, [Trial(number, "y") for number in range(10)])
        assert [trial.number for trial in store.trials(study)] == [7]
        store.add(study, [Trial(8, "z")])
        assert [trial.number for trial in store.trials(study, order="told")] == [7, 8]

"""The contract of a store."""

from __future__ import annotations

from collections.abc import Callable

from selftaught.errors import ResumeError
from selftaught.store import Store
from selftaught.testing.contract import expect, refused
from selftaught.trial import Score, Trial

__all__ = ["check_store"]

_TRIALS = (
    Trial(0, "s1 = 0", score=Score(0.25, {"programs": 7.0})),
    Trial(2, '{"a": 1}', parent=0, score=Score(-0.5), cost=1.5),
    Trial(1, "x", error="it diverged"),
)


def check_store(open_again: Callable[[], Store]) -> None:
    """Check the contract of a store: what is told comes back whole, in both orders, after it was closed.

    Args:
        open_again: opens the same store, which is empty at first.

    Raises:
        ContractError: which rule is broken.

    >>> import tempfile
    >>> from selftaught.store import open_store
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_store(lambda: open_store(f"{folder}/trials.db"))
    """
    with open_again() as store:
        expect(store.studies() == [], "a new store is empty")
        study = store.study("one", {"seed": 1})
        expect(store.study("one", {"seed": 2}) == study, "a study is found by its name")
        store.add(study, _TRIALS[:2])
        store.add(study, _TRIALS[2:])
        store.add(study, [])
        with refused("a number is added once", ResumeError):
            store.add(study, [Trial(3, "new"), Trial(0, "again")])
    with open_again() as store:
        expect(store.studies() == ["one"], "studies stay")
        study = store.study("one")
        expect(store.settings(study) == {"seed": 1}, "a study keeps the settings it was made with")
        expect(store.trials(study, order="told") == list(_TRIALS), "trials come back in the order told, all or nothing")
        expect([trial.number for trial in store.trials(study)] == [0, 1, 2], "trials come back in order of number")
        store.add(study, [Trial(3, "new")])
        expect([t.number for t in store.trials(study, order="told")] == [0, 2, 1, 3], "the order goes on after opening")
        other = store.study("two")
        store.add(other, _TRIALS[:1])
        store.tell(study, [Trial(0, "replaced")])
        expect(store.trials(study)[0].candidate == "replaced", "tell replaces")
        store.forget(study, after=0)
        expect([trial.number for trial in store.trials(study)] == [0], "forget drops what comes after")
        expect(len(store.trials(other)) == 1, "studies do not touch each other")

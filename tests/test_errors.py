"""Errors of workers reach their parent as they were."""

from __future__ import annotations

import pickle

import pytest

from selftaught import errors


@pytest.mark.parametrize(
    "error",
    [errors.MissingExtraError("torch", "networks", "training a network"), errors.InputError("wanted a, got b")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_passes_between_processes(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes, as between processes)
    assert (type(again), str(again)) == (type(error), str(error))

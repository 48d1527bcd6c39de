"""Miniatures of the claims that build and train networks."""

from __future__ import annotations

import pytest

from tests.claims.test_miniatures import WITH_TORCH, run_miniature

pytest.importorskip("torch")


@pytest.mark.parametrize("name", WITH_TORCH)
def test_a_miniature_runs_and_its_rows_are_judged(name: str) -> None:
    run_miniature(name)

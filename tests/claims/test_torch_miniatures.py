"""The miniatures of claims that train networks."""

from __future__ import annotations

import pytest

from selftaught.claims import CLAIMS
from tests.claims.test_miniatures import WITH_TORCH, check_miniature

pytest.importorskip("torch")


@pytest.mark.parametrize("name", WITH_TORCH)
def test_a_miniature_runs_and_its_rows_are_judged(name: str) -> None:
    check_miniature(CLAIMS[name])

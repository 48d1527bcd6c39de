"""What the tests of plans share: one thread, random numbers of their own, small data and a small trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selftaught import load
from selftaught.examples import Examples
from tests.torch_fixtures import one_thread_and_random_numbers_of_its_own

__all__ = ["one_thread_and_random_numbers_of_its_own"]  # for pytest, which takes fixtures from here


@pytest.fixture(scope="session")
def digits() -> Examples:
    return load("digits").take(np.arange(600))


@pytest.fixture(scope="session")
def trained(digits: Examples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that was trained on `digits`."""
    import torch

    from selftaught.training import TrainConfig, train

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained") / "dense"
    train(digits, model="mlp", hidden=(64, 32), out=folder, config=TrainConfig(epochs=8, device="cpu"))
    return folder


def quick(**more: Any) -> Any:
    """Return a judging that does not spend time on the clock."""
    from selftaught.plans import Judging

    return Judging(batches=(8,), rounds=2, **more)

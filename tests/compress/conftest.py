"""What the tests of compression share: one thread, random numbers of their own, and small data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from selftaught import load
from selftaught.examples import Examples


@pytest.fixture(autouse=True)
def _one_thread_and_random_numbers_of_its_own() -> Iterator[None]:
    import torch  # here: this file is read by runs without torch's tests too

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def digits() -> Examples:
    return load("digits").take(np.arange(300))


@pytest.fixture(scope="session")
def iris() -> Examples:
    return load("iris")

"""Fixtures of every folder whose tests run torch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

__all__ = ["one_thread_and_random_numbers_of_its_own"]


@pytest.fixture(autouse=True)
def one_thread_and_random_numbers_of_its_own() -> Iterator[None]:
    """Run each test on one thread, from one state of torch's generator, and leave both as they were."""
    import torch  # here: a conftest is read by runs without torch's tests too

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)

"""Ids depend on a row's content alone."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selftaught.datasets import load
from selftaught.datasets.identity import content_ids, own_ids
from selftaught.errors import DataError


def test_an_id_is_the_hash_of_dtype_shape_and_bytes_with_an_ordinal() -> None:
    row = np.array([1.5, -2.0], np.float32)
    digest = hashlib.blake2b(b"<f4(2,)" + row.tobytes(), digest_size=8).hexdigest()
    assert content_ids(np.stack([row, row + 1, row])).tolist()[::2] == [f"{digest}-0", f"{digest}-1"]


@given(st.permutations(range(8)))
def test_distinct_rows_keep_their_ids_in_any_order(order: list[int]) -> None:
    rows = np.arange(16, dtype=np.float32).reshape(8, 2)
    assert content_ids(rows[order]).tolist() == content_ids(rows)[order].tolist()


def test_shape_dtype_and_byte_order_are_told_apart_or_not_as_they_should() -> None:
    flat = np.arange(4, dtype=np.float32)[None]
    assert content_ids(flat)[0] != content_ids(flat.reshape(1, 2, 2))[0]
    assert content_ids(flat)[0] != content_ids(flat.view(np.int32))[0]
    assert content_ids(flat)[0] == content_ids(flat.astype(">f4"))[0]


def test_ids_of_the_digits_are_unique_and_stay_as_they_are() -> None:
    ids = load("digits").ids
    assert len(set(ids.tolist())) == 1797
    assert ids[0] == "357784e20970fe2f-0"


def test_own_ids_must_be_unique() -> None:
    assert own_ids([3, "a"], column="id").tolist() == ["3", "a"]
    with pytest.raises(DataError, match="'3' is in rows 1 and 3"):
        own_ids([3, 4, 3], column="id")

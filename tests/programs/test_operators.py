"""The operator table: ids, types, flags, C text."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from selftaught.programs.operators import (
    BY_NAME,
    IN1_TYPE,
    IN2_TYPE,
    IS_COMMUTATIVE,
    IS_PARTIAL,
    IS_RANDOM,
    NUM_CONSTANTS,
    OPERATOR_SETS,
    OPERATORS,
    OUT_TYPE,
    Operator,
)

# The original's numbers: first and last id of each stretch of the table.
KNOWN_IDS = {
    "no_op": 0, "scalar_add": 1, "scalar_log": 14, "scalar_step": 15, "vector_step": 16, "matrix_step": 17,
    "vector_scale": 18, "vector_fill": 19, "vector_norm": 21, "vector_add": 23, "vector_dot": 27, "vector_outer": 28,
    "matrix_scale": 29, "matrix_vector_product": 31, "vector_to_columns": 32, "vector_to_rows": 33,
    "matrix_column_norms": 35, "matrix_row_norms": 36, "matrix_transpose": 37, "matrix_add": 39, "matrix_product": 43,
    "scalar_min": 44, "scalar_max": 47, "matrix_max": 49, "vector_mean": 50, "matrix_row_means": 52,
    "matrix_row_stds": 53, "vector_std": 54, "matrix_std": 55, "scalar_constant": 56, "vector_constant": 57,
    "matrix_constant": 58, "scalar_uniform": 59, "matrix_uniform": 61, "scalar_gaussian": 62, "matrix_gaussian": 64,
}  # fmt: skip


def test_ids_are_those_of_the_original() -> None:
    assert [operator.id for operator in OPERATORS] == list(range(len(OPERATORS)))
    assert {name: BY_NAME[name].id for name in KNOWN_IDS} == KNOWN_IDS
    assert len(BY_NAME) == len(OPERATORS) >= 65


@pytest.mark.parametrize("operator", OPERATORS[1:], ids=lambda operator: operator.name)
def test_row_is_consistent(operator: Operator) -> None:
    fields = set(re.findall(r"\{(\w+)\}", operator.text))
    constants = {f"c{i}" for i in range(operator.num_constants)}
    operands = {name for name in ("in1", "in2") if getattr(operator, name)}
    assert fields == {"out"} | operands | constants
    assert operator.out in ("s", "v", "m")
    assert not (operator.in2 and not operator.in1)
    assert all(cost > 0 for cost in operator.cost)
    shares_a_type = operator.out in (operator.in1, operator.in2)
    assert (operator.alias == "-") == (not shares_a_type)
    assert operator.name.startswith(("scalar_", "vector_", "matrix_"))


def test_temporaries_are_needed_by_three_operators() -> None:
    assert [o.name for o in OPERATORS if o.alias == "temp"] == [
        "matrix_vector_product",
        "matrix_transpose",
        "matrix_product",
    ]


def test_arrays_follow_the_table() -> None:
    numbers = {"": 0, "s": 1, "v": 2, "m": 3}
    for array, field in ((OUT_TYPE, "out"), (IN1_TYPE, "in1"), (IN2_TYPE, "in2")):
        assert array.dtype == np.int8
        assert [numbers[getattr(operator, field)] for operator in OPERATORS] == array.tolist()
        assert not array.flags.writeable
    assert NUM_CONSTANTS.tolist() == [0] * 56 + [1, 2, 3] + [2] * 6
    assert np.flatnonzero(IS_RANDOM).tolist() == [59, 60, 61, 62, 63, 64]
    assert np.flatnonzero(IS_PARTIAL).tolist() == [57, 58]
    assert np.flatnonzero(IS_COMMUTATIVE).tolist() == [1, 3, 23, 25, 27, 39, 41]


def test_operator_sets() -> None:
    assert set(OPERATOR_SETS) == {"demo", "linear", "network", "full", "all"}
    assert OPERATOR_SETS["demo"]["learn"] == (56, 27, 2, 3, 18, 23)
    assert OPERATOR_SETS["linear"]["learn"] == (2, 3, 18, 23)
    assert OPERATOR_SETS["network"]["setup"] == (56, 59, 60, 61, 62, 63, 64)
    assert OPERATOR_SETS["network"]["predict"] == (1, 31, 48, 27, 23)
    assert OPERATOR_SETS["network"]["learn"] == (1, 2, 3, 18, 23, 16, 25, 28, 39)
    assert OPERATOR_SETS["full"]["setup"] == tuple(range(56, 65))
    assert OPERATOR_SETS["full"]["predict"] == (*range(56), 60, 61, *range(65, len(OPERATORS)))
    assert OPERATOR_SETS["all"]["predict"] == tuple(range(len(OPERATORS)))


def test_the_table_needs_no_compiler() -> None:
    code = "import sys, selftaught.programs.operators, selftaught.programs.reference; print([m for m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'numba'" not in loaded
    assert "'llvmlite'" not in loaded

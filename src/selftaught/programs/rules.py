"""What a search may propose: operators of each function, sizes, slots; as arrays the compiled code reads."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from selftaught.programs.operators import NUM_CONSTANTS, OPERATORS

__all__ = ["CONSTANT_KINDS", "Rules"]

#: ops (3, 65) int64 operator ids of Setup, Predict, Learn; num_ops (3,); least, most (3,) sizes; shape (6,) as in
#: `liveness`; first (4,) first writable slot of a type; slots (4,) slots of a type; actions: classic mutations.
Rules = namedtuple("Rules", "ops num_ops least most shape first slots actions")

_KIND_NUMBER = {"value": 1, "mean": 1, "index": 2, "std": 3, "low": 4, "high": 5}

#: [operator, constant] -> 0 none, 1 value (jumps, may flip), 2 index fraction, 3 standard deviation, 4 low, 5 high
CONSTANT_KINDS = np.zeros((len(OPERATORS), 3), np.int64)
for _operator in OPERATORS:
    for _place, _kind in enumerate(_operator.draw):
        CONSTANT_KINDS[_operator.id, _place] = _KIND_NUMBER[_kind]
CONSTANT_KINDS.setflags(write=False)
NUM_CONSTANTS_ = np.asarray(NUM_CONSTANTS, np.int64)

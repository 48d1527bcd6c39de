"""What each constant of an operator is, as an array compiled code reads."""

from __future__ import annotations

import numpy as np

from selftaught.programs.operators import OPERATORS

__all__ = ["CONSTANT_KINDS"]

_KIND_NUMBER = {"value": 1, "mean": 1, "index": 2, "std": 3, "low": 4, "high": 5}

#: [operator, constant] -> 0 none, 1 value (jumps, may flip), 2 index fraction, 3 standard deviation, 4 low, 5 high
CONSTANT_KINDS = np.zeros((len(OPERATORS), 3), np.int64)
for _operator in OPERATORS:
    for _place, _kind in enumerate(_operator.draw):
        CONSTANT_KINDS[_operator.id, _place] = _KIND_NUMBER[_kind]
CONSTANT_KINDS.setflags(write=False)

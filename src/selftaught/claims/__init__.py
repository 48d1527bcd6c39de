"""Claims that anyone can reproduce: each a configuration, a measurement and a rule from its rows to a status.

>>> from selftaught.claims import CLAIMS
>>> CLAIMS["lanes-pay"].judge([]).status
'inconclusive'
"""

from __future__ import annotations

from selftaught.claims.claim import SCALES, Claim, Part, Scale
from selftaught.claims.evidence import Evidence, Row, Status, Verdict, combine
from selftaught.claims.page import render_page
from selftaught.claims.registry import CLAIMS, find_claim
from selftaught.claims.reproduction import Advance, judge_rows, reproduce
from selftaught.claims.rows import read_rows
from selftaught.claims.statistics import fisher, gain, mean_interval, more_often, sign_flip, wilson

__all__ = [
    "reproduce",
    "judge_rows",
    "Evidence",
    "CLAIMS",
    "find_claim",
    "Claim",
    "Scale",
    "SCALES",
    "Part",
    "Row",
    "Status",
    "Verdict",
    "combine",
    "more_often",
    "gain",
    "wilson",
    "fisher",
    "mean_interval",
    "sign_flip",
    "Advance",
    "read_rows",
    "render_page",
]

"""What a run found, as a page: reads the files of a run's folder, and never runs a program.

>>> from selftaught.report import read_run, recording
>>> read_run(recording()).bias
'free'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selftaught.lazy import lazy_names as _lazy_names

if TYPE_CHECKING:
    from selftaught.report.audit_page import audit_page, write_audit_page
    from selftaught.report.counts import programs_at
    from selftaught.report.film import Scene, playback
    from selftaught.report.lineage import Descent, Step, line_of_descent
    from selftaught.report.page import report_page, write_report
    from selftaught.report.picture import progress_picture
    from selftaught.report.record import Explanation, Interval, RunRecord, read_run
    from selftaught.report.recorded import recording, recordings
    from selftaught.report.timeline import Appearance, appearances

__all__ = [
    "read_run",
    "write_report",
    "report_page",
    "progress_picture",
    "recording",
    "recordings",
    "RunRecord",
    "Explanation",
    "Interval",
    "line_of_descent",
    "Descent",
    "Step",
    "appearances",
    "Appearance",
    "playback",
    "Scene",
    "programs_at",
    "write_audit_page",
    "audit_page",
]

_HOMES = {
    "read_run": "record",
    "write_report": "page",
    "report_page": "page",
    "progress_picture": "picture",
    "recording": "recorded",
    "recordings": "recorded",
    "RunRecord": "record",
    "Explanation": "record",
    "Interval": "record",
    "line_of_descent": "lineage",
    "Descent": "lineage",
    "Step": "lineage",
    "appearances": "timeline",
    "Appearance": "timeline",
    "playback": "film",
    "Scene": "film",
    "programs_at": "counts",
    "write_audit_page": "audit_page",
    "audit_page": "audit_page",
}

__getattr__, __dir__ = _lazy_names(__name__, _HOMES, globals())

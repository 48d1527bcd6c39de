"""Where objectives are evaluated: in this process, or in several of which each may die alone."""

from __future__ import annotations

from selftaught.runners.inline import Inline
from selftaught.runners.processes import Processes
from selftaught.runners.runner import Objective, Outcome, Runner, evaluate
from selftaught.runners.spawning import clean_start, end_with_parent

__all__ = ["Runner", "Outcome", "Objective", "evaluate", "Inline", "Processes", "clean_start", "end_with_parent"]

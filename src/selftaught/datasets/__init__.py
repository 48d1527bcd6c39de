"""Load anything into `Examples`, and make many small tasks from one data set."""

from __future__ import annotations

from selftaught.datasets.bundled import NAMES
from selftaught.datasets.cautions import cautions
from selftaught.datasets.loading import load
from selftaught.datasets.task_sets import tasks

__all__ = ["load", "tasks", "cautions", "NAMES"]

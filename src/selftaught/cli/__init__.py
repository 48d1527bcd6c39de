"""The command line: thin verbs over the public functions, one file a verb."""

from __future__ import annotations

from selftaught.cli.app import main

__all__ = ["main"]

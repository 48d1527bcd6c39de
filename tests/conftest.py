"""What every test may rely on."""

from __future__ import annotations

import signal

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests send it to themselves and others.
signal.signal(signal.SIGINT, signal.default_int_handler)

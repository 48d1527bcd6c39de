"""Run the tests in two lanes at once: those that import torch and then a few slow folders, beside all others.

torch maps large libraries and starts threads, and what goes wrong in native code takes every other test of its process
with it, so its tests have a process of their own. The others are shown as they run; then what was said beside them, and
last the others' closing line again.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
TORCH = "test_torch_*.py"
#: Folders that need minutes and no torch; behind the tests with torch they make the lanes about equally long.
SLOW = ("tests/programs/explain", "tests/programs/export", "tests/runners")
NOTHING_COLLECTED = 5  # pytest's exit code


class Lane(threading.Thread):
    """Commands that run one after the other, beside everything else.

    Args:
        commands: each whole.
        said: takes what they print.
    """

    def __init__(self, commands: list[list[str]], said: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.commands, self.said = commands, said
        self.codes: list[int] = []
        self.running: subprocess.Popen[bytes] | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        """Run every command, unless the lane is ended before."""
        for command in self.commands:
            if self.ended.is_set():
                return
            self.running = subprocess.Popen(command, cwd=ROOT, stdout=self.said, stderr=subprocess.STDOUT)
            if self.ended.is_set():  # between the two lines above
                self.running.kill()
            self.codes.append(self.running.wait())

    def end(self) -> None:
        """Kill what runs, and start nothing more."""
        self.ended.set()
        if self.running is not None and self.running.poll() is None:
            self.running.kill()
        self.join()


def main(arguments: list[str]) -> int:
    """Run both lanes with pytest's own arguments; return 0 where all passed."""
    torch = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob(TORCH))
    slow = [folder for folder in SLOW if (ROOT / folder).is_dir()]
    pytest = [sys.executable, "-m", "pytest", *arguments]
    apart = f"--ignore-glob=*/{TORCH}"
    commands = [[*pytest, *torch]] if torch else []
    commands += [[*pytest, apart, *slow]] if slow else []
    with tempfile.TemporaryFile() as said:
        lane = Lane(commands, said)
        lane.start()
        closing = ""
        try:
            with subprocess.Popen(
                [*pytest, apart, *(f"--ignore={folder}" for folder in slow)],
                cwd=ROOT, stdout=subprocess.PIPE, text=True, errors="replace",
            ) as others:  # fmt: skip
                for line in others.stdout or ():
                    sys.stdout.write(line)
                    sys.stdout.flush()
                    closing = line if line.strip() else closing
            lane.join()
        finally:
            lane.end()
        said.seek(0)
        print("\nthe tests with torch and the slow folders, which ran beside these:", flush=True)
        sys.stdout.write(said.read().decode(errors="replace"))
    cut_short = [1] * (len(commands) - len(lane.codes))  # a lane that broke passes nothing
    codes = {code for code in (*lane.codes, *cut_short, others.returncode) if code != NOTHING_COLLECTED}
    sys.stdout.write(closing)
    return max(codes, key=abs, default=NOTHING_COLLECTED)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

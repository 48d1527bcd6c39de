"""Run the tests in two processes at once: those that import torch, and all others.

torch maps large libraries and starts threads, and what goes wrong in native code takes every other test of its process
with it. The others are shown as they run; then what the torch process said, and last the others' closing line again.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "test_torch_*.py"
NOTHING_COLLECTED = 5  # pytest's exit code


def main(arguments: list[str]) -> int:
    """Run both with pytest's own arguments; return 0 where both passed."""
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob(TORCH))
    pytest = [sys.executable, "-m", "pytest", *arguments]
    with tempfile.TemporaryFile() as said:
        apart = subprocess.Popen([*pytest, *files], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        closing = ""
        try:
            with subprocess.Popen(
                [*pytest, f"--ignore-glob=*/{TORCH}"], cwd=ROOT, stdout=subprocess.PIPE, text=True, errors="replace"
            ) as others:
                for line in others.stdout or ():
                    sys.stdout.write(line)
                    sys.stdout.flush()
                    closing = line if line.strip() else closing
            apart.wait()
        finally:
            if apart.poll() is None:
                apart.kill()
                apart.wait()
        said.seek(0)
        print("\nthe tests with torch, which ran beside these:", flush=True)
        sys.stdout.write(said.read().decode(errors="replace"))
    codes = {code for code in (apart.returncode, others.returncode) if code != NOTHING_COLLECTED}
    sys.stdout.write(closing)
    return max(codes, key=abs, default=NOTHING_COLLECTED)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

"""Run the tests of each directory alone and print what they cost, as a table.

``python testing/costs.py`` takes a quarter of an hour; with names of directories it
measures only those. CPU is that of all processes that the tests start.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
_PR_SET_CHILD_SUBREAPER = 36


def directories() -> Iterator[str]:
    """Give the directories of tests."""
    for tests in ("server/tests", "zaqarclient/tests"):
        for place in sorted((ROOT / tests).iterdir()):
            if any(place.rglob("test_*.py")):
                yield f"{tests}/{place.name}"


def used() -> float:
    """Return the CPU seconds of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def wait_for_orphans() -> None:
    """Wait half a minute for processes that outlive pytest, which come to this one."""
    end = time.monotonic() + 30
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < end:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.05)


def measure(directory: str) -> tuple[str, float, float]:
    """Run a directory; return how many passed, CPU seconds and seconds."""
    began, before = time.monotonic(), used()
    command = [sys.executable, "-m", "pytest", "-q", "-n0", directory]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - began
    wait_for_orphans()
    found = re.search(r"(\d+) passed", done.stdout)
    passed = found[1] if found else "0"
    if done.returncode:
        print(done.stdout[-3000:], file=sys.stderr)
        passed += " (some failed)"
    return passed, used() - before, seconds


def main(named: list[str]) -> None:
    """Print a row a directory."""
    # What pytest leaves behind becomes ours, and its CPU counts.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    print(f"{'Directory':32} {'Tests':>6} {'CPU s':>6} {'s':>6}")
    total = 0.0
    for directory in named or directories():
        passed, cpu, seconds = measure(directory)
        total += cpu
        print(f"{directory:32} {passed:>6} {cpu:6.0f} {seconds:6.0f}", flush=True)
    print(f"{'All':32} {'':6} {total:6.0f}")


if __name__ == "__main__":
    main(sys.argv[1:])

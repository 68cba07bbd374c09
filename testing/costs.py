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
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

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


def run(command: list[str], output: IO[str]) -> int:
    """Run a command and all that it leaves behind; return its exit status.

    Processes that outlive it come to this one, and are waited for half a minute.
    """
    child = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    end, status = 0.0, None
    with contextlib.suppress(ChildProcessError):
        while status is None or time.monotonic() < end:
            # Orphans that end meanwhile must not stay: a test may look for them.
            pid, found = os.waitpid(-1, os.WNOHANG)
            if pid == child.pid:
                status = os.waitstatus_to_exitcode(found)
                end = time.monotonic() + 30
            elif pid == 0:
                time.sleep(0.05)
    child.returncode = status
    return status or 0


def measure(directory: str) -> tuple[str, float, float]:
    """Run a directory; return how many passed, CPU seconds and seconds."""
    began, before = time.monotonic(), used()
    with tempfile.TemporaryFile("w+") as output:
        command = [sys.executable, "-m", "pytest", "-q", "-n0", directory]
        status = run(command, output)
        seconds = time.monotonic() - began
        output.seek(0)
        text = output.read()
    found = re.search(r"(\d+) passed", text)
    passed = found[1] if found else "0"
    if status:
        print(text[-3000:], file=sys.stderr)
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

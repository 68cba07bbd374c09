"""What the figures were measured on, and how busy that was with other things."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from pathlib import Path

import apsw


def describe(redis: str) -> dict[str, str | int]:
    """Return what decides about the figures.

    Args:
        redis: The program of the Redis server.
    """
    now = dt.datetime.now(dt.UTC)
    told = subprocess.run(
        [redis, "--version"], capture_output=True, text=True, check=True
    )
    return {
        "date": now.date().isoformat(),
        "cpu": _cpu(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(_memory_kib() / 1024**2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "redis": _version(told.stdout),
    }


def _version(text: str) -> str:
    words = dict(word.split("=", 1) for word in text.split() if "=" in word)
    return f"{text.split(maxsplit=1)[0]} {words.get('v', '?')}"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_kib() -> int:
    text = Path("/proc/meminfo").read_text()
    return int(text.split("MemTotal:")[1].split()[0])


def busy_seconds() -> float:
    """Return for how long all cores were busy since the start, with anything.

    What a hypervisor gave to others counts as well: it was not ours either.
    """
    first = Path("/proc/stat").read_text().split("\n", 1)[0]
    user, nice, system, _idle, _io, irq, softirq, steal = map(int, first.split()[1:9])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return what a process has in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

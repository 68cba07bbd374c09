"""A server whose clock the test moves, and which may be broken on purpose.

Run as ``clocked_server.py CLOCK BREAK ARGUMENTS...``: ``CLOCK`` is a file with eight
bytes, the seconds by which the server's clock is ahead; ``BREAK`` names one of
:mod:`breaks`, or is ``none``.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path


def move_clock(path: str) -> None:
    """Let the system's and the steady clock be ahead by what the file says."""
    real, of_clock = time.time, time.clock_gettime
    with Path(path).open("r+b") as file:
        seconds = mmap.mmap(file.fileno(), 8)
    # Read at each call: the test writes it while the server runs.
    time.time = lambda: real() + struct.unpack("d", seconds[:8])[0]
    time.clock_gettime = lambda id_: of_clock(id_) + struct.unpack("d", seconds[:8])[0]


def break_store(name: str) -> None:
    """Give the store that the server opens a fault."""
    import breaks  # noqa: PLC0415
    from zaqarserver.process import app  # noqa: PLC0415

    load = app.load_storage

    def load_broken(*args):
        storage = load(*args)
        fault = breaks.BREAKS[name]
        broken = object.__new__(type(name, (fault, type(storage)), {}))
        broken.__dict__ = storage.__dict__
        return broken

    app.load_storage = load_broken


if __name__ == "__main__":
    clock, fault, *arguments = sys.argv[1:]
    move_clock(clock)
    if fault != "none":
        break_store(fault)
    from zaqarserver.__main__ import main

    sys.exit(main(arguments))

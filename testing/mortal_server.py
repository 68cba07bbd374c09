"""A server that is killed at a step of moving a queue.

Run as ``mortal_server.py FILE ARGUMENTS...``: when ``FILE`` is there, it names a method
of the stores, when, and at which call of it: ``queue_import:after:2``. It is removed
before the server is killed. With ``SMALL_PAGES`` in the environment pages are small.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from move_steps import STEPS
from page_sizes import small
from zaqarserver.__main__ import main
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.sqlite import SQLiteStorage


class Fate:
    """Kills this process when a file says so."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: Counter[str] = Counter()

    def meet(self, name: str, when: str) -> None:
        """Note that a method is called, or has been."""
        text = self._file.read_text() if self._file.exists() else ""
        if text.startswith(f"{name}:{when}:"):
            self._seen[text] += 1
            if text == f"{name}:{when}:{self._seen[text]}":
                self._file.unlink()
                os.kill(os.getpid(), signal.SIGKILL)

    def mortal(
        self, name: str, method: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        """Let the process be killed before or after a method."""

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.meet(name, "before")
            result = await method(*args, **kwargs)
            self.meet(name, "after")
            return result

        return call


if __name__ == "__main__":
    fate = Fate(Path(sys.argv[1]))
    for driver in (SQLiteStorage, RedisStorage):
        for name in STEPS:
            setattr(driver, name, fate.mortal(name, getattr(driver, name)))
    with small() if os.environ.get("SMALL_PAGES") else nullcontext():
        status = main(sys.argv[2:])
    sys.exit(status)

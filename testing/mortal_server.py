"""A server that is killed at a step of moving a queue.

Run as ``mortal_server.py FILE ARGUMENTS...``: when ``FILE`` is there, it names a
command of the stores, when, and at which of its calls: ``QueueImport:after:2`` or
``QueueSeal leaving:after:1``. It is removed before the server is killed. With
``SMALL_PAGES`` in the environment pages are small.
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
        """Record that a command is executed, or was executed."""
        text = self._file.read_text() if self._file.exists() else ""
        if text.startswith(f"{name}:{when}:"):
            self._seen[text] += 1
            if text == f"{name}:{when}:{self._seen[text]}":
                self._file.unlink()
                os.kill(os.getpid(), signal.SIGKILL)

    def mortal(
        self, do: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        """Kill the process before or after a step of a move."""

        async def do_or_die(storage: Any, command: Any) -> Any:
            if not isinstance(command, STEPS):
                return await do(storage, command)
            name = f"{type(command).__name__} {getattr(command, 'kind', '')}".rstrip()
            self.meet(name, "before")
            result = await do(storage, command)
            self.meet(name, "after")
            return result

        return do_or_die


if __name__ == "__main__":
    fate = Fate(Path(sys.argv[1]))
    driver: Any
    for driver in (SQLiteStorage, RedisStorage):
        driver.do = fate.mortal(driver.do)
    with small() if os.environ.get("SMALL_PAGES") else nullcontext():
        status = main(sys.argv[2:])
    sys.exit(status)

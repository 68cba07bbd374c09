"""A real terminal for tests: tmux, without a screen of its own."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import needs

#: How long a screen may take to become what is waited for, in seconds.
PATIENCE = 60


class Terminal:
    """A terminal in which a program runs.

    Args:
        tmux: The words that call tmux with its own socket.
    """

    def __init__(self, tmux: Sequence[str]) -> None:
        self._tmux = tmux

    def type(self, text: str) -> None:
        """Type a text as it is."""
        self._run("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by their names in tmux, as ``Tab`` and ``Enter``."""
        self._run("send-keys", *keys)

    def clear(self) -> None:
        """Clear the screen and what was above it."""
        self._run("send-keys", "-R")
        self._run("clear-history")

    def screen(self) -> str:
        """Return what is seen, without blanks at the ends of lines."""
        text = self._run("capture-pane", "-p")
        return "\n".join(line.rstrip() for line in text.splitlines()).rstrip()

    def wait_for(self, pattern: str) -> str:
        """Return the screen once a regular expression is found in it.

        Raises:
            AssertionError: It is not, in time.
        """
        ends = time.monotonic() + PATIENCE
        while not re.search(pattern, screen := self.screen(), re.MULTILINE):
            assert time.monotonic() < ends, f"no {pattern!r} in:\n{screen}"
            time.sleep(0.05)
        return screen

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words], check=True, capture_output=True, text=True
        )
        return done.stdout


@contextmanager
def terminal(
    program: Sequence[str],
    environment: Mapping[str, str],
    directory: Path,
    width: int = 80,
    height: int = 24,
) -> Iterator[Terminal]:
    """Run a program in a terminal of a size.

    Args:
        program: The program and its arguments.
        environment: Its variables; TERM is set.
        directory: Where it runs, and where the socket of tmux is put.
        width: Columns.
        height: Lines.
    """
    # The path of a socket has a limit that temporary directories come near to.
    tmux = [needs.program("tmux", package="tmux"), "-S", "t", "-f", "/dev/null"]
    size = ["-x", str(width), "-y", str(height)]
    variables = {**environment, "TERM": "screen-256color"}
    subprocess.run(
        [*tmux, "new-session", "-d", *size, *program],
        check=True,
        env=variables,
        cwd=directory,
    )
    try:
        yield Terminal(["env", "-C", str(directory), *tmux])
    finally:
        subprocess.run([*tmux, "kill-server"], check=False, cwd=directory)

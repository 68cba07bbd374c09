"""Processes of the server that start warm, as copies of one that has imported it.

A start of ``python -m zaqarserver`` is more than a second of CPU, nearly all of it
imports, and tests start hundreds. Here one process imports the server and what tests
put around it, once for each process of pytest; each start is a fork of that one. What
a test does to its process is the same: it has a pid of its own, can be killed, and
ends with an exit status.

What is about the start itself (imports, variables that Python reads, the program's
file) needs a cold start: that of :class:`subprocess.Popen`.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Protocol
from unittest import mock

_CONTEXT = multiprocessing.get_context("forkserver")


@functools.cache
def _warm_up() -> None:
    """Start the process that is copied."""
    places = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    _CONTEXT.set_forkserver_preload(["warm_imports"])
    paths = os.pathsep.join(filter(None, places))
    with mock.patch.dict(os.environ, PYTHONPATH=paths):
        forkserver.ensure_running()


class WarmProcess:
    """A process as ``python ARGUMENTS...`` would be one, without variables ``OS_*``.

    Args:
        arguments: ``-m`` and a module, or the file of a script; then theirs.
        log: Its output is appended to this file.

    Attributes:
        pid: Its process id.
    """

    def __init__(self, arguments: list[str | Path], log: Path) -> None:
        _warm_up()
        log.touch()
        texts = [str(argument) for argument in arguments]
        self._process = _CONTEXT.Process(
            # What runs still when pytest ends is ended, not waited for.
            target=_run,
            args=(texts, str(log), _variables()),
            daemon=True,
        )
        self._process.start()
        self.pid: int = self._process.pid or 0

    def poll(self) -> int | None:
        """Return the exit status, negative after a signal; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end in good order."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for the end; return the exit status.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout)
        return status


class Process(Protocol):
    """A process, warm or cold."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit status; None while it runs."""

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""

    def wait(self, timeout: float) -> int:
        """Wait for the end; return the exit status."""


def start_server(config: Path, log: Path) -> WarmProcess:
    """Start ``zaqarserver`` with this configuration."""
    return WarmProcess(["-m", "zaqarserver", "--config-file", config], log)


def start_cold(
    config: Path, log: Path, prefix: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Do the same with an interpreter of its own, maybe run by another program."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "zaqarserver", "--config-file", config],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_variables(),
        )


def _variables() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("OS_")}


def _run(arguments: list[str], log: str, variables: Mapping[str, str]) -> None:
    """Do in the copy what the interpreter does."""
    assert "warm_imports" in sys.modules, "the start was cold: they failed"
    for path, flags, number in (
        (os.devnull, os.O_RDONLY, 0),
        (log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 1),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(1, 2)
    os.environ.clear()
    os.environ.update(variables)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        # The module was imported before the copy was made; runpy warns of that.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")

"""A server of our own to measure, and the CPU time of any process."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from traffic import LoadError


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: Where it listens.
        pid: Its process, or ``None`` if it is not known.
    """

    url: str
    pid: int | None


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that all threads of a process have used, in seconds.

    Raises:
        LoadError: There is no such process, or this is not Linux.
    """
    # What clock_getcpuclockid(3) computes: exact to the nanosecond, where
    # /proc/PID/stat counts in hundredths of a second.
    clock = (~pid << 3) | 2
    try:
        return time.clock_gettime(clock)
    except OSError as error:
        raise LoadError(f"cannot read the CPU time of process {pid}: {error}") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    process.kill()
    raise LoadError(f"the server did not start:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def running_server(
    directory: str | None = None, store: str | None = None
) -> Iterator[Server]:
    """Run a ``zaqarserver`` with its default settings on an empty store.

    Args:
        directory: Where the store goes; it should be on the kind of disk that
            the figures are wanted for. The default is that of temporary files.
        store: The URI of another store than a file there.
    """
    program = shutil.which("zaqarserver", path=str(Path(sys.executable).parent))
    if program is None:
        raise LoadError("zaqarserver is not installed beside this Python; use --url")
    with tempfile.TemporaryDirectory(prefix="zaqar-bench-", dir=directory) as home:
        port = _free_port()
        config = Path(home, "zaqar.conf")
        config.write_text(
            f"[server]\nhost = 127.0.0.1\nport = {port}\n"
            f"[websocket]\nport = {_free_port()}\n"
            f"[storage]\nuri = {store or f'sqlite:///{home}/store.db'}\n"
        )
        log = Path(home, "server.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "--config-file", str(config)],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait(process, port, log)
            yield Server(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

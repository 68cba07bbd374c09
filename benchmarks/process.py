"""A server of our own to measure, and the CPU time of any process."""

from __future__ import annotations

import contextlib
import os
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

_START_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: Where it listens.
        pid: Its process, that of the supervisor if there are workers, or ``None`` if
            it is not known.
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


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, such as workers."""
    return [
        int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ]


def _wait(process: subprocess.Popen[bytes], channel: socket.socket, log: Path) -> None:
    """Wait until the server says, as it does to systemd, that all of it serves."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in channel.recv(4096):
                return
    process.kill()
    raise LoadError(f"the server did not start:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def running_server(
    directory: str | None = None,
    store: str | None = None,
    *,
    workers: int = 1,
    settings: str = "",
) -> Iterator[Server]:
    """Run a ``zaqarserver`` with its default settings on an empty store.

    Args:
        directory: Where the store goes; it should be on the kind of disk that
            the figures are wanted for. The default is that of temporary files.
        store: The URI of another store than a file there.
        workers: How many processes serve.
        settings: More of its configuration file.
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
            f"[storage]\nuri = {store or f'sqlite:///{home}/store.db'}\n{settings}"
        )
        log = Path(home, "server.log")
        with (
            log.open("wb") as output,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
        ):
            channel.bind("")  # Linux picks a name that is no file
            channel.settimeout(0.1)
            process = subprocess.Popen(
                [program, "--config-file", str(config), "--workers", str(workers)],
                env=os.environ
                | {"NOTIFY_SOCKET": f"@{channel.getsockname()[1:].decode()}"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            _wait(process, channel, log)
        try:
            yield Server(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def running_bare() -> Iterator[Server]:
    """Run ``bare.py``, which does as little as a server can."""
    port = _free_port()
    program = Path(__file__).with_name("bare.py")
    process = subprocess.Popen([sys.executable, str(program), str(port)])
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LoadError("the bare server did not start")
            time.sleep(0.02)
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

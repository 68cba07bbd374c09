"""A server process whose clock the test moves, as its callers see it."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import struct
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ports import free_port
from warm import WarmProcess

START_SECONDS = 30.0
LAUNCHER = Path(__file__).with_name("clocked_server.py")


class Deployment:
    """A server on a store, maybe a broken one.

    Attributes:
        log: The file that its log goes to.
    """

    def __init__(self, directory: Path, store: str, fault: str) -> None:
        self._store = store
        self.port = free_port()
        self.log = directory / "server.log"
        self._fault = fault
        self._clock = directory / "clock"
        self._clock.write_bytes(bytes(8))
        self._ahead = 0.0
        self._config = directory / "zaqarserver.conf"
        self._config.write_text(
            f"[server]\nport = {self.port}\n[websocket]\nport = 0\n"
            f"[storage]\nuri = {store}\n"
        )
        self._process: WarmProcess | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._process = WarmProcess(
            [LAUNCHER, self._clock, self._fault, "--config-file", self._config],
            self.log,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/")[0] == 300:
                    return
            time.sleep(0.05)  # polling a process that starts
        raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the server, by default in good order."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(START_SECONDS)

    def crash(self) -> None:
        """Kill the server and start it again."""
        self.end(signal.SIGKILL)
        self.start()

    def wait(self, seconds: float) -> None:
        """Let time pass for the running server; a shared store hears of it."""
        assert self._process is not None
        assert self._process.poll() is None, "the time is the server's"
        before = self._shared_time()
        self._ahead += seconds
        with self._clock.open("r+b") as file:
            file.write(struct.pack("d", self._ahead))
        deadline = time.monotonic() + START_SECONDS
        while before is not None and (self._shared_time() or 0.0) < before + seconds:
            assert time.monotonic() < deadline, "the store has not heard of it"
            time.sleep(0.02)  # polling: no time passes for Redis itself

    def _shared_time(self) -> float | None:
        """Return the time that was left with Redis, where that is the store."""
        store = urlsplit(self._store)
        if store.scheme != "redis":
            return None
        with socket.create_connection(("127.0.0.1", store.port or 0), 5) as connection:
            connection.sendall(b"HGET zaqar:{!time} latest\r\n")
            _, _, text = connection.recv(100).partition(b"\r\n")
        return float(text or 0)

    # -- requests -----------------------------------------------------------------

    def ask(
        self, method: str, path: str, document: Any = None, project: str = "alpha"
    ) -> tuple[int, Any]:
        """Send one request of a client that nobody else is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": project}
        body = None if document is None else json.dumps(document)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 500, text
        return answer.status, json.loads(text) if text else None

    def post(self, queue: str, *bodies: Any, **fields: Any) -> list[str]:
        """Post messages; return their ids."""
        messages = [{"body": body, **fields} for body in bodies]
        status, answer = self.ask(
            "POST", f"/v2/queues/{queue}/messages", {"messages": messages}
        )
        assert status == 201, answer
        return [href.rpartition("/")[2] for href in answer["resources"]]

    def bodies(self, queue: str, project: str = "alpha") -> list[Any]:
        """Return the bodies of the first page of free messages."""
        path = f"/v2/queues/{queue}/messages?limit=20"
        _, answer = self.ask("GET", path, project=project)
        return [message["body"] for message in answer["messages"]]

    def claim(self, queue: str, limit: int = 10) -> list[dict[str, Any]]:
        """Claim messages for a minute; return them."""
        status, answer = self.ask(
            "POST",
            f"/v2/queues/{queue}/claims?limit={limit}",
            {"ttl": 60, "grace": 60},
        )
        return answer["messages"] if status == 201 else []

"""What breaks the store is said, loses nothing acknowledged, and ends by itself.

A disk that is full is a small file system of the server's own; a Redis that is out of
memory, or gone, is a real one that is told so, or killed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import needs
import pytest
from ports import free_port
from redis_service import RedisServer
from warm import start_cold, start_server

SECONDS = 40.0
BODY = "x" * 20_000

#: Mounts a small file system where only this process and who joins it see it.
A_SMALL_DISK = (
    'mount -t tmpfs -o size=12m tmpfs "$1" && echo mounted && exec sleep 1000'
)


class Server:
    """A server on a store that is about to break."""

    def __init__(self, directory: Path, store: str, *prefix: str) -> None:
        self.port = free_port()
        self.log = directory / "log"
        config = directory / "zaqarserver.conf"
        config.write_text(
            f"[DEFAULT]\nadmin_mode = true\n[server]\nport = {self.port}\n"
            f"[websocket]\nport = 0\n[storage]\nuri = {store}\n"
        )
        self.process = (
            start_cold(config, self.log, prefix)
            if prefix
            else start_server(config, self.log)
        )
        self.until(lambda: self.ask("GET", "/")[0] == 300)

    def until(self, reached: Any, seconds: float = SECONDS) -> float:
        """Wait for something; return the seconds that it took."""
        began = time.monotonic()
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if reached():
                    return time.monotonic() - began
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() - began < seconds, self.log.read_text()
            time.sleep(0.05)  # polling another process

    def ask(self, method: str, path: str, document: Any = None) -> tuple[int, Any, Any]:
        """Send a request; return status, body and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {
            "Client-ID": str(uuid.uuid4()),
            "X-Project-ID": "p",
            "X-Roles": "admin",
        }
        body = None if document is None else json.dumps(document)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text else None, answer.headers

    def post(self, body: Any) -> int:
        """Post a message; check that a refusal is one that can be repeated."""
        status, answer, headers = self.ask(
            "POST", "/v2/queues/q/messages", {"messages": [{"body": body, "ttl": 3600}]}
        )
        assert status in (201, 503), answer
        if status == 503:
            assert int(headers["Retry-After"]) >= 1
            assert answer["title"] == "Service temporarily unavailable"
        return status

    def bodies(self) -> list[Any]:
        """Return what is in the queue."""
        found: list[Any] = []
        path = "/v2/queues/q/messages?limit=20&echo=true"
        marker = ""
        while messages := self.ask("GET", path + marker)[1]["messages"]:
            found += [message["body"] for message in messages]
            marker = f"&marker={messages[-1]['id']}"
        return found

    def health(self) -> Any:
        """Return what the server says of its store."""
        status, answer, _ = self.ask("GET", "/v2/health")
        assert status == (200 if answer["reason"] is None else 503)
        return answer

    def end(self) -> None:
        """Stop it; it has to end in good order whatever happened."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SECONDS) == 0, self.log.read_text()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(
        tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always"
    )
    server.start()
    yield server
    server.kill()


@pytest.fixture
def on_redis(redis_server: RedisServer, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, redis_server.uri)
    yield server
    server.end()


class SmallDisk:
    """A file system of 12 MB, which lasts longer than a server."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.store = f"sqlite:///{path}/zaqar.db"
        program = needs.program("unshare", package="util-linux")
        options = ["--user", "--map-root-user", "--mount"]
        self.holder = subprocess.Popen(
            [program, *options, "sh", "-c", A_SMALL_DISK, "sh", path],
            stdout=subprocess.PIPE,
        )
        assert self.holder.stdout is not None
        self.is_there = self.holder.stdout.readline() == b"mounted\n"
        self.seen = Path(f"/proc/{self.holder.pid}/root{path}")
        join = ["nsenter", "-t", str(self.holder.pid), "--preserve-credentials"]
        self.prefix = [*join, "--user", "--mount"]

    def fill(self) -> None:
        """Take what room is left, as another program does."""
        with contextlib.suppress(OSError), (self.seen / "ballast").open("ab") as file:
            for size in (4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        file.flush()

    def end(self) -> None:
        """Unmount it."""
        self.holder.kill()
        self.holder.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk")
    if not disk.is_there:
        disk.end()
        needs.lacking("this machine lets no test mount a file system of its own")
    yield disk
    disk.end()


def fill_with_posts(server: Server) -> list[str]:
    """Post until nothing fits any more; return what was taken."""
    kept: list[str] = []
    for size in (len(BODY), 1000, 1):
        while server.post(body := f"{len(kept)} {BODY[:size]}") == 201:
            kept.append(body)
            assert len(kept) < 1000, "the disk is not small"
    assert len(kept) > 100
    return kept


def drain(server: Server) -> list[str]:
    """Consume all that is in the queue, in each way; return the bodies."""
    queue, found = "/v2/queues/q", []
    while True:
        status, claim, _ = server.ask(
            "POST", f"{queue}/claims?limit=3", {"ttl": 300, "grace": 60}
        )
        if status == 204:
            return found
        assert status == 201, claim
        for message in claim["messages"][:2]:
            found.append(message["body"])
            assert server.ask("DELETE", message["href"])[0] == 204
        if claim["messages"][2:]:  # it is released, and popped with what follows
            path = claim["messages"][2]["href"].partition("claim_id=")[2]
            assert server.ask("DELETE", f"{queue}/claims/{path}")[0] == 204
            status, popped, _ = server.ask("DELETE", f"{queue}/messages?pop=2")
            assert status == 200
            found += [message["body"] for message in popped["messages"]]


@pytest.mark.parametrize(
    ("filled_by", "restarted"),
    [
        ("posts", None),
        ("posts", signal.SIGTERM),
        ("another program", None),
        ("another program", signal.SIGKILL),
    ],
)
def test_a_full_disk_is_left_by_consuming_alone(
    small_disk: SmallDisk,
    tmp_path: Path,
    filled_by: str,
    restarted: signal.Signals | None,
) -> None:
    server = Server(tmp_path, small_disk.store, *small_disk.prefix)
    kept = fill_with_posts(server)
    if filled_by == "another program":
        small_disk.fill()
    said = server.health()
    assert (said["storage_reachable"], "full" in said["reason"]) == (True, True)
    if restarted is not None:
        server.process.send_signal(restarted)
        server.process.wait(SECONDS)
        if filled_by == "another program":
            small_disk.fill()
        server = Server(tmp_path, small_disk.store, *small_disk.prefix)
    assert server.bodies() == kept
    assert drain(server) == kept
    assert server.ask("GET", "/v2/ping")[0] == 204
    server.until(lambda: server.post("after") == 201, seconds=10)
    assert server.bodies() == ["after"]
    assert server.health()["reason"] is None
    # As much fits as did before, and a purge makes room as well.
    while server.post(BODY) == 201:
        pass
    purge = {"resource_types": ["messages"]}
    assert server.ask("POST", "/v2/queues/q/purge", purge)[0] == 204
    server.until(lambda: server.post("again") == 201, seconds=10)
    server.end()


def test_a_full_disk_loses_nothing_and_room_helps(
    small_disk: SmallDisk, tmp_path: Path
) -> None:
    server = Server(tmp_path, small_disk.store, *small_disk.prefix)
    small_disk.fill()
    kept = []
    while server.post(body := f"{len(kept)} {BODY}") == 201:
        kept.append(body)
    assert server.bodies() == kept
    (small_disk.seen / "ballast").unlink()  # as an operator makes room
    server.until(lambda: server.post("after") == 201, seconds=10)
    assert server.bodies() == [*kept, "after"]
    assert server.health()["reason"] is None
    server.end()


def flip_a_bit(path: Path, place: int) -> None:
    """Damage a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def test_a_damaged_store_answers_500_where_it_is_damaged_and_serves_the_rest(
    tmp_path: Path,
) -> None:
    path = tmp_path / "zaqar.db"
    server = Server(tmp_path, f"sqlite:///{path}")
    for number in range(10):
        assert server.post(f"{number} {BODY}") == 201
    server.end()
    flip_a_bit(path, path.read_bytes().index(b"5 xxxx") + 1000)
    server = Server(tmp_path, f"sqlite:///{path}")
    for method, rest in (
        ("GET", "messages"),
        ("POST", "claims"),
        ("DELETE", "messages?pop=10"),
    ):
        body = {} if method == "POST" else None
        status, answer, headers = server.ask(method, f"/v2/queues/q/{rest}", body)
        assert (status, answer["title"]) == (500, "The store is damaged")
        assert "Retry-After" not in headers
    said = server.health()
    assert (said["storage_reachable"], "damaged" in said["reason"]) == (True, True)
    assert server.ask("GET", "/v2/ping")[0] == 204
    other = {"messages": [{"body": 1}]}
    assert server.ask("POST", "/v2/queues/other/messages", other)[0] == 201
    purge = {"resource_types": ["messages"]}
    assert server.ask("POST", "/v2/queues/q/purge", purge)[0] == 204
    assert server.post("after") == 201
    assert server.bodies() == ["after"]
    server.end()


def test_a_damaged_log_keeps_the_server_from_starting(tmp_path: Path) -> None:
    path, log = tmp_path / "zaqar.db", tmp_path / "zaqar.db-wal"
    server = Server(tmp_path, f"sqlite:///{path}")
    for number in range(10):
        assert server.post(f"{number} {BODY}") == 201
    server.process.kill()
    server.process.wait()
    flip_a_bit(log, len(log.read_bytes().rstrip(b"\0")) // 2)
    damaged = log.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "zaqarserver", "--config-file=/dev/null"],
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=os.environ
        | {"OS_STORAGE__URI": f"sqlite:///{path}", "OS_SERVER__PORT": "0"},
    )
    assert done.returncode == 1
    assert "transactions behind it cannot be read" in done.stderr.splitlines()[-1]
    assert log.read_bytes() == damaged


def test_a_store_that_is_deleted_under_the_server_takes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "zaqar.db"
    server = Server(tmp_path, f"sqlite:///{path}")
    assert server.post("before") == 201
    path.unlink()
    assert server.post("lost") == 503
    said = server.health()
    assert (said["storage_reachable"], "is gone" in said["reason"]) == (False, True)
    server.end()


def test_a_store_that_cannot_be_written_is_refused_at_the_start() -> None:
    prefix = []
    if os.geteuid() == 0:  # whom no mode keeps out: be nobody
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        needs.program("setpriv", package="util-linux")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o555)
        variables = {
            "OS_STORAGE__URI": f"sqlite:///{directory}/zaqar.db",
            "OS_SERVER__PORT": "0",
        }
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "zaqarserver", "--config-file=/dev/null"],
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=os.environ | variables,
        )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("zaqarserver: the store cannot be reached: ")
    assert "denied" in last


def test_a_redis_without_memory(on_redis: Server, redis_server: RedisServer) -> None:
    server = on_redis
    assert server.post("before") == 201
    redis_server.ask("CONFIG", "SET", "maxmemory", "1mb")
    server.until(lambda: server.post(BODY) == 503)
    assert "before" in server.bodies()
    assert "memory" in server.health()["reason"]
    redis_server.ask("CONFIG", "SET", "maxmemory", "0")
    server.until(lambda: server.post("after") == 201, seconds=10)
    found = server.bodies()
    assert (found[0], found[-1]) == ("before", "after")
    assert server.health()["reason"] is None


@pytest.mark.parametrize("how", ["killed", "silent"])
def test_a_redis_that_is_gone(
    on_redis: Server, redis_server: RedisServer, how: str
) -> None:
    """The soak of ``tox -e torture`` has one gone for 30 s; here it is shorter."""
    server = on_redis
    assert server.post("before") == 201
    if how == "killed":
        redis_server.kill()
    else:
        redis_server.pause()
    assert server.post("lost") == 503
    said = server.health()
    assert (said["storage_reachable"], bool(said["reason"])) == (False, True)
    if how == "killed":
        redis_server.start()
    else:
        redis_server.go_on()
    server.until(lambda: server.post("after") == 201, seconds=15)
    found = server.bodies()
    assert found == ["before", "after"]  # a post that is answered 503 is not stored
    assert server.health()["reason"] is None

"""``--workers``: several processes on one port, on a real Redis."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from ports import free_ports
from redis_service import RedisServer
from warm import start_server

from zaqarclient.queues.v2.client import Client

SECONDS = 60.0


class Workers:
    """A supervisor with two workers."""

    def __init__(self, directory: Path, store: str, options: str = "") -> None:
        self.port = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.metrics = free_ports(2)
        self.log = directory / "log"
        config = directory / "zaqarserver.conf"
        config.write_text(
            f"[DEFAULT]\nworkers = 2\n{options}[server]\nport = {self.port}\n"
            f"metrics_port = {self.metrics}\n[websocket]\nport = 0\n"
            f"[storage]\nuri = {store}\n"
        )
        self._process = start_server(config, self.log)
        self.wait_for_log("2 workers serve")

    def wait_for_log(self, text: str, times: int = 1) -> None:
        """Wait until a text stands in the log so often."""
        deadline = time.monotonic() + SECONDS
        while self.log.read_text().count(text) < times:
            assert time.monotonic() < deadline, self.log.read_text()
            assert self._process.poll() is None, self.log.read_text()
            time.sleep(0.02)  # polling another process

    @property
    def pids(self) -> set[int]:
        """The processes of the workers."""
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return {int(word) for word in path.read_text().split()}

    def signal(self, number: int) -> None:
        """Send the supervisor a signal."""
        self._process.send_signal(number)

    def stop(self) -> int:
        """End it in good order."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(SECONDS)

    def requests_by_worker(self) -> list[int]:
        """Return how many posts each worker has answered."""
        found = []
        for number in range(2):
            page = requests.get(
                f"http://127.0.0.1:{self.metrics + number}/metrics", timeout=10
            )
            line = re.search(
                r'zaqar_requests_total\{.*operation="message_post".*\} (\d+)', page.text
            )
            found.append(int(line[1]) if line else 0)
        return found


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "yes")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def workers(redis_server: RedisServer, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(tmp_path, redis_server.uri)
    yield made
    assert made.stop() == 0, made.log.read_text()


def client(workers: Workers) -> Any:
    conf = {"auth_opts": {"backend": "noauth", "options": {"os_project_id": "p"}}}
    return Client(workers.url, version=2, conf=conf)


class Posters:
    """SDK users that post until told to stop, each message once."""

    def __init__(self, make: Callable[[], Any], queue: str, count: int = 4) -> None:
        self._make = make
        self._queue = queue
        self._over = threading.Event()
        self.posted: list[tuple[int, int]] = []
        self.errors: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._post, args=(number,))
            for number in range(count)
        ]

    def _post(self, name: int) -> None:
        queue = self._make().queue(self._queue)
        number = 0
        try:
            while not self._over.is_set():
                queue.post({"body": [name, number], "ttl": 3600})
                self.posted.append((name, number))
                number += 1
        except Exception as error:  # noqa: BLE001 - it is what the test is about
            self.errors.append(error)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def all_bodies(workers: Workers, queue: str) -> list[tuple[int, int]]:
    messages = client(workers).queue(queue).messages(limit=20, echo=True)
    return [tuple(message.body) for message in messages.stream()]


def test_both_workers_serve_one_port_and_one_store(workers: Workers) -> None:
    with Posters(lambda: client(workers), "both", count=8) as posters:
        deadline = time.monotonic() + SECONDS
        while 0 in workers.requests_by_worker():
            assert time.monotonic() < deadline, "one worker does nothing"
            # Whoever is there first may have got all connections so far.
            client(workers).queue("other").post({"body": 1})
    assert posters.errors == []
    assert sorted(all_bodies(workers, "both")) == sorted(posters.posted)


def test_a_rolling_restart_under_load_shows_sdk_users_no_error_and_loses_nothing(
    workers: Workers,
) -> None:
    before = workers.pids
    with Posters(lambda: client(workers), "rolling") as posters:
        for times in (1, 2):
            workers.signal(signal.SIGHUP)
            workers.wait_for_log("replaced all workers", times)
    assert posters.errors == []
    assert not before & workers.pids
    found = all_bodies(workers, "rolling")
    assert sorted(found) == sorted(posters.posted)


def test_a_worker_that_is_killed_is_started_again(workers: Workers) -> None:
    victim = min(workers.pids)
    os.kill(victim, signal.SIGKILL)
    workers.wait_for_log("ended with -9")
    workers.wait_for_log(" ready on ", times=3)
    assert len(workers.pids) == 2
    assert victim not in workers.pids
    assert client(workers).ping()


def test_the_workers_end_with_their_supervisor(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    workers = Workers(tmp_path, redis_server.uri)
    pids = workers.pids
    workers.signal(signal.SIGKILL)
    workers.stop()
    deadline = time.monotonic() + SECONDS
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "a worker outlives its supervisor"
        time.sleep(0.02)  # polling other processes


def test_settings_that_cannot_be_used_leave_the_old_workers_alone(
    workers: Workers, tmp_path: Path
) -> None:
    before = workers.pids
    config = tmp_path / "zaqarserver.conf"
    config.write_text(config.read_text() + "[transport]\nmax_message_ttl = never\n")
    workers.signal(signal.SIGHUP)
    workers.wait_for_log("the old ones stay")
    assert workers.pids == before
    assert client(workers).ping()

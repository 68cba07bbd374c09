"""A real server whose system clock is set back and forth, by Debian's faketime."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import needs
import pytest
from ports import free_port
from receivers import Receivers, good, status

HOUR, DAY = 3600, 86400
STEPS = [HOUR, 0, -HOUR, 0, DAY, 0, -DAY, 0]
DELAY = 3
RETRIES = {
    "retries_with_no_delay": 0,
    "minimum_delay_retries": 1,
    "minimum_delay": DELAY,
    "maximum_delay": 30,
    "maximum_delay_retries": 0,
}
#: Seconds that a loaded machine may add to what is measured from outside.
SLACK = 4


class Faked:
    """A server whose system clock is off by what a file says."""

    def __init__(self, directory, uri, ahead=0):
        directory.mkdir()
        self.port = free_port()
        self.log = directory / "server.log"
        self._config = directory / "zaqarserver.conf"
        self._config.write_text(
            f"[server]\nport = {self.port}\n"
            f"[websocket]\nport = {free_port()}\n"
            f"[storage]\nuri = {uri}\n"
        )
        self._step = directory / "step"
        self.set_clock(ahead)

    def set_clock(self, ahead):
        self._step.write_text(f"{ahead:+d}")

    def start(self):
        needs.program("faketime", package="faketime")
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        faked = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._step),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "zaqarserver", "--config-file", self._config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **faked},
            )
        end = time.monotonic() + 30
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError):
                self.ask("GET", "/")
                return
            time.sleep(0.05)  # polling a process that starts
        raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")

    def stop(self):
        self._process.terminate()
        assert self._process.wait(30) == 0

    def ask(self, method, path, document=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": "p"}
        body = None if document is None else json.dumps(document)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        assert answer.status < 400, text
        return json.loads(text) if text else None

    def post(self, queue, body, **members):
        messages = {"messages": [{"body": body, **members}]}
        self.ask("POST", f"/v2/queues/{queue}/messages", messages)

    def seen(self, queue):
        """Return the bodies and ages of the messages that are free."""
        found = self.ask("GET", f"/v2/queues/{queue}/messages?limit=20&echo=true")
        return {one["body"]: one["age"] for one in found["messages"]}


@pytest.fixture(params=["sqlite", "redis"])
def uri(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/zaqar.db"
    redis = request.getfixturevalue("redis_server")
    return f"{redis.uri}?prefix={uuid.uuid4().hex}"


@pytest.fixture
def servers(tmp_path, uri):
    """Start servers of one store whose system clocks are off by so much."""
    made = []
    number = itertools.count()

    def make(ahead=0):
        server = Faked(tmp_path / f"server{next(number)}", uri, ahead)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def receivers():
    with Receivers() as made:
        yield made


def test_delays_retries_claims_and_ages_keep_their_length_through_every_step(
    servers, receivers
):
    server = servers()
    server.ask("PUT", "/v2/queues/late", {"_default_message_delay": DELAY})
    server.post("orders", "claimed", ttl=300)
    server.ask("POST", "/v2/queues/orders/claims", {"ttl": 60, "grace": 60})
    server.post("orders", "short", ttl=60)
    begun, posted = time.monotonic(), {}
    for step in STEPS:
        port = receivers.open(status(500), good)
        queue = f"told{port}"
        hook = {
            "subscriber": f"http://127.0.0.1:{port}/",
            "ttl": 600,
            "options": {"_retry_policy": RETRIES},
        }
        server.ask("POST", f"/v2/queues/{queue}/subscriptions", hook)
        server.post(queue, port)
        server.post("late", port)
        posted[port] = time.monotonic()
        server.set_clock(step)
    shown = dict.fromkeys(posted, 0.0)
    last_look = 0.0
    while not all(shown.values()):
        asked = time.monotonic()
        found = server.seen("late")
        for port in found.keys() & shown.keys():
            if not shown[port]:
                shown[port] = time.monotonic()
                # The last look that did not show it was before it was over by much.
                assert last_look - posted[port] < DELAY + 1
        last_look = asked
        assert asked - begun < 60
    for port, moment in posted.items():
        assert shown[port] - moment > DELAY - 1
        while len(receivers.received(port)) < 2:
            assert time.monotonic() - begun < 60
            time.sleep(0.05)  # polling a webhook
        first, second = (when for when, _ in receivers.received(port)[:2])
        assert DELAY - 0.1 < second - first < DELAY + SLACK
    passed = time.monotonic() - begun
    found = server.seen("orders")
    assert found.keys() == {"short"}
    assert passed - 2 <= found["short"] <= passed + 2
    server.set_clock(HOUR)
    while (
        "the system's clock was set forward by 3600.0 s" not in server.log.read_text()
    ):
        assert time.monotonic() - begun < 60
        time.sleep(0.05)  # polling a log


def test_a_server_that_starts_with_its_clock_set_goes_on_where_the_last_one_was(
    servers,
):
    server = servers()
    server.post("orders", "short", ttl=60)
    server.post("orders", "claimed", ttl=300)
    begun = time.monotonic()
    for step in (-DAY, HOUR):
        server.stop()
        server.set_clock(step)
        server.start()
        age = server.seen("orders")["short"]
        passed = time.monotonic() - begun
        assert passed - 2 <= age <= passed + 2


@pytest.mark.parametrize("uri", ["redis"], indirect=True)
def test_servers_with_wrong_clocks_end_nothing_of_each_other(servers):
    right, ahead, behind = servers(), servers(DAY), servers(-DAY)
    for number, server in enumerate((right, ahead, behind)):
        server.post("orders", number, ttl=300)
        server.ask("POST", "/v2/queues/orders/claims", {"ttl": 60, "grace": 60})
        server.post("free", number, ttl=60)
    for server in (right, ahead, behind):
        assert server.seen("orders") == {}
        found = server.seen("free")
        assert found.keys() == {0, 1, 2}
        assert max(found.values()) < 30

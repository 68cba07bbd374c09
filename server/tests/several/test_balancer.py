"""Two servers behind the balancer of the administrator guide, as it stands there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import needs
import pytest
import requests
from ports import free_port
from redis_service import RedisServer
from websockets.sync.client import connect

GUIDE = Path(__file__).parents[3] / "doc/source/admin/examples/nginx.conf"
HEADERS = {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734c", "X-Project-ID": "p"}
SECONDS = 30.0
#: Systems keep it where only administrators look.


class Site:
    """Two servers on one Redis, and nginx in front of them."""

    def __init__(self, directory: Path, store: str) -> None:
        self.ports = [free_port(), free_port()]
        front = free_port()
        self.address = f"127.0.0.1:{front}"
        self.servers = [self._server(directory, store, port) for port in self.ports]
        text = GUIDE.read_text()
        for written, port in zip((8888, 8889, 8080), (*self.ports, front), strict=True):
            assert f"127.0.0.1:{written}" in text
            text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}")
        config = directory / "nginx.conf"
        config.write_text(
            f"daemon off;\npid {directory}/nginx.pid;\n"
            + text.replace("access_log off;", "access_log off; " + _paths(directory))
        )
        nginx = needs.program("nginx", package="nginx-light")
        self._nginx = subprocess.Popen(
            [nginx, "-p", directory, "-c", config, "-e", directory / "error.log"],
            stdin=subprocess.DEVNULL,
        )
        self.wait(lambda: requests.get(f"http://{self.address}/", timeout=5).ok)

    @staticmethod
    def _server(directory: Path, store: str, port: int) -> subprocess.Popen[bytes]:
        config = directory / f"{port}.conf"
        config.write_text(
            f"[server]\nport = {port}\n[websocket]\nport = 0\n"
            f"[storage]\nuri = {store}\n"
        )
        with (directory / f"{port}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "zaqarserver", "--config-file", config],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    @staticmethod
    def wait(reached: Any) -> None:
        """Poll processes that start or end."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                if reached():
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.05)
        raise AssertionError("in vain")

    def end(self) -> None:
        """Stop all."""
        for process in (self._nginx, *self.servers):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)


def _paths(directory: Path) -> str:
    """Return where nginx may write as whoever runs the test."""
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{name}_temp_path {directory}/{name};" for name in names)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    redis = RedisServer(tmp_path / "redis", "--appendonly", "yes")
    redis.start()
    made = Site(tmp_path, redis.uri)
    yield made
    made.end()
    redis.stop()


def post(site: Site, body: Any) -> requests.Response:
    return requests.post(
        f"http://{site.address}/v2/queues/q/messages",
        json={"messages": [{"body": body}]},
        headers=HEADERS,
        timeout=10,
    )


def test_posts_anywhere_are_pushed_to_a_socket_anywhere(site: Site) -> None:
    """Nothing is tied to a server."""
    with connect(f"ws://{site.address}/", compression=None) as socket_:
        frame = {
            "action": "subscription_create",
            "headers": HEADERS,
            "body": {"queue_name": "q", "ttl": 600},
        }
        socket_.send(json.dumps(frame))
        answer = json.loads(socket_.recv(timeout=10))
        assert answer["headers"]["status"] == 201
        for number in range(8):  # of which some go to the other server
            assert post(site, number).status_code == 201
        pushed = [json.loads(socket_.recv(timeout=10))["body"] for _ in range(8)]
    assert sorted(pushed) == list(range(8))


def test_a_server_that_goes_is_not_missed(site: Site) -> None:
    """A rolling stop: the other one takes over at once, nothing is lost."""
    posted = []
    for number in range(60):
        if number == 20:
            site.servers[0].send_signal(signal.SIGTERM)
        assert post(site, number).status_code == 201
        posted.append(number)
    assert site.servers[0].wait(SECONDS) == 0
    found: list[int] = []
    url = "/v2/queues/q/messages?limit=20&echo=true"
    while True:
        page = requests.get(
            f"http://{site.address}{url}", headers=HEADERS, timeout=10
        ).json()
        if not page["messages"]:
            break
        found += [message["body"] for message in page["messages"]]
        url = page["links"][0]["href"]
    assert found == posted

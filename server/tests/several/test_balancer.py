"""Two servers behind the balancer of the administrator guide, as it stands there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import needs
import pytest
import requests
from answers import CLAIM, LIST, POP, POST, Load
from ports import free_port
from redis_service import RedisServer
from stopped import BOUND
from warm import WarmProcess, start_server
from websockets.sync.client import connect

GUIDE = Path(__file__).parents[3] / "doc/source/admin/examples/nginx.conf"
HEADERS = {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734c", "X-Project-ID": "p"}
SECONDS = 30.0


def balance(
    directory: Path, ports: Sequence[int], front: int
) -> subprocess.Popen[bytes]:
    """Run nginx as the guide has it, with other ports."""
    text = GUIDE.read_text()
    for written, port in zip((8888, 8889, 8080), (*ports, front), strict=True):
        assert f"127.0.0.1:{written}" in text
        text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}")
    config = directory / "nginx.conf"
    config.write_text(
        f"daemon off;\npid {directory}/nginx.pid;\n"
        + text.replace("access_log off;", "access_log off; " + _paths(directory))
    )
    nginx = needs.program("nginx", package="nginx-light")
    return subprocess.Popen(
        [nginx, "-p", directory, "-c", config, "-e", directory / "error.log"],
        stdin=subprocess.DEVNULL,
    )


class Site:
    """Two servers on one Redis, and nginx in front of them."""

    def __init__(self, directory: Path, redis: RedisServer) -> None:
        self.redis = redis
        self.ports = [free_port(), free_port()]
        front = free_port()
        self.address = f"127.0.0.1:{front}"
        self._directory = directory
        self._nginx = balance(directory, self.ports, front)
        self.servers = [self._server(port) for port in self.ports]
        for port in (*self.ports, front):
            self.wait_for(port)

    def wait_for(self, port: int) -> None:
        """Wait until a server answers there."""
        self.wait(lambda: requests.get(f"http://127.0.0.1:{port}/", timeout=5).ok)

    def restart(self, number: int) -> None:
        """Stop a server in good order, and start it again."""
        server, port = self.servers[number], self.ports[number]
        server.send_signal(signal.SIGTERM)
        assert server.wait(SECONDS) == 0
        self.servers[number] = self._server(port)
        self.wait_for(port)

    def _server(self, port: int) -> WarmProcess:
        directory = self._directory
        config = directory / f"{port}.conf"
        config.write_text(
            f"[server]\nport = {port}\n[websocket]\nport = 0\n"
            f"[storage]\nuri = {self.redis.uri}\n"
        )
        return start_server(config, directory / f"{port}.log")

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
    made = Site(tmp_path, redis)
    try:
        yield made
    finally:
        made.end()
        redis.stop()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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


# -- each fault, under load ------------------------------------------------------------

CLIENTS = 24
EVERYTHING = (POST, LIST, POST, CLAIM, POP)
PAUSE = 1.0  # between two servers of a rolling restart, as the guide has it


def load_of(site: Site, clients: int = CLIENTS) -> Load:
    queues = [f"queue{number}" for number in range(clients)]
    return Load([f"http://{site.address}"], queues, EVERYTHING)


@pytest.mark.anyio
async def test_a_rolling_restart_is_not_noticed(site: Site) -> None:
    load = load_of(site)
    async with load.run():
        for number in (0, 1):
            await load.until_served()
            await asyncio.to_thread(site.restart, number)
            # Not a guess: it is what the guide tells administrators to do.
            await asyncio.sleep(PAUSE)
    assert all(answer.good for answer in load.answers), load.statuses()


@pytest.mark.anyio
async def test_a_store_that_is_away_is_a_503_that_says_when_to_come_again(
    site: Site,
) -> None:
    load = load_of(site)
    async with load.run():
        await load.until_served()
        await asyncio.to_thread(site.redis.kill)
        await asyncio.sleep(3)  # how long it is away
        await asyncio.to_thread(site.redis.start)
        well = await load.until_served()
    assert well < BOUND
    assert load.slowest() < BOUND
    assert load.statuses()[503] >= CLIENTS // 2
    unknown = load.bad()  # what Redis had got and not answered
    assert {answer.status for answer in unknown} <= {504}, load.statuses()
    assert len(unknown) == len({answer.queue for answer in unknown})


@pytest.mark.anyio
@pytest.mark.parametrize("seconds", [1.5, 6.5])
async def test_a_server_that_stands_still_holds_up_what_it_has_and_nothing_else(
    site: Site, seconds: float
) -> None:
    load = load_of(site)
    async with load.run():
        await load.until_served()
        site.servers[0].send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            await asyncio.sleep(seconds)  # how long it stands still
        finally:
            site.servers[0].send_signal(signal.SIGCONT)
        over = time.monotonic()
        assert await load.until_served() < BOUND
    assert load.slowest() < BOUND + 1  # nginx gives it 5 seconds
    waited = {answer.status for answer in load.answers if not answer.good}
    assert waited <= ({504} if seconds > BOUND else set()), load.statuses()
    came = [one.came for one in load.answers if one.good and began < one.came < over]
    marks = [began, *came, over]
    assert max(b - a for a, b in itertools.pairwise(marks)) < 1.0


# -- what is repeated, and what is not -------------------------------------------------


class Grave:
    """Takes requests and closes the connection without an answer."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests = 0
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                if connection.recv(65536):
                    self.requests += 1

    def close(self) -> None:
        """Listen no more; safe to repeat."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def graves(tmp_path: Path) -> Iterator[tuple[str, list[Grave]]]:
    made = [Grave(), Grave()]
    front = free_port()
    nginx = balance(tmp_path, [one.port for one in made], front)
    url = f"http://127.0.0.1:{front}/v2/queues/q"
    Site.wait(lambda: requests.get(url, timeout=5).status_code == 502)
    for one in made:
        one.requests = 0
    yield url, made
    nginx.terminate()
    nginx.wait(SECONDS)
    for one in made:
        one.close()


@pytest.mark.parametrize(
    ("method", "path", "times"),
    [
        ("DELETE", "/messages?pop=3", 1),
        ("DELETE", "/messages?x=1&pop=3", 1),
        ("POST", "/messages", 1),
        ("POST", "/claims", 1),
        ("PATCH", "", 1),
        ("GET", "/messages", 2),
        ("DELETE", "/messages?ids=a", 2),
    ],
)
def test_only_what_can_be_repeated_is_sent_to_another_server(
    graves: tuple[str, list[Grave]], method: str, path: str, times: int
) -> None:
    url, both = graves
    for number in range(1, 9):  # of which some begin with the other one
        answer = requests.request(method, url + path, data=b"{}", timeout=10)
        assert answer.status_code == 502
        assert sum(one.requests for one in both) == times * number


def test_a_pop_that_no_server_took_goes_to_the_other_one(
    graves: tuple[str, list[Grave]],
) -> None:
    url, (gone, there) = graves
    gone.close()
    for number in range(1, 9):
        requests.delete(f"{url}/messages?pop=3", timeout=10)
        assert there.requests == number

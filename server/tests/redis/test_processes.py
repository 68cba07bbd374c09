"""Two real servers on one store: REST on one of them, a WebSocket on the other."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from redis_service import RedisServer
from warm import start_server
from websockets.sync.client import ClientConnection, connect

CLIENT = "3381af922b9e11e3b19171861300734c"
HEADERS = {"Client-ID": CLIENT, "X-Project-ID": "p"}
PATIENCE = 30.0


class Server:
    """A ``zaqarserver`` process."""

    def __init__(self, directory: Path, uri: str) -> None:
        self.port = free_port()
        config = directory / f"{self.port}.conf"
        config.write_text(
            f"[server]\nport = {self.port}\n[websocket]\nport = 0\n"
            f"[storage]\nuri = {uri}\n"
        )
        self.log = directory / f"{self.port}.log"
        self.process = start_server(config, self.log)

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                self.request("GET", "/v2/ping")
            except OSError:
                # Polling a process that starts, not waiting for a guess to pass.
                time.sleep(0.05)
            else:
                return
        raise AssertionError(self.log.read_text())

    def request(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = HEADERS | {"Content-Type": "application/json"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, headers, method=method
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            content = answer.read()
        return json.loads(content) if content else None

    def post(self, queue: str, *bodies: Any) -> None:
        messages = [{"body": body, "ttl": 300} for body in bodies]
        self.request("POST", f"/v2/queues/{queue}/messages", {"messages": messages})

    def listen(self) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{self.port}/")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def servers(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    directory = tmp_path_factory.mktemp("servers")
    uri = f"{redis_server.uri}?prefix={uuid.uuid4().hex}"
    made = [Server(directory, uri) for _ in range(2)]
    try:
        for server in made:
            server.wait()
        yield made
    finally:
        for server in made:
            server.kill()


def ask(connection: ClientConnection, action: str, body: dict[str, Any]) -> Any:
    connection.send(json.dumps({"action": action, "headers": HEADERS, "body": body}))
    answer = json.loads(connection.recv(PATIENCE))
    assert answer["headers"]["status"] < 300, answer
    return answer["body"]


def test_a_post_to_one_server_is_pushed_by_the_other(servers: list[Server]) -> None:
    here, there = servers
    with there.listen() as connection:
        ask(connection, "subscription_create", {"queue_name": "push", "ttl": 300})
        for number in range(10):
            here.post("push", number)
        pushed = [json.loads(connection.recv(PATIENCE))["body"] for _ in range(10)]
    assert pushed == list(range(10))


def test_two_servers_never_give_out_the_same_message(servers: list[Server]) -> None:
    for start in range(0, 200, 20):
        servers[start % 40 // 20].post("work", *range(start, start + 20))

    def work(server: Server) -> list[int]:
        claimed: list[int] = []
        while True:
            claim = server.request(
                "POST", "/v2/queues/work/claims?limit=7", {"ttl": 300, "grace": 60}
            )
            if claim is None:
                return claimed
            claimed += [message["body"] for message in claim["messages"]]

    with ThreadPoolExecutor(4) as workers:
        found = workers.map(work, [*servers, *servers])
        assert Counter(one for some in found for one in some) == Counter(range(200))

"""A 201 survives ``kill -9``: eight clients post while the server is shot."""

from __future__ import annotations

import http.client
import json
import random
import threading
import uuid
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

ROUNDS = 20
CLIENTS = 8
QUEUE = "/v2/queues/crash"
PATIENCE = 30.0  # seconds; only a broken server needs as many


class Poster:
    """A client that posts numbered messages and notes which were acknowledged."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.acknowledged: list[int] = []
        self.attempts = 0
        self.refusals: list[bytes] = []
        self._client_id = str(uuid.uuid4())

    def post_until_killed(self, url: str, progress: threading.Condition) -> None:
        """Post one message after another until the connection breaks."""
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        headers = {"Client-ID": self._client_id, "X-Project-ID": "crash"}
        try:
            while True:
                number = self.attempts
                self.attempts += 1
                message = {"ttl": 3600, "body": [self.name, number]}
                document = json.dumps({"messages": [message]})
                connection.request("POST", f"{QUEUE}/messages", document, headers)
                reply = connection.getresponse()
                text = reply.read()
                if reply.status != 201:
                    self.refusals.append(text)
                    return
                with progress:
                    self.acknowledged.append(number)
                    progress.notify()
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()


def read_after(url: str, marker: str | None) -> tuple[list[list[int]], str | None]:
    """Return the bodies of all messages after ``marker``, and the last id."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": "crash"}
    bodies: list[list[int]] = []
    try:
        while True:
            after = f"&marker={marker}" if marker else ""
            path = f"{QUEUE}/messages?limit=20{after}"
            connection.request("GET", path, headers=headers)
            reply = connection.getresponse()
            text = reply.read()
            assert reply.status == 200, text
            page = json.loads(text)["messages"]
            if not page:
                return bodies, marker
            bodies += [message["body"] for message in page]
            marker = page[-1]["id"]
    finally:
        connection.close()


def shoot_while_posting(server: Any, posters: list[Poster], enough: int) -> None:
    """Let all post, kill the server after ``enough`` more acknowledgements."""
    progress = threading.Condition()
    before = sum(len(poster.acknowledged) for poster in posters)
    threads = [
        threading.Thread(target=poster.post_until_killed, args=(server.url, progress))
        for poster in posters
    ]
    for thread in threads:
        thread.start()
    with progress:
        reached = progress.wait_for(
            lambda: sum(len(p.acknowledged) for p in posters) >= before + enough,
            timeout=PATIENCE,
        )
    server.kill()
    for thread in threads:
        thread.join(timeout=PATIENCE)
        assert not thread.is_alive(), "a client still waits for a dead server"
    assert reached, "the server acknowledged too few messages"


def check(stored: list[list[int]], posters: list[Poster]) -> None:
    """Compare what is stored with what was acknowledged."""
    twice = [body for body, count in Counter(map(tuple, stored)).items() if count > 1]
    assert twice == []
    for poster in posters:
        assert poster.refusals == []
        numbers = [number for name, number in stored if name == poster.name]
        assert numbers == sorted(numbers), f"client {poster.name}: order changed"
        lost = set(poster.acknowledged) - set(numbers)
        assert lost == set(), f"client {poster.name}: acknowledged but lost"
        assert set(numbers) <= set(range(poster.attempts))


def test_what_was_acknowledged_survives_20_kills_once_and_in_order(
    server_factory, tmp_path
):
    server = server_factory(store=tmp_path / "crash.db")
    posters = [Poster(name) for name in range(CLIENTS)]
    stored: list[list[int]] = []
    marker = None
    for _ in range(ROUNDS):
        shoot_while_posting(server, posters, enough=random.randint(20, 120))
        server.start()
        new, marker = read_after(server.url, marker)
        stored += new
        check(stored, posters)
    # What was read bit by bit is also what the queue holds as a whole.
    everything, _ = read_after(server.url, None)
    assert everything == stored

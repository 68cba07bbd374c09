"""Listeners that resume, while their sockets are cut and their servers killed.

Each must see each message once, in order, from the oldest to the last.

    python testing/resumed_listeners.py --redis
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ports import free_port
from redis_service import RedisServer

import zaqarclient
from zaqarclient.transport.errors import TransportError

_PATIENCE = 300.0
_BATCH = 5


class RestartedServer(Protocol):
    """A server that can be killed and started again."""

    url: str

    def start(self) -> None:
        """Start it and wait until it answers."""

    def kill(self) -> None:
        """End it as a crash would."""


class _Process:
    """A server of the command line."""

    def __init__(self, directory: Path, uri: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._config = directory / f"{port}.conf"
        self._config.write_text(
            f"[server]\nhost = 127.0.0.1\nport = {port}\n"
            f"[websocket]\nport = {free_port()}\n[storage]\nuri = {uri}\n"
        )

    def start(self) -> None:
        program = Path(sys.executable).with_name("zaqarserver")
        with self._config.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "--config-file", self._config], stdout=log, stderr=log
            )
        with zaqarclient.Client(self.url, project="p") as client:
            while True:
                try:
                    client.ping()
                except TransportError:
                    time.sleep(0.05)
                else:
                    return

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


class ResumedListener:
    """A listener in a thread, which notes the ids that it is given."""

    def __init__(self, url: str, project: str, queue: str) -> None:
        self.ids: list[str] = []
        self._client = zaqarclient.Client(url, project=project)
        self._listener = self._client.listen(queue, since="oldest")
        self._transport: Any = vars(self._listener)["_transport"]
        self._transport.pause = lambda times: min(0.05 * 2**times, 1.0)
        self.wanted: int | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        ends = time.monotonic() + _PATIENCE
        while time.monotonic() < ends and len(self.ids) != self.wanted:
            found = self._listener.get(0.5)
            if found is not None:
                self.ids.append(str(found.message_id))
        more = self._listener.get(0.5)  # nothing comes twice
        if more is not None:
            self.ids.append(str(more.message_id))
        self._client.close()
        self._listener.close()

    def cut(self) -> None:
        """Cut its connection, as a network would."""
        with contextlib.suppress(OSError, AttributeError):
            # The connection's own socket, below the buffers of the client.
            self._transport._channel._connection._socket.shutdown(socket.SHUT_RDWR)  # noqa: SLF001


def _post(client: zaqarclient.Client, queue: str, count: int) -> None:
    """Post messages, each batch until it is known to be stored."""
    for first in range(0, count, _BATCH):
        some = [
            {"body": n, "ttl": 3600} for n in range(first, min(first + _BATCH, count))
        ]
        key = uuid.uuid4().hex
        while True:
            try:
                client.queue(queue).post(some, idempotency_key=key)
            except TransportError:
                time.sleep(0.05)
            else:
                break


def _all_ids(client: zaqarclient.Client, queue: str) -> list[str]:
    ids: list[str] = []
    while True:
        page = client.queue(queue).messages(
            echo=True, limit=20, **({"marker": ids[-1]} if ids else {})
        )
        found = [message.id for message in page]
        if not found:
            return ids
        ids += found


def run(
    servers: Sequence[RestartedServer],
    *,
    messages: int,
    listeners: int,
    posters: int,
    cuts: float,
    kills: float,
    say: Callable[[str], object] = lambda _text: None,
) -> None:
    """Post, listen, cut and kill; check what each listener saw.

    Args:
        servers: Servers of one store; clients are spread over them.
        messages: How many are posted.
        listeners: How many listen.
        posters: How many post.
        cuts: How many connections are cut a second.
        kills: Seconds between two kills of a server.
        say: Called with what happens.

    Raises:
        AssertionError: A listener missed a message, or saw one twice or out of order.
    """
    project, queue, chance = uuid.uuid4().hex, "news", random.Random(1)  # noqa: S311
    urls = [one.url for one in servers]
    clients = [
        zaqarclient.Client(urls[number % len(urls)], project=project)
        for number in range(posters)
    ]
    _post(clients[0], queue, messages // 10)
    heard = [
        ResumedListener(urls[number % len(urls)], project, queue)
        for number in range(listeners)
    ]
    share = (messages - messages // 10) // posters
    threads = [
        threading.Thread(target=_post, args=(client, queue, share))
        for client in clients
    ]
    for thread in threads:
        thread.start()
    made = killed = 0
    began = killed_at = time.monotonic()
    while not killed or any(thread.is_alive() for thread in threads):
        heard[chance.randrange(listeners)].cut()
        made += 1
        if time.monotonic() - killed_at > kills:
            server = servers[killed % len(servers)]
            server.kill()
            server.start()
            killed, killed_at = killed + 1, time.monotonic()
        time.sleep(chance.expovariate(cuts))
    say(f"posted after {time.monotonic() - began:.0f} s")
    ids = _all_ids(clients[0], queue)
    for one in heard:
        one.wanted = len(ids)
    for one in heard:
        one.thread.join()
    say(f"heard after {time.monotonic() - began:.0f} s")
    say(f"{len(ids)} messages, {made} cuts, {killed} kills, {listeners} listeners")
    for client in clients:
        client.close()
    wrong = [_judged(one.ids, ids) for one in heard if one.ids != ids]
    assert not wrong, wrong
    assert len(ids) == messages // 10 + share * posters


def _judged(seen: list[str], ids: list[str]) -> str:
    twice = len(seen) - len(set(seen))
    lost = len(set(ids) - set(seen))
    return f"lost {lost}, twice {twice}, in order: {seen == sorted(seen)}"


def main() -> None:
    """Run it with servers of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", action="store_true", help="two servers on a Redis")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--listeners", type=int, default=50)
    parser.add_argument("--posters", type=int, default=8)
    parser.add_argument("--cuts", type=float, default=5.0, help="a second")
    parser.add_argument("--kills", type=float, default=5.0, help="seconds between two")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        uris = [f"sqlite:///{home}/zaqar.db"]
        if args.redis:
            redis = RedisServer(Path(home, "redis"), "--appendonly", "yes")
            redis.start()
            stack.callback(redis.kill)
            uris = [redis.uri] * 2
        servers = [_Process(Path(home), uri) for uri in uris]
        for server in servers:
            server.start()
            stack.callback(server.kill)
        run(
            servers,
            messages=args.messages,
            listeners=args.listeners,
            posters=args.posters,
            cuts=args.cuts,
            kills=args.kills,
            say=print,
        )


if __name__ == "__main__":
    main()

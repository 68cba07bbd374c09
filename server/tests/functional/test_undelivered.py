"""What is done for a peer that gets no answer is taken back, and nothing else is."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest
import uvloop
from zaqarserver.common.budget import Budget
from zaqarserver.http.answers import Answer
from zaqarserver.http.connection import HttpConnection
from zaqarserver.http.service import Service

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SECONDS = 20.0


class Bench:
    """A server whose answers wait until a test lets them go."""

    def __init__(self, size: int) -> None:
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.answered = asyncio.Event()
        self.taken_back = asyncio.Event()
        self.was_gone = False
        self._body = b"x" * size
        self.service = Service(
            self,
            lambda: None,
            Budget(),
            request_timeout=SECONDS,
            keep_alive=SECONDS,
            max_connections=9,
        )

    async def respond(self, request):
        self.began.set()
        await self.go_on.wait()
        self.was_gone = request.is_gone
        request.undo = self._undo
        asyncio.get_running_loop().call_soon(self.answered.set)
        return Answer(201, {"content-length": str(len(self._body))}, self._body)

    async def _undo(self):
        self.taken_back.set()


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def half_close(peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)


async def read_all(peer: socket.socket, size: int) -> int:
    loop = asyncio.get_running_loop()
    received = 0
    while received < size and (part := await loop.sock_recv(peer, 65536)):
        received += len(part)
    return received


async def try_it(
    leave: Callable[[socket.socket], None], *, size: int, late: bool, reads: bool
) -> tuple[bool, bool]:
    """Return whether it was taken back, and whether the peer was known to be gone."""
    loop = asyncio.get_running_loop()
    bench = Bench(size)
    server = await loop.create_server(
        lambda: HttpConnection(bench.service), "127.0.0.1", 0
    )
    peer = socket.create_connection(server.sockets[0].getsockname())
    peer.setblocking(False)
    await loop.sock_sendall(peer, REQUEST)
    await bench.began.wait()
    if late:
        bench.go_on.set()
        await bench.answered.wait()
    leave(peer)
    bench.go_on.set()
    await bench.answered.wait()
    if reads:
        assert await read_all(peer, size) >= size
    else:
        await asyncio.wait_for(bench.taken_back.wait(), SECONDS)
    peer.close()
    while bench.service.connections:
        bench.service.expire(loop.time())
        await asyncio.sleep(0.01)  # until the last one is gone
    server.close()
    return bench.taken_back.is_set(), bench.was_gone


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def run(request):
    """Run a coroutine on each kind of loop."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_a_peer_that_resets_before_its_answer_is_known_to_be_gone(run, size):
    assert run(try_it(reset, size=size, late=False, reads=False)) == (True, True)


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_a_peer_that_closes_before_its_answer_did_not_get_it(run, size):
    taken_back, _ = run(try_it(socket.socket.close, size=size, late=False, reads=False))
    assert taken_back


def test_a_peer_that_resets_in_the_middle_of_its_answer_did_not_get_it(run):
    taken_back, _ = run(try_it(reset, size=20_000_000, late=True, reads=False))
    assert taken_back


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("size", [10, 20_000_000])
def test_a_half_closed_peer_that_reads_gets_its_answer(run, size, late):
    found = run(try_it(half_close, size=size, late=late, reads=True))
    assert found == (False, False)


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_a_peer_that_reads_gets_its_answer(run, size):
    found = run(try_it(lambda _peer: None, size=size, late=True, reads=True))
    assert found == (False, False)

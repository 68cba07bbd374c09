"""Posts as they are told to those who listen through a connection.

The script that stores a post publishes it, to all servers, its own included: so all
of them hear posts in the order in which they were stored. A post waits until its
server has heard of it, unless the channel is down: then it tells its own listeners
directly, and those of other servers miss it. Such listeners are told at most once in
any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from zaqarserver.errors import Unavailable
from zaqarserver.storage.base import NewMessage
from zaqarserver.storage.redis.keys import QueueKeys
from zaqarserver.storage.redis.link import Link
from zaqarserver.storage.redis.wire import Unanswered, Unsent, Wire
from zaqarserver.storage.subscriptions import Noticed, Posted

LOG = logging.getLogger(__name__)

_ECHO_SECONDS = 1.0  # how long a post waits to be heard
_PING_SECONDS = 2.0
_WAITS = (0.05, 2.0)  # seconds between attempts to connect

_LENGTH = struct.Struct(">I")
_decode_header = msgspec.msgpack.Decoder(list[tuple[str, int, int, float, int]]).decode
_decode_news = msgspec.msgpack.Decoder(tuple[str, int, str, str]).decode
_decode_ids = msgspec.msgpack.Decoder(list[str]).decode
_encode = msgspec.msgpack.Encoder().encode


def read_notice(frame: bytes) -> list[Noticed]:
    """Read the messages of a post as ``lua/listeners.lua`` has put them together."""
    header, at = _part(frame, _LENGTH.size)
    messages = []
    for id_, ttl, delay, expires, size in _decode_header(header):
        messages.append(Noticed(id_, frame[at : at + size], ttl, delay, expires))
        at += size
    return messages


def make_notice(messages: Sequence[Noticed]) -> bytes:
    """Put messages of a post together as ``lua/notices.lua`` does."""
    header = _encode(
        [(one.id, one.ttl, one.delay, one.expires, len(one.body)) for one in messages]
    )
    parts = [_LENGTH.pack(len(messages)), _LENGTH.pack(len(header)), header]
    return b"".join([*parts, *(one.body for one in messages)])


def _part(frame: bytes, at: int) -> tuple[bytes, int]:
    """Return what has its length in front of it, and where it ends."""
    (length,) = _LENGTH.unpack_from(frame, at)
    begin = at + _LENGTH.size
    return frame[begin : begin + length], begin + length


class News:
    """A post that may be told.

    Attributes:
        packed: What it is published with.
    """

    def __init__(self, channel: Channel, number: int, keys: QueueKeys) -> None:
        self._channel = channel
        self._number = number
        self._keys = keys
        self.packed = _encode((channel.uid, number, keys.project, keys.queue))

    async def told(
        self,
        messages: Sequence[NewMessage],
        ids: Sequence[str],
        volatile: Sequence[bytes],
        now: float,
    ) -> None:
        """Wait until it was heard; tell it directly if it cannot be."""
        if await self._channel.echo(self._number):
            return
        noticed = [
            Noticed(id_, new.body, new.ttl, new.delay, now + new.ttl)
            for id_, new in zip(ids, messages, strict=True)
        ]
        to = [one.decode() for one in volatile]
        posted = Posted(self._keys.project, self._keys.queue, noticed, to)
        self._channel.tell(self._number, posted)


class Channel:
    """Listens to the posts of all servers.

    Args:
        link: The servers of the store.
        name: The channel.
        uid: Names this server.
        posted: Is told of each post.
    """

    def __init__(
        self, link: Link, name: str, uid: str, posted: Callable[[Posted], None]
    ) -> None:
        self.uid = uid
        self._link = link
        self._name = name
        self._posted = posted
        self._number = 0
        self._wire: Wire | None = None
        self._task: asyncio.Task[None] | None = None
        self._heard: set[int] = set()
        self._waiting: dict[int, asyncio.Future[None]] = {}

    async def open(self) -> None:
        """Listen from now on."""
        await self._connect()
        self._task = asyncio.create_task(self._stay_connected())

    async def close(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _connect(self) -> None:
        """Connect.

        Raises:
            Unavailable: It is not possible now.
        """
        try:
            address, *_ = await self._link.topology.masters()
            wire = await self._link.topology.listen(address, self._hear)
            await wire.ask("SUBSCRIBE", self._name)
        except (Unsent, Unanswered) as error:
            raise Unavailable(f"the store cannot be listened to: {error}") from error
        self._wire = wire

    async def _stay_connected(self) -> None:
        wait = 0.0
        while True:
            await asyncio.sleep(wait)
            try:
                if self._wire is None:
                    await self._connect()
                    LOG.info("posts of other servers are heard again")
                await self._listen()
            except (Unavailable, Unsent, Unanswered) as error:
                if wait == 0.0:
                    LOG.warning("posts of other servers are not heard: %s", error)
                self._hang_up()
                wait = min(max(_WAITS[0], 2 * wait), _WAITS[1])
            else:
                wait = 0.0

    async def _listen(self) -> None:
        """Wait for the connection to end, or make sure that it lives."""
        if self._wire is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PING_SECONDS):
                await self._wire.ended.wait()
        await self._wire.ask("PING")

    # -- hearing ------------------------------------------------------------

    def news(self, keys: QueueKeys) -> News:
        """Return what a post is to be published with."""
        self._number += 1
        return News(self, self._number, keys)

    def _hear(self, frame: bytes) -> None:
        news, at = _part(frame, 0)
        uid, number, project, source = _decode_news(news)
        if uid == self.uid and not self._expected(number):
            return
        volatile, at = _part(frame, at)
        messages = read_notice(frame[at:])
        self._posted(Posted(project, source, messages, _decode_ids(volatile)))

    def _expected(self, number: int) -> bool:
        """Note that an own post came back; False if it was told already."""
        waiting = self._waiting.get(number)
        if waiting is not None:
            waiting.set_result(None)
            return True
        if number in self._heard:
            self._heard.discard(number)
            return False
        self._heard.add(number)
        return True

    async def echo(self, number: int) -> bool:
        """Wait until an own post was heard; False if that takes too long."""
        if number in self._heard:
            self._heard.discard(number)
            return True
        if self._wire is None or self._wire.closed:
            return False
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ECHO_SECONDS):
                await future
        del self._waiting[number]
        return future.done() and not future.cancelled()

    def tell(self, number: int, posted: Posted) -> None:
        """Tell an own post that was not heard, and not again when it is."""
        self._heard.add(number)
        self._posted(posted)

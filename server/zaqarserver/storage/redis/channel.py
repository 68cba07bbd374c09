"""Posts as they are told to those who listen through a connection.

The script that stores a post publishes it, to all servers, its own included: so all
of them hear posts in the order in which they were stored. A post waits until its
server has heard of it, unless the channel is deaf: then it tells its own listeners
directly, and those of other servers miss it. Such listeners are told at most once in
any case.

That a connection lives does not say that it hears: a node that left the cluster, or a
master that was replaced, is told nothing any more. So each server has every master
publish a beat each second. What does not come back proves that the channel is deaf,
and it listens at another node; until all is heard again no post waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable, Sequence

import hiredis
import msgspec

from zaqarserver.errors import Unavailable
from zaqarserver.storage.base import NewMessage
from zaqarserver.storage.redis.keys import QueueKeys
from zaqarserver.storage.redis.link import Link
from zaqarserver.storage.redis.location import Address
from zaqarserver.storage.redis.wire import Unanswered, Unsent, Wire
from zaqarserver.storage.subscriptions import Noticed, Posted

LOG = logging.getLogger(__name__)

#: Seconds that a post waits to be heard.
ECHO_SECONDS = 0.5

#: Seconds between two beats, which is also how long one may be on its way.
BEAT_SECONDS = 1.0

#: Beats missed in a row after which another node is listened at: one may be late where
#: a server or this one was held up.
MISSES = 2

_BEAT = b"\0\0\0\0"  # in place of the news of a post

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
        self._names = (name, f"{name}:{uid}")  # the second one for beats
        self._posted = posted
        self._number = 0
        self._wire: Wire | None = None
        self._attempts = 0
        self._hears = False
        self._missed = 0
        self._warned = False
        self._beats: asyncio.Queue[int] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._heard: set[int] = set()
        self._waiting: dict[int, asyncio.Future[bool]] = {}

    async def open(self) -> None:
        """Listen from now on, or as soon as it is possible."""
        await self._step()
        self._task = asyncio.create_task(self._go_on())

    async def close(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._hang_up()

    # -- staying connected --------------------------------------------------

    async def _go_on(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._end()
            await self._step()

    async def _end(self) -> None:
        """Wait for the end of the connection; for ever if there is none."""
        if self._wire is None:
            await asyncio.Event().wait()
        else:
            await self._wire.ended.wait()

    async def _step(self) -> None:
        """Connect if need be, and prove that all posts are heard."""
        if self._wire is not None and self._wire.closed:
            self._lose("the connection has ended")
        try:
            masters = await self._link.topology.masters()
            if self._wire is None:
                # Another one each time: the last one may hear nothing.
                await self._listen(masters[self._attempts % len(masters)])
            await self._prove(masters)
        except TimeoutError:
            self._be_deaf()
            self._missed += 1
            if self._missed >= MISSES:
                self._lose("a master published what did not arrive")
        except (Unsent, Unanswered, Unavailable) as error:
            self._lose(str(error))

    def _lose(self, why: str) -> None:
        if not self._warned:
            LOG.warning("posts of other servers are not heard: %s", why)
        self._warned = True
        self._attempts += 1
        self._missed = 0
        self._hang_up()

    def _hang_up(self) -> None:
        self._be_deaf()
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _be_deaf(self) -> None:
        """Let no post wait to be heard until it is proved that it can be."""
        self._hears = False
        for future in self._waiting.values():
            if not future.done():
                future.set_result(False)

    async def _listen(self, node: Address) -> None:
        self._heard.clear()  # what was published before is not heard any more
        try:
            async with asyncio.timeout(BEAT_SECONDS):
                wire = await self._link.topology.listen(node, self._hear)
                self._wire = wire  # from now on it is closed when something fails
                answers = [await wire.ask("SUBSCRIBE", name) for name in self._names]
        except TimeoutError:
            raise Unsent(f"{node} does not answer") from None
        for answer in answers:
            if isinstance(answer, hiredis.ReplyError):
                raise Unsent(f"{node} does not let us listen: {answer}")

    async def _prove(self, masters: Sequence[Address]) -> None:
        """Let each master publish a beat and wait for those that do.

        Raises:
            TimeoutError: One was not heard.
        """
        self._number += 1
        number, name = self._number, self._names[1]
        answers = await self._link.ask_each(
            masters,
            lambda wire: wire.ask("PUBLISH", name, _BEAT + b"%d" % number),
            BEAT_SECONDS,
        )
        missing = sum(isinstance(answer, int) for answer in answers.values())
        if not missing:
            self._be_deaf()  # as far as anybody knows
            return
        async with asyncio.timeout(BEAT_SECONDS):
            while missing:
                missing -= await self._beats.get() == number
        if self._warned:
            LOG.info("posts of other servers are heard again")
        self._hears, self._missed, self._warned = True, 0, False

    # -- hearing ------------------------------------------------------------

    def news(self, keys: QueueKeys) -> News:
        """Return what a post is to be published with."""
        self._number += 1
        return News(self, self._number, keys)

    def _hear(self, frame: bytes) -> None:
        if frame.startswith(_BEAT):
            self._beats.put_nowait(int(frame[len(_BEAT) :]))
            return
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
        if waiting is not None and not waiting.done():
            waiting.set_result(True)
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
        if not self._hears:
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(ECHO_SECONDS):
                return await future
        except TimeoutError:
            self._be_deaf()
            return False
        finally:
            del self._waiting[number]

    def tell(self, number: int, posted: Posted) -> None:
        """Tell an own post that was not heard, and not again when it is."""
        self._heard.add(number)
        self._posted(posted)

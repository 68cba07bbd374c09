"""The channel that brings posts to the connections that listen to a queue.

The script that stores a post publishes it to all servers, including the one that posted
it. So all of them receive posts in the order in which they are stored. A post waits
until its server has received it (its *echo*), unless the channel is known to be broken:
then the server pushes it to its own connections directly, and those of other servers
miss it. Pushes are at most once in any case.

A connection to Redis may be open and yet receive nothing: a node that left the cluster,
or a master that was replaced, does not get posts any more. So each server makes every
master publish a beat each second. If a beat does not arrive, the channel is broken, and
the server listens at another node. Posts do not wait until the beats of all masters
arrive again.
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
from zaqarserver.storage.redis.client import RedisClient
from zaqarserver.storage.redis.connection import RedisConnection, Unanswered, Unsent
from zaqarserver.storage.redis.location import Address
from zaqarserver.storage.redis.names import QueueKeys
from zaqarserver.storage.subscriptions import NoticeMessage, Post

LOG = logging.getLogger(__name__)

#: Seconds that a post waits for its echo.
ECHO_SECONDS = 0.5

#: Seconds between two beats, which is also how long one may be on its way.
BEAT_SECONDS = 1.0

#: Beats missed in a row after which the server listens at another node: one may be late
#: if a server was delayed.
MISSES = 2

_BEAT = b"\0\0\0\0"  # in place of the head of a post

_FREE = b"\0\0\0\1"  # likewise

_LENGTH = struct.Struct(">I")
_decode_header = msgspec.msgpack.Decoder(list[tuple[str, int, int, float, int]]).decode
_decode_head = msgspec.msgpack.Decoder(tuple[str, int, str, str]).decode
_decode_free = msgspec.msgpack.Decoder(tuple[str, str]).decode
_decode_ids = msgspec.msgpack.Decoder(list[str]).decode
_encode = msgspec.msgpack.Encoder().encode


def free_frame(keys: QueueKeys) -> bytes:
    """Return what is published when messages of a queue become free."""
    return _FREE + _encode((keys.space, keys.queue))


def read_notice(frame: bytes) -> list[NoticeMessage]:
    """Read the messages of a post from the notice that ``lua/notices.lua`` made."""
    return _read_notice(frame)[0]


def _read_notice(frame: bytes) -> tuple[list[NoticeMessage], int]:
    """Return the messages of a post, and the position after them."""
    header, at = _part(frame, _LENGTH.size)
    messages = []
    for id_, ttl, delay, expires, size in _decode_header(header):
        messages.append(NoticeMessage(id_, frame[at : at + size], ttl, delay, expires))
        at += size
    return messages, at


def make_notice(messages: Sequence[NoticeMessage]) -> bytes:
    """Make a notice of the messages of a post, as ``lua/notices.lua`` does."""
    header = _encode(
        [(one.id, one.ttl, one.delay, one.expires, len(one.body)) for one in messages]
    )
    parts = [_LENGTH.pack(len(messages)), _LENGTH.pack(len(header)), header]
    return b"".join([*parts, *(one.body for one in messages)])


def _part(frame: bytes, at: int) -> tuple[bytes, int]:
    """Return a part that begins with its length, and the position of its end."""
    (length,) = _LENGTH.unpack_from(frame, at)
    begin = at + _LENGTH.size
    return frame[begin : begin + length], begin + length


class Channel:
    """Receives the posts of all servers.

    Args:
        client: The servers of the store.
        name: The channel.
        uid: Names this server.
        on_post: Called with each post.
        on_gap: Called when posts are received again.
        on_free: Called with space and queue when messages became free.
    """

    def __init__(
        self,
        client: RedisClient,
        name: str,
        uid: str,
        on_post: Callable[[Post], None],
        on_gap: Callable[[], None],
        on_free: Callable[[str, str], None],
    ) -> None:
        self.uid = uid
        self._client = client
        self._names = (name, f"{name}:{uid}")  # the second one for beats
        self._on_post = on_post
        self._on_gap = on_gap
        self._on_free = on_free
        self._number = 0
        self._connection: RedisConnection | None = None
        self._attempts = 0
        self._works = False
        self._missed = 0
        self._warned = False
        self._beats: asyncio.Queue[int] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._received: set[int] = set()
        self._waiting: dict[int, asyncio.Future[bool]] = {}

    async def open(self) -> None:
        """Start listening now, or as soon as a node can be reached."""
        await self._step()
        self._task = asyncio.create_task(self._keep_listening())

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._disconnect()

    # -- staying connected --------------------------------------------------

    async def _keep_listening(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._end()
            await self._step()

    async def _end(self) -> None:
        """Wait for the end of the connection; for ever without a connection."""
        if self._connection is None:
            await asyncio.Event().wait()
        else:
            await self._connection.ended.wait()

    async def _step(self) -> None:
        """Connect if needed, and prove that all posts are received."""
        if self._connection is not None and self._connection.closed:
            self._lose("the connection has ended")
        try:
            masters = await self._client.topology.masters()
            if self._connection is None:
                # Another node each time: the last one may not get posts.
                await self._listen(masters[self._attempts % len(masters)])
            await self._prove(masters)
        except TimeoutError:
            self._break()
            self._missed += 1
            if self._missed >= MISSES:
                self._lose("a master published what did not arrive")
        except (Unsent, Unanswered, Unavailable) as error:
            self._lose(str(error))

    def _lose(self, why: str) -> None:
        if not self._warned:
            LOG.warning("posts of other servers are not received: %s", why)
        self._warned = True
        self._attempts += 1
        self._missed = 0
        self._disconnect()

    def _disconnect(self) -> None:
        self._break()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _break(self) -> None:
        """End the wait for echoes, until it is proved that posts are received."""
        self._works = False
        for future in self._waiting.values():
            if not future.done():
                future.set_result(False)

    async def _listen(self, node: Address) -> None:
        self._received.clear()  # what was published before does not come any more
        try:
            async with asyncio.timeout(BEAT_SECONDS):
                made = await self._client.topology.listen(node, self._receive)
                self._connection = made  # from now on it is closed when something fails
                answers = [await made.ask("SUBSCRIBE", name) for name in self._names]
        except TimeoutError:
            raise Unsent(f"{node} does not answer") from None
        for answer in answers:
            if isinstance(answer, hiredis.ReplyError):
                raise Unsent(f"{node} refuses SUBSCRIBE: {answer}")

    async def _prove(self, masters: Sequence[Address]) -> None:
        """Have each master publish a beat, and wait for those of all that answer.

        Raises:
            TimeoutError: A beat did not arrive.
        """
        self._number += 1
        number, name = self._number, self._names[1]
        answers = await self._client.ask_each(
            masters,
            lambda connection: connection.ask("PUBLISH", name, _BEAT + b"%d" % number),
            BEAT_SECONDS,
        )
        missing = sum(isinstance(answer, int) for answer in answers.values())
        if not missing:
            self._break()  # without a master there is no proof
            return
        async with asyncio.timeout(BEAT_SECONDS):
            while missing:
                missing -= await self._beats.get() == number
        if self._warned:
            LOG.info("posts of other servers are received again")
        had_worked = self._works
        self._works, self._missed, self._warned = True, 0, False
        if not had_worked:
            self._on_gap()

    # -- receiving ----------------------------------------------------------

    def announce(self, keys: QueueKeys) -> tuple[int, bytes]:
        """Return the number of a new post to a queue, and the head to publish."""
        self._number += 1
        head = _encode((self.uid, self._number, keys.space, keys.queue))
        return self._number, head

    def _receive(self, frame: bytes) -> None:
        if frame.startswith(_BEAT):
            self._beats.put_nowait(int(frame[len(_BEAT) :]))
            return
        if frame.startswith(_FREE):
            self._on_free(*_decode_free(frame[len(_FREE) :]))
            return
        head, at = _part(frame, 0)
        uid, number, space, queue = _decode_head(head)
        if uid == self.uid and not self._expected(number):
            return
        volatile, at = _part(frame, at)
        notice = frame[at:]
        messages, at = _read_notice(notice)
        # Servers of earlier releases publish nothing after the messages.
        after = notice[at:].decode()
        self._on_post(Post(space, queue, messages, _decode_ids(volatile), after))

    def _expected(self, number: int) -> bool:
        """Take the echo of an own post; return False if it was delivered already."""
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(True)
            return True
        if number in self._received:
            self._received.discard(number)
            return False
        self._received.add(number)
        return True

    async def echo(self, number: int) -> bool:
        """Wait for the echo of an own post; return False if that takes too long."""
        if number in self._received:
            self._received.discard(number)
            return True
        if not self._works:
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(ECHO_SECONDS):
                return await future
        except TimeoutError:
            self._break()
            return False
        finally:
            del self._waiting[number]

    def deliver(self, number: int, post: Post) -> None:
        """Deliver an own post on this server, and ignore its late echo."""
        self._received.add(number)
        self._on_post(post)

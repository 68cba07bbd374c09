"""Pushes to open WebSocket connections (``websocket-v2`` section 8).

Pushes are not stored: a connection receives what is posted while it is open; what
was posted before, only if it asked for it (:mod:`zaqarserver.notify.cursors`). After
each commit the store calls :meth:`Hub.on_post` with the messages and the ids of the
volatile subscriptions; the hub maps each id to its connection.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from zaqarserver.common.tasks import SLICE_SECONDS, Turns
from zaqarserver.notify import payload
from zaqarserver.notify.cursors import BacklogReader, PushCursor
from zaqarserver.notify.dispatch import log_defect
from zaqarserver.notify.readable import ReadableMessage
from zaqarserver.spaces import project_of
from zaqarserver.storage.subscriptions import NoticeMessage, Post, Subscription
from zaqarserver.subscribers.filters import Filter, compile_filter

if TYPE_CHECKING:
    from zaqarserver.websocket.connection import WebSocketConnection

#: Bytes of posts of one project that may wait to be pushed; bytes that a message
#: counts in addition to its body.
MOST_BEHIND: Final = 16 * 1024 * 1024
_OVERHEAD = 256
#: Filters evaluated, or connections pushed to, between two checks of the clock.
_AT_ONCE = 50
_OVER = object()


class _PushTarget(msgspec.Struct, frozen=True):
    connection: WebSocketConnection
    subscription: Subscription
    until: float
    cursor: PushCursor | None = None


class _PostQueue:
    """The posts of one project that were not pushed yet, in the order of commits."""

    __slots__ = ("bytes", "posts")

    def __init__(self) -> None:
        self.posts: deque[tuple[int, Iterator[None]]] = deque()
        self.bytes = 0

    def add(self, size: int, steps: Iterator[None]) -> None:
        """Append a post."""
        self.posts.append((size, steps))
        self.bytes += size

    def step(self) -> bool:
        """Push a part of the first post; return True if anything is left."""
        size, steps = self.posts[0]
        if next(steps, _OVER) is _OVER:
            self.posts.popleft()
            self.bytes -= size
        return bool(self.posts)


class Hub:
    """Maps push subscriptions to connections, and pushes posts to them.

    A post is pushed at once if that takes no longer than a time slice; the rest of it,
    and later posts of the same project, follow in slices, in the order of commits. If
    too many bytes wait, the connections that a post is for are closed: a connection
    must not stay open and miss a message.

    Args:
        readable: Returns a stored body as posted, by project, queue and body.
        turns: Slices long work.
        reader: Reads the store, for pushes of what was posted before.
    """

    def __init__(
        self,
        readable: Callable[[str, str, bytes], bytes] = lambda _p, _s, body: body,
        turns: Turns | None = None,
        reader: BacklogReader | None = None,
    ) -> None:
        self._readable = readable
        self._reader = reader
        self._turns = turns or Turns()
        self._targets: dict[str, _PushTarget] = {}
        self._queues: dict[str, _PostQueue] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(
        self,
        subscription: Subscription,
        connection: WebSocketConnection,
        after: str | None = None,
    ) -> None:
        """Push the posts of a subscription to a connection from now on.

        Args:
            subscription: The subscription.
            connection: The connection.
            after: Push the messages behind this id first, and each with its id.
        """
        cursor = None
        if after is not None and self._reader is not None:
            cursor = PushCursor(
                connection, subscription, after, self._reader, self._known
            )
        self._aim(connection, subscription, cursor)

    def _aim(
        self,
        connection: WebSocketConnection,
        subscription: Subscription,
        cursor: PushCursor | None,
    ) -> None:
        until = time.monotonic() + subscription.ttl
        target = _PushTarget(connection, subscription, until, cursor)
        self._targets[subscription.id] = target

    def remove(self, subscription: Subscription) -> None:
        """Stop pushing for a subscription."""
        target = self._targets.pop(subscription.id, None)
        if target is not None and target.cursor is not None:
            target.cursor.stop()

    def read_again(self) -> None:
        """Read the store for all cursors: posts of other servers were missed."""
        for cursor in self._cursors(self._targets):
            cursor.read_again()

    def _cursors(self, ids: Iterable[str]) -> list[PushCursor]:
        found = [self._targets.get(id_) for id_ in ids]
        return [one.cursor for one in found if one is not None and one.cursor]

    def forget(self, space: str, queue: str, subscription_id: str) -> None:
        """Stop pushing for a subscription of this queue that was deleted."""
        target = self._targets.get(subscription_id)
        if target is not None:
            subscription = target.subscription
            if (subscription.space, subscription.queue) == (space, queue):
                self.remove(subscription)
                target.connection.forget(subscription)

    def is_over(self, subscription: Subscription) -> bool:
        """Return True if a subscription is removed or its ttl has passed."""
        target = self._targets.get(subscription.id)
        return target is None or target.until < time.monotonic()

    def change(self, subscription: Subscription) -> None:
        """Apply changed options; stop pushing if the subscriber is another one."""
        target = self._targets.get(subscription.id)
        if target is None:
            return
        if subscription.subscriber == target.subscription.subscriber:
            self._aim(target.connection, subscription, target.cursor)
            if target.cursor is not None:
                target.cursor.subscription = subscription
        else:
            self.remove(subscription)
            target.connection.forget(subscription)

    def __len__(self) -> int:
        return len(self._targets)

    def on_post(self, post: Post) -> None:
        """Push a post to its connections; called after its commit."""
        ids = [id_ for id_ in post.subscriptions if id_ in self._targets]
        if not ids:
            return
        size = sum(len(message.body) + _OVERHEAD for message in post.messages)
        project = project_of(post.space)
        queue = self._queues.get(project)
        if queue is None:
            queue = _PostQueue()
            queue.add(size, self._push(post, ids))
            end = time.monotonic() + SLICE_SECONDS
            while queue.step():
                if time.monotonic() > end:
                    self._queues[project] = queue
                    self._keep(asyncio.create_task(self._catch_up(project, queue)))
                    break
        elif queue.bytes + size <= MOST_BEHIND:
            queue.add(size, self._push(post, ids))
        else:
            for id_ in ids:
                self._targets[id_].connection.close_slow()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _catch_up(self, project: str, queue: _PostQueue) -> None:
        await self._turns.pause()
        while queue.step():
            await self._turns.pause()
        del self._queues[project]

    def _push(self, post: Post, ids: Sequence[str]) -> Iterator[None]:
        """Push a post, yielding between short steps."""
        project = project_of(post.space)
        groups = self._by_filter(ids)
        for cursor in self._cursors(ids):
            cursor.begin(post)
        for message in post.messages:
            yield
            try:
                body = self._readable(project, post.queue, message.body)
                known = ReadableMessage(post.queue, message, body)
                yield from self._push_message(known, groups)
            # Stages may be third-party code; other messages must still be pushed.
            except Exception as error:  # noqa: BLE001
                log_defect(f"a push of {post.queue}", error)
        for cursor in self._cursors(ids):
            cursor.end(post)

    def _known(
        self, subscription: Subscription, message: NoticeMessage
    ) -> ReadableMessage:
        project, queue = project_of(subscription.space), subscription.queue
        body = self._readable(project, queue, message.body)
        return ReadableMessage(queue, message, body)

    def _by_filter(self, ids: Sequence[str]) -> list[tuple[Filter | None, list[str]]]:
        """Group subscriptions by filter, to evaluate each filter once a message."""
        groups: dict[bytes, tuple[Filter | None, list[str]]] = {}
        for id_ in ids:
            if id_ not in self._targets:
                continue  # it ended while the post waited
            raw = self._targets[id_].subscription.options.get("filter")
            key = msgspec.json.encode(raw)
            if key not in groups:
                groups[key] = (None if raw is None else compile_filter(raw), [])
            groups[key][1].append(id_)
        return list(groups.values())

    def _push_message(
        self, known: ReadableMessage, groups: Sequence[tuple[Filter | None, list[str]]]
    ) -> Iterator[None]:
        for step, (wanted, ids) in enumerate(groups, 1):
            if step % _AT_ONCE == 0:
                yield
            if wanted is not None and not wanted.selects(known.document):
                continue
            for number, id_ in enumerate(ids, 1):
                target = self._targets.get(id_)
                if target is not None and target.cursor is not None:
                    target.cursor.take(known)
                elif target is not None:
                    target.connection.push(_content(target.subscription, known))
                if number % _AT_ONCE == 0:
                    yield


def _content(subscription: Subscription, known: ReadableMessage) -> bytes:
    return payload.substituted(known.content, subscription.options.get("post_data"))

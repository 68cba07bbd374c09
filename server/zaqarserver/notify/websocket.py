"""Pushes to open WebSockets (``websocket-v2`` section 8).

Nothing is stored for them: a push goes to a connection that is open when the
post is committed, and it is gone with the connection. The store says which
subscriptions a post is for; the hub knows which connection each belongs to.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from zaqarserver.common.tasks import SLICE_SECONDS, Turns
from zaqarserver.notify import payload
from zaqarserver.notify.dispatch import log_defect
from zaqarserver.notify.known import Known
from zaqarserver.spaces import project_of
from zaqarserver.storage.subscriptions import Posted, Subscription
from zaqarserver.subscribers.filters import Filter, compile_filter

#: Bytes of posts of one project that may wait to be pushed, and what a message
#: counts beside its body.
MOST_BEHIND: Final = 16 * 1024 * 1024
_OVERHEAD = 256
#: Filters asked, or connections pushed to, between two looks at the clock.
_AT_ONCE = 50
_OVER = object()


class Socket(Protocol):
    """A connection that takes pushes."""

    def push(self, text: bytes) -> None:
        """Send a payload without waiting, in the connection's own encoding."""

    def forget(self, subscription: Subscription) -> None:
        """Leave a subscription alone when the connection ends."""

    def fall_behind(self) -> None:
        """Close the connection, since it misses a push."""


class _Listener(msgspec.Struct, frozen=True):
    socket: Socket
    subscription: Subscription
    until: float


class _Line:
    """The posts of one project that were not pushed yet, in the order of commits."""

    __slots__ = ("bytes", "posts")

    def __init__(self) -> None:
        self.posts: deque[tuple[int, Iterator[None]]] = deque()
        self.bytes = 0

    def add(self, size: int, steps: Iterator[None]) -> None:
        """Put a post at the end."""
        self.posts.append((size, steps))
        self.bytes += size

    def step(self) -> bool:
        """Push a little of the first post; return whether anything is left."""
        size, steps = self.posts[0]
        if next(steps, _OVER) is _OVER:
            self.posts.popleft()
            self.bytes -= size
        return bool(self.posts)


class Hub:
    """Knows which connection each push subscription belongs to.

    A post is pushed at once if that takes no longer than a slice of time; the rest of
    it, and what is posted meanwhile in the same project, follows in slices. If too much
    waits, the listeners of what is posted are closed: they may not miss something and
    stay open.

    Args:
        readable: Gives a stored body as it was posted.
        turns: Slices what takes long.
    """

    def __init__(
        self,
        readable: Callable[[str, str, bytes], bytes] = lambda _p, _s, body: body,
        turns: Turns | None = None,
    ) -> None:
        self._readable = readable
        self._turns = turns or Turns()
        self._listeners: dict[str, _Listener] = {}
        self._lines: dict[str, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, subscription: Subscription, socket: Socket) -> None:
        """Send what is posted for a subscription to a connection from now on."""
        until = time.monotonic() + subscription.ttl
        self._listeners[subscription.id] = _Listener(socket, subscription, until)

    def remove(self, subscription: Subscription) -> None:
        """Stop sending."""
        self._listeners.pop(subscription.id, None)

    def forget(self, project: str, source: str, subscription_id: str) -> None:
        """Follow that a subscription was deleted, if it is this queue's."""
        listener = self._listeners.get(subscription_id)
        if listener is not None:
            subscription = listener.subscription
            if (subscription.project, subscription.source) == (project, source):
                self.remove(subscription)
                listener.socket.forget(subscription)

    def is_over(self, subscription: Subscription) -> bool:
        """Whether a subscription is gone, or its time is over by our own count."""
        listener = self._listeners.get(subscription.id)
        return listener is None or listener.until < time.monotonic()

    def change(self, subscription: Subscription) -> None:
        """Follow new options; with another subscriber it is no push any more."""
        listener = self._listeners.get(subscription.id)
        if listener is None:
            return
        if subscription.subscriber == listener.subscription.subscriber:
            self.add(subscription, listener.socket)
        else:
            self.remove(subscription)
            listener.socket.forget(subscription)

    def __len__(self) -> int:
        return len(self._listeners)

    def posted(self, post: Posted) -> None:
        """Push a post to those who listen; called after its commit."""
        ids = [id_ for id_ in post.subscriptions if id_ in self._listeners]
        if not ids:
            return
        size = sum(len(message.body) + _OVERHEAD for message in post.messages)
        project = project_of(post.project)
        line = self._lines.get(project)
        if line is None:
            line = _Line()
            line.add(size, self._push(post, ids))
            end = time.monotonic() + SLICE_SECONDS
            while line.step():
                if time.monotonic() > end:
                    self._lines[project] = line
                    self._keep(asyncio.create_task(self._catch_up(project, line)))
                    break
        elif line.bytes + size <= MOST_BEHIND:
            line.add(size, self._push(post, ids))
        else:
            for id_ in ids:
                self._listeners[id_].socket.fall_behind()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _catch_up(self, project: str, line: _Line) -> None:
        await self._turns.pause()
        while line.step():
            await self._turns.pause()
        del self._lines[project]

    def _push(self, post: Posted, ids: Sequence[str]) -> Iterator[None]:
        """Push a post, yielding between steps of a moment."""
        project = project_of(post.project)
        groups = self._by_filter(ids)
        for message in post.messages:
            yield
            try:
                body = self._readable(project, post.source, message.body)
                known = Known(post.source, message, body)
                yield from self._push_message(known, groups)
            # Stages are anybody's code; the others must get theirs.
            except Exception as error:  # noqa: BLE001
                log_defect(f"a push of {post.source}", error)

    def _by_filter(self, ids: Sequence[str]) -> list[tuple[Filter | None, list[str]]]:
        """Put listeners with the same filter together: it is asked once a message."""
        groups: dict[bytes, tuple[Filter | None, list[str]]] = {}
        for id_ in ids:
            raw = self._listeners[id_].subscription.options.get("filter")
            key = msgspec.json.encode(raw)
            if key not in groups:
                groups[key] = (None if raw is None else compile_filter(raw), [])
            groups[key][1].append(id_)
        return list(groups.values())

    def _push_message(
        self, known: Known, groups: Sequence[tuple[Filter | None, list[str]]]
    ) -> Iterator[None]:
        for step, (wanted, ids) in enumerate(groups, 1):
            if step % _AT_ONCE == 0:
                yield
            if wanted is not None and not wanted.admits(known.document):
                continue
            for number, id_ in enumerate(ids, 1):
                listener = self._listeners.get(id_)
                if listener is not None:
                    listener.socket.push(_content(listener.subscription, known))
                if number % _AT_ONCE == 0:
                    yield


def _content(subscription: Subscription, known: Known) -> bytes:
    return payload.substituted(known.content, subscription.options.get("post_data"))

"""Push subscriptions that begin with messages of the store (``extensions`` 10).

A cursor knows the id of the last message that its connection was sent. Ids are ordered
as messages are committed, so what follows is never ambiguous. It is in one of two
states:

* It *reads* pages of the store behind that id, and sends them as fast as the peer
  takes them. Posts that arrive meanwhile are kept, and sent in their place; those that
  do not fit are read from the store.
* When a page ends at the end of the queue, it is *live*: posts are pushed right after
  their commit, as for other subscriptions. So a message that a consumer takes at once
  is pushed, too.

A post names the message before it where servers share a store and posts of others may
be missed (``Post.after``). A live cursor that does not know that message reads again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from zaqarserver.common import deadline
from zaqarserver.common.tasks import doubling
from zaqarserver.errors import Unavailable
from zaqarserver.notify import payload
from zaqarserver.notify.dispatch import log_defect
from zaqarserver.notify.readable import ReadableMessage, SubscriptionFilter
from zaqarserver.storage.base import Message
from zaqarserver.storage.commands import MessageList
from zaqarserver.storage.subscriptions import NoticeMessage, Post, Subscription

if TYPE_CHECKING:
    from zaqarserver.storage.base import Storage
    from zaqarserver.websocket.connection import WebSocketConnection

LOG = logging.getLogger(__name__)

#: Messages that are read at a time, at most and at first, and about how many bytes.
PAGE = 20
_FIRST_LIMIT: Final = 4
_PAGE_BYTES: Final = 512 * 1024
#: Bytes of posts that a cursor keeps while it reads.
MOST_KEPT: Final = 65536
_CONCURRENT = 8
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0

ReadableOf = Callable[[Subscription, NoticeMessage], ReadableMessage]


class BacklogReader:
    """Reads the messages of queues, some at a time.

    Args:
        storage: The store.
        now: Returns the server's time.
        max_body: The largest message, in bytes.

    Attributes:
        max_body: The same.
        slots: Bounds how many pages are read at a time.
    """

    def __init__(
        self, storage: Storage, now: Callable[[], float], max_body: int
    ) -> None:
        self.max_body = max_body
        self.slots = asyncio.Semaphore(_CONCURRENT)
        self._storage = storage
        self._now = now

    async def read(
        self, subscription: Subscription, after: str, limit: int
    ) -> list[Message]:
        """Return the messages of a subscription's queue behind an id, or the first.

        Raises:
            Unavailable: The store cannot be read now.
        """
        with deadline.within(deadline.ANSWER_SECONDS):
            return await self._storage.do(
                MessageList(
                    subscription.space,
                    subscription.queue,
                    marker=after or None,
                    limit=limit,
                    now=self._now(),
                    include_claimed=True,
                    include_delayed=True,
                    include_postponed=True,
                )
            )


def content(subscription: Subscription, known: ReadableMessage) -> bytes:
    """Return the push of a message, with its id."""
    return payload.substituted(known.identified, subscription.options.get("post_data"))


class PushCursor:
    """Sends the messages of a queue behind an id to a connection, each once, in order.

    Args:
        connection: The connection.
        subscription: Its subscription.
        after: The id; empty to begin with the oldest message.
        reader: Reads the store.
        readable: Returns a message with its body as posted.

    Attributes:
        subscription: The subscription as it is now.
    """

    def __init__(
        self,
        connection: WebSocketConnection,
        subscription: Subscription,
        after: str,
        reader: BacklogReader,
        readable: ReadableOf,
    ) -> None:
        self.subscription = subscription
        self._connection = connection
        self._budget = connection.memory.budget
        self._reader = reader
        self._readable = readable
        self._sent = after
        self._posted = after  # the last message of which a post told
        self._kept: dict[str, bytes] = {}
        self._size = 0
        self._limit = min(_FIRST_LIMIT, PAGE)
        self._has_missed = True
        self._task: asyncio.Task[None] | None = None
        self.read_again()

    def stop(self) -> None:
        """Send nothing more."""
        if self._task is not None:
            self._task.cancel()
        self._budget.change(-self._size)
        self._kept, self._size = {}, 0

    # -- posts ----------------------------------------------------------------

    def read_again(self) -> None:
        """Read the store: posts may have been missed."""
        self._has_missed = True
        if self._task is None:
            self._task = asyncio.create_task(self._catch_up())

    def begin(self, post: Post) -> None:
        """Read the store if messages before a post were missed."""
        last = max(self._sent, self._posted)
        if post.after > last[: len(post.after)]:
            self.read_again()

    def take(self, known: ReadableMessage) -> None:
        """Push a message of a post, or keep it while the store is read."""
        if known.id <= self._sent:
            return
        text = content(self.subscription, known)
        if self._task is None:
            self._sent = known.id
            self._connection.push(text)
        elif self._size + len(text) > MOST_KEPT:
            self._has_missed = True
        else:
            self._keep(known.id, text)

    def end(self, post: Post) -> None:
        """Record that all of a post was taken."""
        self._posted = post.messages[-1].id

    def _keep(self, id_: str, text: bytes) -> None:
        if id_ not in self._kept:
            self._kept[id_] = text
            self._size += len(text)
            self._budget.change(len(text))

    # -- reading --------------------------------------------------------------

    async def _catch_up(self) -> None:
        try:
            pauses = doubling(_FIRST_PAUSE, _LONGEST_PAUSE)
            while self._has_missed or self._kept:
                try:
                    await self._step()
                except Unavailable as error:
                    self._has_missed = True
                    LOG.warning("a backlog cannot be read now: %s", error)
                    await asyncio.sleep(next(pauses))
                else:
                    pauses = doubling(_FIRST_PAUSE, _LONGEST_PAUSE)
            self._task = None
        except ConnectionError:
            LOG.debug("a peer disconnected before it was sent a backlog")
        except Exception as error:  # noqa: BLE001 - it must not stay open and miss a message
            log_defect(f"pushes of {self.subscription.queue}", error)
            self._connection.fail()

    async def _step(self) -> None:
        """Send a page of the store, or all posts that were kept."""
        end = None
        if self._has_missed:
            await self._connection.room()
            self._has_missed = False
            limit = self._limit
            page = await self._page(limit)
            self._has_missed |= len(page) == limit
            if self._has_missed:
                # What follows the page may be missing in the posts.
                end = page[-1].id if page else self._sent
        await self._send_kept(end)

    async def _page(self, limit: int) -> list[Message]:
        """Read the next page, and keep those messages that the filter selects."""
        subscription = self.subscription
        async with self._reader.slots:
            with self._budget.allocate() as memory:
                await memory.take(self._reader.max_body * limit)
                page = await self._reader.read(subscription, self._sent, limit)
                wanted = SubscriptionFilter(subscription)
                for message in page:
                    self._keep_if(wanted, message)
        if page:
            # A page is held while its peer reads: of large messages it has a few.
            average = sum(len(one.body) for one in page) // len(page) + 1
            self._limit = max(1, min(PAGE, _PAGE_BYTES // average))
        return page

    def _keep_if(self, wanted: SubscriptionFilter, message: Message) -> None:
        # Stages may be third-party code; other messages must still be pushed.
        try:
            notice = NoticeMessage(message.id, message.body, message.ttl, 0, 0.0)
            known = self._readable(self.subscription, notice)
            if wanted.selects(known):
                self._keep(message.id, content(self.subscription, known))
        except Exception as error:  # noqa: BLE001
            log_defect(f"a push of {self.subscription.queue}", error)

    async def _send_kept(self, end: str | None) -> None:
        """Send what is kept, in order, up to an id or all of it."""
        for id_ in sorted(one for one in self._kept if end is None or one <= end):
            await self._connection.room()
            text = self._kept.pop(id_)
            self._size -= len(text)
            self._budget.change(-len(text))
            if id_ > self._sent:
                self._sent = id_
                self._connection.push_next(text)
        if end is not None:
            self._sent = max(self._sent, end)

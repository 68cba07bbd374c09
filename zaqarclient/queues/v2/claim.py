"""Claims: messages held by one worker for a while."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from zaqarclient import errors, names
from zaqarclient.queues.v2 import calls, iterator, message, waiting

if TYPE_CHECKING:
    from zaqarclient.queues.v2 import queues

_LOG = logging.getLogger(__name__)


@names.checked
class Claim:
    """Messages that no other client gets until the claim ends.

    Without an id the messages are claimed at once. With one the claim is read
    when its messages or its age are first asked for.

    Each loop over the claim yields all of its messages, as they were when it
    was made or last read.

    A ``with`` statement releases the claim if its body raises an exception; at a
    normal end, what was not deleted stays claimed until the ttl ends.

    Args:
        queue: The queue.
        id: An existing claim.
        ttl: Seconds that the claim lasts; the service's default if None.
        grace: Seconds that its messages live at least beyond the claim; the
            service's default if None.
        limit: How many messages at most; the service's default if None.

    Attributes:
        id: The claim; None if there was nothing to claim.
        is_new: True if this object made it.
    """

    def __init__(
        self,
        queue: queues.Queue,
        id: str | None = None,  # noqa: A002 - the contract's name
        ttl: int | None = None,
        grace: int | None = None,
        limit: int | None = None,
        *,
        wait: float | None = None,
    ) -> None:
        self._queue = queue
        self.id = id
        self.is_new = id is None
        self._ttl = ttl
        self._grace = grace
        self._age: int | None = None
        self._limit = limit
        self._wait = wait
        self._documents: list[dict[str, Any]] | None = None
        if id is None:
            self._create()

    def __repr__(self) -> str:
        return f"<Claim id:{self.id} ttl:{self._ttl}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            return
        try:
            self.delete()
        except errors.ZaqarError as error:
            # The exception of the body is the one to raise.
            _LOG.warning("The claim %s could not be released: %s", self.id, error)

    def __iter__(self) -> iterator.Listing[message.Message]:
        if self._documents is None:
            self._read()
        return iterator.Listing(
            self._queue.client,
            self._documents,
            "messages",
            message.create_object(self._queue),
        )

    @property
    def messages(self) -> list[message.Message]:
        """The messages, oldest first, as when the claim was made or read.

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: There is no such
                claim.
        """
        return list(self)

    @property
    def age(self) -> int | None:
        """Seconds since the claim was made or renewed, read from the service.

        Raises:
            zaqarclient.errors.InvalidOperation: The claim is empty.
            zaqarclient.transport.errors.ResourceNotFound: It has ended.
        """
        self._read()
        return self._age

    @property
    def ttl(self) -> int | None:
        """Seconds that the claim lasts, read from the service if not known."""
        if self._ttl is None and self.id is not None:
            self._read()
        return self._ttl

    @property
    def grace(self) -> int | None:
        """Seconds that messages live beyond the claim, None if not known.

        Services of version 2 do not report it: only the object that set it
        knows it.
        """
        return self._grace

    def update(self, ttl: int | None = None, grace: int | None = None) -> None:
        """Renew the claim: its clock starts again.

        Args:
            ttl: Seconds that it lasts from now.
            grace: Seconds that its messages live at least beyond it. What is
                not given is set to the service's default, not kept.

        Raises:
            zaqarclient.errors.InvalidOperation: The claim is empty.
            zaqarclient.transport.errors.ResourceNotFound: It has ended.
        """
        self._queue.call(
            "claim_update", claim_id=self._known_id(), ttl=ttl, grace=grace
        )
        self._ttl, self._grace = ttl, grace

    def delete_messages(self, *ids: str) -> None:
        """Delete messages of the claim by one request, without ids all of them.

        Args:
            *ids: At most 20 ids, as arguments or as one list.
        """
        ids = ids or tuple(message.id for message in self)
        if ids and self.id is not None:
            self._queue.delete_messages(*ids, claim_ids=[self.id])

    def delete(self, delay: int | None = None) -> None:
        """Release the claim: what is left in it can be claimed at once, or later.

        Releasing an empty claim, or one that has ended, succeeds.

        Args:
            delay: Seconds until its messages are free, up to 900; none by default.

        Raises:
            zaqarclient.errors.UnsupportedFeature: There is a delay, and the service
                lacks it.
        """
        if delay is not None:
            self._queue.client.need("release")
        if self.id is not None:
            self._queue.call("claim_delete", claim_id=self.id, delay=delay)

    def _known_id(self) -> str:
        if self.id is None:
            raise errors.InvalidOperation(
                "this claim is empty: there was nothing to claim"
            )
        return self.id

    def _create(self) -> None:
        def ask(seconds: int | None) -> bool:
            self.id, self._documents = calls.claim_create(
                self._queue.client.calls,
                self._queue.name,
                ttl=self._ttl,
                grace=self._grace,
                limit=self._limit,
                wait=seconds,
            )
            return self.id is not None

        waiting.wait_for(self._queue.client, self._wait, ask)

    def _read(self) -> None:
        document = self._queue.call("claim_get", claim_id=self._known_id())
        self._age = document.get("age")
        self._ttl = document.get("ttl", self._ttl)
        self._grace = document.get("grace", self._grace)
        self._documents = list(document.get("messages") or [])

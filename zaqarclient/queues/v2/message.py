"""Messages."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from zaqarclient.queues.v2 import calls
from zaqarclient.queues.v2.resource import maker

if TYPE_CHECKING:
    from collections.abc import Callable

    from zaqarclient.queues.v2.queue_or_topic import QueueOrTopic


_MEMBERS = frozenset(
    {"ttl", "age", "body", "href", "id", "claim_id", "claim_count", "checksum"}
    | {"reason", "dead_letter"}
)
_MISSING: dict[str, Any] = {"ttl": None, "age": None, "body": None}
"""Members that a document may lack."""


class Message:
    """A message that came from the service.

    Args:
        queue: The queue, or topic, that it is in.
        ttl: Seconds that it lives.
        age: Seconds since it was posted, when it was read.
        body: Any JSON value.
        href: Its path, with the claim it is under; popped ones have none.
        id: Its id, if `href` does not say it.
        claim_id: The claim it is under, if `href` does not say it.
        claim_count: How often it was claimed, if the service said so.
        checksum: ``ALGORITHM:DIGEST`` of the body, if the service said so.
        reason: Why it was released or buried last, if that is known.
        dead_letter: Where it came from, if it is in a dead letter queue: ``source``,
            ``claims``, ``at`` and ``reason``.
        **extra: Members that this version of the client does not know.

    Attributes:
        extra: The last, by name.
        lease_lost: Of a message that is consumed (`Queue.consume`): set once its lease
            is lost, so that it goes to other workers. Of others it is never set.

    Raises:
        ValueError: There is neither `id` nor `href`.
    """

    lease_lost: threading.Event = threading.Event()

    def __init__(  # noqa: PLR0913, PLR0917 - the members of the document
        self,
        queue: QueueOrTopic,
        ttl: int,
        age: int,
        body: Any,
        href: str | None = None,
        id: str | None = None,  # noqa: A002 - the member's name
        claim_id: str | None = None,
        claim_count: int = 0,
        checksum: str | None = None,
        reason: str | None = None,
        dead_letter: dict[str, Any] | None = None,
        **extra: Any,
    ) -> None:
        if id is None and href is None:
            raise ValueError("a message needs an id or an href")
        self.queue = queue
        self.href = href
        self.ttl = ttl
        self.age = age
        self.body = body
        self.claim_count = claim_count
        self.checksum = checksum
        self.reason = reason
        self.dead_letter = dead_letter
        self.extra = extra
        self.id = _id_of(href or "") if id is None else id
        self._claim_id = claim_id

    def __repr__(self) -> str:
        return f"<Message id:{self.id} ttl:{self.ttl}>"

    @property
    def claim_id(self) -> str | None:
        """The claim that the message was under when it was read, or None."""
        return calls.claim_id_of(self.href or "") or self._claim_id

    def delete(self) -> None:
        """Delete the message; deleting it again succeeds.

        Raises:
            zaqarclient.transport.errors.ForbiddenError: Another client
                claimed it.
            zaqarclient.transport.errors.MalformedRequest: The claim that it
                was read under has ended.
        """
        self.queue.delete_message(self.id, self.claim_id)

    def release(self, delay: int | None = None, reason: str | None = None) -> None:
        """Return the message, which a claim holds: it is free at once, or later.

        Args:
            delay: Seconds until it is free, up to 900; none by default.
            reason: Why, up to 1,024 characters; shown with it from then on.

        Raises:
            zaqarclient.errors.UnsupportedFeature: The service lacks it.
            zaqarclient.transport.errors.ForbiddenError: Another claim holds it.
            zaqarclient.transport.errors.MalformedRequest: The claim that it
                was read under has ended.
            zaqarclient.transport.errors.ResourceNotFound: It is gone.
        """
        self._return("message_release", delay=delay, reason=reason)

    def bury(self, reason: str | None = None) -> None:
        """Move the message, which a claim holds, to the queue's dead letter queue.

        Args:
            reason: Why, up to 1,024 characters; shown with it from then on.

        Raises:
            zaqarclient.errors.UnsupportedFeature: The service lacks it.
            zaqarclient.transport.errors.ConflictError: The queue does not have a
                dead letter queue. Others as of `release`.
        """
        self._return("message_bury", reason=reason)

    def _return(self, operation: str, **given: Any) -> None:
        self.queue.client.need("release")
        claim_id = self.claim_id
        self.queue.call(operation, message_id=self.id, claim_id=claim_id, **given)


class PostAnswer(dict[str, Any]):
    """The answer to a post: ``{"resources": [path, …]}``, with the ids taken out.

    Attributes:
        is_replay: True if an earlier post with the same idempotency key stored the
            messages, and this one nothing.
    """

    is_replay: bool = False

    @property
    def ids(self) -> list[str]:
        """The ids of the messages, in the order in which they were posted."""
        return [_id_of(path) for path in self.get("resources") or ()]


def create_object(
    parent: QueueOrTopic,
) -> Callable[[Mapping[str, Any]], Message]:
    """Return a function that makes a message of the queue from a document."""
    return maker(functools.partial(Message, parent, **_MISSING), _MEMBERS)


def _id_of(href: str) -> str:
    return urlsplit(href).path.rpartition("/")[2]


def documents_of(messages: object) -> list[Mapping[str, Any]]:
    """Return one message or several as a list of them.

    Raises:
        ValueError: It is not a dict or dicts.
    """
    if isinstance(messages, Mapping):
        return [messages]
    if isinstance(messages, Iterable) and not isinstance(messages, str | bytes):
        several = list(messages)
        if all(isinstance(one, Mapping) for one in several):
            return several
    raise ValueError(
        "a message is a dict with the key 'body', several are a list of them"
    )


def ids_of(ids: Iterable[Any]) -> list[str]:
    """Return the ids, each once, also where a list of them stands for one."""
    flat: list[str] = []
    for one in ids:
        if isinstance(one, str):
            flat.append(one)
        else:
            flat.extend(one)
    return list(dict.fromkeys(flat))

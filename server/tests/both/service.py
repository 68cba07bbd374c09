"""The service as its callers know it, whatever the transport.

One method an action, plain values in, an :class:`Answer` out. Hrefs, links,
envelopes and the known differences of ``websocket-v2`` section 10 end here: where
REST and frames say the same thing in two ways, both give the same answer.
"""

from __future__ import annotations

import abc
import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import msgspec

from .bench import Bench

CLIENT = "3381af922b9e11e3b19171861300734c"
OTHER_CLIENT = "11111111-2222-3333-4444-555555555555"

OK = "ok"
BAD_REQUEST = "bad_request"
FORBIDDEN = "forbidden"
NOT_FOUND = "not_found"
CONFLICT = "conflict"
#: Its value is the number of seconds to wait.
TOO_MANY = "too_many"
KEY_REUSED = "key_reused"
#: Any other status fails the test that got it: above all 500 and 503.
CLASSES = {
    200: OK,
    201: OK,
    204: OK,
    400: BAD_REQUEST,
    403: FORBIDDEN,
    404: NOT_FOUND,
    409: CONFLICT,
    422: KEY_REUSED,
    429: TOO_MANY,
}

#: What REST shows of attributes that are not stored (``rest-v2`` 2.4).
SHOWN_DEFAULTS = {
    "_max_messages_post_size": 262144,
    "_default_message_ttl": 3600,
    "_default_message_delay": 0,
    "_dead_letter_queue": None,
    "_dead_letter_queue_messages_ttl": None,
    "_max_claim_count": None,
    "_enable_encrypt_messages": False,
}


class Message(msgspec.Struct, frozen=True):
    """A message, wherever it was read."""

    id: str
    ttl: int
    age: int
    body: Any


class Popped(Message, frozen=True):
    """A message that was removed as it was read."""

    claim_count: int


class Claim(msgspec.Struct, frozen=True):
    """A claim; ``ttl`` and ``age`` come where it is shown, not where it is made."""

    id: str
    messages: list[Message]
    ttl: int | None = None
    age: int | None = None


class StatsMessage(msgspec.Struct, frozen=True):
    """The oldest or the newest message of a queue."""

    id: str
    age: int
    created: str


class Stats(msgspec.Struct, frozen=True):
    """How many messages a queue has."""

    claimed: int
    free: int
    total: int
    oldest: StatsMessage | None = None
    newest: StatsMessage | None = None


NO_STATS = Stats(0, 0, 0)


@dataclasses.dataclass(frozen=True)
class Answer:
    """The outcome of an action.

    Attributes:
        status: One of the classes above.
        value: What it returned; ``None`` for most errors.
        following: Asks for the next page of a list.
        is_replay: True if a post was answered as an earlier one with its key.
    """

    status: str
    value: Any = None
    following: Callable[[], Answer] | None = dataclasses.field(
        default=None, compare=False
    )
    is_replay: bool = dataclasses.field(default=False, compare=False)

    @property
    def result(self) -> Any:
        """The result; an error fails the test."""
        assert self.status == OK, self
        return self.value


def plain_message(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that each message has: the others are tested alone."""
    return {k: v for k, v in item.items() if k not in {"reason", "dead_letter"}}


def plain_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without the attributes that have their defaults."""
    return {
        key: value
        for key, value in metadata.items()
        if key not in SHOWN_DEFAULTS or (value and value != SHOWN_DEFAULTS[key])
    }


class Service(abc.ABC):
    """A caller of the service, over one transport.

    Attributes:
        bench: The server that it calls.
        project: The project that it acts in.
    """

    #: Whether it speaks in frames; only for differences that are on purpose.
    frames: bool

    def __init__(self, bench: Bench, project: str) -> None:
        self.bench = bench
        self.project: str | None = project
        self._client: str | None = CLIENT
        self._roles = ""
        self._key: str | None = None
        #: What the methods named after queues act on: ``queue`` or ``topic``.
        self._source = "queue"

    def as_caller(self, **changes: Any) -> Self:
        """Return the same service for another project, client or roles."""
        other = copy.copy(self)
        other.project = changes.pop("project", self.project)
        other._client = changes.pop("client", self._client)
        other._roles = changes.pop("roles", self._roles)
        assert not changes
        return other

    def with_key(self, key: str) -> Self:
        """Return the same caller, which posts with this idempotency key."""
        other = copy.copy(self)
        other._key = key
        return other

    def of_topics(self) -> Self:
        """Return the same caller acting on topics with the methods of queues."""
        other = copy.copy(self)
        other._source = "topic"
        return other

    def _of_source(self, action: str, body: Any) -> tuple[str, Any]:
        """Return a request about queues as it is about topics, if it is to be."""
        if self._source == "queue" or action == "ping":
            return action, body
        body = {
            "topic_name" if key == "queue_name" else key: value
            for key, value in body.items()
        }
        return "topic_" + action.removeprefix("queue_"), body

    @abc.abstractmethod
    def call(self, action: str, **fields: Any) -> Answer:
        """Run any operation whose answer is its result, as JSON."""

    @property
    def _headers(self) -> dict[str, str]:
        sent = {
            "Client-ID": self._client,
            "X-Project-ID": self.project,
            "Idempotency-Key": self._key,
        }
        if self._roles:
            sent["X-Roles"] = self._roles
        return {name: value for name, value in sent.items() if value is not None}

    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        self.bench.now += seconds

    @abc.abstractmethod
    def close(self) -> None:
        """End what the transport keeps open."""

    # -- conveniences made of actions ------------------------------------------

    def post(self, queue: str, *bodies: Any, **fields: Any) -> list[str]:
        """Post messages of these bodies; return their ids."""
        messages = [{"body": body, **fields} for body in bodies]
        ids: list[str] = self.message_post(queue, messages).result
        return ids

    def bodies(self, queue: str, **options: Any) -> list[Any]:
        """Return the bodies of a page, own messages included."""
        found = self.message_list(queue, **{"echo": True, **options}).result
        return [message.body for message in found]

    def every_body(self, queue: str) -> list[Any]:
        """Return the bodies of a page: claimed, delayed and own ones too."""
        return self.bodies(queue, include_claimed=True, include_delayed=True, limit=20)

    def subscribe(self, queue: str, subscriber: str, **members: Any) -> str:
        """Subscribe a URI; return the subscription's id."""
        document = {"subscriber": subscriber, **members}
        id_: str = self.subscription_create(queue, document).result
        return id_

    def _counts(self, counts: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return statistics as of a queue: topics have no claims (2.11)."""
        if self._source == "queue":
            return counts
        assert "claimed" not in counts or counts["total"] == 0
        return {"claimed": 0, "free": counts["total"], **counts}

    @staticmethod
    def pages(first: Answer) -> Iterator[list[Any]]:
        """Go through a list to its end as the transport offers it."""
        answer = first
        while answer.result:
            yield answer.result
            assert answer.following is not None
            answer = answer.following()

    # -- actions --------------------------------------------------------------

    @abc.abstractmethod
    def ping(self) -> Answer: ...

    @abc.abstractmethod
    def queue_create(self, queue: str, metadata: Any = None) -> Answer:
        """Give whether the queue is new."""

    @abc.abstractmethod
    def queue_list(self, **options: Any) -> Answer:
        """Give the queues of a page: names, with ``detailed`` their metadata."""

    @abc.abstractmethod
    def queue_get(self, queue: str) -> Answer:
        """Give the metadata without what has its default."""

    @abc.abstractmethod
    def queue_update(self, queue: str, operations: Any) -> Answer:
        """Give the new metadata without what has its default."""

    @abc.abstractmethod
    def queue_delete(self, queue: str) -> Answer: ...

    @abc.abstractmethod
    def queue_get_stats(self, queue: str) -> Answer:
        """Give :class:`Stats`; zeros for a queue that does not exist."""

    @abc.abstractmethod
    def queue_purge(self, queue: str, **options: Any) -> Answer: ...

    @abc.abstractmethod
    def signed_url_create(self, queue: str, **grant: Any) -> Answer:
        """Return a signature for a client without credentials."""

    @abc.abstractmethod
    def signed_url_list(self, queue: str, **options: Any) -> Answer:
        """Give what is on record, without signatures."""

    @abc.abstractmethod
    def signed_url_revoke(self, queue: str, signed_url_id: str) -> Answer: ...

    @abc.abstractmethod
    def limits_get(self) -> Answer:
        """Give extensions and limits."""

    @abc.abstractmethod
    def quota_show(self) -> Answer:
        """Give limits and use."""

    @abc.abstractmethod
    def quota_show_project(self, project: str) -> Answer:
        """Give limits and use of any project."""

    @abc.abstractmethod
    def message_post(self, queue: str, messages: Any) -> Answer:
        """Give the ids."""

    @abc.abstractmethod
    def message_list(self, queue: str, **options: Any) -> Answer:
        """Give the messages of a page."""

    @abc.abstractmethod
    def message_get(self, queue: str, message_id: str) -> Answer:
        """Give the message."""

    @abc.abstractmethod
    def message_get_many(self, queue: str, message_ids: Sequence[str]) -> Answer:
        """Give the messages there are; none is an empty list."""

    @abc.abstractmethod
    def message_delete(
        self, queue: str, message_id: str, claim_id: str | None = None
    ) -> Answer: ...

    @abc.abstractmethod
    def message_delete_many(self, queue: str, **options: Any) -> Answer:
        """Give the popped messages, if ``pop`` is among the options."""

    @abc.abstractmethod
    def claim_create(self, queue: str, **options: Any) -> Answer:
        """Give the claim, or ``None`` if there was nothing to claim."""

    @abc.abstractmethod
    def claim_get(self, queue: str, claim_id: str) -> Answer:
        """Give the claim."""

    @abc.abstractmethod
    def claim_update(self, queue: str, claim_id: str, **options: Any) -> Answer: ...

    @abc.abstractmethod
    def claim_delete(self, queue: str, claim_id: str) -> Answer: ...

    @abc.abstractmethod
    def subscription_list(self, queue: str, **options: Any) -> Answer:
        """Give the subscriptions of a page."""

    @abc.abstractmethod
    def subscription_create(self, queue: str, document: Any) -> Answer:
        """Give the id."""

    @abc.abstractmethod
    def subscription_get(self, queue: str, subscription_id: str) -> Answer:
        """Give the subscription."""

    @abc.abstractmethod
    def subscription_update(
        self, queue: str, subscription_id: str, changes: Any
    ) -> Answer: ...

    @abc.abstractmethod
    def subscription_delete(self, queue: str, subscription_id: str) -> Answer: ...

    @abc.abstractmethod
    def subscription_confirm(
        self, queue: str, subscription_id: str, confirmed: Any
    ) -> Answer: ...

"""The documents of the service that calls return, as types.

A later version of the service may add members.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class MessageReference(TypedDict):
    """Where a message is, and since when: ``age`` in seconds, ``created`` in UTC."""

    href: str
    age: int
    created: str


class MessageCounts(TypedDict):
    """The messages of a queue; those of a topic have ``total`` only.

    ``oldest`` and ``newest`` are there if there are messages.
    """

    free: int
    claimed: int
    total: int
    oldest: NotRequired[MessageReference]
    newest: NotRequired[MessageReference]


class Statistics(TypedDict):
    """The counters of a queue or topic."""

    messages: MessageCounts


class SignedURLParts(TypedDict):
    """Everything needed to use a queue without a token; ``signature`` is a secret."""

    paths: list[str]
    methods: list[str]
    project: str
    expires: str
    signature: str
    id: NotRequired[str]


class SignedURLRecord(TypedDict):
    """A signed URL that has not expired, without its signature; times in UTC."""

    id: str
    paths: list[str]
    methods: list[str]
    created: str
    expires: str
    revoked: bool


class QuotaUse(TypedDict):
    """A quota and its use; ``limit`` is -1 for none."""

    limit: int
    used: int


class RateUse(TypedDict):
    """How many requests may come; ``remaining`` is what may come at once now."""

    requests_per_second: float
    burst: int
    remaining: float


class QuotaReport(TypedDict):
    """The quotas of a project by their kinds, and its rate."""

    quotas: dict[str, QuotaUse]
    rate: RateUse


class LimitReport(TypedDict):
    """The extensions that are switched on, and numbers by the names of settings."""

    features: list[str]
    limits: dict[str, int]


class DrainState(TypedDict):
    """How far a pool is drained.

    ``queues`` are left, ``moved`` have gone since it began, ``error`` says why a queue
    stayed.
    """

    queues: int
    moved: int
    running: bool
    error: str | None


class PoolDocument(TypedDict):
    """A pool; ``options`` only where they were requested."""

    name: str
    uri: str
    weight: int
    flavor: str | None
    href: str
    options: NotRequired[dict[str, Any]]


class FlavorDocument(TypedDict):
    """A flavor."""

    name: str
    pool_list: list[str]
    capabilities: Any
    href: str

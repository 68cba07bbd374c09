"""What a handler is given: who asks, when, and the parts of the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from zaqarserver import spaces
from zaqarserver.clock import Clock
from zaqarserver.common.budget import Budget
from zaqarserver.common.tasks import Turns
from zaqarserver.errors import BadRequest
from zaqarserver.operations.limits import Quotas
from zaqarserver.operations.settings import Settings
from zaqarserver.operations.signing import Signer
from zaqarserver.stages.pipeline import Pipeline
from zaqarserver.storage.base import Capability, Storage
from zaqarserver.storage.catalog import DrainState, Pool
from zaqarserver.storage.subscriptions import Subscription


class Policy(Protocol):
    """The one place that says whether a caller may run an operation."""

    def check(self, rule: str, context: Context) -> None:
        """Return if ``rule`` allows the caller.

        Raises:
            Forbidden: It does not.
        """


class SubscriptionEvents(Protocol):
    """What subscriptions need of the notifier."""

    def subscribed(self, subscription: Subscription) -> None:
        """Ask a new subscriber whether it wants messages, if that is required."""

    def changed(self, subscription: Subscription) -> None:
        """Follow a change of a subscription that a connection listens to."""

    def deleted(self, project: str, source: str, subscription_id: str, /) -> None:
        """Follow that a subscription, maybe of a connection, is gone."""

    def unsubscribed(self, subscription: Subscription) -> None:
        """Tell a subscriber that it gets nothing more, if it had to agree."""


class Trusts(Protocol):
    """What subscriptions need of the identity service (``notifications`` 9).

    Attributes:
        in_use: Whether there can be trusts at all.
    """

    in_use: bool

    def check_possible(self, context: Context, /) -> None:
        """Return if the caller can give a trust.

        Raises:
            BadRequest: It cannot.
        """

    async def create(self, context: Context, expires: float, /) -> str:
        """Make a trust of the caller until ``expires``; return its id.

        Raises:
            Forbidden: It is refused to the caller's token.
            IdentityUnavailable: There is no answer; there is no trust.
        """

    async def is_callers(self, context: Context, trust: str, /) -> bool:
        """Return whether a trust is the caller's own, for its project and for us.

        Raises:
            Forbidden: The caller's token is valid no more.
            IdentityUnavailable: There is no answer.
        """

    def delete(self, trust: str, token: str = "", /) -> None:
        """Remove a trust in the background, with this token if it can."""


class NoTrusts:
    """The trusts of a server without an identity service."""

    in_use = False

    def check_possible(self, _context: Context, /) -> None:
        """Refuse every caller.

        Raises:
            BadRequest: Always.
        """
        raise BadRequest(
            "trust+http and trust+https subscribers need authentication by Keystone "
            "and the settings [trustee], which are not configured here."
        )

    async def create(self, _context: Context, _expires: float, /) -> str:
        """Refuse it, as :meth:`check_possible` does."""
        self.check_possible(_context)
        return ""

    async def is_callers(self, _context: Context, _trust: str, /) -> bool:
        """Return False: there are no trusts."""
        return False

    def delete(self, _trust: str, _token: str = "", /) -> None:
        """Do nothing: the trust ends at its own time."""


class Listener(Protocol):
    """A connection that can be subscribed itself.

    Attributes:
        uri: What its subscriptions show as their subscriber.
    """

    uri: str

    def check_limit(self) -> None:
        """Return if the connection may have one more subscription.

        Raises:
            QuotaExceeded: It may not.
        """

    def listen(self, subscription: Subscription) -> None:
        """Send what is posted to the subscription's queue from now on."""


class PoolRegistry(Protocol):
    """What the operations on pools and flavors need beside the catalogue."""

    @property
    def catalog(self) -> Storage:
        """The store that keeps pools and flavors."""

    @property
    def names(self) -> Sequence[str]:
        """The pools as last read."""

    async def refresh(self) -> None:
        """See what changed in the catalogue."""

    def holder(self, uri: str) -> str | None:
        """Return the pool that has a URI; empty for the server's own store."""

    async def try_out(self, pool: Pool) -> frozenset[Capability]:
        """Reach the store that a pool describes; return what it promises.

        Raises:
            StartupError: The URI or an option is not usable, or the store refuses.
            Unavailable: It cannot be reached.
        """

    async def storage(self, name: str) -> Storage:
        """Return the open store of a pool.

        Raises:
            Unavailable: It cannot be opened now.
        """


class Drainer(Protocol):
    """Empties pools."""

    async def drain(self, name: str, wait: float) -> DrainState:
        """Take all weight from a pool and move its queues, or go on with it.

        Args:
            name: The pool.
            wait: Seconds to wait for the end before the state is returned.

        Raises:
            PoolNotFound: There is no such pool.
        """


class Server(msgspec.Struct, frozen=True):
    """The parts of a running server that handlers use.

    Attributes:
        settings: The settings.
        storage: The open store.
        policy: The access rules.
        events: Receives changes of subscriptions.
        stages: The message filters.
        signer: Makes and checks pre-signed access.
        quotas: What projects may use.
        pools: The pools of a server with pooling, else ``None``.
        drains: What empties them.
        trusts: Makes and removes the trusts of subscriptions.
        budget: What connections may keep.
        clock: The time.
        turns: Slices what takes long.
    """

    settings: Settings
    storage: Storage
    policy: Policy
    events: SubscriptionEvents
    stages: Pipeline = Pipeline()
    signer: Signer = Signer("")
    quotas: Quotas = msgspec.field(default_factory=Quotas)
    pools: PoolRegistry | None = None
    drains: Drainer | None = None
    trusts: Trusts = NoTrusts()
    budget: Budget = msgspec.field(default_factory=Budget)
    clock: Clock = msgspec.field(default_factory=Clock)
    turns: Turns = msgspec.field(default_factory=Turns)


class Context(msgspec.Struct, frozen=True, gc=False):
    """One request's caller and moment.

    Attributes:
        server: The parts of the server.
        project: The project that the request acts in.
        client_id: The client id in its normal form.
        now: The server's time, by which all that lasts is counted, in seconds since
            the epoch; handlers never read a clock.
        request_id: As sent in ``X-OpenStack-Request-ID``.
        roles: The caller's roles, lower case.
        user_id: The caller's user, or empty without authentication.
        listener: The connection that asks, if it can be subscribed itself.
        token: The caller's token, or empty; a secret, see ``identity/auth.py``.
        topics: Whether the operation is about topics, not queues.
        ahead: Seconds by which the system's time is ahead of the server's.
    """

    server: Server
    project: str
    client_id: str
    now: float
    request_id: str
    roles: tuple[str, ...] = ()
    user_id: str = ""
    listener: Listener | None = None
    token: str = ""
    topics: bool = False
    ahead: float = 0.0

    @property
    def wall(self) -> float:
        """The system's time, for moments that others read or write."""
        return self.now + self.ahead

    def shown(self, moment: float) -> float:
        """Return a moment of the server's time as the system's clock tells it.

        Differences of less than a second are left alone: what is shown to the second
        is not to change from one look to the next.
        """
        return moment + self.ahead if abs(self.ahead) >= 1 else moment

    @property
    def space(self) -> str:
        """What the store takes as the project: of its queues, or of its topics."""
        return spaces.space_of(self.project, topics=self.topics)

    @property
    def noun(self) -> str:
        """What the operation is about, in a word: ``queue`` or ``topic``."""
        return "topic" if self.topics else "queue"

    @property
    def storage(self) -> Storage:
        """The store."""
        return self.server.storage

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.server.settings

    @property
    def is_admin(self) -> bool:
        """Whether the caller has the role ``admin``."""
        return "admin" in self.roles

"""The context of a request: its caller, its time, and the parts of the server."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import msgspec

from zaqarserver import spaces
from zaqarserver.clock import Clock
from zaqarserver.common.budget import Budget
from zaqarserver.common.tasks import Turns
from zaqarserver.errors import BadRequest
from zaqarserver.operations.limits import Quotas
from zaqarserver.operations.settings import Settings
from zaqarserver.operations.waiting import Peer, Waiters
from zaqarserver.stages.pipeline import Pipeline
from zaqarserver.storage.base import Storage
from zaqarserver.storage.commands import Command
from zaqarserver.storage.subscriptions import Subscription, ignore

# A context is passed down from the edges, with parts that it only names.
if TYPE_CHECKING:
    from zaqarserver.identity.access import RulePolicy
    from zaqarserver.identity.auth import Identity
    from zaqarserver.identity.trusts import KeystoneTrusts
    from zaqarserver.operations.signed_urls import Signer
    from zaqarserver.storage.pooled.drains import Drains
    from zaqarserver.storage.pooled.pools import Pools
    from zaqarserver.websocket.connection import ConnectionListener

P = ParamSpec("P")
R = TypeVar("R")


class SubscriptionEvents(msgspec.Struct, frozen=True):
    """Called on changes of subscriptions; by default nothing happens.

    Attributes:
        subscribed: A subscription is new or has a new subscriber.
        changed: A subscription was changed.
        deleted: The subscription of this space, queue and id was deleted.
        unsubscribed: A subscriber declined.
    """

    subscribed: Callable[[Subscription], None] = ignore
    changed: Callable[[Subscription], None] = ignore
    deleted: Callable[[str, str, str], None] = ignore
    unsubscribed: Callable[[Subscription], None] = ignore


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
        """Refuse the caller, as :meth:`check_possible` does."""
        self.check_possible(_context)
        return ""

    async def is_callers(self, _context: Context, _trust: str, /) -> bool:
        """Return False: there are no trusts."""
        return False

    def delete(self, _trust: str, _token: str = "", /) -> None:
        """Do nothing: the trust expires."""


class Server(msgspec.Struct, frozen=True):
    """The parts of a running server that handlers use.

    Attributes:
        settings: The settings.
        storage: The open store.
        policy: The policy rules.
        signer: Makes and checks signatures of pre-signed URLs.
        events: Called on changes of subscriptions.
        stages: The pipeline of stages.
        quotas: The quotas and rates of projects.
        pools: The pools of a server with pooling, else ``None``.
        drains: The drains of pools, else ``None``.
        trusts: Makes and removes the trusts of subscriptions.
        budget: The memory budget of connections.
        clock: The clock.
        turns: Slices long work.
        waiters: The requests that wait.
    """

    settings: Settings
    storage: Storage
    policy: RulePolicy
    signer: Signer
    events: SubscriptionEvents = SubscriptionEvents()
    stages: Pipeline = Pipeline()
    quotas: Quotas = msgspec.field(default_factory=Quotas)
    pools: Pools | None = None
    drains: Drains | None = None
    trusts: KeystoneTrusts | NoTrusts = NoTrusts()
    budget: Budget = msgspec.field(default_factory=Budget)
    clock: Clock = msgspec.field(default_factory=Clock)
    turns: Turns = msgspec.field(default_factory=Turns)
    waiters: Waiters = msgspec.field(default_factory=Waiters)

    def context(
        self,
        identity: Identity,
        client_id: str,
        request_id: str,
        *,
        topics: bool,
        listener: ConnectionListener | None = None,
        peer: Peer | None = None,
    ) -> Context:
        """Return the context of a request that arrives now.

        Args:
            identity: The caller.
            client_id: The client id in its normal form.
            request_id: The request id for logs.
            topics: Whether the operation is about topics.
            listener: The connection that asks, if it can be subscribed itself.
            peer: Ends the waiting of the request when it leaves.
        """
        return Context(
            self,
            identity.project,
            client_id,
            self.clock.now(),
            request_id,
            identity.roles,
            identity.user_id,
            listener,
            identity.token,
            topics,
            peer or Peer(),
        )


class Context(msgspec.Struct, frozen=True, gc=False):
    """The caller and the time of one request.

    Attributes:
        server: The parts of the server.
        project: The project that the request acts in.
        client_id: The client id in its normal form.
        now: The server's time, in seconds since the epoch, for all durations;
            handlers never read a clock.
        request_id: As sent in ``X-OpenStack-Request-ID``.
        roles: The caller's roles, lower case.
        user_id: The caller's user, or empty without authentication.
        listener: The connection of the request, if it can be subscribed itself.
        token: The caller's token, or empty; a secret, see ``identity/auth.py``.
        topics: True if the operation is about topics, not queues.
        peer: Ends the waiting of the request when it leaves.
    """

    server: Server
    project: str
    client_id: str
    now: float
    request_id: str
    roles: tuple[str, ...] = ()
    user_id: str = ""
    listener: ConnectionListener | None = None
    token: str = ""
    topics: bool = False
    peer: Peer = msgspec.field(default_factory=Peer)

    @property
    def ahead(self) -> float:
        """Seconds that the system's time is ahead of the server's."""
        return self.server.clock.ahead()

    @property
    def wall(self) -> float:
        """The system's time, for points in time that others read or write."""
        return self.now + self.ahead

    def shown(self, moment: float) -> float:
        """Convert a time of the server's clock to the system's clock.

        A difference of less than a second is ignored: times that are shown to the
        second must not vary from one answer to the next.
        """
        ahead = self.ahead
        return moment + ahead if abs(ahead) >= 1 else moment

    def timestamp(self, moment: float) -> str:
        """Return a time of the server's clock as both transports write it."""
        written = dt.datetime.fromtimestamp(int(self.shown(moment)), dt.UTC)
        return f"{written.isoformat()[:19]}Z"

    @property
    def space(self) -> str:
        """The space of the project's queues, or of its topics."""
        return spaces.space_of(self.project, topics=self.topics)

    @property
    def noun(self) -> str:
        """The word for the resource of the operation: ``queue`` or ``topic``."""
        return "topic" if self.topics else "queue"

    @property
    def storage(self) -> Storage:
        """The store."""
        return self.server.storage

    def do(
        self,
        command: Callable[Concatenate[str, P], Command[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[R]:
        """Execute a command of the storage contract in the space of the request.

        Args:
            command: The command; its space is added.
            *args: Its other fields.
            **kwargs: Its other fields by name.
        """
        return self.server.storage.do(command(self.space, *args, **kwargs))

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.server.settings

    @property
    def is_admin(self) -> bool:
        """True if the caller has the role ``admin``."""
        return "admin" in self.roles

"""Quotas: reserve them, refuse requests that would exceed them, show them.

The usage of a project counts its queues and topics together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from zaqarserver.errors import BadRequest
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import Fields, path
from zaqarserver.operations.limits import STOCK, UNLIMITED, Limits
from zaqarserver.operations.row import QUOTAS, Body, operation
from zaqarserver.spaces import space_of
from zaqarserver.storage.accounts import Usage, UsageGet
from zaqarserver.storage.base import NewMessage
from zaqarserver.storage.commands import QueueGet
from zaqarserver.storage.subscriptions import SubscriptionCount

_PROJECT = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


async def usage_of(ctx: Context, project: str) -> Usage:
    """Return a project's usage, queues and topics together."""
    of_queues, of_topics = [
        await ctx.storage.do(UsageGet(space_of(project, topics=topics), ctx.now))
        for topics in (False, True)
    ]
    return Usage(
        of_queues.queues + of_topics.queues,
        of_queues.messages + of_topics.messages,
        of_queues.bytes + of_topics.bytes,
        of_queues.subscriptions + of_topics.subscriptions,
    )


class Reservation:
    """Reserves quota of the project for what is stored inside ``async with``.

    Concurrent requests of this process reserve quota together, so that together they
    never exceed it. Other servers of the same store do not see these reservations: a
    quota can be exceeded by what several servers store at the same moment.

    Args:
        ctx: The caller.
        queue: The queue or topic it is for, which is made if it does not exist.
        messages: Messages to store.
        subscriptions: How many subscriptions to make.
        dead_letters: The dead letter queue that a new queue names. It is made later,
            whatever the quotas are then, so that it counts now.

    Raises:
        QuotaExceeded: A quota would be exceeded; nothing was stored.
    """

    __slots__ = (
        *("_ctx", "_dead_letters", "_held", "_messages", "_queue"),
        "_subscriptions",
    )

    def __init__(
        self,
        ctx: Context,
        queue: str,
        messages: Sequence[NewMessage] = (),
        subscriptions: int = 0,
        dead_letters: str | None = None,
    ) -> None:
        self._ctx = ctx
        self._queue = queue
        self._dead_letters = dead_letters
        self._messages = messages
        self._subscriptions = subscriptions
        self._held: Mapping[str, int] = {}

    async def __aenter__(self) -> None:
        ctx = self._ctx
        quotas = ctx.server.quotas
        limits = quotas.limits(ctx.project, ctx.now)
        await self._check_notifications(limits)
        self._held = await self._wanted(limits)
        if not self._held:
            return
        quotas.reserve(ctx.project, self._held)
        try:
            await self._check(limits)
        except BaseException:
            self._release()
            raise

    async def __aexit__(self, *_error: object) -> None:
        self._release()

    def _release(self) -> None:
        if self._held:
            self._ctx.server.quotas.release(self._ctx.project, self._held)

    async def _wanted(self, limits: Limits) -> dict[str, int]:
        """Return the limited quantities that the caller is about to add."""
        of_queue = {}
        if self._subscriptions and limits.subscriptions_per_queue != UNLIMITED:
            of_queue[self._kind_of_queue] = self._subscriptions
        if not limits.limit_stock:
            return of_queue
        wanted = {
            "queues": await self._new_queues(),
            "messages": len(self._messages),
            "bytes": sum(len(message.body) for message in self._messages),
            "subscriptions": self._subscriptions,
        }
        of_project = {
            kind: count
            for kind, count in wanted.items()
            if count and getattr(limits, kind) != UNLIMITED
        }
        return {**of_queue, **of_project}

    @property
    def _kind_of_queue(self) -> str:
        """The key of this queue's subscriptions; other kinds contain no blank."""
        return f"subscriptions of {self._ctx.space}/{self._queue}"

    async def _new_queues(self) -> int:
        ctx = self._ctx
        if await ctx.do(QueueGet, self._queue) is not None:
            return 0  # and its metadata, with the dead letter queue, is ignored
        if self._dead_letters is None:
            return 1
        target = await ctx.do(QueueGet, self._dead_letters)
        return 1 if target is not None else 2

    async def _check(self, limits: Limits) -> None:
        ctx = self._ctx
        quotas = ctx.server.quotas
        of_project = dict(self._held)
        if of_project.pop(self._kind_of_queue, 0):
            await self._check_queue(limits.subscriptions_per_queue)
        if not of_project:
            return
        usage = await usage_of(ctx, ctx.project)
        for kind, wanted in of_project.items():
            limit, used = getattr(limits, kind), getattr(usage, kind)
            if used + quotas.reserved(ctx.project, kind) > limit:
                raise quotas.exceeded(kind, limit, used, wanted)

    async def _count_subscriptions(self) -> int:
        ctx = self._ctx
        return await ctx.do(SubscriptionCount, self._queue, ctx.now)

    async def _check_queue(self, limit: int) -> None:
        ctx = self._ctx
        quotas = ctx.server.quotas
        used = await self._count_subscriptions()
        if used + quotas.reserved(ctx.project, self._kind_of_queue) > limit:
            raise quotas.refuse(
                "subscriptions_per_queue",
                f"The {ctx.noun} {self._queue} has {used} subscriptions and may have "
                f"{limit} at most.",
            )

    async def _check_notifications(self, limits: Limits) -> None:
        """Refuse a post that would make more notifications than the limit.

        Count the subscriptions only if the limit can be exceeded at all.
        """
        count, most = len(self._messages), limits.notifications_per_post
        possible = limits.subscriptions_per_queue
        if most == UNLIMITED or (possible != UNLIMITED and count * possible <= most):
            return
        used = await self._count_subscriptions() if count else 0
        if count * used > most:
            ctx = self._ctx
            raise ctx.server.quotas.refuse(
                "notifications_per_post",
                f"{count} messages for the {used} subscriptions of the {ctx.noun} "
                f"{self._queue} are more than {most} notifications: post "
                f"at most {max(1, most // used)} messages at once.",
            )


# -- operations --------------------------------------------------------------


class QuotaShowArgs(Fields):
    """The caller's own project."""


class QuotaShowProjectArgs(Fields):
    """Any project."""

    project_id: Annotated[str, path(help="Id of the project.")]


@operation("GET", QUOTAS, "quota:get", frame_body=Body.OPTIONAL)
async def quota_show(ctx: Context, _args: QuotaShowArgs) -> dict[str, Any]:
    """Show the project's quotas and usage."""
    return await _shown(ctx, ctx.project)


@operation("GET", QUOTAS + "/{project_id}", "quota:get_project", admin=True)
async def quota_show_project(
    ctx: Context, args: QuotaShowProjectArgs
) -> dict[str, Any]:
    """Show the quotas and usage of any project."""
    if _PROJECT.fullmatch(args.project_id) is None:
        raise BadRequest(
            "project_id must have 1 to 256 characters and no control characters."
        )
    return await _shown(ctx, args.project_id)


async def _shown(ctx: Context, project: str) -> dict[str, Any]:
    quotas = ctx.server.quotas
    limits = quotas.limits(project, ctx.now)
    usage = await usage_of(ctx, project)
    used = {kind: getattr(usage, kind) for kind in STOCK}
    used["sockets"] = quotas.sockets(project)
    used["waiters"] = ctx.server.waiters.count(project)
    rate = limits.requests_per_second
    return {
        "quotas": {
            kind: {"limit": getattr(limits, kind), "used": count}
            for kind, count in used.items()
        },
        "rate": {
            "requests_per_second": rate,
            "burst": UNLIMITED if rate == UNLIMITED else limits.bucket_size,
            "remaining": quotas.remaining(project, ctx.now),
        },
    }

"""The service itself: versions, home document, ping, health (``rest-v2`` 1.2, 2.1)."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from zaqarserver.errors import Unavailable, ZaqarServerError
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import Fields
from zaqarserver.operations.row import Body, operation
from zaqarserver.storage.base import NewMessage, Storage, Volume
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    Command,
    MessageDelete,
    MessageDeleteMany,
    MessageList,
    MessagePost,
    QueueCreate,
    QueueDelete,
    VolumeGet,
)

if TYPE_CHECKING:
    from zaqarserver.storage.pooled.pools import Pools

LOG = logging.getLogger(__name__)

R = TypeVar("R")

VERSIONS = {
    "versions": [
        {
            "id": "2",
            "status": "CURRENT",
            "updated": "2014-9-24T04:06:47Z",
            "media-types": [
                {
                    "base": "application/json",
                    "type": "application/vnd.openstack.messaging-v2+json",
                }
            ],
            "links": [{"href": "/v2/", "rel": "self"}],
        }
    ]
}


class NoArgs(Fields):
    """No arguments."""


@operation("GET", "/v2/", None, frame_body=Body.OPTIONAL)
async def homedoc_get(ctx: Context, _args: NoArgs) -> dict[str, Any]:
    """Show the resources of the API and their paths."""
    return home_document(admin=ctx.settings.admin_mode)


@operation(
    "GET", "/v2/ping", "ping:get", status=204, head=True, frame_body=Body.OPTIONAL
)
async def ping(ctx: Context, _args: NoArgs) -> None:
    """Check that the service and its store respond."""
    await ctx.storage.ping()


#: The settings that clients may see.
_SHOWN_LIMITS = (
    "max_wait",
    *("max_messages_per_page", "max_messages_per_claim_or_pop"),
    *("max_queues_per_page", "max_subscriptions_per_page"),
    *("max_messages_post_size", "max_queue_metadata"),
    *("max_message_ttl", "max_message_delay", "max_claim_ttl", "max_claim_grace"),
    *("min_message_ttl", "min_claim_ttl", "min_claim_grace", "idempotency_window"),
)
#: The extensions of the API, with a test of whether a server has one switched on.
_FEATURES: dict[str, Callable[[Context], bool]] = {
    "wait": lambda ctx: ctx.settings.max_wait > 0,
    "idempotency": lambda ctx: ctx.settings.idempotency_window > 0,
    "release": lambda _ctx: True,
    "redrive": lambda _ctx: True,
    "resume": lambda _ctx: True,
    "signed_https": lambda ctx: ctx.server.signer.can_sign,
}


@operation("GET", "/v2/limits", "limits:get", frame_body=Body.OPTIONAL)
async def limits_get(ctx: Context, _args: NoArgs) -> dict[str, Any]:
    """Show the extensions of the API that the server has, and its limits."""
    return {
        "features": [name for name, is_on in _FEATURES.items() if is_on(ctx)],
        "limits": {name: getattr(ctx.settings, name) for name in _SHOWN_LIMITS},
    }


class _Probe:
    """Runs the steps of the health check on a temporary queue."""

    def __init__(self, storage: Storage, now: float) -> None:
        self._storage = storage
        self._now = now
        self._project = f"health-{uuid.uuid4().hex}"
        self.status: dict[str, dict[str, Any]] = {}
        #: The store's error, if a step failed.
        self.reason: str | None = None

    async def _try(self, name: str, command: Command[R]) -> R:
        started = time.perf_counter()
        entry: dict[str, Any] = {"succeeded": True, "seconds": 0.0, "ref": None}
        self.status[name] = entry
        try:
            return await self._storage.do(command)
        except ZaqarServerError as error:
            self.reason = str(error)
            entry["succeeded"] = False
            entry["ref"] = str(uuid.uuid4())
            LOG.exception("health check failed at %s, ref %s", name, entry["ref"])
            raise
        finally:
            entry["seconds"] = round(time.perf_counter() - started, 6)

    async def run(self) -> None:
        """Run the steps, up to the first that fails."""
        place, now, step = (self._project, "probe"), self._now, self._try
        two = [NewMessage(b'"health"', 60)] * 2
        page = MessageList(*place, marker=None, limit=10, now=now, include_claimed=True)
        try:
            await step("create_queue", QueueCreate(*place, {}))
            ids = await step("post_messages", MessagePost(*place, "health", two, now))
            wanted = ClaimCreate(*place, ttl=60, grace=60, limit=1, now=now)
            claim = await step("claim_messages", wanted)
            await step("list_messages", page)
            await step("delete_messages", MessageDelete(*place, ids[1], None, now))
            claim_id = claim.id if claim else "none"
            await step("delete_claim", ClaimDelete(*place, claim_id, now))
            rest = MessageDeleteMany(*place, ids, None, now)
            await step("bulk_delete_messages", rest)
            await step("delete_queue", QueueDelete(*place))
        except ZaqarServerError:
            return


@operation("GET", "/v2/health", "health:get", admin=True, frame_body=Body.OPTIONAL)
async def health(ctx: Context, _args: NoArgs) -> dict[str, Any]:
    """Try every kind of storage operation.

    The answer shows the duration of each. With pooling, each pool is tried; the
    server's own store is only pinged.
    """
    pools = ctx.server.pools
    if pools is None:
        return await _health_of(ctx.storage, ctx.now)
    reason = await _why_unreachable(ctx.storage)
    answer: dict[str, Any] = {"catalog_reachable": reason is None}
    if answer["catalog_reachable"]:
        await pools.refresh()
    names = list(pools.names)
    found = await asyncio.gather(
        *(_health_of_pool(pools, one, ctx.now) for one in names)
    )
    return {**answer, **dict(zip(names, found, strict=True))}


async def _health_of_pool(pools: Pools, name: str, now: float) -> dict[str, Any]:
    """Return the health of a pool; the pools are checked concurrently."""
    try:
        return await _health_of(await pools.storage(name), now)
    except Unavailable as error:
        LOG.warning("health check: %s", error)
        return _health(reachable=False, reason=str(error))


def is_well(document: dict[str, Any]) -> bool:
    """Return True if a health document reports no failure."""
    parts = [part for part in document.values() if isinstance(part, dict)]
    stores = [part for part in (document, *parts) if "reason" in part]
    return document.get("catalog_reachable", True) and not any(
        part["reason"] for part in stores
    )


async def _why_unreachable(storage: Storage) -> str | None:
    try:
        await storage.ping()
    except Unavailable as error:
        return str(error)
    return None


async def _health_of(storage: Storage, now: float) -> dict[str, Any]:
    reason = await _why_unreachable(storage)
    if reason is not None:
        return _health(reachable=False, reason=reason)
    probe = _Probe(storage, now)
    await probe.run()
    try:
        volume: Volume | None = await storage.do(VolumeGet())
    except Unavailable as error:
        volume, probe.reason = None, probe.reason or str(error)
    return _health(
        reachable=True,
        operation_status=probe.status,
        volume=volume,
        reason=probe.reason or storage.trouble,
        durability=storage.durability.value,
        warnings=storage.warnings,
    )


def _health(
    *,
    reachable: bool,
    reason: str | None,
    operation_status: dict[str, Any] | None = None,
    volume: Volume | None = None,
    durability: str | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a store's part of the answer; callers may see the reasons of failures."""
    return {
        "storage_reachable": reachable,
        "operation_status": operation_status or {},
        "message_volume": volume
        and {
            "free": volume.free,
            "claimed": volume.claimed,
            "total": volume.free + volume.claimed,
        },
        "durability": durability,
        "warnings": list(warnings),
        "reason": reason,
    }


_PAGE = "{?marker,limit}"
_QUEUE = "/v2/queues/{queue_name}"
_MESSAGES = f"{_QUEUE}/messages"


def _of_topic(rel: str, template: str) -> tuple[str, str]:
    """Return a relation of queues and its template as topics have them."""
    rel = rel.replace("queue", "topic") if "queue" in rel else f"topic_{rel}"
    for unknown in (",include_claimed", "{?claim,claim_id}"):
        template = template.replace(unknown, "")
    return rel, template.replace("queue", "topic")


# rel, template, methods
_PUBLIC: tuple[tuple[str, str, str], ...] = (
    ("queues", "/v2/queues{?marker,limit,detailed}", "GET"),
    ("queue", _QUEUE, "GET PUT DELETE PATCH"),
    ("queue_stats", f"{_QUEUE}/stats", "GET"),
    ("queue_share", f"{_QUEUE}/share", "POST"),
    ("queue_purge", f"{_QUEUE}/purge", "POST"),
    ("messages", _MESSAGES + "{?marker,limit,echo,include_claimed}", "GET"),
    ("post_messages", _MESSAGES, "POST"),
    ("messages_delete", _MESSAGES + "{?ids,pop}", "DELETE"),
    ("message_delete", _MESSAGES + "/{message_id}{?claim,claim_id}", "DELETE"),
    ("message_get", _MESSAGES + "/{message_id}", "GET"),
    ("claim", f"{_QUEUE}/claims/{{claim_id}}", "GET"),
    ("post_claim", f"{_QUEUE}/claims{{?limit}}", "POST"),
    ("patch_claim", f"{_QUEUE}/claims/{{claim_id}}", "PATCH"),
    ("delete_claim", f"{_QUEUE}/claims/{{claim_id}}", "DELETE"),
    ("subscriptions_get", f"{_QUEUE}/subscriptions{_PAGE}", "GET"),
    ("subscriptions_post", f"{_QUEUE}/subscriptions{{?limit}}", "POST"),
    ("subscription", f"{_QUEUE}/subscriptions/{{subscriptions_id}}", "GET DELETE"),
    ("subscription_patch", f"{_QUEUE}/subscriptions/{{subscriptions_id}}", "PATCH"),
    ("ping", "/v2/ping", "GET"),
)
# Topics are queues without claims and signed URLs.
_TOPICS = tuple(
    (*_of_topic(rel, template), methods)
    for rel, template, methods in _PUBLIC
    if "queue" in template and "claims" not in template and rel != "queue_share"
)
_ADMIN: tuple[tuple[str, str, str], ...] = (
    ("pools", "/v2/pools{?detailed,limit,marker}", "GET"),
    ("pool", "/v2/pools/{pool_name}", "GET PUT PATCH DELETE"),
    ("flavors", "/v2/flavors{?detailed,limit,marker}", "GET"),
    ("flavor", "/v2/flavors/{flavor_name}", "GET PUT PATCH DELETE"),
)
# What the variable ``limit`` counts, by rel.
_LIMITS = {
    "queues": "queue_limit",
    "topics": "queue_limit",
    "messages": "messages_limit",
    "post_claim": "claim_limit",
    "subscriptions_get": "subscription_limit",
    "subscriptions_post": "subscription_limit",
    "pools": "pool_limit",
    "flavors": "flavor_limit",
}
_VARIABLES = re.compile(r"\{\??([^}]*)\}")


def _entry(rel: str, template: str, methods: str) -> dict[str, Any]:
    names = [
        name for group in _VARIABLES.findall(template) for name in group.split(",")
    ]
    limit = _LIMITS.get(rel.removeprefix("topic_"), "limit")
    special = {"limit": limit, "claim": "claim_id"}
    hints: dict[str, Any] = {
        "allow": methods.split(),
        "formats": {"application/json": {}},
    }
    if methods in ("POST", "PATCH"):
        hints["accept-post"] = ["application/json"]
    return {
        "href-template": template,
        "href-vars": {name: f"param/{special.get(name, name)}" for name in names},
        "hints": hints,
    }


def home_document(*, admin: bool) -> dict[str, Any]:
    """Return the home document; with the admin resources in admin mode."""
    rows = _PUBLIC + _TOPICS + (_ADMIN if admin else ())
    resources = {f"rel/{row[0]}": _entry(*row) for row in rows}
    if admin:
        resources["rel/health"] = {
            "href": "/v2/health",
            "hints": {"allow": ["GET"], "formats": {"application/json": {}}},
        }
    return {"resources": resources}

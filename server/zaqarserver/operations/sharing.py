"""Pre-signed URLs: create, list, revoke, and check (``rest-v2`` 2.8).

A signature is valid without being stored. Its record (a *grant*) is stored so that
the owner of the queue can list and revoke it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from zaqarserver.errors import BadRequest, Conflict, NotFound
from zaqarserver.operations.context import Context, Server
from zaqarserver.operations.fields import (
    Fields,
    QueueName,
    count,
    path,
    query,
    spread,
)
from zaqarserver.operations.row import QUEUE, SIGNED_URL, SIGNED_URLS, operation
from zaqarserver.operations.signing import (
    DEFAULT_SECONDS,
    KINDS,
    Signature,
    grant_id,
    parse_moment,
)
from zaqarserver.spaces import space_of
from zaqarserver.storage.accounts import (
    Grant,
    GrantAdd,
    GrantCheck,
    GrantList,
    GrantRevoke,
)

_KEYS = ("paths", "methods", "expires")
_SIGNABLE = re.compile(
    rf"/v2/(?P<resource>queues|topics)/(?P<name>[^/]+)/(?:{'|'.join(KINDS)})(?:/|\Z)"
)


class SignedUrlCreateArgs(Fields):
    """The access that a signature grants."""

    queue_name: QueueName
    grant: Annotated[
        Any,
        spread("paths (of messages, claims, subscriptions), methods, expires."),
    ] = msgspec.UNSET


@operation("POST", QUEUE + "/share", "queues:share")
async def signed_url_create(ctx: Context, args: SignedUrlCreateArgs) -> Signature:
    """Sign access to a queue for a client without credentials."""
    given = args.grant
    if not isinstance(given, Mapping):
        raise BadRequest("The body must be an object.", title="Invalid request body")
    unknown = [key for key in given if key not in _KEYS]
    if unknown:
        raise BadRequest(f"Unknown keys: {', '.join(unknown)}.")
    kinds = _texts(given, "paths") or ["messages"]
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong:
        raise BadRequest(
            f"Invalid paths: {', '.join(wrong)}; there are {', '.join(KINDS)}."
        )
    methods = _texts(given, "methods") or ["GET"]
    expires = _expires(given, ctx.wall)
    paths = [f"/v2/queues/{args.queue_name}/{kind}" for kind in kinds]
    signed = ctx.server.signer.sign(paths, methods, ctx.project, expires)
    await _put_on_record(ctx, args.queue_name, signed)
    return signed


async def _put_on_record(ctx: Context, queue: str, signed: Signature) -> None:
    grant = Grant(
        grant_id(signed.signature),
        signed.paths,
        signed.methods,
        ctx.wall,
        parse_moment(signed.expires).timestamp(),
    )
    most = ctx.settings.max_signed_urls_per_queue
    kept = await ctx.storage.do(
        GrantAdd(ctx.project, queue, grant, most=most, now=ctx.wall)
    )
    if kept is None:
        raise Conflict(
            f"Queue {queue} has {most} signed URLs that have not expired, and may not "
            "have more. Revoked ones count until they expire: sign for shorter times."
        )
    if kept.revoked:
        raise Conflict("This signed URL exists and is revoked: choose another expires.")


async def is_open(
    server: Server, presented: Signature, method: str, path: str, now: float
) -> bool:
    """Return True if a presented signature admits a request, on either edge.

    It does if it is genuine, has not expired, covers the method and the path, and is
    not revoked. Whatever was signed, it admits only requests on messages, claims and
    subscriptions; signing and the queue itself are reserved to the owner.

    Args:
        server: The parts of the server.
        presented: The signature of the request, its parts in any order.
        method: The request's method; for a frame, that of its action's row.
        path: The request's path, decoded; for a frame, that of its action's row
            with the frame's arguments.
        now: The system's time, in which ``expires`` is given.
    """
    match = _SIGNABLE.match(path)
    if match is None or not server.signer.covers(presented, method, path, now):
        return False
    space = space_of(presented.project, topics=match["resource"] == "topics")
    id_ = grant_id(presented.signature)
    return not await server.storage.do(GrantCheck(space, match["name"], id_, now))


class SignedUrlListArgs(Fields):
    """The signed URLs of a queue."""

    queue_name: QueueName
    marker: Annotated[str | None, query(help="Only those after this id.")] = None
    limit: Annotated[int, count("max_signed_urls_per_page", "Signed URLs a page.")] = 10


@operation("GET", SIGNED_URLS, "queues:share")
async def signed_url_list(ctx: Context, args: SignedUrlListArgs) -> list[Grant]:
    """List a queue's signed URLs that have not expired.

    They are sorted by id.
    """
    return await ctx.storage.do(
        GrantList(
            ctx.project,
            args.queue_name,
            marker=args.marker,
            limit=args.limit,
            now=ctx.wall,
        )
    )


class SignedUrlArgs(Fields):
    """One signed URL."""

    queue_name: QueueName
    signed_url_id: Annotated[str, path(help="Id of the signed URL, as listed.")]


@operation("DELETE", SIGNED_URL, "queues:share", status=204)
async def signed_url_revoke(ctx: Context, args: SignedUrlArgs) -> None:
    """Revoke a signed URL."""
    found = await ctx.storage.do(
        GrantRevoke(ctx.project, args.queue_name, args.signed_url_id, ctx.wall)
    )
    if not found:
        raise NotFound(
            f"Queue {args.queue_name} has no signed URL {args.signed_url_id} that has "
            "not expired."
        )


def _texts(given: Mapping[str, Any], key: str) -> list[str]:
    value = given.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadRequest(f"{key} must be an array of texts.")
    if any("," in one or "\\n" in one for one in value):
        raise BadRequest(f"{key} must not contain commas or line breaks.")
    return value


def _expires(given: Mapping[str, Any], now: float) -> float:
    if "expires" not in given:
        return now + DEFAULT_SECONDS
    text = given["expires"]
    if not isinstance(text, str):
        raise BadRequest("expires must be a date and time in ISO 8601.")
    moment = parse_moment(text).timestamp()
    if moment <= now:
        raise BadRequest("expires must be in the future.")
    return moment

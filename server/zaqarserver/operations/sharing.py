"""Pre-signed URLs (``rest-v2`` 2.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from zaqarserver.context import Context, Server
from zaqarserver.errors import BadRequest
from zaqarserver.fields import Fields, QueueName, document
from zaqarserver.signing import DEFAULT_SECONDS, KINDS, Signature, parse_moment

_KEYS = ("paths", "methods", "expires")


class SignedUrlCreate(Fields):
    """What to allow whoever holds the signature."""

    queue_name: QueueName
    grant: Annotated[
        Any,
        document(
            spread=True,
            help="paths (of messages, claims, subscriptions), methods, expires.",
        ),
    ] = msgspec.UNSET


async def signed_url_create(ctx: Context, args: SignedUrlCreate) -> Signature:
    """Sign access to parts of a queue for whoever holds the signature."""
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
    expires = _expires(given, ctx.now)
    paths = [f"/v2/queues/{args.queue_name}/{kind}" for kind in kinds]
    return ctx.server.signer.sign(paths, methods, ctx.project, expires)


async def is_open(
    server: Server, presented: Signature, method: str, path: str, now: float
) -> bool:
    """Say whether a presented signature lets a request in: both edges ask here.

    It does if it is genuine, has not ended, and covers the method and the path.

    Args:
        server: The parts of the server.
        presented: As it came with the request, in any order.
        method: The request's method; for a frame, that of its action's row.
        path: The request's path, decoded; for a frame, that of its action's row
            with the frame's queue, message, and so on put in.
        now: Seconds since the epoch.
    """
    return server.signer.admits(presented, method, path, now)


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
        raise BadRequest("expires must be a text, a date and time in ISO 8601.")
    moment = parse_moment(text).timestamp()
    if moment <= now:
        raise BadRequest("expires must be in the future.")
    return moment

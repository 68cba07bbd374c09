"""Pre-signed URLs: create, list, revoke, and check (``rest-v2`` 2.8).

A signature is valid without being stored. Its record (a *grant*) is stored so that
the owner of the queue can list and revoke it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from zaqarserver.errors import BadRequest, Conflict, NotFound, QuotaExceeded
from zaqarserver.operations.context import Context, Server
from zaqarserver.operations.fields import QueueArgs, count, path, query, spread
from zaqarserver.operations.row import QUEUE, SIGNED_URL, SIGNED_URLS, operation
from zaqarserver.spaces import space_of
from zaqarserver.storage.accounts import (
    Grant,
    GrantAdd,
    GrantCheck,
    GrantList,
    GrantRevoke,
)

KINDS = ("messages", "claims", "subscriptions")
DEFAULT_SECONDS = 86400
_FORMAT = "%Y-%m-%dT%H:%M:%S"
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?"
    r"(?:Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)


# -- signatures ----------------------------------------------------------------


class Signature(msgspec.Struct, frozen=True):
    """A signed grant.

    Attributes:
        paths: The paths, sorted.
        methods: The methods, sorted.
        project: The project.
        expires: UTC as ``%Y-%m-%dT%H:%M:%S``, without a zone.
        signature: Lower-case hex digits.
    """

    paths: list[str]
    methods: list[str]
    project: str
    expires: str
    signature: str


def compute(
    key: str, paths: Sequence[str], methods: Sequence[str], project: str, expires: str
) -> str:
    """Return the signature of a grant.

    The parts are joined by two characters, a backslash and an n: all clients use this
    form.
    """
    text = r"\n".join(
        [",".join(sorted(paths)), ",".join(sorted(methods)), project, expires]
    )
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def grant_id(signature: str) -> str:
    """Return the id of a signature's grant, which does not reveal the signature."""
    return hashlib.sha256(signature.encode()).hexdigest()[:32]


def written(moment: float) -> str:
    """Return a time, in seconds since the epoch, as it is signed and shown."""
    return dt.datetime.fromtimestamp(int(moment), dt.UTC).strftime(_FORMAT)


def parse_moment(text: str) -> dt.datetime:
    """Return an ISO 8601 date and time in UTC, to the second.

    Raises:
        BadRequest: The text is malformed.
    """
    wrong = BadRequest("expires must be a date and time such as 2031-03-03T09:00:00.")
    if _MOMENT.fullmatch(text) is None:
        raise wrong
    try:
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        return moment.astimezone(dt.UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise wrong from None


class Signer:
    """Makes and checks signatures with the server's key.

    Args:
        key: ``[signed_url] secret_key``; with an empty one all signatures are refused.
    """

    def __init__(self, key: str) -> None:
        self._key = key

    @property
    def can_sign(self) -> bool:
        """True if there is a key."""
        return bool(self._key)

    def sign(
        self,
        paths: Sequence[str],
        methods: Sequence[str],
        project: str,
        expires: float,
    ) -> Signature:
        """Sign a grant.

        Args:
            paths: The paths.
            methods: The methods.
            project: The project.
            expires: When it ends, seconds since the epoch.

        Raises:
            BadRequest: The server has no key.
        """
        if not self._key:
            raise BadRequest(
                "Signed URLs need [signed_url] secret_key, which is not configured "
                "here."
            )
        moment = written(expires)
        chosen, allowed = sorted(set(paths)), sorted(set(methods))
        return Signature(
            chosen,
            allowed,
            project,
            moment,
            compute(self._key, chosen, allowed, project, moment),
        )

    def sign_text(
        self,
        paths: Sequence[str],
        methods: Sequence[str],
        project: str,
        expires: str,
    ) -> str:
        """Return only the signature, for an expiry in its written form."""
        return compute(self._key, paths, methods, project, expires)

    def covers(self, grant: Signature, method: str, path: str, now: float) -> bool:
        """Return True if a signature is genuine and covers a request.

        Args:
            grant: The signature of the request.
            method: The request's method.
            path: The request's path, decoded.
            now: Seconds since the epoch.
        """
        try:
            expires = parse_moment(grant.expires)
        except BadRequest:
            return False
        wanted = compute(
            self._key,
            grant.paths,
            grant.methods,
            grant.project,
            expires.strftime(_FORMAT),
        )
        genuine = hmac.compare_digest(wanted.encode(), grant.signature.encode())
        return (
            genuine
            and bool(self._key)
            and expires.timestamp() > now
            and method in grant.methods
            and any(path == one or path.startswith(one + "/") for one in grant.paths)
        )


_KEYS = ("paths", "methods", "expires")
_SIGNABLE = re.compile(
    rf"/v2/(?P<resource>queues|topics)/(?P<name>[^/]+)/(?:{'|'.join(KINDS)})(?:/|\Z)"
)


# -- operations ----------------------------------------------------------------


class SignedUrlCreateArgs(QueueArgs):
    """The access that a signature grants."""

    grant: Annotated[
        Any,
        spread("paths (of messages, claims, subscriptions), methods, expires."),
    ] = msgspec.UNSET


@operation("POST", QUEUE + "/share", "queues:share", errors=(Conflict, QuotaExceeded))
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


class SignedUrlListArgs(QueueArgs):
    """The signed URLs of a queue."""

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


class SignedUrlArgs(QueueArgs):
    """One signed URL."""

    signed_url_id: Annotated[str, path(help="Id of the signed URL, as listed.")]


@operation("DELETE", SIGNED_URL, "queues:share", status=204, errors=(NotFound,))
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

"""Claims: leases on messages for work distribution (``rest-v2`` 2.9, 5.4)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from operator import attrgetter
from typing import Annotated

import msgspec

from zaqarserver.errors import ClaimNotFound, Unavailable
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import QueueArgs, Wait, body, count, path, query
from zaqarserver.operations.messages import is_delayed, queue_metadata, readable
from zaqarserver.operations.metadata import dead_letter
from zaqarserver.operations.row import CLAIM, CLAIMS, Body, operation
from zaqarserver.storage.base import Claim
from zaqarserver.storage.commands import ClaimCreate, ClaimDelete, ClaimGet, ClaimUpdate

LOG = logging.getLogger(__name__)

ClaimTtl = Annotated[
    int | msgspec.UnsetType,
    body(
        minimum="min_claim_ttl",
        maximum="max_claim_ttl",
        help="Seconds that the claim holds.",
    ),
]
ClaimGrace = Annotated[
    int | msgspec.UnsetType,
    body(
        minimum="min_claim_grace",
        maximum="max_claim_grace",
        help="Seconds that claimed messages outlive the claim.",
    ),
]


class ClaimCreateArgs(QueueArgs):
    """A new claim."""

    ttl: ClaimTtl = msgspec.UNSET
    grace: ClaimGrace = msgspec.UNSET
    limit: Annotated[
        int, count("max_messages_per_claim_or_pop", "Messages to claim at most.")
    ] = 10
    wait: Wait = 0


def _or_default(value: int | msgspec.UnsetType, default: int) -> int:
    return default if isinstance(value, msgspec.UnsetType) else value


async def _release(ctx: Context, args: ClaimCreateArgs, claim: Claim) -> None:
    """Release a claim whose answer did not reach the client."""
    try:
        await ctx.do(ClaimDelete, args.queue_name, claim.id, ctx.now)
    except Unavailable as error:
        LOG.warning("a claim whose answer was lost stays until it expires: %s", error)


@operation(
    "POST",
    CLAIMS,
    "claims:create",
    status=201,
    body=Body.OPTIONAL,
    record="max_messages_post_size",
    undo=_release,
    waits=attrgetter("wait"),
    nothing=None,
)
async def claim_create(ctx: Context, args: ClaimCreateArgs) -> Claim | None:
    """Claim the oldest free messages.

    Return ``None`` if there are none.
    """
    metadata = await queue_metadata(ctx, args.queue_name)
    claim = await ctx.do(
        ClaimCreate,
        args.queue_name,
        ttl=_or_default(args.ttl, ctx.settings.default_claim_ttl),
        grace=_or_default(args.grace, ctx.settings.default_claim_grace),
        limit=args.limit,
        now=ctx.now,
        include_delayed=not is_delayed(metadata),
        dead_letter=dead_letter(metadata),
    )
    return None if claim is None else _readable(ctx, args.queue_name, claim)


def _readable(ctx: Context, queue: str, claim: Claim) -> Claim:
    return msgspec.structs.replace(claim, messages=readable(ctx, queue, claim.messages))


class ClaimArgs(QueueArgs):
    """One claim."""

    claim_id: Annotated[str, path(help="Id of the claim.")]


@contextlib.contextmanager
def _named(ctx: Context, args: ClaimArgs) -> Iterator[None]:
    """Add the claim's id to the error if it does not exist."""
    try:
        yield
    except ClaimNotFound as error:
        missing = f"Claim {args.claim_id} does not exist"
        place = f"in {ctx.noun} {args.queue_name} for project {ctx.project}"
        raise ClaimNotFound(f"{missing}.", detail=f"{missing} {place}") from error


@operation(
    "GET",
    CLAIM,
    "claims:get",
    record="max_messages_post_size",
    shows_claim=True,
    errors=(ClaimNotFound,),
)
async def claim_get(ctx: Context, args: ClaimArgs) -> Claim:
    """Show a claim and the messages it still holds."""
    with _named(ctx, args):
        claim = await ctx.do(ClaimGet, args.queue_name, args.claim_id, ctx.now)
    return _readable(ctx, args.queue_name, claim)


class ClaimUpdateArgs(ClaimArgs):
    """A renewal of a claim."""

    ttl: ClaimTtl = msgspec.UNSET
    grace: ClaimGrace = msgspec.UNSET


@operation(
    "PATCH",
    CLAIM,
    "claims:update",
    status=204,
    done="Claim {.claim_id} updated.",
    errors=(ClaimNotFound,),
)
async def claim_update(ctx: Context, args: ClaimUpdateArgs) -> None:
    """Renew a claim.

    Arguments that are left out return to their defaults.
    """
    with _named(ctx, args):
        await ctx.do(
            ClaimUpdate,
            args.queue_name,
            args.claim_id,
            ttl=_or_default(args.ttl, ctx.settings.default_claim_ttl),
            grace=_or_default(args.grace, ctx.settings.default_claim_grace),
            now=ctx.now,
        )


class ClaimDeleteArgs(ClaimArgs):
    """A claim to release."""

    delay: Annotated[
        int,
        query(
            minimum=0,
            maximum="max_message_delay",
            help="Seconds until its messages are free.",
        ),
    ] = 0


@operation(
    "DELETE", CLAIM, "claims:delete", status=204, done="Claim {.claim_id} deleted."
)
async def claim_delete(ctx: Context, args: ClaimDeleteArgs) -> None:
    """Release a claim.

    Its messages are free at once, or after a delay.
    """
    await ctx.do(ClaimDelete, args.queue_name, args.claim_id, ctx.now, args.delay)

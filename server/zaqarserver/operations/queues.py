"""Queues: list, create, show, change, delete, count, empty (``rest-v2`` 2.3-2.6)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from zaqarserver.errors import (
    BadRequest,
    Conflict,
    FlavorNotFound,
    OutcomeUnknown,
    QueueChanged,
    QueueNotFound,
    QuotaExceeded,
    Unavailable,
)
from zaqarserver.operations import metadata as attributes
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import (
    Fields,
    QueueArgs,
    RequestPart,
    Spec,
    body,
    count,
    document,
    query,
)
from zaqarserver.operations.quotas import Reservation
from zaqarserver.operations.row import PATCH_TYPE, QUEUE, QUEUES, Body, operation
from zaqarserver.operations.trusting import remove_trusts, trusts_of
from zaqarserver.storage.base import Metadata, Queue, QueueStats
from zaqarserver.storage.catalog import FlavorGet
from zaqarserver.storage.commands import (
    MessagePurge,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueList,
    QueueStatsGet,
    QueueUpdate,
)
from zaqarserver.storage.subscriptions import SubscriptionPurge

RESOURCE_TYPES = ("messages", "subscriptions")
_UPDATE_TRIES = 8


class QueueListArgs(Fields):
    """The queues of the project, by name."""

    marker: Annotated[str | None, query(help="Only names after this one.")] = None
    limit: Annotated[int, count("max_queues_per_page", "Queues a page.")] = 10
    detailed: Annotated[bool, query(help="Include the metadata.")] = False
    name: Annotated[str | None, query(help="Only names that contain this.")] = None
    with_count: Annotated[bool, query(help="Include the number of all queues.")] = False
    filters: Annotated[
        dict[str, list[str]] | None,
        Spec(
            part=RequestPart.OTHERS,
            help="Any other parameter: only queues with this metadata value.",
        ),
    ] = None


class QueuePage(msgspec.Struct, frozen=True):
    """A page of queues.

    Attributes:
        queues: The queues, by name.
        count: The number of all queues of the project, if asked for.
    """

    queues: list[Queue]
    count: int | None


@operation("GET", QUEUES, "queues:get_all", frame_body=Body.OPTIONAL)
async def queue_list(ctx: Context, args: QueueListArgs) -> QueuePage:
    """List the project's queues."""
    wanted = None
    if args.filters:
        wanted = {key: _filter_values(texts) for key, texts in args.filters.items()}
    queues = await ctx.do(
        QueueList, marker=args.marker, limit=args.limit, name=args.name, metadata=wanted
    )
    count = await ctx.do(QueueCount) if args.with_count else None
    return QueuePage(queues, count)


def _filter_values(texts: list[str]) -> list[Any]:
    """Return the values that a filter's texts match: the text, and the integer."""
    values: list[Any] = list(texts)
    for text in texts:
        digits = text.removeprefix("-").removeprefix("+")
        if digits.isascii() and digits.isdigit() and len(digits) <= 18:
            values.append(int(text))
    return values


class QueueCreateArgs(QueueArgs):
    """A new queue."""

    metadata: Annotated[
        dict[str, Any] | None,
        document(help="Metadata: reserved attributes and any others."),
    ] = None


@operation(
    "PUT",
    QUEUE,
    "queues:create",
    status=201,
    body=Body.OPTIONAL,
    errors=(QuotaExceeded,),
)
async def queue_create(ctx: Context, args: QueueCreateArgs) -> bool:
    """Create a queue, if it does not exist.

    Return False, changing nothing, if it exists.
    """
    metadata = args.metadata or {}
    _check_metadata(ctx, args.queue_name, metadata, {})
    flavor = metadata.get("_flavor")
    if not await _has_flavor(ctx, flavor):
        raise BadRequest(f"_flavor: flavor {flavor} does not exist.")
    reservation = Reservation(
        ctx, args.queue_name, dead_letters=_dead_letters(ctx, metadata)
    )
    async with reservation:
        return await ctx.do(QueueCreate, args.queue_name, metadata)


def _dead_letters(ctx: Context, metadata: Metadata) -> str | None:
    """Return the dead letter queue; ``None`` for topics."""
    return None if ctx.topics else metadata.get("_dead_letter_queue")


def _check_metadata(
    ctx: Context, queue: str, metadata: Metadata, old: Metadata
) -> None:
    attributes.check_size(ctx, "The metadata", metadata, old)
    attributes.check_reserved(metadata, ctx.settings, queue)
    ctx.server.stages.check_metadata(metadata)


async def _has_flavor(ctx: Context, flavor: str | None) -> bool:
    """Return True if the project has the flavor; always True without pooling."""
    pools = ctx.server.pools
    if flavor is None or pools is None:
        return True
    return await pools.catalog.do(FlavorGet(ctx.project, flavor)) is not None


@operation("GET", QUEUE, "queues:get")
async def queue_get(ctx: Context, args: QueueArgs) -> Metadata | None:
    """Show a queue's metadata.

    Return what is stored, or ``None`` for a queue that does not exist.
    """
    queue = await ctx.do(QueueGet, args.queue_name)
    return None if queue is None else queue.metadata


class QueueUpdateArgs(QueueArgs):
    """A change of a queue's metadata."""

    operations: Annotated[
        list[Any], document(help="A JSON patch on /metadata/<key>.")
    ] = msgspec.field(default_factory=list)


@operation(
    "PATCH",
    QUEUE,
    "queues:update",
    content_type=PATCH_TYPE,
    # A patch operation can be ten times as long as the member that it sets.
    times=16,
    errors=(QueueNotFound, FlavorNotFound, Conflict),
)
async def queue_update(ctx: Context, args: QueueUpdateArgs) -> Metadata:
    """Change a queue's metadata.

    Apply a JSON patch, all or nothing; return the result.
    """
    changes = attributes.parse_patch(args.operations)
    name = args.queue_name
    for _ in range(_UPDATE_TRIES):
        queue = await ctx.do(QueueGet, name)
        if queue is None:
            raise QueueNotFound(f"{ctx.noun.capitalize()} {name} does not exist.")
        metadata = attributes.apply_patch(queue.metadata, changes, ctx)
        _check_metadata(ctx, name, metadata, queue.metadata)
        if metadata == queue.metadata:
            return metadata
        flavor = metadata.get("_flavor")
        if flavor != queue.metadata.get("_flavor") and not await _has_flavor(
            ctx, flavor
        ):
            raise FlavorNotFound(f"_flavor: flavor {flavor} does not exist.")
        # Only a new dead letter queue counts against the quota.
        target = _dead_letters(ctx, metadata)
        unchanged = target == _dead_letters(ctx, queue.metadata)
        new = name if target is None or unchanged else target
        try:
            async with Reservation(ctx, new):
                await ctx.do(QueueUpdate, name, metadata, queue.revision)
        except QueueChanged:
            continue
        return metadata
    raise Unavailable(f"Too many concurrent changes of {ctx.noun} {name}.")


@operation(
    "DELETE", QUEUE, "queues:delete", status=204, done="Queue {.queue_name} removed."
)
async def queue_delete(ctx: Context, args: QueueArgs) -> None:
    """Delete a queue with its messages and claims.

    Do nothing if it does not exist.
    """
    await ctx.do(QueueDelete, args.queue_name)


@operation("GET", QUEUE + "/stats", "queues:stats", errors=(QueueNotFound,))
async def queue_get_stats(ctx: Context, args: QueueArgs) -> QueueStats | None:
    """Count a queue's messages.

    Return ``None`` for a queue that does not exist.
    """
    if await ctx.do(QueueGet, args.queue_name) is None:
        return None
    return await ctx.do(QueueStatsGet, args.queue_name, ctx.now)


class QueuePurgeArgs(QueueArgs):
    """The parts of a queue to remove."""

    resource_types: Annotated[
        list[str] | None,
        body(required=True, help="Any of messages, subscriptions; both by default."),
    ] = None


@operation("POST", QUEUE + "/purge", "queues:purge", status=204, body=Body.OPTIONAL)
async def queue_purge(ctx: Context, args: QueuePurgeArgs) -> None:
    """Remove all messages or subscriptions of a queue.

    Remove both by default.
    """
    wanted = RESOURCE_TYPES if args.resource_types is None else args.resource_types
    for kind in wanted:
        if kind not in RESOURCE_TYPES:
            raise BadRequest(
                f"resource_types: {kind!r} is not one of {', '.join(RESOURCE_TYPES)}."
            )
    if "subscriptions" in wanted:
        trusts = await trusts_of(ctx, args.queue_name)
        await ctx.do(SubscriptionPurge, args.queue_name)
        remove_trusts(ctx, trusts)
    if "messages" in wanted:
        try:
            await ctx.do(MessagePurge, args.queue_name)
        except Unavailable as error:
            if "subscriptions" in wanted:
                raise OutcomeUnknown(
                    f"subscriptions are purged, messages may not be: {error}"
                ) from error
            raise

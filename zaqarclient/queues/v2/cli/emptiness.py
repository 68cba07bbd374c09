"""Why an answer is empty, by the statistics of the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zaqarclient.common.quantities import in_words
from zaqarclient.errors import ZaqarError
from zaqarclient.queues.v2.cli.paging import PAGE_SIZE
from zaqarclient.transport import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zaqarclient.queues.v2.message import Message
    from zaqarclient.queues.v2.queue_or_topic import QueueOrTopic
    from zaqarclient.queues.v2.queues import Queue


class Scope(NamedTuple):
    """The messages of a queue that were looked at.

    Attributes:
        echo: Those of this client too.
        include_claimed: Those under a claim too.
        include_delayed: Those that are still hidden too.
        marker: Only those after this one.
    """

    echo: bool = True
    include_claimed: bool = False
    include_delayed: bool = False
    marker: str | None = None


FREE = Scope()
"""What claims and pops look at."""


def exists(target: QueueOrTopic) -> bool:
    """Return False only if the service says that there is no such queue or topic."""
    try:
        return target.is_created()
    except ZaqarError:
        return True


def is_absent(target: str, find: Callable[[str], object]) -> bool:
    """Return True if a target does not exist, as far as this client may know.

    Args:
        target: A name or an id.
        find: Returns False, or raises the error of 404, if it does not exist.
    """
    try:
        return find(target) is False
    except errors.ResourceNotFound:
        return True
    except errors.NetworkError:
        raise
    except errors.TransportError:  # a signed URL, say, that may delete and not look
        return False


def reason(
    target: QueueOrTopic, scope: Scope = FREE, otherwise: str = "There is nothing."
) -> str:
    """Return a sentence: why nothing was found.

    Args:
        target: A queue or topic.
        scope: What was looked at.
        otherwise: The sentence if the statistics do not show why.
    """
    try:
        return _reason(target, scope) or otherwise
    except ZaqarError:  # a signed URL, say, that allows no statistics
        return otherwise


def _reason(target: QueueOrTopic, scope: Scope) -> str | None:
    counters = target.stats["messages"]
    total, claimed = counters["total"], counters.get("claimed", 0)
    if not total:
        named = f"{target.kind} {target.name}"
        return f"The {named} is empty." if exists(target) else f"There is no {named}."
    if scope.marker is not None:
        return _after(target, scope.marker)
    text = "; ".join(_hidden(target, scope, total, claimed))
    return f"{text[0].upper()}{text[1:]}." if text else None


def _hidden(
    target: QueueOrTopic, scope: Scope, total: int, claimed: int
) -> Iterator[str]:
    """Yield what hides the messages that there are."""
    if claimed and not scope.include_claimed:
        ends = _first_end(target, claimed)  # type: ignore[arg-type]  # topics have no claims
        yield f"{_are(claimed, total)} claimed{ends}"
    rest = total - claimed
    if rest and not scope.echo and _first_page(target, delayed=scope.include_delayed):
        yield f"{_are(rest, total)} this client's own (--echo shows them)"
    elif rest and not scope.include_delayed:
        yield f"{_are(rest, total)} delayed"


def _are(count: int, total: int) -> str:
    if total == 1:
        return "the only message is"
    return f"{count:,} of {total:,} messages {'are' if count > 1 else 'is'}"


def _first_page(
    target: QueueOrTopic, *, delayed: bool, claimed: bool = False
) -> list[Message]:
    return list(
        target.messages(
            limit=PAGE_SIZE,
            echo=True,
            include_claimed=claimed or None,
            include_delayed=delayed,
        )
    )


def _first_end(queue: Queue, claimed: int) -> str:
    """Return when the first of the claims ends, as far as one page shows it."""
    page = _first_page(queue, delayed=True, claimed=True)
    held = [message.claim_id for message in page if message.claim_id]
    left = [_seconds_left(queue, claim) for claim in dict.fromkeys(held)]
    if not left:
        return ""  # listed over WebSocket, messages do not show their claims
    limit = "" if len(held) == claimed else "at most "
    return f"; the first is free again in {limit}{in_words(min(left))}"


def _seconds_left(queue: Queue, claim_id: str) -> int:
    claim = queue.claim(id=claim_id)
    try:
        age = claim.age or 0
    except errors.ResourceNotFound:  # it has ended meanwhile
        return 0
    return max((claim.ttl or 0) - age, 0)


def _after(target: QueueOrTopic, marker: str) -> str:
    try:
        target.message(marker)
    except (errors.ResourceNotFound, errors.MalformedRequest):
        return f"Nothing comes after {marker}, and no message has this id now."
    return f"Nothing comes after message {marker}."

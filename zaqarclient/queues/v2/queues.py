"""Queues."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from zaqarclient import names
from zaqarclient.queues.v2 import calls, iterator, queue_or_topic
from zaqarclient.queues.v2 import claim as claim_resource
from zaqarclient.queues.v2 import message as message_resource
from zaqarclient.queues.v2.queue_or_topic import QUEUE_NAME_REGEX
from zaqarclient.queues.v2.resource import maker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from zaqarclient.queues.v2.client import Client
    from zaqarclient.queues.v2.documents import SignedURLParts, SignedURLRecord

__all__ = ["QUEUE_NAME_REGEX", "Queue", "RedriveAnswer", "create_object"]


class RedriveAnswer(NamedTuple):
    """The result of a redrive.

    Attributes:
        moved: How many messages were moved.
        matched: How many of the page were selected.
        next: The marker of the next page, None after the last.
    """

    moved: int
    matched: int
    next: str | None


@names.checked
class Queue(queue_or_topic.QueueOrTopic):
    """A queue, whether it exists or not.

    Making the object sends nothing, unless `force_create` is set. The service
    creates a queue with the first message posted to it.

    Args:
        client: The client.
        name: 1 to 64 ASCII letters, digits, ``_``, ``-`` and ``.``; an int
            counts as its digits.
        href: The path of the queue, if it was listed.
        metadata: What is known of its metadata; it is not sent.
        auto_create: Without effect; kept for callers.
        force_create: Create the queue now.

    Raises:
        ValueError: The name is not a legal one.
    """

    def delete_messages(
        self, *ids: str, claim_ids: Iterable[str] | None = None
    ) -> None:
        """Delete messages, also claimed ones; unknown ids are ignored.

        Args:
            *ids: At most 20 ids, as arguments or as one list.
            claim_ids: The claims that they are under, for services that are
                set to check.
        """
        self.call(
            "message_delete_many",
            ids=message_resource.ids_of(ids),
            claim_ids=list(claim_ids) if claim_ids else None,
        )

    def claim(
        self,
        id: str | None = None,  # noqa: A002 - the contract's name
        ttl: int | None = None,
        grace: int | None = None,
        limit: int | None = None,
    ) -> claim_resource.Claim:
        """Claim messages, or return the claim with this id.

        Args:
            id: An existing claim; nothing is sent then, so that a claim which does
                not exist is an error only when it is read.
            ttl: Seconds that the claim lasts, 60 to 43200.
            grace: Seconds that its messages live at least beyond it, 60 to
                43200.
            limit: How many messages at most, 1 to 20.
        """
        return claim_resource.Claim(self, id=id, ttl=ttl, grace=grace, limit=limit)

    def redrive(
        self,
        target: str | None = None,
        *,
        ids: Sequence[str] | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's name
        marker: str | None = None,
        limit: int | None = None,
        delay: int | None = None,
        dry_run: bool = False,
    ) -> RedriveAnswer:
        """Move messages to the queues that they came from, or to another one.

        They keep their ids and order, and lose their claim counts and reasons.
        Claimed ones are skipped. One call moves one page.

        Args:
            target: The other queue.
            ids: Only these messages, at most 20.
            filter: Only messages that it selects, as in a subscription.
            marker: Only messages after this one, `next` of the page before.
            limit: How many at most, 1 to 1,000; 100 by default.
            delay: Seconds until they are free there, up to 900.
            dry_run: Count them, and move nothing.

        Raises:
            zaqarclient.errors.UnsupportedFeature: The service lacks it.
            zaqarclient.transport.errors.MalformedRequest: A message has no source, and
                there is no target.
            zaqarclient.transport.errors.ResourceNotFound: The source of a message is
                gone, and there is no target. Nothing is moved then.
        """
        self.client.need("redrive")
        given = {
            "target": target,
            "ids": None if ids is None else list(ids),
            "filter": None if filter is None else dict(filter),
            "marker": marker,
            "limit": limit,
            "delay": delay,
            "dry_run": dry_run or None,
        }
        document = self.call("queue_redrive", **given)
        return RedriveAnswer(
            document["moved"], document["matched"], document.get("next")
        )

    def signed_url(
        self,
        paths: Sequence[str] | None = None,
        ttl_seconds: float | None = None,
        methods: Sequence[str] | None = None,
        *,
        expires: str | None = None,
    ) -> SignedURLParts:
        """Return everything needed to use the queue without a token.

        Args:
            paths: ``messages`` (the default), ``claims``, ``subscriptions``.
            ttl_seconds: How long it holds by this machine's clock; a day by
                default.
            methods: The HTTP methods that it allows; GET by default.
            expires: When it ends, as ISO 8601 in UTC, in place of
                `ttl_seconds`.

        Returns:
            ``paths``, ``methods``, ``project``, ``expires``, ``signature``.
        """
        return calls.signed_url_create(
            self._calls,
            self._name,
            paths,
            ttl_seconds,
            methods=methods,
            expires=expires,
        )

    def signed_urls(
        self, *, marker: str | None = None, limit: int | None = None
    ) -> iterator.Listing[SignedURLRecord]:
        """Return one page of the signed URLs of the queue that have not expired.

        Args:
            marker: An id to start behind.
            limit: How many at most, 1 to 20.

        Returns:
            An iterator of dicts, without signatures.
        """
        page = self.call("signed_url_list", marker=marker, limit=limit)
        create = cast("Callable[[dict[str, Any]], SignedURLRecord]", dict)
        return iterator.Listing(self.client, page, "signed_urls", create)

    def revoke_signed_url(self, id: str) -> None:  # noqa: A002 - as of a claim
        """Revoke a signed URL: the service refuses it from the next request on.

        Args:
            id: Its id, from `signed_urls`.

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: There is none that
                has not expired.
        """
        self.call("signed_url_revoke", signed_url_id=id)


def create_object(parent: Client) -> Callable[[Mapping[str, Any]], Queue]:
    """Return a function that makes a queue of the client from a document."""
    make = functools.partial(Queue, parent, auto_create=False)
    return maker(make, queue_or_topic.MEMBERS)

"""Queues."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack, cast, overload

from zaqarclient import names
from zaqarclient.queues.v2 import calls, consumer, iterator, queue_or_topic
from zaqarclient.queues.v2 import claim as claim_resource
from zaqarclient.queues.v2 import message as message_resource
from zaqarclient.queues.v2.consume import ConsumeOptions
from zaqarclient.queues.v2.queue_or_topic import QUEUE_NAME_REGEX
from zaqarclient.queues.v2.resource import maker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from zaqarclient.queues.v2.client import Client
    from zaqarclient.queues.v2.consume import ConsumeKeywords
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
        self,
        *ids: str,
        claim_ids: Iterable[str] | None = None,
        check_claims: bool | None = None,
    ) -> None:
        """Delete messages, also claimed ones; unknown ids are ignored.

        Args:
            *ids: At most 20 ids, as arguments or as one list.
            claim_ids: The claims that they are under, for services that are
                set to check.
            check_claims: True to have them checked by any service that has claims
                which can be released; others ignore it.

        Raises:
            zaqarclient.transport.errors.ForbiddenError: One of them is not under the
                claims, and nothing was deleted.
        """
        self.call(
            "message_delete_many",
            ids=message_resource.ids_of(ids),
            claim_ids=list(claim_ids) if claim_ids else None,
            check_claims=check_claims,
        )

    def claim(
        self,
        id: str | None = None,  # noqa: A002 - the contract's name
        ttl: int | None = None,
        grace: int | None = None,
        limit: int | None = None,
        *,
        wait: float | None = None,
    ) -> claim_resource.Claim:
        """Claim messages, or return the claim with this id.

        Args:
            id: An existing claim; nothing is sent then, so that a claim which does
                not exist is an error only when it is read.
            ttl: Seconds that the claim lasts, 60 to 43200.
            grace: Seconds that its messages live at least beyond it, 60 to
                43200.
            limit: How many messages at most, 1 to 20.
            wait: Seconds to wait for the first message. A service without `wait` is
                asked again in pauses of 0.25 to 5 s.
        """
        return claim_resource.Claim(
            self, id=id, ttl=ttl, grace=grace, limit=limit, wait=wait
        )

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

    @overload
    def consume(
        self, handler: None = None, **how: Unpack[ConsumeKeywords]
    ) -> consumer.Consumer: ...

    @overload
    def consume(
        self,
        handler: Callable[[message_resource.Message], object],
        **how: Unpack[ConsumeKeywords],
    ) -> None: ...

    def consume(
        self,
        handler: Callable[[message_resource.Message], object] | None = None,
        **how: Unpack[ConsumeKeywords],
    ) -> consumer.Consumer | None:
        """Consume messages: claim them, renew their claims, and delete what is done.

        Without a handler it returns a `Consumer`, for a ``with`` statement and a loop
        in it. A message is done, and will be deleted, when the loop asks for the next
        one or the block ends; an exception in the block releases what is held.

        With a handler it runs until it is stopped (see `stop_on_signals`), or for as
        long as `idle_timeout` says. When the handler returns, its message is deleted.

        Claims are renewed at half time by one thread. A lease that is lost all the same
        sets the event ``message.lease_lost``; its message is not deleted, and other
        workers get it. Deletes are sent together, 20 ms after the first. A service that
        cannot be reached after the first claim is tried again in pauses up to 5 s.

        Args:
            handler: Called with each message, in a thread.
            lease: Seconds that a message stays claimed if this process dies, at least
                the service's ``min_claim_ttl``.
            limit: How many messages to claim, and to hold unacknowledged, at once: at
                most the service's ``max_messages_per_claim_or_pop``.
            wait: Seconds that a claim waits for messages.
            concurrency: How many handlers run at once.
            on_error: What becomes of a message whose handler raises an error:
                ``"release"`` frees it after a pause, ``"bury"`` moves it to the dead
                letter queue, ``"stop"`` frees it at once, ends the work and raises the
                error. A function gets the message and the error and returns one of the
                three. It is also called with each `LeaseLost`, in any thread; what it
                returns does not count then.
            backoff: How long a released message rests. A service without the extension
                ``release`` frees it at the end of its claim, which is shortened to 60 s
                if no other message is under it.
            idle_timeout: End after so many seconds without a message; never if None.

        Raises:
            zaqarclient.errors.UnsupportedFeature: Messages are to be buried, and the
                service lacks the extension ``release``.
            ValueError: An argument is out of bounds.
        """
        consuming = consumer.Consumer(self, ConsumeOptions(**how))
        if handler is None:
            return consuming
        consuming.run(handler)
        return None

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

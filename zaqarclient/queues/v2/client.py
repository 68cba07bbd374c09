"""The client of version 2."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from zaqarclient import names, transport
from zaqarclient.errors import UnsupportedFeature
from zaqarclient.queues.v2 import (
    base,
    flavor,
    iterator,
    listener,
    pool,
    subscription,
    topic,
)
from zaqarclient.queues.v2 import queues as v2_queues
from zaqarclient.queues.v2.calls import Calls, health, ping
from zaqarclient.queues.v2.table import OPERATIONS
from zaqarclient.transport.errors import (
    ForbiddenError,
    ResourceNotFound,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zaqarclient.queues.v2.calls import Document
    from zaqarclient.queues.v2.documents import LimitReport, QuotaReport
    from zaqarclient.queues.v2.flavor import Flavor, FlavorOptions
    from zaqarclient.queues.v2.pool import Pool, PoolOptions
    from zaqarclient.queues.v2.queue_or_topic import QueueOptions
    from zaqarclient.queues.v2.subscription import Subscription, SubscriptionOptions
    from zaqarclient.queues.v2.topic import Topic
    from zaqarclient.transport.ws import WebsocketTransport

T = TypeVar("T")


@names.checked
class Client(base.BaseClient):
    """A client of the messaging service.

    ``Client("http://127.0.0.1:8888", project="demo")`` is one of a service without
    authentication; `zaqarclient.connect` makes one for a cloud of ``clouds.yaml``.

    Making it sends nothing. It may be shared by threads and kept over a fork;
    it holds one pool of connections and one token. Close it, or use it in a
    ``with`` statement, to give the connections back early.

    Args:
        url: The service, as ``http://127.0.0.1:8888``; with a session or
            ``auth_url`` it may be left to the service catalog. A signed URL in
            one line (``zaqar+https://…``) is the service and the credentials.
        version: 2, in any of its spellings.
        conf: A mapping; unknown keys are ignored with an `UnknownNameWarning`.

            ``auth_opts``
                ``{"backend": …, "options": {…}}``. The backend ``keystone``, the
                default, takes ``auth_url``, ``username``, ``password``,
                ``project_name``, ``user_domain_name``, ``project_domain_name``, or
                ``application_credential_id`` with its ``…_secret``, or
                ``auth_token``; ``noauth`` takes ``project_id`` and ``roles``;
                ``signed-url`` what `Queue.signed_url` returned. All take
                ``insecure``, ``cacert``, ``cert`` and ``key``.
            ``client_uuid``
                The id of this client for the service; random by default.
            ``timeout``
                Seconds to wait between bytes of an answer, and for a
                connection but there at most 10; 60 by default, or that of the
                session.
            ``retries``
                How many times a call that failed for a passing reason is sent
                again, where that is safe; 3 by default.
            ``max_retry_after``
                The longest pause, in seconds, that a busy service may ask for
                before a call is sent again; 30 by default, 0 for none.
            ``user_agent``
                What the ``User-Agent`` begins with, as ``my-worker/1.0``.
        session: A keystoneauth1 session; everything is sent through it.
        project: The project, for a service without authentication: the same as
            ``{"auth_opts": {"backend": "noauth", "options": {"project_id": …}}}``.

    Attributes:
        conf: The configuration.
        api_version: 2.
        auth_opts: The same of the configuration.
        client_uuid: Sent with each request; may be changed.
        session: The session.

    Raises:
        zaqarclient.errors.ZaqarError: The version is not 2.
        ValueError: ``timeout``, ``retries`` or ``max_retry_after`` is not a
            number in bounds, the signed URL is not one, or `project` stands beside
            other credentials.
    """

    queues_module = v2_queues
    _features: frozenset[str] | None = None
    _max_wait = 0

    def queue(self, ref: str, **kwargs: Unpack[QueueOptions]) -> v2_queues.Queue:
        """Return a queue; nothing is sent unless ``force_create`` is set.

        Args:
            ref: Its name.
            **kwargs: The further arguments of `Queue`.
        """
        return self.queues_module.Queue(self, ref, **kwargs)

    @names.filtering
    def queues(
        self,
        *,
        marker: str | None = None,
        limit: int | None = None,
        detailed: bool | None = None,
        with_count: bool | None = None,
        name: str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> tuple[iterator.Listing[v2_queues.Queue], int | None]:
        """Return one page of the project's queues, by name.

        Args:
            marker: The name after which the page begins.
            limit: How many at most, 1 to 20; 10 by default.
            detailed: True for their metadata too.
            with_count: True to count all queues.
            name: A part of their names.
            filters: Metadata that they must have, as ``{"team": "blue"}``.

        Returns:
            An iterator, whose ``stream()`` goes through all pages, and with
            ``with_count`` the number of all queues, else None.
        """
        page = self.calls(
            "queue_list",
            marker=marker,
            limit=limit,
            detailed=detailed,
            with_count=with_count,
            name=name,
            **_free(filters, "queue_list"),
        )
        create = self.queues_module.create_object(self)
        return self._iterator(page, "queues", create), page.get("count")

    @names.filtering
    def iter_queues(
        self,
        *,
        marker: str | None = None,
        limit: int | None = None,
        detailed: bool | None = None,
        name: str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> iterator.Listing[v2_queues.Queue]:
        """Return all queues, page by page as they are used up.

        The arguments are those of `queues`; `limit` is the size of a page.
        """
        found, _ = self.queues(
            marker=marker, limit=limit, detailed=detailed, name=name, filters=filters
        )
        return found.stream()

    def topic(self, ref: str, **kwargs: Unpack[QueueOptions]) -> Topic:
        """Return a topic; nothing is sent unless ``force_create`` is set.

        Args:
            ref: Its name.
            **kwargs: The further arguments of `Topic`.
        """
        return topic.Topic(self, ref, **kwargs)

    def topics(
        self,
        *,
        marker: str | None = None,
        limit: int | None = None,
        detailed: bool | None = None,
        name: str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> iterator.Listing[Topic]:
        """Return one page of the project's topics, by name.

        The arguments are those of `queues`, except that the service does not count
        topics.

        Returns:
            An iterator, whose ``stream()`` goes through all pages.
        """
        page = self.calls(
            "topic_list",
            marker=marker,
            limit=limit,
            detailed=detailed,
            name=name,
            **_free(filters, "topic_list"),
        )
        return self._iterator(page, "topics", topic.create_object(self))

    iter_topics = iterator.streamed(topics, "topics")

    def subscription(
        self,
        queue_name: str,
        subscriber: str | None = None,
        **kwargs: Unpack[SubscriptionOptions],
    ) -> Subscription:
        """Subscribe to a queue, or read an existing subscription.

        Args:
            queue_name: The queue.
            subscriber: The URI to notify.
            **kwargs: The further arguments of `Subscription`, as ``ttl``,
                ``options`` or ``id``.
        """
        return subscription.Subscription(self, queue_name, subscriber, **kwargs)

    def subscriptions(
        self,
        queue_name: str,
        *,
        marker: str | None = None,
        limit: int | None = None,
        detailed: bool | None = None,
    ) -> iterator.Listing[Subscription]:
        """Return one page of the subscriptions of a queue.

        Args:
            queue_name: The queue.
            marker: The id after which the page begins.
            limit: How many at most, 1 to 20; 10 by default.
            detailed: Without effect; kept for callers.
        """
        page = self.calls(
            "subscription_list",
            queue_name=queue_name,
            marker=marker,
            limit=limit,
            detailed=detailed,
        )
        return self._iterator(page, "subscriptions", subscription.create_object(self))

    def listen(
        self,
        *queue_names: str,
        topics: Iterable[str] = (),
        **how: Unpack[listener.ListenOptions],
    ) -> listener.Listener:
        """Listen to queues and topics: get a notification of each message posted.

        Args:
            *queue_names: The queues.
            topics: The topics, by name.
            **how: See `ListenOptions`.

        Returns:
            An iterator of notifications; close it, or use it in a ``with``
            statement, to end the subscriptions.

        Raises:
            zaqarclient.errors.InvalidOperation: It is not known where the
                WebSocket is.
            zaqarclient.errors.UnsupportedFeature: The service lacks ``resume``,
                which ``since`` needs.
        """
        if how.get("since") is not None:
            self.need("resume")
        prepare = self._websocket_requests()
        request = prepare()
        own = transport.get_transport_for(
            request, version=self.api_version, options=self.conf
        )
        own.credentials = functools.partial(self._credentials, prepare)
        return listener.Listener(
            cast("WebsocketTransport", own),
            prepare,
            queue_names,
            topics,
            **how,
        )

    def pool(self, /, ref: str, **kwargs: Unpack[PoolOptions]) -> Pool:
        """Create or replace a pool, unless ``auto_create`` is False.

        Args:
            ref: Its name.
            **kwargs: The further arguments of `Pool`.
        """
        return pool.Pool(self, ref, **kwargs)

    def pools(
        self,
        *,
        marker: str | None = None,
        limit: int | None = None,
        detailed: bool | None = None,
    ) -> iterator.Listing[Pool]:
        """Return one page of pools, by name.

        Args:
            marker: The name after which the page begins.
            limit: How many at most, 1 to 20; 10 by default.
            detailed: True for their options too.
        """
        page = self.calls("pool_list", marker=marker, limit=limit, detailed=detailed)
        return self._iterator(page, "pools", pool.create_object(self))

    def flavor(self, /, ref: str, **kwargs: Unpack[FlavorOptions]) -> Flavor:
        """Create or replace a flavor, unless ``auto_create`` is False.

        Args:
            ref: Its name.
            **kwargs: The further arguments of `Flavor`.
        """
        return flavor.Flavor(self, ref, **kwargs)

    def flavors(
        self,
        *,
        marker: str | None = None,
        limit: int | None = None,
        detailed: bool | None = None,
    ) -> iterator.Listing[Flavor]:
        """Return one page of flavors, by name.

        Args:
            marker: The name after which the page begins.
            limit: How many at most, 1 to 20; 10 by default.
            detailed: True for their capabilities too.
        """
        page = self.calls("flavor_list", marker=marker, limit=limit, detailed=detailed)
        return self._iterator(page, "flavors", flavor.create_object(self))

    def follow(self, ref: str) -> Any:
        """Read what a link points at.

        Args:
            ref: A path, with or without ``/v2/``, or a whole URL; it is read
                from this client's service in any case.

        Returns:
            The document, or None if there is none.
        """
        return self.calls.follow(ref)

    def ping(self) -> bool:
        """Return whether the service answers and is healthy.

        Raises:
            zaqarclient.errors.ZaqarError: There are no usable credentials.
        """
        return ping(self.calls)

    def health(self) -> Document:
        """Return the health report; for administrators."""
        report: Document = health(self.calls)
        return report

    def quotas(self, project_id: str | None = None) -> QuotaReport:
        """Return what the project may use, and what it uses.

        Args:
            project_id: Another project, for administrators.

        Returns:
            ``quotas``, with ``limit`` (-1 for none) and ``used`` by kind, and
            ``rate``, with ``requests_per_second``, ``burst`` and ``remaining``.
        """
        operation = "quota_show" if project_id is None else "quota_show_project"
        found: QuotaReport = self.calls(operation, project_id=project_id)
        return found

    def limits(self) -> LimitReport:
        """Return what the service offers beyond the API of old, and its limits.

        Returns:
            ``features``, the names of extensions that are switched on, and
            ``limits``, numbers by the names of settings.

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: The service has no
                extensions.
        """
        found: LimitReport = self.calls("limits_get")
        return found

    def offers(self, feature: str) -> bool:
        """Return whether the service has an extension of the API.

        It is asked once, and counts as lacking all if it does not tell.
        """
        try:
            return feature in self._known_features()
        except TransportError:
            return False  # asked again the next time

    def longest_wait(self) -> int:
        """Return for how many seconds the service may be let wait, 0 for not.

        It is at most half of the ``timeout``, after which an answer counts as lost.
        """
        if not self.offers("wait"):
            return 0
        from zaqarclient.common.http import (  # noqa: PLC0415 - loads the network
            DEFAULT_TIMEOUT,
        )

        timeout = self._options.timeout or getattr(self.session, "timeout", None)
        return min(self._max_wait, int((timeout or DEFAULT_TIMEOUT) / 2))

    def _known_features(self) -> frozenset[str]:
        if self._features is None:
            try:
                found = self.limits()
                self._max_wait = found.get("limits", {}).get("max_wait", 0)
                self._features = frozenset(found.get("features", ()))
            except (ResourceNotFound, ForbiddenError):
                self._features = frozenset()
        return self._features

    def need(self, feature: str) -> None:
        """Refuse to go on without an extension of the API.

        Raises:
            zaqarclient.errors.UnsupportedFeature: The service lacks it.
            zaqarclient.transport.errors.TransportError: The service does not tell.
        """
        if feature not in self._known_features():
            raise UnsupportedFeature(feature)

    def homedoc(self) -> Document:
        """Return the home document: ``resources`` with their paths."""
        document: Document = self.calls("homedoc")
        return document

    @functools.cached_property
    def calls(self) -> Calls:
        """The operations, as ``client.calls("message_get", …)``."""
        return Calls(self._request_and_transport)

    @functools.cached_property
    def topic_calls(self) -> Calls:
        """The same, done with topics in place of queues."""
        return Calls(self._request_and_transport, topics=True)

    def _iterator(
        self, page: Document, key: str, create: Callable[[dict[str, Any]], T]
    ) -> iterator.Listing[T]:
        return iterator.Listing(self, page, key, create)


def _free(filters: Mapping[str, Any] | None, operation: str) -> Mapping[str, Any]:
    """Return metadata filters, which share a query with the operation's arguments.

    Raises:
        ValueError: One has the name of an argument.
    """
    filters = filters or {}
    taken = sorted(filters.keys() & OPERATIONS[operation].query.keys())
    if taken:
        raise ValueError(f"the service cannot filter by metadata named {taken[0]!r}")
    return filters

"""The client of version 2."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from zaqarclient import transport
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zaqarclient.queues.v2.calls import Document
    from zaqarclient.queues.v2.flavor import Flavor
    from zaqarclient.queues.v2.pool import Pool
    from zaqarclient.queues.v2.subscription import Subscription
    from zaqarclient.queues.v2.topic import Topic
    from zaqarclient.transport.ws import WebsocketTransport

T = TypeVar("T")


class Client(base.BaseClient):
    """A client of the messaging service.

    Making it sends nothing. It may be shared by threads and kept over a fork;
    it holds one pool of connections and one token. Close it, or use it in a
    ``with`` statement, to give the connections back early.

    Args:
        url: The service, as ``http://127.0.0.1:8888``; with a session or
            ``auth_url`` it may be left to the service catalog. A signed URL in
            one line (``zaqar+https://…``) is the service and the credentials.
        version: 2, in any of its spellings.
        conf: A mapping; keys that are not listed are ignored.

            ``auth_opts``
                ``backend`` (``keystone`` by default, ``noauth``,
                ``signed-url``) and its ``options``.
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

    Attributes:
        conf: The configuration.
        api_version: 2.
        auth_opts: The same of the configuration.
        client_uuid: Sent with each request; may be changed.
        session: The session.

    Raises:
        zaqarclient.errors.ZaqarError: The version is not 2.
        ValueError: ``timeout``, ``retries`` or ``max_retry_after`` is not a
            number in bounds, or the signed URL is not one.
    """

    queues_module = v2_queues

    def queue(self, ref: str, **kwargs: Any) -> v2_queues.Queue:
        """Return a queue; nothing is sent unless ``force_create`` is set.

        Args:
            ref: Its name.
            **kwargs: The further arguments of `Queue`.
        """
        return self.queues_module.Queue(self, ref, **kwargs)

    def queues(
        self, /, **params: Any
    ) -> tuple[iterator.Listing[v2_queues.Queue], int | None]:
        """Return one page of the project's queues, by name.

        Args:
            **params: ``marker`` (a name to start behind), ``limit`` (at most
                20), ``detailed`` (with metadata), ``name`` (a part of the
                name), ``with_count``; anything else must equal a metadata
                member of the queue.

        Returns:
            An iterator, whose ``stream()`` goes through all pages, and with
            ``with_count`` the number of all queues, else None.
        """
        page = self.calls("queue_list", **params)
        create = self.queues_module.create_object(self)
        return self._iterator(page, "queues", create), page.get("count")

    def iter_queues(self, /, **params: Any) -> iterator.Listing[v2_queues.Queue]:
        """Return all queues, page by page as they are used up.

        Args:
            **params: As in `queues`; ``limit`` is the size of a page.
        """
        found, _ = self.queues(**params)
        return found.stream()

    def topic(self, ref: str, **kwargs: Any) -> Topic:
        """Return a topic; nothing is sent unless ``force_create`` is set.

        Args:
            ref: Its name.
            **kwargs: The further arguments of `Topic`.
        """
        return topic.Topic(self, ref, **kwargs)

    def topics(self, /, **params: Any) -> iterator.Listing[Topic]:
        """Return one page of the project's topics, by name.

        Args:
            **params: ``marker`` (a name to start behind), ``limit`` (at most
                20), ``detailed`` (with metadata), ``name`` (a part of the
                name); anything else, ``with_count`` too, must equal a metadata
                member of the topic: the service does not count topics.

        Returns:
            An iterator, whose ``stream()`` goes through all pages.
        """
        page = self.calls("topic_list", **params)
        return self._iterator(page, "topics", topic.create_object(self))

    def iter_topics(self, /, **params: Any) -> iterator.Listing[Topic]:
        """Return all topics, page by page as they are used up.

        Args:
            **params: As in `topics`; ``limit`` is the size of a page.
        """
        return self.topics(**params).stream()

    def subscription(self, /, queue_name: str, **kwargs: Any) -> Subscription:
        """Subscribe to a queue, or read an existing subscription.

        Args:
            queue_name: The queue.
            **kwargs: The further arguments of `Subscription`.
        """
        return subscription.Subscription(self, queue_name, **kwargs)

    def subscriptions(
        self, /, queue_name: str, **params: Any
    ) -> iterator.Listing[Subscription]:
        """Return one page of the subscriptions of a queue.

        Args:
            queue_name: The queue.
            **params: ``marker`` (an id), ``limit`` (at most 20).
        """
        page = self.calls("subscription_list", queue_name=queue_name, **params)
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
        """
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

    def pool(self, /, ref: str, **kwargs: Any) -> Pool:
        """Create or replace a pool, unless ``auto_create`` is False.

        Args:
            ref: Its name.
            **kwargs: The further arguments of `Pool`.
        """
        return pool.Pool(self, ref, **kwargs)

    def pools(self, /, **params: Any) -> iterator.Listing[Pool]:
        """Return one page of pools, by name.

        Args:
            **params: ``marker``, ``limit`` (at most 20), ``detailed`` (with
                options).
        """
        page = self.calls("pool_list", **params)
        return self._iterator(page, "pools", pool.create_object(self))

    def flavor(self, /, ref: str, **kwargs: Any) -> Flavor:
        """Create or replace a flavor, unless ``auto_create`` is False.

        Args:
            ref: Its name.
            **kwargs: The further arguments of `Flavor`.
        """
        return flavor.Flavor(self, ref, **kwargs)

    def flavors(self, /, **params: Any) -> iterator.Listing[Flavor]:
        """Return one page of flavors, by name.

        Args:
            **params: ``marker``, ``limit`` (at most 20), ``detailed`` (with
                capabilities).
        """
        page = self.calls("flavor_list", **params)
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

    def quotas(self, project_id: str | None = None) -> Document:
        """Return what the project may use, and what it uses.

        Args:
            project_id: Another project, for administrators.

        Returns:
            ``quotas``, with ``limit`` (-1 for none) and ``used`` by kind, and
            ``rate``, with ``requests_per_second``, ``burst`` and ``remaining``.
        """
        operation = "quota_show" if project_id is None else "quota_show_project"
        found: Document = self.calls(operation, project_id=project_id)
        return found

    def limits(self) -> Document:
        """Return what the service offers beyond the API of old, and its limits.

        Returns:
            ``features``, the names of extensions that are switched on, and
            ``limits``, numbers by the names of settings.

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: The service has no
                extensions.
        """
        found: Document = self.calls("limits_get")
        return found

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

"""What queues and topics have in common: metadata, messages, subscriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from zaqarclient.queues.v2 import driver, iterator, names, operations
from zaqarclient.queues.v2 import message as message_resource
from zaqarclient.queues.v2 import subscription as subscription_resource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zaqarclient.queues.v2.client import Client
    from zaqarclient.queues.v2.listener import Listener
    from zaqarclient.queues.v2.operations.flow import Document, Flow

__all__ = ["Source"]

T = TypeVar("T")


class Source:
    """A queue or topic, whether it exists or not.

    Making the object sends nothing, unless `force_create` is set. The service
    creates it with the first message posted to it.

    Args:
        client: The client.
        name: 1 to 64 ASCII letters, digits, ``_``, ``-`` and ``.``; an int
            counts as its digits.
        href: Its path, if it was listed.
        metadata: What is known of its metadata; it is not sent.
        auto_create: Without effect; kept for callers.
        force_create: Create it now.

    Raises:
        ValueError: The name is not a legal one.
    """

    kind: ClassVar[str] = "queue"
    """What it is, in a word."""
    _subscription: ClassVar[type[subscription_resource.Subscription]] = (
        subscription_resource.Subscription
    )

    message_module = message_resource

    def __init__(
        self,
        client: Client,
        name: str,
        href: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        auto_create: bool = True,  # noqa: ARG002 - the contract's
        force_create: bool = False,
    ) -> None:
        names.check_name(name, self.kind)
        self.client = client
        self._name = name
        self._href = href
        self._metadata = None if metadata is None else dict(metadata)
        if force_create:
            self.ensure_exists(force_create=True)

    def __repr__(self) -> str:
        return f"<{self.kind.capitalize()} {self._name}>"

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def href(self) -> str | None:
        """The path, as ``/v2/queues/NAME``; only if it was listed."""
        return self._href

    @property
    def metadata_dict(self) -> dict[str, Any]:
        """The metadata as a new dict; read once."""
        return dict(self.metadata())

    def exists(self) -> bool:
        """Return False only if the service says that there is none of this name.

        Services of version 2 never say so, because they serve default
        metadata for every name: see `is_created`.
        """
        return self._run(operations.queue_exists(self._name))

    def is_created(self) -> bool:
        """Return whether it is in the list of what the project has.

        It takes one request where the service filters by name, else one a
        page.
        """
        return self._run(operations.queue_is_listed(str(self._name), f"{self.kind}s"))

    def ensure_exists(self, force_create: bool = False) -> None:
        """Create it if it does not exist.

        Args:
            force_create: Without it nothing is sent: the first message creates
                it.
        """
        if force_create:
            self._run(operations.queue_create(self._name))

    def metadata(
        self,
        new_meta: Mapping[str, Any] | None = None,
        force_reload: bool = False,
    ) -> dict[str, Any]:
        """Return the metadata, or replace them.

        Args:
            new_meta: All metadata that it is to have from now on; it is
                created if it does not exist. ``{}`` clears them.
            force_reload: Read them from the service even if they are known.

        Returns:
            The metadata; with the defaults of reserved attributes if they come
            from the service.

        Raises:
            ValueError: A key is empty or has blanks at its ends.
        """
        if new_meta is not None:
            flow = operations.queue_replace_metadata(self._name, new_meta)
            self._metadata = self._run(flow)
        elif force_reload or not self._metadata:
            self._metadata = self._run(operations.queue_get(self._name))
        return self._metadata

    def patch_metadata(self, patch: Sequence[Document]) -> dict[str, Any]:
        """Change some metadata and keep the rest.

        Args:
            patch: JSON Patch operations, each with ``op`` (``add``,
                ``replace`` or ``remove``), ``path`` as ``/metadata/KEY`` and
                for the first two ``value``. All are done or none.

        Returns:
            All metadata, with the defaults of reserved attributes.

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: It does not exist.
            zaqarclient.transport.errors.ConflictError: ``replace`` or
                ``remove`` of a key that is not there.
        """
        self._metadata = self._run(operations.queue_update(self._name, patch))
        return self._metadata

    @property
    def stats(self) -> Document:
        """The counters, read from the service.

        ``messages`` with ``free``, ``claimed``, ``total``, of a topic with
        ``total`` only, and with ``oldest`` and ``newest`` if there are any.
        """
        return self._run(operations.queue_get_stats(self._name))

    def delete(self) -> None:
        """Delete it with its messages; a missing one is no error."""
        self._run(operations.queue_delete(self._name))

    def purge(self, resource_types: Sequence[str] | None = None) -> None:
        """Delete what is in it and keep its metadata.

        Args:
            resource_types: ``messages``, ``subscriptions``; both if left out.
        """
        self._run(operations.queue_purge(self._name, resource_types))

    def post(
        self, messages: Mapping[str, Any] | Iterable[Mapping[str, Any]]
    ) -> Document:
        """Post messages, all or none.

        It is sent again only if that cannot post anything twice: no connection
        could be opened, or the service said that nothing was changed.

        Args:
            messages: One message or several, each a dict with ``body`` (any
                JSON value) and if wanted ``ttl`` and ``delay`` in seconds.

        Returns:
            ``resources``: the paths of the messages in the same order.

        Raises:
            ValueError: It is not a dict or dicts, or not JSON.
        """
        documents = message_resource.documents_of(messages)
        return self._run(operations.message_post(self._name, documents))

    def message(self, message_id: str) -> message_resource.Message:
        """Return one message.

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: There is none.
        """
        document = self._run(operations.message_get(self._name, message_id))
        return self.message_module.create_object(self)(document)

    def messages(
        self, /, *ids: str, **params: Any
    ) -> iterator.Listing[message_resource.Message]:
        """Return one page of messages, or those with these ids.

        Args:
            *ids: At most 20 ids, as arguments or as one list; `params` do not
                count then.
            **params: ``marker``, ``limit`` (at most 20), ``echo`` (also the
                client's own), ``include_claimed``, ``include_delayed``.

        Returns:
            An iterator; call its ``stream()`` to go through all pages.

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: None of the ids is
                there.
        """
        if ids:
            known = message_resource.ids_of(ids)
            return self._iterator(operations.message_get_many(self._name, known))
        return self._iterator(operations.message_list(self._name, **params))

    def iter_messages(
        self, /, **params: Any
    ) -> iterator.Listing[message_resource.Message]:
        """Return all messages, page by page as they are used up.

        Args:
            **params: As in `messages`; ``limit`` is the size of a page.
        """
        return self.messages(**params).stream()

    def delete_message(self, message_id: str, claim_id: str | None = None) -> None:
        """Delete one message; one that is gone already is no error.

        Args:
            message_id: The message.
            claim_id: The claim that it is under, if it is.

        Raises:
            zaqarclient.transport.errors.ForbiddenError: It is claimed, and not
                under this claim.
            zaqarclient.transport.errors.MalformedRequest: It is not under this
                claim any more.
        """
        self._run(operations.message_delete(self._name, message_id, claim_id))

    def delete_messages(self, *ids: str) -> None:
        """Delete messages, also claimed ones; unknown ids are no error.

        Args:
            *ids: At most 20 ids, as arguments or as one list.
        """
        ids_once = dict.fromkeys(message_resource.ids_of(ids))
        self._run(operations.message_delete_many(self._name, ids_once))

    def pop(self, count: int = 1) -> iterator.Listing[message_resource.Message]:
        """Take the oldest unclaimed messages away and return them.

        Args:
            count: How many at most, 1 to 20.
        """
        return self._iterator(operations.message_pop(self._name, count))

    def subscription(
        self, /, subscriber: str | None = None, **kwargs: Any
    ) -> subscription_resource.Subscription:
        """Subscribe to it, or read an existing subscription.

        Args:
            subscriber: The URI to tell.
            **kwargs: The further arguments of `Subscription`, as ``ttl``,
                ``options`` or ``id``.
        """
        return self._subscription(self.client, str(self._name), subscriber, **kwargs)

    def subscriptions(
        self,
        detailed: bool = False,
        marker: str | None = None,
        limit: int = 20,
    ) -> iterator.Listing[subscription_resource.Subscription]:
        """Return one page of its subscriptions.

        Args:
            detailed: Without effect; kept for callers.
            marker: An id to start behind.
            limit: How many at most, 1 to 20.
        """
        params = {"detailed": detailed, "marker": marker, "limit": limit}
        page = self._run(operations.subscription_list(self._name, **params))
        create = subscription_resource.create_object(self.client, self._subscription)
        return iterator.Listing(self.client, page, "subscriptions", create)

    def listen(
        self,
        *,
        ttl: int | None = None,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        on_reconnect: Callable[[], object] | None = None,
    ) -> Listener:
        """Listen to it alone; the arguments are those of `Client.listen`."""
        name, is_queue = str(self._name), self.kind == "queue"
        return self.client.listen(
            *([name] if is_queue else []),
            topics=[] if is_queue else [name],
            ttl=ttl,
            options=options,
            timeout=timeout,
            on_reconnect=on_reconnect,
        )

    def _iterator(
        self, flow: Flow[Document]
    ) -> iterator.Listing[message_resource.Message]:
        create = self.message_module.create_object(self)
        return iterator.Listing(self.client, self._run(flow), "messages", create)

    def _run(self, flow: Flow[T]) -> T:
        return driver.run(self.client, flow)

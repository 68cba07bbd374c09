"""The part that queues and topics share: metadata, messages, subscriptions."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack

from zaqarclient import names
from zaqarclient.queues.v2 import calls, iterator, waiting
from zaqarclient.queues.v2 import message as message_resource
from zaqarclient.queues.v2 import subscription as subscription_resource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zaqarclient.queues.v2.calls import Document
    from zaqarclient.queues.v2.client import Client
    from zaqarclient.queues.v2.documents import Statistics
    from zaqarclient.queues.v2.listener import Listener, ListenOptions
    from zaqarclient.queues.v2.subscription import SubscriptionOptions


MEMBERS = frozenset({"name", "href", "metadata"})
"""The members of a listed one that the constructor takes."""

QUEUE_NAME_REGEX = re.compile(r"^[a-zA-Z0-9_\-.]+$")

_LENGTH = 64


def check_name(name: object, kind: str = "queue") -> None:
    """Refuse a name that the service would refuse or take for another path.

    Args:
        name: The name; anything but text counts as its ``str()``.
        kind: What it names, for the text of the error.

    Raises:
        ValueError: It is not 1 to 64 ASCII letters, digits, ``_``, ``-``, ``.``.
    """
    text = "" if name is None else str(name)
    if not text:
        raise ValueError(f"{kind.capitalize()} name does not have a value")
    if not QUEUE_NAME_REGEX.fullmatch(text) or text in {".", ".."}:
        raise ValueError(
            f"The {kind} name may only contain ASCII letters, digits, "
            "underscores, dashes and dots"
        )
    if len(text) > _LENGTH:
        raise ValueError(f"The {kind} name may have {_LENGTH} characters at most")


class QueueOptions(TypedDict, total=False):
    """The further arguments of `Queue`."""

    href: str | None
    metadata: Mapping[str, Any] | None
    auto_create: bool
    force_create: bool


@names.checked
class QueueOrTopic:
    """A queue or topic, whether it exists or not.

    The arguments are those of `Queue`.
    """

    kind: ClassVar[str] = "queue"
    """What it is, in a word."""
    #: Members of a listed one that this version of the client does not know.
    extra: Mapping[str, Any] = {}
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
        check_name(name, self.kind)
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
        """Return False only if the service answers that it does not exist.

        Services of version 2 never say so, because they serve default
        metadata for every name: see `is_created`.
        """
        return calls.queue_exists(self._calls, self._name)

    def is_created(self) -> bool:
        """Return whether it is in the list of what the project has.

        It takes one request where the service filters by name, else one a
        page.
        """
        client, name = self.client, str(self._name)
        of_kind = client.iter_topics if self.kind == "topic" else client.iter_queues
        return any(one.name == name for one in of_kind(name=name))

    def ensure_exists(self, force_create: bool = False) -> None:
        """Create it if it does not exist.

        Args:
            force_create: Without it nothing is sent: the first message creates
                it.
        """
        if force_create:
            calls.queue_create(self._calls, self._name)

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
            names.warn_of(names.metadata_problems(new_meta))
            stored = calls.replace_metadata(self._calls, self._name, new_meta)
            self._metadata = stored
        elif force_reload or not self._metadata:
            self._metadata = self.call("queue_get")
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
        set_keys = (one for one in patch if one.get("op") != "remove")
        names.METADATA.warn(
            str(one.get("path")).removeprefix("/metadata/") for one in set_keys
        )
        stored: dict[str, Any] = self.call("queue_update", metadata=patch)
        self._metadata = stored
        return stored

    @property
    def stats(self) -> Statistics:
        """The counters, read from the service.

        ``messages`` with ``free``, ``claimed``, ``total``, of a topic with
        ``total`` only, and with ``oldest`` and ``newest`` if there are any.
        """
        counters: Statistics = self.call("queue_get_stats")
        return counters

    def delete(self) -> None:
        """Delete it with its messages; deleting a missing one succeeds."""
        self.call("queue_delete")

    def purge(self, resource_types: Sequence[str] | None = None) -> None:
        """Delete what is in it and keep its metadata.

        Args:
            resource_types: ``messages``, ``subscriptions``; both if left out.
        """
        calls.queue_purge(self._calls, self._name, resource_types)

    def post(
        self,
        messages: Mapping[str, Any] | Iterable[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> message_resource.PostAnswer:
        """Post messages, all or none.

        It carries a key of its own, so that a service with the extension
        ``idempotency`` stores it once however often it is sent. There it is sent again
        after a lost connection, a time-out or an error 5xx; elsewhere only if that
        cannot post anything twice: no connection could be opened, or the service said
        that nothing was changed.

        Args:
            messages: One message or several, each a dict with ``body`` (any
                JSON value) and if wanted ``ttl`` and ``delay`` in seconds. The
                service ignores other members, with an `UnknownNameWarning` here.
            idempotency_key: Names the post, so that a program that starts again may
                repeat it: 1 to 128 printable ASCII characters. A later post with it
                stores nothing and has the same answer, with ``is_replay`` set.

        Returns:
            The answer, whose ``ids`` are those of the messages in the same order.

        Raises:
            zaqarclient.errors.UnsupportedFeature: A key is given, and the service
                knows no keys.
            zaqarclient.transport.errors.TransportError: With status 422: the key was
                used for other messages.
            ValueError: It is not a dict or dicts, or not JSON; the text names the
                member.
        """
        documents = message_resource.documents_of(messages)
        for document in documents:
            names.MESSAGE.warn(document)
        client = self.client
        if idempotency_key is not None:
            client.need("idempotency")
        posted = calls.message_post(
            self._calls,
            self._name,
            documents,
            idempotency_key or uuid.uuid4().hex,
            lambda: client.offers("idempotency"),
        )
        answer = message_resource.PostAnswer(posted.document)
        answer.is_replay = posted.is_replay
        return answer

    def message(self, message_id: str) -> message_resource.Message:
        """Return one message.

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: It does not exist.
        """
        document = self.call("message_get", message_id=message_id)
        return self.message_module.create_object(self)(document)

    def messages(
        self,
        *ids: str,
        marker: str | None = None,
        limit: int | None = None,
        echo: bool | None = None,
        include_claimed: bool | None = None,
        include_delayed: bool | None = None,
        wait: float | None = None,
    ) -> iterator.Listing[message_resource.Message]:
        """Return one page of messages, or those with these ids.

        Args:
            *ids: At most 20 ids, as arguments or as one list; the other arguments
                do not count then.
            marker: The id after which the page begins.
            limit: How many at most, 1 to 20; 10 by default.
            echo: True for the client's own messages too.
            include_claimed: True for claimed messages too.
            include_delayed: True for delayed messages too.
            wait: Seconds to wait for a message, if there is none. A service without
                `wait` is asked again in pauses of 0.25 to 5 s.

        Returns:
            An iterator, whose ``stream()`` goes through all pages.

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: There are no messages with
                these ids.
        """
        if ids:
            known = message_resource.ids_of(ids)
            return self._messages("message_get_many", ids=known)
        return self._wait_for_messages(
            wait,
            "message_list",
            marker=marker,
            limit=limit,
            echo=echo,
            include_claimed=include_claimed,
            include_delayed=include_delayed,
        )

    iter_messages = iterator.streamed(messages, "messages")

    def delete_message(self, message_id: str, claim_id: str | None = None) -> None:
        """Delete one message; deleting it again succeeds.

        Args:
            message_id: The message.
            claim_id: The claim that it is under, if it is.

        Raises:
            zaqarclient.transport.errors.ForbiddenError: It is claimed, and not
                under this claim.
            zaqarclient.transport.errors.MalformedRequest: It is not under this
                claim any more.
        """
        self.call("message_delete", message_id=message_id, claim_id=claim_id)

    def delete_messages(self, *ids: str) -> None:
        """Delete messages, also claimed ones; unknown ids are ignored.

        Args:
            *ids: At most 20 ids, as arguments or as one list.
        """
        self.call("message_delete_many", ids=message_resource.ids_of(ids))

    def pop(
        self, count: int = 1, *, wait: float | None = None
    ) -> iterator.Listing[message_resource.Message]:
        """Take the oldest unclaimed messages away and return them.

        Args:
            count: How many at most, 1 to 20.
            wait: Seconds to wait for a message, as for `messages`.
        """
        # The name that callers' tests find in the request (contract, SDK section 15).
        return self._wait_for_messages(wait, "message_delete_many", pop=count)

    def subscription(
        self, subscriber: str | None = None, **kwargs: Unpack[SubscriptionOptions]
    ) -> subscription_resource.Subscription:
        """Subscribe to it, or read an existing subscription.

        Args:
            subscriber: The URI to notify.
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
        page = self.call("subscription_list", **params)
        create = subscription_resource.create_object(self.client, self._subscription)
        return iterator.Listing(self.client, page, "subscriptions", create)

    def listen(self, **how: Unpack[ListenOptions]) -> Listener:
        """Listen to it alone; the arguments are those of `Client.listen`."""
        name = str(self._name)
        if self.kind == "topic":
            return self.client.listen(topics=[name], **how)
        return self.client.listen(name, **how)

    @property
    def _calls(self) -> calls.Calls:
        return self.client.calls

    def call(self, operation: str, /, **arguments: Any) -> Any:
        """Call an operation on it, by its name in the table; see `Calls`."""
        return self._calls(operation, queue_name=self._name, **arguments)

    def _wait_for_messages(
        self, wait: float | None, operation: str, /, **arguments: Any
    ) -> iterator.Listing[message_resource.Message]:
        pages: list[iterator.Listing[message_resource.Message]] = []

        def ask(seconds: int | None) -> bool:
            pages[:] = [self._messages(operation, **arguments, wait=seconds)]
            return pages[0].has_items

        waiting.wait_for(self.client, wait, ask)
        return pages[0]

    def _messages(
        self, operation: str, /, **arguments: Any
    ) -> iterator.Listing[message_resource.Message]:
        create = self.message_module.create_object(self)
        page = self.call(operation, **arguments)
        return iterator.Listing(self.client, page, "messages", create)

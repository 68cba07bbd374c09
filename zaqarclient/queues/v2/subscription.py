"""Subscriptions: where notifications of new messages go."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypedDict

from zaqarclient import names
from zaqarclient.queues.v2 import calls
from zaqarclient.queues.v2.resource import maker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zaqarclient.queues.v2.client import Client

_MEMBERS = frozenset({"subscriber", "ttl", "id", "options", "age", "confirmed"})


class SubscriptionOptions(TypedDict, total=False):
    """The further arguments of `Subscription`."""

    ttl: int
    id: str | None
    auto_create: bool
    options: Mapping[str, Any] | None
    age: int | None
    confirmed: bool | None


@names.checked
class Subscription:
    """A subscription.

    Its attributes are plain ones: callers read ``vars()`` of it.

    Args:
        client: The client.
        queue_name: The queue.
        subscriber: The URI to notify.
        ttl: Seconds that it lasts.
        id: An existing subscription.
        auto_create: Subscribe if there is no id, and read the subscription.
        options: How to notify, as ``filter`` or ``post_data``. The service ignores
            unknown ones, with an `UnknownNameWarning` here.
        age: Seconds since it was made, if known.
        confirmed: Whether the subscriber has agreed, if known.

    Raises:
        zaqarclient.transport.errors.ConflictError: The subscriber has
            confirmed a subscription already.
        zaqarclient.transport.errors.ResourceNotFound: There is none of this
            id.
    """

    #: Members of a listed subscription that this version of the client does not know.
    extra: Mapping[str, Any] = {}

    @names.ignoring("source", "href")
    def __init__(  # noqa: PLR0913, PLR0917 - the contract's
        self,
        client: Client,
        queue_name: str,
        subscriber: str | None = None,
        ttl: int = 60,
        id: str | None = None,  # noqa: A002 - the contract's name
        auto_create: bool = True,
        options: Mapping[str, Any] | None = None,
        age: int | None = None,
        confirmed: bool | None = None,
    ) -> None:
        self.client = client
        self.id = id
        self.queue_name = queue_name
        self.subscriber = subscriber
        self.ttl = ttl
        self.options: dict[str, Any] = dict(options or {})
        self.age = age
        self.confirmed = confirmed
        if auto_create:
            self.ensure_exists()

    def __repr__(self) -> str:
        return f"<Subscription id:{self.id} subscriber:{self.subscriber}>"

    def ensure_exists(self) -> None:
        """Subscribe if there is no id, then read the subscription."""
        if self.id is None and self.subscriber:
            names.warn_of(names.option_problems(self.options))
            data = {
                "subscriber": self.subscriber,
                "ttl": self.ttl,
                "options": self.options,
            }
            created = self._call("subscription_create", subscription_data=data)
            self.id = created.get("subscription_id")
        if self.id is not None:
            found = self._call("subscription_get", subscription_id=self.id)
            for name in ("subscriber", "ttl", "options", "age", "confirmed"):
                setattr(self, name, found.get(name))

    def update(self, data: Mapping[str, Any]) -> None:
        """Change ``subscriber``, ``ttl`` or ``options``.

        Args:
            data: What to change; ``options`` are replaced as a whole.
        """
        names.SUBSCRIPTION.warn(data)
        names.warn_of(names.option_problems(data.get("options")))
        self._call_own("subscription_update", subscription_data=data)
        for name, value in data.items():
            setattr(self, name, value)

    def confirm(self, confirmed: bool = True) -> None:
        """Confirm that the subscriber wants the messages.

        Args:
            confirmed: False to refuse them; the subscription is kept.

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: There is no such
                subscription.
        """
        self._call_own("subscription_confirm", confirmed=confirmed)
        self.confirmed = confirmed

    def delete(self) -> None:
        """End the subscription; deleting a missing one succeeds."""
        self._call_own("subscription_delete")

    @property
    def _calls(self) -> calls.Calls:
        return self.client.calls

    def _call(self, operation: str, /, **arguments: Any) -> Any:
        return self._calls(operation, queue_name=self.queue_name, **arguments)

    def _call_own(self, operation: str, /, **arguments: Any) -> Any:
        return self._call(operation, subscription_id=self.id or "", **arguments)


class TopicSubscription(Subscription):
    """A subscription to a topic; its ``queue_name`` is the topic's name.

    The arguments are those of `Subscription`.
    """

    @property
    def _calls(self) -> calls.Calls:
        return self.client.topic_calls


def create_object(
    parent: Client, kind: type[Subscription] = Subscription
) -> Callable[[Mapping[str, Any]], Subscription]:
    """Return a function that makes a subscription from a document.

    Args:
        parent: The client.
        kind: What to make.
    """

    def create(document: Mapping[str, Any]) -> Subscription:
        make = functools.partial(kind, parent, document["source"], auto_create=False)
        return maker(make, _MEMBERS)(document)

    return create

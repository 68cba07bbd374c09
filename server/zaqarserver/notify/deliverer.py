"""What a deliverer is: the class behind a kind of subscriber.

Deliverers are found by the scheme of the subscriber's URI through the entry point
group ``zaqarserver.notify``. A class that serves several schemes is made once.
"""

from __future__ import annotations

import abc
from typing import Any

import msgspec

from zaqarserver.notify.settings import NotifySettings
from zaqarserver.storage.subscriptions import Subscription


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell one subscriber, once.

    Attributes:
        subscription: Where it goes.
        id: The message's id; the same in every attempt.
        payload: The JSON object to send, in ASCII (``notifications`` 5.1, 7.2).
        confirmation: The same object of a confirmation, by member; ``None`` for
            a notification.
        attempt: From 1.
        now: The system's time, by which the receiver checks it.
    """

    subscription: Subscription
    id: str
    payload: bytes
    confirmation: dict[str, Any] | None = None
    attempt: int
    now: float


class Delivered(msgspec.Struct, frozen=True):
    """The subscriber has it."""


class Failed(msgspec.Struct, frozen=True):
    """It cannot be delivered, now or later.

    Attributes:
        reason: Why, for the log: no payload, signature or address in it.
    """

    reason: str


class Gone(msgspec.Struct, frozen=True):
    """The subscriber says that it wants nothing any more."""


class Retry(msgspec.Struct, frozen=True):
    """It may work later.

    Attributes:
        reason: Why, for the log, as in :class:`Failed`.
        after: Seconds that the subscriber asked to be left alone.
    """

    reason: str
    after: float = 0.0


Outcome = Delivered | Failed | Gone | Retry


class Deliverer(abc.ABC):
    """Sends to the subscribers of one kind.

    Attributes:
        follows_policy: Whether the retry policies of queue and subscription count
            for this kind; otherwise the default policy does.

    Args:
        settings: The settings of the notifier.

    Raises:
        SettingsError: A setting that this kind needs is missing or wrong.
    """

    follows_policy = True

    def __init__(self, settings: NotifySettings) -> None:
        self.settings = settings

    # Not every kind has something to open: B027 asks for one in each.
    async def open(self) -> None:  # noqa: B027
        """Make what sending needs; called on the event loop, once."""

    async def close(self) -> None:  # noqa: B027
        """Release it; nothing is being sent any more."""

    def ended(self, subscription: Subscription) -> None:  # noqa: B027
        """Release what a subscription had, now that its subscriber is gone."""

    @abc.abstractmethod
    def endpoint(self, subscription: Subscription) -> str:
        """Return what gets slow together, such as a host and port.

        At most ``max_deliveries_per_endpoint`` parcels are out to one endpoint.
        Never raises, whatever the subscriber's URI looks like.
        """

    @abc.abstractmethod
    async def deliver(self, parcel: Parcel) -> Outcome:
        """Send a parcel and say what became of it, in bounded time."""

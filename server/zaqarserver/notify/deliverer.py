"""The contract of deliverers: classes that send to one kind of subscriber.

A deliverer is found by the scheme of the subscriber's URI in the entry point group
``zaqarserver.notify``. A class that serves several schemes is instantiated once.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import msgspec

from zaqarserver.notify.settings import NotifySettings
from zaqarserver.storage.subscriptions import Subscription


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to send something to one subscriber.

    Attributes:
        subscription: The subscription.
        id: The message's id; the same in every attempt.
        payload: The JSON object to send, in ASCII (``notifications`` 5.1, 7.2).
        confirmation: For a request to confirm, its members; else ``None``.
        attempt: The number of the attempt, from 1.
        now: The system's time, in seconds since the epoch, for time stamps.
    """

    subscription: Subscription
    id: str
    payload: bytes
    confirmation: dict[str, Any] | None = None
    attempt: int
    now: float


class Delivered(msgspec.Struct, frozen=True):
    """The subscriber accepted it."""


class Failed(msgspec.Struct, frozen=True):
    """It cannot be delivered, now or later.

    Attributes:
        reason: Why, for the log: without payload, signature or address.
    """

    reason: str


class Gone(msgspec.Struct, frozen=True):
    """The subscriber does not want any more notifications."""


class Retry(msgspec.Struct, frozen=True):
    """The attempt failed; a later one may succeed.

    Attributes:
        reason: Why, for the log, as in :class:`Failed`.
        after: Minimum wait in seconds that the subscriber asked for.
    """

    reason: str
    after: float = 0.0


Outcome = Delivered | Failed | Gone | Retry

#: Called after a notification was delivered; returns the next one, ``None`` for none.
Following = Callable[[], Notification | None]


class Deliverer(abc.ABC):
    """Sends to the subscribers of one kind.

    Attributes:
        follows_policy: True if the retry policies of queue and subscription apply to
            this kind; otherwise the default policy does.

    Args:
        settings: The settings of the notifier.

    Raises:
        SettingsError: A required setting is missing or invalid.
    """

    follows_policy = True

    def __init__(self, settings: NotifySettings) -> None:
        self.settings = settings

    # Not every kind has something to open: B027 asks for one in each.
    async def open(self) -> None:  # noqa: B027
        """Acquire resources; called once, on the event loop, before sending."""

    async def close(self) -> None:  # noqa: B027
        """Release the resources; called after the last send."""

    def proceed(self) -> None:  # noqa: B027
        """Go on with what has arrived, before the loop's turn comes to it.

        Called between the requests of a busy server: it must be cheap and never raise.
        """

    def ended(self, subscription: Subscription) -> None:  # noqa: B027
        """Release the resources of a subscription whose subscriber is gone."""

    @abc.abstractmethod
    def endpoint(self, subscription: Subscription) -> str:
        """Return the name of the endpoint, such as a host and port.

        At most ``max_deliveries_per_endpoint`` notifications are sent to one endpoint
        at a time. It never raises, whatever the subscriber's URI looks like.
        """

    @abc.abstractmethod
    async def deliver(self, notification: Notification) -> Outcome:
        """Send a notification, in bounded time; return the outcome."""

    async def deliver_all(
        self, notification: Notification, following: Following
    ) -> Outcome:
        """Send a notification, and after each that was delivered the next one.

        They are for the same subscription. Override it where one connection serves for
        several; the order must stay.

        Args:
            notification: The first.
            following: Returns the next one. It is called once after each that was
                delivered, and must not be called after another outcome.

        Returns:
            The outcome of the last one.
        """
        outcome = await self.deliver(notification)
        while isinstance(outcome, Delivered) and (after := following()) is not None:
            outcome = await self.deliver(after)
        return outcome

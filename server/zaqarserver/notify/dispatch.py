"""Finds the deliverer of a subscription, and counts the outcomes."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Final

from zaqarserver.common.plugins import installed
from zaqarserver.notify.deliverer import (
    Deliverer,
    Failed,
    Following,
    Notification,
    Outcome,
    Retry,
)
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.storage.subscriptions import Subscription

LOG = logging.getLogger(__name__)

GROUP: Final = "zaqarserver.notify"


def load_deliverers(settings: NotifySettings) -> dict[str, Deliverer]:
    """Make the deliverer of each kind that is installed, by URI scheme.

    Raises:
        SettingsError: A deliverer refuses its settings.
    """
    made: dict[type[Deliverer], Deliverer] = {}
    found: dict[str, Deliverer] = {}
    for entry in installed(GROUP):
        kind: type[Deliverer] = entry.load()
        if kind not in made:
            made[kind] = kind(settings)
        found[entry.name] = made[kind]
    return found


class NotificationCounts:
    """NotificationCounts messages by event and kind of subscriber.

    The events are ``sent``, ``failed`` (given up), ``retried`` (postponed after a
    failure), ``expired`` (dropped, the message had expired), ``filtered`` (dropped by
    filter or stage) and ``gone`` (the subscriber does not want any more).
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def add(self, event: str, kind: str) -> None:
        """Count one more."""
        key = (event, kind)
        self._numbers[key] = self._numbers.get(key, 0) + 1

    def numbers(self) -> dict[tuple[str, str], int]:
        """Return the numbers since the start by event and kind."""
        return dict(self._numbers)


class Dispatcher:
    """Passes notifications to deliverers; turns their exceptions into outcomes.

    Args:
        deliverers: The deliverers by URI scheme.
    """

    def __init__(self, deliverers: Mapping[str, Deliverer]) -> None:
        self._deliverers = dict(deliverers)
        # Each once, and only those that do something: it is called often.
        self._proceeding = [
            one.proceed
            for one in dict.fromkeys(deliverers.values())
            if type(one).proceed is not Deliverer.proceed
        ]
        self.counts = NotificationCounts()

    def kind(self, subscription: Subscription) -> str:
        """Return the scheme of the subscriber, or ``unknown``."""
        scheme = subscription.subscriber.partition(":")[0].lower()
        return scheme if scheme in self._deliverers else "unknown"

    def deliverer(self, subscription: Subscription) -> Deliverer | None:
        """Return the deliverer of this subscriber, ``None`` if none is installed."""
        return self._deliverers.get(self.kind(subscription))

    def endpoint(self, subscription: Subscription) -> str:
        """Return the name of the subscriber's endpoint."""
        deliverer = self.deliverer(subscription)
        return "unknown" if deliverer is None else deliverer.endpoint(subscription)

    async def send(
        self, notification: Notification, following: Following = lambda: None
    ) -> Outcome:
        """Send a notification, and after each that was delivered the next one.

        An exception becomes an outcome.

        Args:
            notification: The first.
            following: Returns the next one, for the same subscription.

        Returns:
            The outcome of the last one.
        """
        kind = self.kind(notification.subscription)
        deliverer = self._deliverers.get(kind)
        if deliverer is None:
            return Failed("no deliverer is installed for this kind of subscriber")

        def count_and_follow() -> Notification | None:
            self.counts.add("sent", kind)
            return following()

        try:
            return await deliverer.deliver_all(notification, count_and_follow)
        # Deliverers may be third-party code: a defect must not stop the others.
        except Exception as error:  # noqa: BLE001
            log_defect(named(notification.subscription), error)
            return Retry("internal error")

    def ended(self, subscription: Subscription) -> None:
        """Release a subscription that was deleted because its subscriber is gone."""
        deliverer = self.deliverer(subscription)
        if deliverer is not None:
            deliverer.ended(subscription)

    def proceed(self) -> None:
        """Go on with what has arrived for the deliverers."""
        for proceed in self._proceeding:
            proceed()

    async def open(self) -> None:
        """Open each deliverer once."""
        for deliverer in dict.fromkeys(self._deliverers.values()):
            await deliverer.open()

    async def close(self) -> None:
        """Close each deliverer once."""
        for deliverer in dict.fromkeys(self._deliverers.values()):
            await deliverer.close()


def named(subscription: Subscription) -> str:
    """Return the name of a subscription in log lines.

    It does not contain the subscriber's URI, which may hold passwords or tokens.
    """
    return f"subscription {subscription.id} of {subscription.queue}"


def log_defect(what: str, error: Exception) -> None:
    """Log an unexpected error: its type and place, not its text.

    The text may quote the payload.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    LOG.error("%s: %s%s", what, type(error).__qualname__, place)

"""Requests to subscribers to confirm a subscription (``notifications`` section 7).

A request is sent like a notification, in the same slots, and retried on the default
schedule. It is kept in memory: if the server ends it is lost, and creating the
subscription again sends a new one.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

from zaqarserver.clock import Clock, Timer
from zaqarserver.notify import payload
from zaqarserver.notify.deliverer import Delivered, Notification, Retry
from zaqarserver.notify.dispatch import Dispatcher, named
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.slots import Slots
from zaqarserver.spaces import path_of, project_of
from zaqarserver.storage.subscriptions import Subscription
from zaqarserver.subscribers.retry import DEFAULT, schedule

LOG = logging.getLogger(__name__)

Sign = Callable[[Sequence[str], Sequence[str], str, str], str]

MAX_PENDING: Final = 1000
_METHODS = ("PUT",)


class _ConfirmationRequest:
    """A pending request: a job for the slots.

    Args:
        owner: The object that sends it.
        subscription: The subscription to confirm.
        found: The members of the request.
        expires: When its signature expires.
    """

    def __init__(
        self,
        owner: Confirmations,
        subscription: Subscription,
        found: dict[str, Any],
        expires: float,
    ) -> None:
        self._owner = owner
        self.subscription = subscription
        self.found = found
        self.expires = expires
        self.id = f"confirm-{secrets.token_hex(16)}"  # the same in every attempt
        self.attempt = 1
        self.timer: Timer | None = None

    async def run(self) -> bool:
        """Send it."""
        return await self._owner.send(self)

    async def postpone(self, seconds: float) -> None:
        """Offer it again after some seconds."""
        self._owner.send_later(self, seconds)


class Confirmations:
    """Sends requests to confirm, and messages about the end of a subscription.

    Does nothing unless ``require_confirmation`` is set.

    Args:
        settings: The settings.
        sign: Returns the signature (``notifications`` 10.2) of paths, methods,
            project and expiry as ``%Y-%m-%dT%H:%M:%S``; ``None`` without
            ``[signed_url] secret_key``: then no request can be sent.
        dispatcher: The deliverers.
        slots: The slots for sending.
        clock: The clock.
    """

    def __init__(
        self,
        settings: NotifySettings,
        sign: Sign | None,
        *,
        dispatcher: Dispatcher,
        slots: Slots,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._sign = sign
        self._dispatcher = dispatcher
        self._slots = slots
        self._clock = clock
        self._pending: dict[str, _ConfirmationRequest] = {}

    def subscribed(self, subscription: Subscription) -> None:
        """Send a request to confirm, unless the subscription is confirmed.

        Call it after a subscription was created, or existed unconfirmed, and after
        its subscriber was changed. The request can be answered during the
        subscription's ttl, from now.
        """
        if not subscription.confirmed:
            self._ask(payload.SUBSCRIPTION_CONFIRMATION, subscription, subscription.ttl)

    def unsubscribed(self, subscription: Subscription, ttl: int) -> None:
        """Send a message that the subscription has ended, and how to renew it.

        Call it after ``{"confirmed": false}``.

        Args:
            subscription: The subscription.
            ttl: Seconds to answer it: ``default_subscription_ttl``.
        """
        self._ask(payload.UNSUBSCRIBE_CONFIRMATION, subscription, ttl)

    def close(self) -> None:
        """Drop the pending requests."""
        for request in self._pending.values():
            if request.timer is not None:
                request.timer.cancel()
        self._pending.clear()

    def _ask(self, message_type: str, subscription: Subscription, ttl: int) -> None:
        if not self._settings.require_confirmation:
            return
        if self._sign is None:
            LOG.error(
                "no request to confirm for %s: [signed_url] secret_key is not set",
                named(subscription),
            )
            return
        self._forget(subscription.id)  # a newer request replaces an older one
        if len(self._pending) >= MAX_PENDING:
            LOG.warning(
                "no request to confirm for %s: too many are pending",
                named(subscription),
            )
            return
        signed = self._signed(self._sign, subscription, self._clock.wall() + ttl)
        found = payload.confirmation(
            message_type, subscription.queue, signed, self._settings.public_url
        )
        request = _ConfirmationRequest(
            self, subscription, found, self._clock.now() + ttl
        )
        self._pending[subscription.id] = request
        self._offer(request)

    @staticmethod
    def _signed(
        sign: Sign, subscription: Subscription, expires: float
    ) -> payload.SignedConfirmation:
        space, queue = subscription.space, subscription.queue
        path = f"{path_of(space)}/{queue}/subscriptions/{subscription.id}/confirm"
        project = project_of(space)
        until = dt.datetime.fromtimestamp(int(expires), dt.UTC)
        text = until.strftime("%Y-%m-%dT%H:%M:%S")
        signature = sign((path,), _METHODS, project, text)
        return payload.SignedConfirmation(
            signature, ",".join(_METHODS), path, project, text
        )

    def _forget(self, subscription_id: str) -> None:
        request = self._pending.pop(subscription_id, None)
        if request is not None and request.timer is not None:
            request.timer.cancel()

    def _offer(self, request: _ConfirmationRequest) -> None:
        self._slots.offer(self._dispatcher.endpoint(request.subscription), request)

    def send_later(self, request: _ConfirmationRequest, seconds: float) -> None:
        """Send a request after some seconds, unless a newer one replaced it."""
        if self._pending.get(request.subscription.id) is request:
            self._wake_at(request, self._clock.now() + seconds)

    def _wake_at(self, request: _ConfirmationRequest, due: float) -> None:
        def wake() -> None:
            # The clock may call too early.
            if self._clock.now() < due:
                self._wake_at(request, due)
            else:
                self._offer(request)

        request.timer = self._clock.call_at(due, wake)

    async def send(self, request: _ConfirmationRequest) -> bool:
        """Send a request, in a slot; return True if the endpoint is healthy."""
        outcome = await self._dispatcher.send(
            Notification(
                subscription=request.subscription,
                id=request.id,
                payload=payload.encoded(request.found),
                confirmation=request.found,
                attempt=request.attempt,
                now=self._clock.wall(),
            )
        )
        current = self._pending.get(request.subscription.id) is request
        if isinstance(outcome, Retry) and current and self._again(request, outcome):
            return False
        if current:
            del self._pending[request.subscription.id]
        if not isinstance(outcome, Delivered):
            self._dispatcher.counts.add(
                "failed", self._dispatcher.kind(request.subscription)
            )
            reason = getattr(outcome, "reason", "the subscriber is gone")
            LOG.warning(
                "no request to confirm for %s: %s", named(request.subscription), reason
            )
        return not isinstance(outcome, Retry)

    def _again(self, request: _ConfirmationRequest, outcome: Retry) -> bool:
        """Schedule the next attempt; return False if there is none."""
        waits = schedule(DEFAULT)
        if request.attempt > len(waits):
            return False
        seconds = max(float(waits[request.attempt - 1]), outcome.after)
        if self._clock.now() + seconds >= request.expires:
            return False
        request.attempt += 1
        self._dispatcher.counts.add(
            "retried", self._dispatcher.kind(request.subscription)
        )
        self.send_later(request, seconds)
        return True

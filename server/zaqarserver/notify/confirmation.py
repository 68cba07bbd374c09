"""Asking subscribers whether they want to be told (``notifications`` section 7).

A request is sent like a notification, over the same slots, and tried again on the
default schedule. It is held in memory: if the server ends meanwhile it is lost,
and creating the subscription once more asks again, as the contract has it.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

from zaqarserver.clock import Clock, Timer
from zaqarserver.notify import payload
from zaqarserver.notify.deliverer import Delivered, Parcel, Retry
from zaqarserver.notify.dispatch import Dispatch, named
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.slots import Slots
from zaqarserver.spaces import path_of, project_of
from zaqarserver.storage.subscriptions import Subscription
from zaqarserver.subscribers.retry import DEFAULT, schedule

LOG = logging.getLogger(__name__)

Sign = Callable[[Sequence[str], Sequence[str], str, str], str]

MAX_PENDING: Final = 1000
_METHODS = ("PUT",)


class _Request:
    """A request on its way: a job for the slots.

    Args:
        owner: Who sends it.
        subscription: Whom it asks.
        found: What is sent, by member.
        expires: When its signature ends.
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

    async def put_off(self, seconds: float) -> None:
        """Offer it again after a while."""
        self._owner.send_later(self, seconds)


class Confirmations:
    """Sends requests to confirm, and notes that a subscriber left.

    Does nothing unless ``require_confirmation`` is set.

    Args:
        settings: The settings.
        sign: Returns the signature (``notifications`` 10.2) of paths, methods,
            project and expiry as ``%Y-%m-%dT%H:%M:%S``; ``None`` if there is no
            ``[signed_url] secret_key``, then nobody can be asked.
        dispatch: The deliverers.
        slots: Where sending happens.
        clock: The time.
    """

    def __init__(
        self,
        settings: NotifySettings,
        sign: Sign | None,
        *,
        dispatch: Dispatch,
        slots: Slots,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._sign = sign
        self._dispatch = dispatch
        self._slots = slots
        self._clock = clock
        self._pending: dict[str, _Request] = {}

    def subscribed(self, subscription: Subscription) -> None:
        """Ask a subscriber, if it has not agreed yet.

        To be called after a subscription was created, also where an unconfirmed
        one was there already, and after its subscriber was changed. The request
        can be answered as long as the subscription's ttl, from now.
        """
        if not subscription.confirmed:
            self._ask(payload.SUBSCRIPTION_CONFIRMATION, subscription, subscription.ttl)

    def unsubscribed(self, subscription: Subscription, ttl: int) -> None:
        """Tell a subscriber that it gets nothing more, and how to come back.

        To be called after ``{"confirmed": false}``; being confirmed tells nothing.

        Args:
            subscription: The subscription.
            ttl: Seconds in which it can be answered: ``default_subscription_ttl``.
        """
        self._ask(payload.UNSUBSCRIBE_CONFIRMATION, subscription, ttl)

    def close(self) -> None:
        """Forget what waits for another attempt."""
        for request in self._pending.values():
            if request.timer is not None:
                request.timer.cancel()
        self._pending.clear()

    def _ask(self, message_type: str, subscription: Subscription, ttl: int) -> None:
        if not self._settings.require_confirmation:
            return
        if self._sign is None:
            LOG.error(
                "%s cannot be asked to confirm: [signed_url] secret_key is not set",
                named(subscription),
            )
            return
        self._forget(subscription.id)  # of two requests the newer one counts
        if len(self._pending) >= MAX_PENDING:
            LOG.warning(
                "too many confirmations wait: %s is not asked", named(subscription)
            )
            return
        signed = self._signed(self._sign, subscription, self._clock.wall() + ttl)
        found = payload.confirmation(
            message_type, subscription.source, signed, self._settings.public_url
        )
        request = _Request(self, subscription, found, self._clock.now() + ttl)
        self._pending[subscription.id] = request
        self._offer(request)

    @staticmethod
    def _signed(
        sign: Sign, subscription: Subscription, expires: float
    ) -> payload.Signed:
        space, source = subscription.project, subscription.source
        path = f"{path_of(space)}/{source}/subscriptions/{subscription.id}/confirm"
        project = project_of(space)
        until = dt.datetime.fromtimestamp(int(expires), dt.UTC)
        text = until.strftime("%Y-%m-%dT%H:%M:%S")
        signature = sign((path,), _METHODS, project, text)
        return payload.Signed(signature, ",".join(_METHODS), path, project, text)

    def _forget(self, subscription_id: str) -> None:
        request = self._pending.pop(subscription_id, None)
        if request is not None and request.timer is not None:
            request.timer.cancel()

    def _offer(self, request: _Request) -> None:
        self._slots.offer(self._dispatch.endpoint(request.subscription), request)

    def send_later(self, request: _Request, seconds: float) -> None:
        """Send a request after so many seconds, unless a newer one replaced it."""
        if self._pending.get(request.subscription.id) is request:
            self._wake_at(request, self._clock.now() + seconds)

    def _wake_at(self, request: _Request, due: float) -> None:
        def wake() -> None:
            # A clock may call early.
            if self._clock.now() < due:
                self._wake_at(request, due)
            else:
                self._offer(request)

        request.timer = self._clock.call_at(due, wake)

    async def send(self, request: _Request) -> bool:
        """Send a request, in a slot; return whether the endpoint is well."""
        outcome = await self._dispatch.send(
            Parcel(
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
            self._dispatch.counts.add(
                "failed", self._dispatch.kind(request.subscription)
            )
            reason = getattr(outcome, "reason", "the subscriber is gone")
            LOG.warning("%s was not asked: %s", named(request.subscription), reason)
        return not isinstance(outcome, Retry)

    def _again(self, request: _Request, outcome: Retry) -> bool:
        """Plan the next attempt; return False if there is none."""
        waits = schedule(DEFAULT)
        if request.attempt > len(waits):
            return False
        seconds = max(float(waits[request.attempt - 1]), outcome.after)
        if self._clock.now() + seconds >= request.expires:
            return False
        request.attempt += 1
        self._dispatch.counts.add("retried", self._dispatch.kind(request.subscription))
        self.send_later(request, seconds)
        return True

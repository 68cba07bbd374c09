"""Webhooks that get a token of the subscribing user (``notifications`` section 9)."""

from __future__ import annotations

from typing import Final

import msgspec

from zaqarserver.errors import BadRequest, TrustGone, Unavailable
from zaqarserver.identity.trusts import KeystoneTrusts
from zaqarserver.notify.deliverer import Failed, Following, Notification, Outcome, Retry
from zaqarserver.notify.webhook import Target, WebhookDeliverer
from zaqarserver.storage.subscriptions import Subscription
from zaqarserver.subscribers.options import PREFIX, own_trust_of, trust_of

_TOKEN: Final = "X-Auth-Token"  # noqa: S105 - the name of a header


class TrustDeliverer(WebhookDeliverer):
    """Posts to ``trust+http`` and ``trust+https`` subscribers.

    Each request carries a token of the subscription's trust, so that the receiver can
    act for the user that subscribed. The rest is the same as for webhooks.
    """

    def endpoint(self, subscription: Subscription) -> str:
        """Return the scheme, host and port of the webhook's URL."""
        return super().endpoint(
            msgspec.structs.replace(subscription, subscriber=_plain(subscription))
        )

    async def target(self, notification: Notification) -> Target:
        """Return the URL and the token.

        Raises:
            BadRequest: The subscription has no trust, or the server no trustee.
            TrustGone: The trust gives no token any more.
            IdentityUnavailable: The identity service does not answer.
        """
        subscription = notification.subscription
        token = await self._trusts().token(_trust(subscription))
        return Target(_plain(subscription), {_TOKEN: token})

    def _trusts(self) -> KeystoneTrusts:
        if self.settings.trusts is None:
            raise BadRequest("[trustee] is not configured here")
        return self.settings.trusts

    async def deliver_all(
        self, notification: Notification, following: Following
    ) -> Outcome:
        """Send requests with a token of the trust."""
        try:
            return await super().deliver_all(notification, following)
        except TrustGone:
            return Failed("its trust is gone")
        except Unavailable:
            return Retry("no token: the identity service does not answer")

    def judge(
        self, target: Target, notification: Notification, status: int, asked: float
    ) -> Outcome:
        """Drop a token that was refused (401): the next attempt gets a new one."""
        if status == 401:
            self._trusts().drop(
                _trust(notification.subscription), target.headers[_TOKEN]
            )
            return Retry("status 401")
        return super().judge(target, notification, status, asked)

    def ended(self, subscription: Subscription) -> None:
        """Remove the trust, if it was made for the subscription."""
        trust = own_trust_of(subscription.subscriber, subscription.options)
        if trust is not None and self.settings.trusts is not None:
            self.settings.trusts.delete(trust)


def _plain(subscription: Subscription) -> str:
    return subscription.subscriber[len(PREFIX) :]


def _trust(subscription: Subscription) -> str:
    trust = trust_of(subscription.subscriber, subscription.options)
    if trust is None:
        raise BadRequest("the subscription has no trust")
    return trust

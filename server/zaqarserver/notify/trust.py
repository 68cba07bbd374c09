"""Webhooks that get a token of the subscribing user (``notifications`` section 9)."""

from __future__ import annotations

from typing import Final

import msgspec

from zaqarserver.errors import BadRequest, TrustGone, Unavailable
from zaqarserver.notify.deliverer import Failed, Outcome, Parcel, Retry
from zaqarserver.notify.settings import TrustTokens
from zaqarserver.notify.webhook import Target, WebhookDeliverer
from zaqarserver.storage.subscriptions import Subscription
from zaqarserver.subscribers.options import PREFIX, own_trust_of, trust_of

_TOKEN: Final = "X-Auth-Token"  # noqa: S105 - the name of a header


class TrustDeliverer(WebhookDeliverer):
    """Posts to ``trust+http`` and ``trust+https`` subscribers.

    Each request carries a token of the subscription's trust, so that the receiver
    acts for the user that subscribed. All else is as with webhooks.
    """

    def endpoint(self, subscription: Subscription) -> str:
        """Return the URL's scheme, host and port: those of the webhook."""
        return super().endpoint(
            msgspec.structs.replace(subscription, subscriber=_plain(subscription))
        )

    async def target(self, parcel: Parcel) -> Target:
        """Return the URL and the token.

        Raises:
            BadRequest: The subscription has no trust, or the server no trustee.
            TrustGone: The trust gives no token any more.
            IdentityUnavailable: The identity service does not answer.
        """
        subscription = parcel.subscription
        token = await self._trusts().token(_trust(subscription))
        return Target(_plain(subscription), {_TOKEN: token})

    def _trusts(self) -> TrustTokens:
        if self.settings.trusts is None:
            raise BadRequest("this server has no [trustee] to get tokens for")
        return self.settings.trusts

    async def deliver(self, parcel: Parcel) -> Outcome:
        """Send one request, with a token that the trust gives."""
        try:
            return await super().deliver(parcel)
        except TrustGone:
            return Failed("its trust is gone")
        except Unavailable:
            return Retry("no token: the identity service does not answer")

    def judge(
        self, target: Target, parcel: Parcel, status: int, asked: float
    ) -> Outcome:
        """Take a refused token for one that ended early: the next try has another."""
        if status == 401:
            self._trusts().drop(_trust(parcel.subscription), target.headers[_TOKEN])
            return Retry("status 401")
        return super().judge(target, parcel, status, asked)

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

"""The settings of the notifier (``notifications`` section 13)."""

from __future__ import annotations

from typing import Protocol

import msgspec

SUBSCRIPTION_TEMPLATE = {
    "topic": "Zaqar Notification - Subscription Confirmation",
    "body": "Messages of {0} in project {1} are to be sent to this address. "
    "Follow the link to agree; without that nothing will be sent. The link is "
    "below: {2}",
    "sender": "Zaqar Notifications <no-reply@openstack.org>",
}
UNSUBSCRIBE_TEMPLATE = {
    "topic": "Zaqar Notification - Unsubscribe Confirmation",
    "body": "Messages of {0} in project {1} are no longer sent to this "
    "address. Follow the link to subscribe again. The link is below: {2}",
    "sender": "Zaqar Notifications <no-reply@openstack.org>",
}


class TrustTokens(Protocol):
    """What has tokens for subscribers that need one (``notifications`` 9)."""

    async def token(self, trust: str) -> str:
        """Return a token that a trust gives.

        Raises:
            TrustGone: The trust gives none any more.
            IdentityUnavailable: The identity service does not answer.
        """

    def drop(self, trust: str, token: str) -> None:
        """Forget a token that was not accepted."""

    def delete(self, trust: str, /) -> None:
        """Remove a trust in the background."""


class NotifySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the notifier reads of ``[notification]``.

    Each field has the name, unit and default of its option; the help texts are in
    :mod:`zaqarserver.notify.options`. The exception is ``trusts``, a part of the
    server: what has tokens, or ``None`` where there is nothing.
    """

    trusts: TrustTokens | None = None

    max_notifier_workers: int = 100
    max_deliveries_per_endpoint: int = 8
    require_confirmation: bool = False
    external_confirmation_url: str | None = None
    public_url: str | None = None

    connect_timeout: float = 10.0
    request_timeout: float = 30.0
    max_response_size: int = 65536
    max_retry_after: int = 3600
    webhook_ca_file: str | None = None
    webhook_signing_key: str | None = None
    allowed_networks: tuple[str, ...] = ()
    denied_networks: tuple[str, ...] = ()

    smtp_mode: str = "third_part"
    smtp_command: str = "/usr/sbin/sendmail -t -oi"
    smtp_host: str | None = None
    smtp_port: int | None = None
    smtp_user_name: str | None = None
    smtp_user_password: str | None = None
    smtp_tls: str = "implicit"
    smtp_ca_file: str | None = None
    smtp_timeout: float = 30.0
    subscription_confirmation_email_template: dict[str, str] = msgspec.field(
        default_factory=SUBSCRIPTION_TEMPLATE.copy
    )
    unsubscribe_confirmation_email_template: dict[str, str] = msgspec.field(
        default_factory=UNSUBSCRIBE_TEMPLATE.copy
    )

    drain_timeout: float = 5.0

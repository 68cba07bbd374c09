"""The settings of the notifier (``notifications`` section 13)."""

from __future__ import annotations

from dataclasses import dataclass

from oslo_config import cfg

from zaqarserver.common.options import setting
from zaqarserver.identity.trusts import KeystoneTrusts

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


@dataclass(frozen=True, kw_only=True)
class NotifySettings:
    """The group ``[notification]``.

    Attributes:
        trusts: The tokens of trusts; ``None`` without ``[trustee]``. Not an option.
    """

    trusts: KeystoneTrusts | None = None

    max_notifier_workers: int = setting(
        100,
        "How many notifications may be sent at the same time. They are not threads; "
        "one that waits for a retry is not counted. Endpoints whose last "
        "notification failed get at most half of them; one that takes longer than "
        "two seconds makes room for another, up to the same number again.",
        min=2,
        max=10000,
    )
    max_deliveries_per_endpoint: int = setting(
        8,
        "How many notifications may be sent to one host and port at the same time.",
        min=1,
    )
    require_confirmation: bool = setting(
        False,
        "Notify only subscribers that agreed. Each is asked when the "
        "subscription is made; needs [signed_url] secret_key.",
    )
    external_confirmation_url: str | None = setting(
        None,
        "The page that confirmation mails link to. Opening it must change "
        "nothing: mail scanners open links. By default the server's own page below "
        "public_url; without either no such mail is sent.",
        cfg.URIOpt,
    )
    public_url: str | None = setting(
        None,
        "Where subscribers reach this server, such as "
        "https://messaging.example:8888. Sent in confirmation requests, with the "
        "path of the confirm request after it.",
        cfg.URIOpt,
    )
    drain_timeout: float = setting(
        5.0,
        "Seconds that notifications have to finish when the server stops. The rest "
        "is sent after the next start.",
        min=0,
    )

    connect_timeout: float = setting(
        10.0, "Seconds that connecting to a webhook may take.", min=0.1
    )
    request_timeout: float = setting(
        30.0, "Seconds that a webhook request may take as a whole.", min=0.1
    )
    max_response_size: int = setting(
        65536, "Bytes to read of a webhook's answer; the rest is cut off.", min=0
    )
    max_retry_after: int = setting(
        3600, "The longest Retry-After of a webhook that is followed, seconds.", min=0
    )
    webhook_ca_file: str | None = setting(
        None, "A file of CA certificates for https webhooks, in place of the system's."
    )
    webhook_signing_key: str | None = setting(
        None,
        "The key that webhook requests are signed with (webhook-signature, "
        "standard webhooks): 24 to 64 random bytes in base64, with or without the "
        "prefix that standard webhooks gives its secrets. Without "
        "it requests are not signed.",
        secret=True,
    )
    allowed_networks: tuple[str, ...] = setting(
        (),
        "Networks that webhooks may reach although they are not public, such "
        "as 10.20.0.0/16 or 127.0.0.1/32. Every caller that may subscribe can then "
        "make this server post to any port there.",
    )
    denied_networks: tuple[str, ...] = setting(
        (), "Networks that webhooks may never reach, whatever else is allowed."
    )

    smtp_mode: str = setting(
        "third_part",
        "How mail is sent.",
        choices=[
            ("third_part", "Mail is given to smtp_command."),
            ("self_local", "Mail is sent to smtp_host."),
        ],
    )
    smtp_command: str = setting(
        "/usr/sbin/sendmail -t -oi",
        "The command that takes a mail on its standard input and its "
        "recipients from the header.",
    )
    smtp_host: str | None = setting(
        None, "The mail server's name or address.", cfg.HostAddressOpt
    )
    smtp_port: int | None = setting(
        None,
        "The mail server's port: by default 465, 587 or 25, after smtp_tls.",
        cfg.PortOpt,
    )
    smtp_user_name: str | None = setting(
        None, "The name to log in to the mail server with; without it, no login."
    )
    smtp_user_password: str | None = setting(
        None, "The password to log in to the mail server with.", secret=True
    )
    smtp_tls: str = setting(
        "implicit",
        "How the connection to the mail server is protected.",
        choices=[
            ("implicit", "TLS from the start."),
            ("starttls", "TLS after STARTTLS; no mail without it."),
            ("none", "No TLS."),
        ],
    )
    smtp_ca_file: str | None = setting(
        None, "A file of CA certificates for the mail server, in place of the system's."
    )
    smtp_timeout: float = setting(
        30.0, "Seconds that sending one mail may take.", min=0.1
    )
    subscription_confirmation_email_template: dict[str, str] = setting(
        SUBSCRIPTION_TEMPLATE,
        "The mail that asks to confirm: topic, body and sender. In the body "
        "{0} is the queue, {1} the project and {2} the link.",
    )
    unsubscribe_confirmation_email_template: dict[str, str] = setting(
        UNSUBSCRIBE_TEMPLATE,
        "The mail about the end of a subscription: topic, body and sender. In "
        "the body {0} is the queue, {1} the project and {2} the link.",
    )

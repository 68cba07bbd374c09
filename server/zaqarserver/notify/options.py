"""The options of ``[notification]``, for the configuration to register."""

from __future__ import annotations

from oslo_config import cfg

from zaqarserver.notify.settings import (
    SUBSCRIPTION_TEMPLATE,
    UNSUBSCRIBE_TEMPLATE,
    NotifySettings,
)

_BASE = NotifySettings()

_WORKER_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "max_notifier_workers",
        default=_BASE.max_notifier_workers,
        min=2,
        max=10000,
        help="How many notifications may be on their way at the same time. They "
        "are no threads; one that waits for a retry is not counted. Endpoints that "
        "failed last time get at most half of them, and what takes longer than "
        "two seconds makes room for others, up to as many again.",
    ),
    cfg.IntOpt(
        "max_deliveries_per_endpoint",
        default=_BASE.max_deliveries_per_endpoint,
        min=1,
        help="How many notifications may be on their way to one host and port at "
        "the same time.",
    ),
    cfg.BoolOpt(
        "require_confirmation",
        default=_BASE.require_confirmation,
        help="Notify only subscribers that agreed. Each is asked when the "
        "subscription is made; needs [signed_url] secret_key.",
    ),
    cfg.URIOpt(
        "external_confirmation_url",
        default=_BASE.external_confirmation_url,
        help="The page that confirmation mails link to. Opening it must change "
        "nothing: mail scanners open links. By default the server's own page below "
        "public_url; without either no such mail is sent.",
    ),
    cfg.URIOpt(
        "public_url",
        default=_BASE.public_url,
        help="Where subscribers reach this server, such as "
        "https://messaging.example:8888. Sent in confirmation requests, with the "
        "path of the confirm request after it.",
    ),
    cfg.FloatOpt(
        "drain_timeout",
        default=_BASE.drain_timeout,
        min=0,
        help="Seconds that notifications under way get to finish when the server "
        "stops. The rest is sent after the next start.",
    ),
]

_WEBHOOK_OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        "connect_timeout",
        default=_BASE.connect_timeout,
        min=0.1,
        help="Seconds that connecting to a webhook may take.",
    ),
    cfg.FloatOpt(
        "request_timeout",
        default=_BASE.request_timeout,
        min=0.1,
        help="Seconds that a webhook request may take as a whole.",
    ),
    cfg.IntOpt(
        "max_response_size",
        default=_BASE.max_response_size,
        min=0,
        help="Bytes that are read of a webhook's answer; the rest is cut off.",
    ),
    cfg.IntOpt(
        "max_retry_after",
        default=_BASE.max_retry_after,
        min=0,
        help="Seconds that a webhook may put us off with Retry-After, at most.",
    ),
    cfg.StrOpt(
        "webhook_ca_file",
        default=_BASE.webhook_ca_file,
        help="A file of CA certificates for https webhooks, in place of the system's.",
    ),
    cfg.StrOpt(
        "webhook_signing_key",
        default=_BASE.webhook_signing_key,
        secret=True,
        help="The key that webhook requests are signed with (webhook-signature, "
        "standard webhooks): 24 to 64 random bytes in base64, with or without the "
        "prefix that standard webhooks gives its secrets. Without "
        "it requests are not signed.",
    ),
    cfg.ListOpt(
        "allowed_networks",
        default=list(_BASE.allowed_networks),
        help="Networks that webhooks may reach although they are not public, such "
        "as 10.20.0.0/16 or 127.0.0.1/32. Whoever may subscribe can then make "
        "this server post to any port there.",
    ),
    cfg.ListOpt(
        "denied_networks",
        default=list(_BASE.denied_networks),
        help="Networks that webhooks may never reach, whatever else is allowed.",
    ),
]

_MAIL_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "smtp_mode",
        default=_BASE.smtp_mode,
        choices=[
            ("third_part", "Mail is given to smtp_command."),
            ("self_local", "Mail is sent to smtp_host."),
        ],
        help="How mail is sent.",
    ),
    cfg.StrOpt(
        "smtp_command",
        default=_BASE.smtp_command,
        help="The command that takes a mail on its standard input and its "
        "recipients from the header.",
    ),
    cfg.HostAddressOpt(
        "smtp_host", default=_BASE.smtp_host, help="The mail server's name or address."
    ),
    cfg.PortOpt(
        "smtp_port",
        default=_BASE.smtp_port,
        help="The mail server's port: by default 465, 587 or 25, after smtp_tls.",
    ),
    cfg.StrOpt(
        "smtp_user_name",
        default=_BASE.smtp_user_name,
        help="The name to log in to the mail server with; none logs in.",
    ),
    cfg.StrOpt(
        "smtp_user_password",
        default=_BASE.smtp_user_password,
        secret=True,
        help="The password to log in to the mail server with.",
    ),
    cfg.StrOpt(
        "smtp_tls",
        default=_BASE.smtp_tls,
        choices=[
            ("implicit", "TLS from the start."),
            ("starttls", "TLS after STARTTLS; no mail without it."),
            ("none", "No TLS."),
        ],
        help="How the connection to the mail server is protected.",
    ),
    cfg.StrOpt(
        "smtp_ca_file",
        default=_BASE.smtp_ca_file,
        help="A file of CA certificates for the mail server, in place of the system's.",
    ),
    cfg.FloatOpt(
        "smtp_timeout",
        default=_BASE.smtp_timeout,
        min=0.1,
        help="Seconds that sending one mail may take.",
    ),
    cfg.DictOpt(
        "subscription_confirmation_email_template",
        default=SUBSCRIPTION_TEMPLATE,
        help="The mail that asks to confirm: topic, body and sender. In the body "
        "{0} is the queue, {1} the project and {2} the link.",
    ),
    cfg.DictOpt(
        "unsubscribe_confirmation_email_template",
        default=UNSUBSCRIBE_TEMPLATE,
        help="The mail that tells of an unsubscription: topic, body and sender. In "
        "the body {0} is the queue, {1} the project and {2} the link.",
    ),
]

NOTIFICATION_OPTS: list[cfg.Opt] = [*_WORKER_OPTS, *_WEBHOOK_OPTS, *_MAIL_OPTS]

"""The settings of ``[quota]``, and the quotas that they make."""

from __future__ import annotations

from pathlib import Path

from oslo_config import cfg

from zaqarserver.quotas import (
    NOTIFICATIONS_PER_POST,
    SUBSCRIPTIONS_PER_QUEUE,
    UNLIMITED,
    Limits,
    Overrides,
    Quotas,
    check_rate,
)


def _quota(name: str, text: str) -> cfg.Opt:
    return cfg.IntOpt(
        name, default=UNLIMITED, min=UNLIMITED, help=f"{text} -1: any number."
    )


QUOTA_OPTS: list[cfg.Opt] = [
    _quota("queues", "Queues and topics that a project may have."),
    _quota("messages", "Messages that a project may keep."),
    _quota("bytes", "Bytes of message bodies that a project may keep."),
    _quota("subscriptions", "Subscriptions that a project may have."),
    _quota("sockets", "WebSockets of a project at once, in one server process."),
    cfg.IntOpt(
        "subscriptions_per_queue",
        default=SUBSCRIPTIONS_PER_QUEUE,
        min=UNLIMITED,
        help="Subscriptions that one queue or topic may have. -1: any number.",
    ),
    cfg.IntOpt(
        "notifications_per_post",
        default=NOTIFICATIONS_PER_POST,
        min=UNLIMITED,
        help="Messages of one post times the subscriptions of its queue or topic. -1: "
        "any number.",
    ),
    cfg.FloatOpt(
        "requests_per_second",
        default=UNLIMITED,
        help="Requests a second of a project over time, in one server process; -1 for "
        "any. More are answered 429 with Retry-After.",
    ),
    cfg.IntOpt(
        "burst",
        default=0,
        min=0,
        help="Requests at once after a pause. 0: as many as requests_per_second.",
    ),
    cfg.StrOpt(
        "overrides_file",
        default="",
        help="A TOML file with a table for each project that has other quotas. Changes "
        "are followed within a second. Empty: none.",
    ),
]


def quotas_of(conf: cfg.ConfigOpts) -> Quotas:
    """Return what projects may use.

    Raises:
        SettingsError: The rate, or the file of overrides, cannot be used.
    """
    names = Limits.__struct_fields__
    limits = Limits(**{name: conf.quota[name] for name in names})
    check_rate(limits.requests_per_second)
    path = conf.quota.overrides_file
    return Quotas(limits, Overrides(Path(path), limits) if path else None)

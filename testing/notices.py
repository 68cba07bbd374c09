"""The subscription events of a server without a notifier."""

from __future__ import annotations

from types import SimpleNamespace

from zaqarserver.storage.subscriptions import ignore

NO_EVENTS = SimpleNamespace(
    subscribed=ignore, changed=ignore, deleted=ignore, unsubscribed=ignore
)

"""The notifier of a server that notifies nothing."""

from __future__ import annotations

from types import SimpleNamespace

from zaqarserver.storage.subscriptions import ignore

NO_NOTICES = SimpleNamespace(
    subscribed=ignore, changed=ignore, deleted=ignore, unsubscribed=ignore
)

"""Which subscribers need a trust, and where their options keep it (section 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: What the URIs of these subscribers begin with; the webhook's follows.
PREFIX: Final = "trust+"
#: The member of options that names the trust.
TRUST_ID: Final = "trust_id"
#: Set beside it if the caller brought the trust: then it is not ours to remove.
GIVEN: Final = "trust_given"


def needs_trust(subscriber: str) -> bool:
    """Return whether a subscriber gets a token with each message."""
    return subscriber[: len(PREFIX)].lower() == PREFIX


def trust_of(subscriber: str, options: Mapping[str, Any]) -> str | None:
    """Return the trust that a subscriber is told with, if it is told with one."""
    trust = options.get(TRUST_ID)
    return trust if needs_trust(subscriber) and isinstance(trust, str) else None


def own_trust_of(subscriber: str, options: Mapping[str, Any]) -> str | None:
    """Return the trust that was made for a subscription, to be removed with it."""
    return None if options.get(GIVEN) else trust_of(subscriber, options)

"""Messages."""

from __future__ import annotations

from typing import Any

__all__ = ["message"]


def message(
    href: str = "/v2/queues/1/messages/51db6f78c508f17ddc924357",
    ttl: int = 0,
    age: int = 0,
    body: Any = None,
) -> dict[str, Any]:
    """Return the document of a message."""
    return {"href": href, "ttl": ttl, "age": age, "body": body}

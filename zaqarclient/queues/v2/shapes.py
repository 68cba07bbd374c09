"""What the members of answers are: a service that answers otherwise is another one.

A member that is missing or null fits; a member that nothing here names is not
looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["mismatch"]

_NUMBER: Final = (int, float)
_WORDS: Final[Mapping[Any, str]] = {
    str: "text",
    dict: "an object",
    list: "a list",
    _NUMBER: "a number",
}

_MESSAGE: Final = {
    "id": str,
    "href": str,
    "ttl": _NUMBER,
    "age": _NUMBER,
    "claim_id": str,
    "claim_count": _NUMBER,
    "checksum": str,
}
_QUEUE: Final = {"name": str, "href": str, "metadata": dict}
_SUBSCRIPTION: Final = {
    "id": str,
    "source": str,
    "subscriber": str,
    "ttl": _NUMBER,
    "age": _NUMBER,
    "options": dict,
}
_POOL: Final = {
    "name": str,
    "uri": str,
    "weight": _NUMBER,
    "flavor": str,
    "options": dict,
}
_FLAVOR: Final = {"name": str, "pool_list": [str]}
_AT: Final = {"href": str, "age": _NUMBER, "created": str}
_LINKS: Final = {"links": [{"rel": str, "href": str}]}
_MESSAGES: Final = {"messages": [_MESSAGE], **_LINKS}
_LIMIT: Final = {"limit": _NUMBER, "used": _NUMBER}
_QUOTAS: Final = {
    "quotas": {None: _LIMIT},
    "rate": {"requests_per_second": _NUMBER, "burst": _NUMBER},
}

#: The answer of each operation that has members; the rest are objects of any kind.
_SHAPES: Final[Mapping[str, Any]] = {
    "queue_list": {"queues": [_QUEUE], "topics": [_QUEUE], **_LINKS},
    "queue_get_stats": {
        "messages": {
            **dict.fromkeys(("free", "claimed", "total"), _NUMBER),
            "oldest": _AT,
            "newest": _AT,
        }
    },
    "message_list": _MESSAGES,
    "message_get_many": _MESSAGES,
    "message_delete_many": _MESSAGES,
    "message_get": _MESSAGE,
    "message_post": {"resources": [str]},
    "claim_create": _MESSAGES,
    "claim_get": {**_MESSAGES, "ttl": _NUMBER, "age": _NUMBER},
    "subscription_list": {"subscriptions": [_SUBSCRIPTION], **_LINKS},
    "subscription_get": _SUBSCRIPTION,
    "subscription_create": {"subscription_id": str},
    "signed_url_create": {
        **dict.fromkeys(("expires", "signature", "project", "id"), str),
        "paths": [str],
        "methods": [str],
    },
    "signed_url_list": {
        "signed_urls": [{"id": str, "paths": [str], "methods": [str]}],
        **_LINKS,
    },
    "pool_list": {"pools": [_POOL], **_LINKS},
    "pool_get": _POOL,
    "pool_drain": {"queues": _NUMBER, "moved": _NUMBER, "error": str},
    "flavor_list": {"flavors": [_FLAVOR], **_LINKS},
    "flavor_get": _FLAVOR,
    "quota_show": _QUOTAS,
    "quota_show_project": _QUOTAS,
    "queue_create": object,
}
#: Services of old answer these with the bare list.
_BARE: Final = {"message_get_many": [_MESSAGE], "claim_create": [_MESSAGE]}


def mismatch(operation: str, document: Any) -> str | None:
    """Return what an answer should be and is not, None if it fits.

    Args:
        operation: The operation that was called.
        document: The answer, decoded; None for an empty one.
    """
    name = operation.removeprefix("topic_")
    if name not in _SHAPES and operation != name:
        name = f"queue_{name}"
    shapes = _BARE if isinstance(document, list) and name in _BARE else _SHAPES
    if document is None:
        return None
    return _differs("the answer", document, shapes.get(name, dict))


def _differs(where: str, value: Any, shape: Any) -> str | None:
    kind = type(shape) if isinstance(shape, dict | list) else shape
    if kind is object:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        return f"{where} should be {_WORDS[kind]}"
    inner: Iterable[tuple[str, Any, Any]]
    if isinstance(shape, list):
        inner = ((f"{where}[{n}]", one, shape[0]) for n, one in enumerate(value))
    elif isinstance(shape, dict):
        every = shape.get(None)
        inner = (
            (f"{where}: {name}", one, shape.get(name, every))
            for name, one in dict(value).items()
            if one is not None and (every or name in shape)
        )
    else:
        return None
    return next(filter(None, (_differs(*one) for one in inner)), None)

"""The shapes of answers: an answer of another shape is not the service's.

A member that is missing or null fits, but for the few that are never null; a member
that is not named here is not checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints, is_typeddict

from zaqarclient.queues.v2 import documents

_NUMBER: Final = (int, float)
_WORDS: Final[Mapping[Any, str]] = {
    str: "text",
    dict: "an object",
    list: "a list",
    _NUMBER: "a number",
}

MESSAGE: Final = {
    "id": str,
    "href": str,
    "ttl": _NUMBER,
    "age": _NUMBER,
    "claim_id": str,
    "claim_count": _NUMBER,
    "checksum": str,
    "reason": str,
    "dead_letter": {"source": str, "claims": _NUMBER, "at": str, "reason": str},
}
SUBSCRIPTION: Final = {
    "id": str,
    "source": str,
    "subscriber": str,
    "ttl": _NUMBER,
    "age": _NUMBER,
    "options": dict,
}


def _shape_of(hint: Any) -> Any:
    """Return the shape of a type of `documents`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return _shape_of(arguments[0])
    if is_typeddict(hint):
        return {name: _shape_of(one) for name, one in get_type_hints(hint).items()}
    if origin is list:
        return [_shape_of(arguments[0])]
    if origin is dict:
        return {None: _shape_of(arguments[1])}
    return {str: str, int: _NUMBER, float: _NUMBER}.get(hint, object)


POOL: Final = _shape_of(documents.PoolDocument)
FLAVOR: Final = _shape_of(documents.FlavorDocument)
STATS: Final = _shape_of(documents.Statistics)
SIGNED_URL: Final = _shape_of(documents.SignedURLParts)
DRAIN: Final = _shape_of(documents.DrainState)
QUOTAS: Final = _shape_of(documents.QuotaReport)
LIMITS: Final = _shape_of(documents.LimitReport)

_LINKS: Final = {"links": [{"rel": str, "href": str}]}
MESSAGES: Final = {"messages": [MESSAGE], **_LINKS}
CLAIM: Final = {**MESSAGES, "ttl": _NUMBER, "age": _NUMBER}
_QUEUE: Final = {"name": str, "href": str, "metadata": dict}
QUEUES: Final = {"queues": [_QUEUE], **_LINKS}
TOPICS: Final = {"topics": [_QUEUE], **_LINKS}
REDRIVEN: Final = {"moved": _NUMBER, "matched": _NUMBER, "next": str}
POSTED: Final = {"resources": [str]}
SUBSCRIBED: Final = {"subscription_id": str}
SUBSCRIPTIONS: Final = {"subscriptions": [SUBSCRIPTION], **_LINKS}
SIGNED_URLS: Final = {
    "signed_urls": [_shape_of(documents.SignedURLRecord)],
    **_LINKS,
}
POOLS: Final = {"pools": [POOL], **_LINKS}
FLAVORS: Final = {"flavors": [FLAVOR], **_LINKS}
_NEVER_NULL: Final = (
    *STATS.values(),
    *POSTED.values(),
    *QUOTAS.values(),
    *LIMITS.values(),
)
"""Shapes of members that may be missing, but not null."""


def mismatch(document: Any, shape: Any) -> str | None:
    """Return how an answer differs from its shape, None if it fits.

    Args:
        document: The answer, decoded; None for an empty one.
        shape: What it is to be: a type, a list of a shape, an object of shapes
            (under the name None that of all members); None for anything.
    """
    if document is None or shape is None:
        return None
    if shape is MESSAGES and isinstance(document, list):
        shape = [MESSAGE]  # older services answer with the bare list
    return _differs("the answer", document, shape)


def _differs(where: str, value: Any, shape: Any) -> str | None:
    kind = type(shape) if isinstance(shape, dict | list) else shape
    if kind is object:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        return f"{where} should be {_WORDS[kind]}"
    inner: Sequence[tuple[str, Any, Any]] = ()
    if isinstance(shape, list):
        inner = [(f"[{place}]", one, shape[0]) for place, one in enumerate(value)]
    elif isinstance(shape, dict):
        every = shape.get(None)
        inner = [
            (f": {name}", one, its_shape)
            for name, one in dict(value).items()
            if (its_shape := shape.get(name, every)) is not None
            and (one is not None or any(its_shape is it for it in _NEVER_NULL))
        ]
    for place, one, its_shape in inner:
        if wrong := _differs(where + place, one, its_shape):
            return wrong
    return None

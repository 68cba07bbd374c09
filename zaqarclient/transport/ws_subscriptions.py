"""The push subscriptions of a connection: to itself, so that notifications come.

The service ends them with the connection and at the end of their ttl, and sends
nothing then (contract, WebSocket section 8). So they are made again on the next
connection, and renewed in time.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from zaqarclient.transport import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DEFAULT_TTL = 3600.0
_RENEWED_AFTER = 2 / 3
"""The part of the ttl after which a subscription is renewed."""


_WORDS = frozenset({"oldest", "newest"})
"""What may stand for an id to begin behind."""


class _PushSubscription(NamedTuple):
    """One subscription: how it was asked for, and when to renew it.

    Its kind is what its actions begin with: to a topic they are others.
    """

    kind: str
    body: Mapping[str, Any]
    subscription_id: str
    due: float


def _source_of(push: _PushSubscription) -> dict[str, Any]:
    names = ("queue_name", "topic_name")
    return {name: push.body[name] for name in names if name in push.body}


class PushSubscriptions:
    """Remembers the subscriptions of a connection to itself.

    Args:
        call: Does an action on the open connection and returns the body of its
            answer; raises ``TransportError`` for a status from 400.
        clock: Counts seconds.
    """

    def __init__(
        self,
        call: Callable[[str, Mapping[str, Any]], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call = call
        self._clock = clock
        self._made: dict[str, _PushSubscription] = {}

    def __bool__(self) -> bool:
        return bool(self._made)

    def record(self, action: str, body: Mapping[str, Any] | None, answer: Any) -> None:
        """Record what a successful action did to the subscriptions."""
        body = body or {}
        kind, _, verb = action.rpartition("_")
        if kind not in {"subscription", "topic_subscription"}:
            return
        if verb == "create" and not body.get("subscriber"):
            self._remember(kind, body, answer)
        elif verb == "delete":
            self._made.pop(body.get("subscription_id", ""), None)

    def is_new(self, notification: Any) -> bool:
        """Record that a notification is handed over; return False if it was before.

        A subscription with ``since`` is made again behind the last one.
        """
        id_ = notification.get("message_id") if isinstance(notification, dict) else None
        if id_ is None:
            return True
        for push in self._made.values():
            since, name = push.body.get("since"), notification.get("queue_name")
            if since is None or name not in _source_of(push).values():
                continue
            if since not in _WORDS and id_ <= since:
                return False
            body = {**push.body, "since": id_}
            self._made[push.subscription_id] = push._replace(body=body)
            break
        return True

    def forget(self) -> None:
        """Drop all of them."""
        self._made = {}

    def restore(self) -> bool:
        """Make all of them again, on a new connection; return True if all resume."""
        made = list(self._made.values())
        for push in made:
            self._again(push)
        return all("since" in push.body for push in made)

    def due(self) -> float:
        """Return when the next one is to be renewed, by the clock."""
        return min((push.due for push in self._made.values()), default=math.inf)

    def renew(self) -> None:
        """Renew those that are due."""
        now = self._clock()
        for push in [one for one in self._made.values() if one.due <= now]:
            self._renew(push)

    def _renew(self, push: _PushSubscription) -> None:
        reference = {**_source_of(push), "subscription_id": push.subscription_id}
        ttl = push.body.get("ttl") or int(_DEFAULT_TTL)
        try:
            self._call(f"{push.kind}_update", {**reference, "ttl": ttl})
        except errors.TransportError as error:
            if isinstance(error, errors.NetworkError):
                raise
            # A service without this action, or the subscription is gone.
            with contextlib.suppress(errors.TransportError):
                self._call(f"{push.kind}_delete", reference)
            self._again(push)
        else:
            due = self._clock() + ttl * _RENEWED_AFTER
            self._made[push.subscription_id] = push._replace(due=due)

    def _again(self, push: _PushSubscription) -> None:
        answer = self._call(f"{push.kind}_create", push.body)
        self._made.pop(push.subscription_id, None)
        self._remember(push.kind, push.body, answer)

    def _remember(self, kind: str, body: Mapping[str, Any], answer: Any) -> None:
        identity = str(answer["subscription_id"])
        if "since" in body:
            # What "newest" was.
            body = {**body, "since": answer.get("since", body["since"])}
        due = self._clock() + float(body.get("ttl") or _DEFAULT_TTL) * _RENEWED_AFTER
        self._made[identity] = _PushSubscription(kind, body, identity, due)

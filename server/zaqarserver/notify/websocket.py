"""Pushes to open WebSockets (``websocket-v2`` section 8).

Nothing is stored for them: a push goes to a connection that is open when the
post is committed, and it is gone with the connection. The store says which
subscriptions a post is for; the hub knows which connection each belongs to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from zaqarserver.notify import payload
from zaqarserver.spaces import project_of
from zaqarserver.storage.subscriptions import Posted, Subscription
from zaqarserver.subscribers.filters import compile_filter

LOG = logging.getLogger(__name__)

#: Says whether a message's body is for a subscription with these options.
Admits = Callable[[Subscription, bytes], bool]


class Socket(Protocol):
    """A connection that takes pushes."""

    def push(self, text: bytes) -> None:
        """Send a payload without waiting, in the connection's own encoding."""

    def forget(self, subscription: Subscription) -> None:
        """Leave a subscription alone when the connection ends."""


def admits(subscription: Subscription, body: bytes) -> bool:
    """Apply the subscription's filter, if it has one."""
    raw = subscription.options.get("filter")
    return raw is None or compile_filter(raw).matches(body)


class _Listener(msgspec.Struct, frozen=True):
    socket: Socket
    subscription: Subscription


class Hub:
    """Knows which connection each push subscription belongs to.

    Args:
        readable: Gives a stored body as it was posted.
        admits: Applies a subscription's filter.
    """

    def __init__(
        self,
        readable: Callable[[str, str, bytes], bytes] = lambda _p, _s, body: body,
        admits: Admits = lambda _subscription, _body: True,
    ) -> None:
        self._readable = readable
        self._admits = admits
        self._listeners: dict[str, _Listener] = {}

    def add(self, subscription: Subscription, socket: Socket) -> None:
        """Send what is posted for a subscription to a connection from now on."""
        self._listeners[subscription.id] = _Listener(socket, subscription)

    def remove(self, subscription: Subscription) -> None:
        """Stop sending."""
        self._listeners.pop(subscription.id, None)

    def change(self, subscription: Subscription) -> None:
        """Follow new options; with another subscriber it is no push any more."""
        listener = self._listeners.get(subscription.id)
        if listener is None:
            return
        if subscription.subscriber == listener.subscription.subscriber:
            self.add(subscription, listener.socket)
        else:
            self.remove(subscription)
            listener.socket.forget(subscription)

    def __len__(self) -> int:
        return len(self._listeners)

    def posted(self, post: Posted) -> None:
        """Push a post to those who listen; called after its commit."""
        listeners = [
            self._listeners[id_] for id_ in post.subscriptions if id_ in self._listeners
        ]
        if not listeners:
            return
        project = project_of(post.project)
        for message in post.messages:
            body = self._readable(project, post.source, message.body)
            text = payload.notification(post.source, body, message.ttl, message.delay)
            for listener in listeners:
                subscription = listener.subscription
                if self._admits(subscription, body):
                    listener.socket.push(_payload(subscription, text))


def _payload(subscription: Subscription, text: bytes) -> bytes:
    return payload.substituted(text, subscription.options.get("post_data"))

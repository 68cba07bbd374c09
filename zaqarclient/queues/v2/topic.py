"""Topics: their messages are published to subscribers, and never claimed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

from zaqarclient import names
from zaqarclient.queues.v2 import calls, queue_or_topic, subscription
from zaqarclient.queues.v2.resource import maker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zaqarclient.queues.v2.client import Client


@names.checked
class Topic(queue_or_topic.QueueOrTopic):
    """A topic, whether it exists or not.

    It does what a queue does, except that there are no claims and no signed
    URLs, and has nothing to do with a queue of the same name. The arguments are
    those of `Queue`.
    """

    kind: ClassVar[str] = "topic"
    _subscription: ClassVar[type[subscription.Subscription]] = (
        subscription.TopicSubscription
    )

    @property
    def _calls(self) -> calls.Calls:
        return self.client.topic_calls


def create_object(parent: Client) -> Callable[[Mapping[str, Any]], Topic]:
    """Return a function that makes a topic of the client from a document."""
    make = functools.partial(Topic, parent, auto_create=False)
    return maker(make, queue_or_topic.MEMBERS)

"""Topics: their messages are published to subscribers, and never claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from zaqarclient.queues.v2 import calls, iterator, queue_or_topic, subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zaqarclient.queues.v2.client import Client


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
    return queue_or_topic.maker(parent, Topic)


class TopicCalls:
    """The calls of a client for topics."""

    def topic(self, ref: str, **kwargs: Any) -> Topic:
        """Return a topic; nothing is sent unless ``force_create`` is set.

        Args:
            ref: Its name.
            **kwargs: The further arguments of `Topic`.
        """
        return Topic(cast("Client", self), ref, **kwargs)

    def topics(self, /, **params: Any) -> iterator.Listing[Topic]:
        """Return one page of the project's topics, by name.

        Args:
            **params: ``marker`` (a name to start behind), ``limit`` (at most
                20), ``detailed`` (with metadata), ``name`` (a part of the
                name); anything else, ``with_count`` too, must equal a metadata
                member of the topic: the service does not count topics.

        Returns:
            An iterator, whose ``stream()`` goes through all pages.
        """
        client = cast("Client", self)
        page = client.calls("topic_list", **params)
        return iterator.Listing(client, page, "topics", create_object(client))

    def iter_topics(self, /, **params: Any) -> iterator.Listing[Topic]:
        """Return all topics, page by page as they are used up.

        Args:
            **params: As in `topics`; ``limit`` is the size of a page.
        """
        return self.topics(**params).stream()

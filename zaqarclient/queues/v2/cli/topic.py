"""Commands on topics: made from those on queues, without what claims need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.cli import (
    message,
    message_post,
    message_tail,
    queue,
    queue_metadata,
    subscription,
)
from zaqarclient.queues.v2.cli.base import Command

if TYPE_CHECKING:
    from zaqarclient.queues.v2.iterator import Listing
    from zaqarclient.queues.v2.topic import Topic


class _OnTopics(Command):
    """The part that makes a command on queues one on topics."""

    kind = "topic"

    def queue_or_topic(self, name: str) -> Topic:
        """Return the topic of that name; nothing is sent."""
        return self.client.topic(name)


class _Topics(queue.ListQueues):
    """List the topics of the project, by name."""

    def page(self, **params: Any) -> Listing[Any]:
        """Return one page; topics are not counted."""
        return self.client.topics(**params)


def _on_topics(
    name: str, command: type[Command], text: str = "", example: str = ""
) -> type[Command]:
    """Return the class of a command on topics.

    Args:
        name: The name of the class.
        command: The command on queues.
        text: Its docstring; by default that of the command on queues, with topics in
            place of queues.
        example: Its example; the same.
    """
    words = command.words.replace("queue", "topic")
    members = {
        "__doc__": text or str(command.__doc__).replace("queue", "topic"),
        "words": words if words.startswith("topic") else f"topic {words}",
        "example": example or command.example.replace("orders", "news"),
    }
    return type(name, (_OnTopics, command), members)


ListTopics = _on_topics("ListTopics", _Topics)
CreateTopic = _on_topics(
    "CreateTopic", queue.CreateQueue, example="news --ttl 3600 --property team=press"
)
ShowTopic = _on_topics("ShowTopic", queue.ShowQueue)
TopicExists = _on_topics("TopicExists", queue.QueueExists)
SetTopic = _on_topics("SetTopic", queue_metadata.SetQueue)
UnsetTopic = _on_topics("UnsetTopic", queue_metadata.UnsetQueue)
DeleteTopic = _on_topics(
    "DeleteTopic",
    queue.DeleteQueue,
    """Delete topics and all their messages; their subscriptions are kept.

    Deleting a topic that does not exist succeeds. On a terminal the command
    asks first.
    """,
    "news sports --yes",
)
GetTopicStats = _on_topics("GetTopicStats", queue.GetQueueStats)
PurgeTopic = _on_topics("PurgeTopic", queue.PurgeQueue)

PostTopicMessages = _on_topics(
    "PostTopicMessages",
    message_post.PostMessages,
    """Post messages to a topic, and print their ids.

    Every subscriber of the topic is notified of them. They are given as to
    "message post": as JSON, by --body or --text, or many by --lines or
    --json-lines. The topic is created if it does not exist.
    """,
    'news --body \'{"title": "Spring"}\' --ttl 3600',
)
ListTopicMessages = _on_topics("ListTopicMessages", message.ListMessages)
ShowTopicMessage = _on_topics("ShowTopicMessage", message.ShowMessage)
DeleteTopicMessages = _on_topics(
    "DeleteTopicMessages",
    message.DeleteMessages,
    """Delete messages of a topic by their ids.

    Deleting one that is gone succeeds.
    """,
    "news MESSAGE_ID",
)
TailTopicMessages = _on_topics(
    "TailTopicMessages",
    message_tail.TailMessages,
    """Print the messages of a topic, and with --follow those that come.

    It reads as "message tail" does: each message is printed once, in the order
    of the topic, and stays there.
    """,
    "news --follow --new -f json",
)

CreateTopicSubscription = _on_topics(
    "CreateTopicSubscription", subscription.CreateSubscription
)
ListTopicSubscriptions = _on_topics(
    "ListTopicSubscriptions", subscription.ListSubscriptions
)
ShowTopicSubscription = _on_topics(
    "ShowTopicSubscription",
    subscription.ShowSubscription,
    "Show a subscription of a topic.",
)
UpdateTopicSubscription = _on_topics(
    "UpdateTopicSubscription", subscription.UpdateSubscription
)
DeleteTopicSubscription = _on_topics(
    "DeleteTopicSubscription", subscription.DeleteSubscription
)
ConfirmTopicSubscription = _on_topics(
    "ConfirmTopicSubscription", subscription.ConfirmSubscription
)

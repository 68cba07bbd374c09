"""Commands on topics: those on queues, without what claims need."""

from __future__ import annotations

import argparse
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
    """What makes a command on queues one on topics."""

    kind = "topic"

    def source(self, name: str) -> Topic:
        """Return the topic of that name; nothing is sent."""
        return self.client.topic(name)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the command on queues, which speaks of topics."""
        parser = super().get_parser(prog_name)
        for action in parser._actions:  # noqa: SLF001 - argparse has no other way
            if isinstance(action.metavar, str):
                action.metavar = action.metavar.replace("queue", "topic")
            action.help = (action.help or "").replace("queue", "topic")
        return parser


# -- topics ---------------------------------------------------------------------


class ListTopics(_OnTopics, queue.ListQueues):
    """List the topics of the project, by name."""

    example = "topic list --filter team=press --all"

    def page(self, **params: Any) -> Listing[Any]:
        """Return one page; topics are not counted."""
        return self.client.topics(**params)


class CreateTopic(_OnTopics, queue.CreateQueue):
    """Create a topic.

    Creating a topic that exists succeeds, and sets the attributes given.
    """

    example = "topic create news --ttl 3600 --property team=press"


class ShowTopic(_OnTopics, queue.ShowQueue):
    """Show a topic: its messages, its attributes and its other metadata."""

    example = "topic show news"


class TopicExists(_OnTopics, queue.QueueExists):
    """Tell if a topic exists: exit status 0 if it does, 1 if it does not."""

    example = "topic exists news -f value"


class SetTopic(_OnTopics, queue_metadata.SetQueue):
    """Set attributes of a topic, and keep the others as they are."""

    example = "topic set news --ttl 3600 --property team=press"


class UnsetTopic(_OnTopics, queue_metadata.UnsetQueue):
    """Remove attributes of a topic; reserved ones go back to their defaults."""

    example = "topic unset news --property team"


class DeleteTopic(_OnTopics, queue.DeleteQueue):
    """Delete topics and all their messages; their subscriptions are kept.

    Deleting a topic that does not exist succeeds. On a terminal the command
    asks first.
    """

    example = "topic delete news sports --yes"


class GetTopicStats(_OnTopics, queue.GetQueueStats):
    """Count the messages of a topic.

    A topic that does not exist counts as empty, unless --check is given.
    """

    example = "topic stats news -f value -c Total"


class PurgeTopic(_OnTopics, queue.PurgeQueue):
    """Remove what a topic holds, and keep the topic and its metadata.

    On a terminal the command asks first.
    """

    example = "topic purge news --resource-type messages --yes"


# -- messages -------------------------------------------------------------------


class PostTopicMessages(_OnTopics, message_post.PostMessages):
    """Post messages to a topic, and print their ids.

    Everybody who subscribed to the topic is told of them. They are given as to
    "message post": as JSON, by --body or --text, or many by --lines or
    --json-lines. The topic is created if it does not exist.
    """

    example = 'topic message post news --body \'{"title": "Spring"}\' --ttl 3600'


class ListTopicMessages(_OnTopics, message.ListMessages):
    """List the messages of a topic, oldest first, and leave them there.

    Messages that this client posted itself are shown only with --echo.
    """

    example = "topic message list news --echo --all"


class ShowTopicMessage(_OnTopics, message.ShowMessage):
    """Show one message of a topic, and leave it there."""

    example = "topic message show news MESSAGE_ID -f value -c Body"


class DeleteTopicMessages(_OnTopics, message.DeleteMessages):
    """Delete messages of a topic by their ids.

    Deleting one that is gone succeeds.
    """

    example = "topic message delete news MESSAGE_ID"


class TailTopicMessages(_OnTopics, message_tail.TailMessages):
    """Print the messages of a topic, and with --follow those that come.

    It reads as "message tail" does: each message is printed once, in the order
    of the topic, and stays there.
    """

    example = "topic message tail news --follow --new -f json"


# -- subscriptions --------------------------------------------------------------


class CreateTopicSubscription(_OnTopics, subscription.CreateSubscription):
    """Have a URI told about the new messages of a topic.

    The subscriber is the URI of a webhook (http, https) or an address
    (mailto). One that is subscribed already and has not confirmed it keeps the
    subscription it has.
    """

    example = "topic subscription create news https://hooks.example.com/in 3600"
    words_before = "topic "


class ListTopicSubscriptions(_OnTopics, subscription.ListSubscriptions):
    """List the subscriptions of a topic."""

    example = "topic subscription list news --all"


class ShowTopicSubscription(_OnTopics, subscription.ShowSubscription):
    """Show a subscription of a topic."""

    example = "topic subscription show news SUBSCRIPTION_ID -f json"


class UpdateTopicSubscription(_OnTopics, subscription.UpdateSubscription):
    """Change a subscription of a topic, and show it as it is then.

    What is not given stays as it is. --options replaces all options, the other
    options replace single members. A new ttl begins now.
    """

    example = "topic subscription update news SUBSCRIPTION_ID --ttl 86400"


class DeleteTopicSubscription(_OnTopics, subscription.DeleteSubscription):
    """Delete subscriptions of a topic.

    Deleting one that does not exist succeeds. On a terminal the command asks
    first.
    """

    example = "topic subscription delete news SUBSCRIPTION_ID --yes"


class ConfirmTopicSubscription(_OnTopics, subscription.ConfirmSubscription):
    """Say for a subscriber of a topic that it wants the messages.

    It matters where the service asks subscribers to confirm.
    """

    example = "topic subscription confirm news SUBSCRIPTION_ID"

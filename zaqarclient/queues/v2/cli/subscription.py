"""Commands on subscriptions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, ClassVar, Final

from zaqarclient import names
from zaqarclient.queues.v2.cli.argument_types import (
    json_object,
    key_value,
    text_or_file,
    whole_seconds,
)
from zaqarclient.queues.v2.cli.arguments import (
    QUEUE,
    YES,
    Arguments,
    arg,
    flag,
    given_targets,
    paging,
    present,
    targets,
)
from zaqarclient.queues.v2.cli.base import Command
from zaqarclient.queues.v2.cli.displays import Lister, Shown, ShowOne, values_of
from zaqarclient.queues.v2.cli.filters import filter_arg
from zaqarclient.queues.v2.cli.paging import DEFAULT_PAGE_SIZE

if TYPE_CHECKING:
    from zaqarclient.queues.v2.subscription import Subscription

_COLUMNS = ("ID", "Subscriber", "TTL", "Age", "Confirmed", "Options")
_STORED_COLUMNS = ("ID", "Subscriber", "TTL", "Options")

_TTL_HELP = "How long the subscription lasts, from 60 s"
_SUBSCRIPTION: Final = arg("subscription_id", "ID of the subscription")


_OPTIONS_HELP: Final = (
    'All options, a JSON object; "@FILE" reads it from a file. The options below set '
    "members of it"
)
#: An option for each member of a subscription's options that users set.
_MEMBERS: Final = (
    arg(
        "--post-data",
        "What a webhook gets in place of the notification; "
        '"$zaqar_message$", quotes included, stands for that. "@FILE" reads it '
        "from a file",
        text_or_file,
        metavar="<text>",
    ),
    arg(
        "--post-header",
        "A header that a webhook gets. Can be repeated",
        key_value,
        metavar="<name=value>",
        dest="post_headers",
        action="append",
    ),
    filter_arg("Notify only of messages that match this filter"),
    arg(
        "--retry-policy",
        "How often and when a failed webhook is called again, a JSON object; "
        '"@FILE" reads it from a file',
        json_object,
        metavar="<policy>",
    ),
)


def _given_members(command: Command, parsed_args: argparse.Namespace) -> dict[str, Any]:
    """Return the members of the options that have an option of their own.

    Unknown members are refused, those of ``--options`` too.
    """
    headers = parsed_args.post_headers
    members = present(
        post_data=parsed_args.post_data,
        post_headers=None if headers is None else dict(headers),
        filter=parsed_args.filter,
        _retry_policy=parsed_args.retry_policy,
    )
    for problem in names.option_problems((parsed_args.options or {}) | members):
        command.refuse(problem)
    return members


class CreateSubscription(ShowOne):
    """Notify a URI of the new messages of a queue.

    The subscriber is the URI of a webhook (http, https) or an address
    (mailto). One that is subscribed already and has not confirmed it keeps the
    subscription it has.
    """

    columns = _STORED_COLUMNS
    example = "orders https://hooks.example.com/in --ttl 7d"
    arguments = (
        QUEUE,
        arg("subscriber", "The URI to notify, such as https://... or mailto:..."),
        arg(
            "ttl",
            "The same as --ttl",
            whole_seconds(),
            metavar="<ttl>",
            nargs="?",
            anywhere=True,
        ),
        arg(
            "--ttl",
            f"{_TTL_HELP} (default: the service's, 3600)",
            whole_seconds(),
            dest="ttl_option",
        ),
        arg("--options", _OPTIONS_HELP, json_object, default={}),
        *_MEMBERS,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Subscribe, and show what the service has stored."""
        ttl, option = parsed_args.ttl, parsed_args.ttl_option
        if None not in {ttl, option}:
            self.usage_error("give <ttl> or --ttl, not both")
        wanted = present(
            subscriber=parsed_args.subscriber,
            options=parsed_args.options | _given_members(self, parsed_args),
            ttl=option if ttl is None else ttl,
        )
        target = self.queue_or_topic(parsed_args.queue_name)
        # The SDK always sends a ttl of its own.
        created = target.call("subscription_create", subscription_data=wanted)
        stored = target.subscription(id=created["subscription_id"])
        if any(getattr(stored, name) != value for name, value in wanted.items()):
            update = self.words.replace("create", "update")
            self.hint(
                "The subscriber was subscribed already, as shown; "
                f'"{update}" changes it.'
            )
        return _STORED_COLUMNS, values_of(stored, _STORED_COLUMNS)


class ListSubscriptions(Lister):
    """List the subscriptions of a queue."""

    columns = _COLUMNS
    example = "orders --all"
    arguments = (QUEUE, *paging("subscription_id", "Begin after this subscription"))

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """List the subscriptions."""
        target = self.queue_or_topic(parsed_args.queue_name)
        return self.listed(
            _COLUMNS,
            lambda **page: target.subscriptions(**{"limit": DEFAULT_PAGE_SIZE, **page}),
            parsed_args,
            f"There are no subscriptions of {target.kind} {target.name}.",
        )


class _OneSubscription(ShowOne):
    """A command on one subscription, which it shows."""

    arguments: ClassVar[Arguments] = (QUEUE, _SUBSCRIPTION)

    def subscription(self, parsed_args: argparse.Namespace) -> Subscription:
        """Return the subscription that the arguments name; nothing is sent."""
        return self.queue_or_topic(parsed_args.queue_name).subscription(
            id=parsed_args.subscription_id, auto_create=False
        )


class ShowSubscription(_OneSubscription):
    """Show a subscription."""

    columns = _COLUMNS
    example = "orders SUBSCRIPTION_ID -f json"
    topic_text = "Show a subscription of a topic."

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Read the subscription."""
        subscription = self.subscription(parsed_args)
        subscription.ensure_exists()
        return _COLUMNS, values_of(subscription, _COLUMNS)


class UpdateSubscription(_OneSubscription):
    """Change a subscription, and show it as it is then.

    What is not given stays as it is. --options replaces all options, the other
    options replace single members. A new ttl begins now.
    """

    columns = _STORED_COLUMNS
    example = "orders SUBSCRIPTION_ID --ttl 1d"
    arguments = (
        *_OneSubscription.arguments,
        arg("--subscriber", "The URI to notify"),
        arg("--ttl", _TTL_HELP, whole_seconds()),
        arg("--options", _OPTIONS_HELP, json_object),
        *_MEMBERS,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Send what is to change, and read the subscription again."""
        subscription = self.subscription(parsed_args)
        replaced = parsed_args.options
        members = _given_members(self, parsed_args)
        if members:
            if replaced is None:
                # The service replaces options as a whole only.
                subscription.ensure_exists()
                replaced = subscription.options or {}
            replaced = replaced | members
        changed = present(
            subscriber=parsed_args.subscriber, ttl=parsed_args.ttl, options=replaced
        )
        if not changed:
            self.usage_error("give at least one thing to change")
        subscription.update(changed)
        subscription.ensure_exists()
        return _STORED_COLUMNS, values_of(subscription, _STORED_COLUMNS)


class ConfirmSubscription(Command):
    """Confirm for a subscriber that it wants the messages.

    It matters where the service asks subscribers to confirm.
    """

    example = "orders SUBSCRIPTION_ID"
    arguments = (
        QUEUE,
        arg("subscription_id", "IDs of the subscriptions", nargs="+"),
        flag(
            "--refuse",
            "Refuse in place of the subscriber: it gets no more messages until "
            "it is confirmed again",
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Confirm the subscriptions, one after the other."""
        target = self.queue_or_topic(parsed_args.queue_name)
        self.for_each(
            "subscription",
            parsed_args.subscription_id,
            lambda one: target.subscription(id=one, auto_create=False).confirm(
                not parsed_args.refuse
            ),
        )


class DeleteSubscription(Command):
    """Delete subscriptions.

    Deleting one that does not exist succeeds. On a terminal the command asks
    first.
    """

    example = "orders SUBSCRIPTION_ID --yes"
    arguments = (QUEUE, *targets("subscription_id", "ID of the subscription"), YES)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the subscriptions, one after the other."""
        ids = given_targets(parsed_args, "subscription_id")
        target = self.queue_or_topic(parsed_args.queue_name)
        self.confirm(lambda: f"Delete {', '.join(ids)} of {target.name}?", parsed_args)
        self.for_each(
            "subscription",
            ids,
            lambda one: target.subscription(id=one, auto_create=False).delete(),
            lambda one: target.subscription(id=one).id,
        )

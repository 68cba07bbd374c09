"""Commands on subscriptions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.cli import options
from zaqarclient.queues.v2.cli.base import Command, Lister, ShowOne
from zaqarclient.queues.v2.cli.paging import DEFAULT_PAGE_SIZE, Pages
from zaqarclient.queues.v2.cli.subscription_options import (
    add_subscription_options,
    given_members,
)

if TYPE_CHECKING:
    from zaqarclient.queues.v2.subscription import Subscription

Columns = tuple[str, ...]

_COLUMNS = ("ID", "Subscriber", "TTL", "Age", "Confirmed", "Options")
_STORED_COLUMNS = ("ID", "Subscriber", "TTL", "Options")

_TTL_HELP = "Seconds that the subscription lasts, from 60"


class CreateSubscription(ShowOne):
    """Have a URI told about the new messages of a queue.

    The subscriber is the URI of a webhook (http, https) or an address
    (mailto). One that is subscribed already and has not confirmed it keeps the
    subscription it has.
    """

    example = "subscription create orders https://hooks.example.com/in 3600"

    #: What stands before the words of the command that updates.
    words_before = ""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the names, the ttl in both places and the options."""
        options.add_queue_name(parser)
        parser.add_argument(
            "subscriber",
            metavar="<subscriber>",
            help="Who is to be told: a URI, such as https://... or mailto:...",
        )
        parser.add_argument(
            "ttl",
            metavar="<ttl>",
            nargs="?",
            type=options.integer(0),
            help="The same as --ttl",
        )
        parser.add_argument(
            "--ttl",
            metavar="<seconds>",
            dest="ttl_option",
            type=options.integer(0),
            help=f"{_TTL_HELP} (default: the service's, 3600)",
        )
        add_subscription_options(parser, default={})
        options.take_anywhere(parser, "ttl")

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Subscribe, and show what the service has stored."""
        if None not in {parsed_args.ttl, parsed_args.ttl_option}:
            self.usage_error("give <ttl> or --ttl, not both")
        wanted: dict[str, Any] = {
            "subscriber": parsed_args.subscriber,
            "options": parsed_args.options | given_members(parsed_args),
        }
        ttl = parsed_args.ttl if parsed_args.ttl is not None else parsed_args.ttl_option
        if ttl is not None:
            wanted["ttl"] = ttl
        source = self.source(parsed_args.queue_name)
        # The SDK always sends a ttl of its own.
        created = source.call("subscription_create", subscription_data=wanted)
        stored = source.subscription(id=created["subscription_id"])
        if any(getattr(stored, name) != value for name, value in wanted.items()):
            self.hint(
                "The subscriber was subscribed already, as shown; "
                f'"{self.words_before}subscription update" changes it.'
            )
        return _STORED_COLUMNS, _fields(stored, _STORED_COLUMNS)


class ListSubscriptions(Lister):
    """List the subscriptions of a queue."""

    example = "subscription list orders --all"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and the paging."""
        options.add_queue_name(parser)
        options.add_paging(parser, "subscription_id", "Begin after this subscription")

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, list[tuple[Any, ...]]]:
        """List the subscriptions."""
        source = self.source(parsed_args.queue_name)

        def fetch(**params: Any) -> Any:
            return source.subscriptions(**{"limit": DEFAULT_PAGE_SIZE, **params})

        pages = Pages(fetch, parsed_args.limit, parsed_args.marker)
        rows = [_fields(subscription, _COLUMNS) for subscription in pages]
        self.tell_next_page(pages)
        return _COLUMNS, rows


class _OneSubscription(ShowOne):
    """A command on one subscription, which it shows."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the names."""
        options.add_queue_name(parser)
        parser.add_argument(
            "subscription_id",
            metavar="<subscription_id>",
            help="ID of the subscription",
        )

    def subscription(self, parsed_args: argparse.Namespace) -> Subscription:
        """Return the subscription that the arguments name; nothing is sent."""
        return self.source(parsed_args.queue_name).subscription(
            id=parsed_args.subscription_id, auto_create=False
        )


class ShowSubscription(_OneSubscription):
    """Show a subscription."""

    example = "subscription show orders SUBSCRIPTION_ID -f json"

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Read the subscription."""
        subscription = self.subscription(parsed_args)
        subscription.ensure_exists()
        return _COLUMNS, _fields(subscription, _COLUMNS)


class UpdateSubscription(_OneSubscription):
    """Change a subscription, and show it as it is then.

    What is not given stays as it is. --options replaces all options, the other
    options replace single members. A new ttl begins now.
    """

    example = "subscription update orders SUBSCRIPTION_ID --ttl 86400"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the names and what can be changed."""
        super().add_arguments(parser)
        parser.add_argument(
            "--subscriber", metavar="<subscriber>", help="Who is to be told: a URI"
        )
        parser.add_argument(
            "--ttl", metavar="<ttl>", type=options.integer(0), help=_TTL_HELP
        )
        add_subscription_options(parser, default=None)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Send what is to change, and read the subscription again."""
        subscription = self.subscription(parsed_args)
        changed = {
            "subscriber": parsed_args.subscriber,
            "ttl": parsed_args.ttl,
            "options": parsed_args.options,
        }
        members = given_members(parsed_args)
        if members:
            base = parsed_args.options
            if base is None:
                # The service replaces options as a whole only.
                subscription.ensure_exists()
                base = subscription.options or {}
            changed["options"] = base | members
        changed = {key: value for key, value in changed.items() if value is not None}
        if not changed:
            self.usage_error("give at least one thing to change")
        subscription.update(changed)
        subscription.ensure_exists()
        return _STORED_COLUMNS, _fields(subscription, _STORED_COLUMNS)


class ConfirmSubscription(Command):
    """Say for a subscriber that it wants the messages.

    It matters where the service asks subscribers to confirm.
    """

    example = "subscription confirm orders SUBSCRIPTION_ID"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the names and the other answer."""
        options.add_queue_name(parser)
        parser.add_argument(
            "subscription_id",
            metavar="<subscription_id>",
            nargs="+",
            help="IDs of the subscriptions",
        )
        parser.add_argument(
            "--refuse",
            action="store_true",
            help="Say that it does not want them: it gets no more messages until "
            "it is confirmed again",
        )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Confirm the subscriptions, one after the other."""
        source = self.source(parsed_args.queue_name)
        self.for_each(
            "subscription",
            parsed_args.subscription_id,
            lambda one: source.subscription(id=one, auto_create=False).confirm(
                not parsed_args.refuse
            ),
        )


class DeleteSubscription(Command):
    """Delete subscriptions.

    Deleting one that does not exist succeeds. On a terminal the command asks
    first.
    """

    example = "subscription delete orders SUBSCRIPTION_ID --yes"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the names and ``--yes``."""
        options.add_queue_name(parser)
        options.add_targets(parser, "subscription_id", "ID of the subscription")
        options.add_yes(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the subscriptions, one after the other."""
        ids = options.targets(parsed_args, "subscription_id")
        source = self.source(parsed_args.queue_name)
        self.confirm(f"Delete {', '.join(ids)} of {source.name}?", parsed_args)
        self.for_each(
            "subscription",
            ids,
            lambda one: source.subscription(id=one, auto_create=False).delete(),
        )


def _fields(subscription: Subscription, columns: Columns) -> tuple[Any, ...]:
    return tuple(getattr(subscription, column.lower()) for column in columns)

"""Commands on queues."""

from __future__ import annotations

import argparse
from typing import Any

from zaqarclient.queues.v2.cli import options
from zaqarclient.queues.v2.cli.attributes import (
    ATTRIBUTES,
    add_attributes,
    given_attributes,
)
from zaqarclient.queues.v2.cli.base import Command, CommandError, Lister, ShowOne
from zaqarclient.queues.v2.cli.paging import Pages
from zaqarclient.queues.v2.cli.queue_metadata import set_keys

Columns = tuple[str, ...]


class ListQueues(Lister):
    """List the queues of the project, by name."""

    example = "queue list --filter team=billing --all"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the filters and the paging."""
        options.add_paging(parser, "queue_id", "Begin after the queue of this name")
        parser.add_argument(
            "--detailed",
            action="store_true",
            help="Also show the metadata and the address of each queue",
        )
        options.add_option(
            parser,
            "--with-count",
            action="store_true",
            help="Also tell how many queues the project has; a line on the "
            "error stream",
        )
        parser.add_argument(
            "--name",
            metavar="<text>",
            help="Only queues whose name contains this text",
        )
        parser.add_argument(
            "--filter",
            metavar="<key=value>",
            dest="filters",
            type=options.key_value,
            action="append",
            default=[],
            help="Only queues with this metadata. Can be repeated: all must hold",
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, list[tuple[Any, ...]]]:
        """List the queues."""
        counts: list[int | None] = []
        filters = dict(parsed_args.filters)
        for flag in ("detailed", "with_count"):
            if getattr(parsed_args, flag):
                filters[flag] = True
        if parsed_args.name:
            filters["name"] = parsed_args.name

        def fetch(**params: Any) -> Any:
            queues, count = self.client.queues(**filters, **params)
            counts.append(count)
            return queues

        pages = Pages(fetch, parsed_args.limit, parsed_args.marker)
        detailed = parsed_args.detailed
        rows = [
            (queue.name, queue.metadata_dict, queue.href) if detailed else (queue.name,)
            for queue in pages
        ]
        if parsed_args.with_count:
            self.hint(f"Queues in the project: {counts[0] or 0}")
        self.tell_next_page(pages)
        columns = ("Name", "Metadata_Dict", "Href") if detailed else ("Name",)
        return columns, rows


class CreateQueue(ShowOne):
    """Create a queue.

    Creating a queue that exists succeeds, and sets the attributes given.
    """

    example = "queue create orders --ttl 3600 --dead-letter-queue bad --max-claims 3"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and the attributes."""
        parser.add_argument(
            "queue_name",
            metavar="<queue_name>",
            help="1 to 64 letters, digits, dots, dashes and underscores",
        )
        add_attributes(parser)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Create the queue."""
        queue = self.client.queue(parsed_args.queue_name, force_create=True)
        metadata = given_attributes(parsed_args)
        if metadata:
            set_keys(queue, metadata)
        return ("Name",), (queue.name,)


class ShowQueue(ShowOne):
    """Show a queue: its messages, its attributes and its other metadata."""

    example = "queue show orders"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name."""
        options.add_queue_name(parser)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Show the queue."""
        queue = self.queue(parsed_args.queue_name)
        if not queue.is_created():
            raise CommandError(f"there is no queue {queue.name}")
        metadata = dict(queue.metadata(force_reload=True))
        counters = queue.stats["messages"]
        fields: dict[str, Any] = {"Name": queue.name}
        for name in ("free", "claimed", "total"):
            fields[name.title()] = counters[name]
        for attribute in ATTRIBUTES:
            fields[attribute.title] = metadata.pop(attribute.key, None)
        fields["Encrypted"] = metadata.pop("_enable_encrypt_messages", False)
        fields["Properties"] = metadata
        return tuple(fields), tuple(fields.values())


class QueueExists(ShowOne):
    """Tell if a queue exists: exit status 0 if it does, 1 if it does not."""

    example = "queue exists orders -f value"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name."""
        options.add_queue_name(parser)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Look the queue up."""
        exists = self.queue(parsed_args.queue_name).is_created()
        self.exit_status = 0 if exists else 1
        return ("Exists",), (exists,)


class DeleteQueue(Command):
    """Delete queues and all their messages.

    Deleting a queue that does not exist succeeds. On a terminal the command
    asks first.
    """

    example = "queue delete orders invoices --yes"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the names and ``--yes``."""
        parser.add_argument(
            "queue_name",
            metavar="<queue_name>",
            nargs="+",
            help="Names of the queues",
        )
        options.add_yes(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the queues, one after the other."""
        names = ", ".join(parsed_args.queue_name)
        self.confirm(f"Delete {names} with all messages?", parsed_args)
        self.for_each(
            "queue", parsed_args.queue_name, lambda name: self.queue(name).delete()
        )


class GetQueueStats(ShowOne):
    """Count the messages of a queue.

    A queue that does not exist counts as empty, unless --check is given.
    """

    example = "queue stats orders -f value -c Free"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and ``--check``."""
        options.add_queue_name(parser)
        parser.add_argument(
            "--check",
            action="store_true",
            help="Fail if the queue does not exist",
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Read the counters; ``-c Stats`` gives the document as it came."""
        queue = self.queue(parsed_args.queue_name)
        stats = queue.stats
        if parsed_args.check and not queue.is_created():
            raise CommandError(f"there is no queue {queue.name}")
        if [column.strip().lower() for column in parsed_args.columns] == ["stats"]:
            return ("Stats",), (stats,)
        names = ("free", "claimed", "total", "oldest", "newest")
        messages = stats["messages"]
        return tuple(map(str.title, names)), tuple(map(messages.get, names))


class PurgeQueue(Command):
    """Remove what a queue holds, and keep the queue and its metadata.

    On a terminal the command asks first.
    """

    example = "queue purge orders --resource-type messages --yes"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name, the kinds of things and ``--yes``."""
        options.add_queue_name(parser)
        options.add_option(
            parser,
            "--resource-types",
            "--resource-type",
            metavar="<resource_types>",
            action="append",
            choices=("messages", "subscriptions"),
            help="What to remove: messages or subscriptions. Can be repeated "
            "(default: both)",
        )
        options.add_yes(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Purge the queue."""
        what = parsed_args.resource_types or ["messages", "subscriptions"]
        question = f"Remove all {' and '.join(what)} of {parsed_args.queue_name}?"
        self.confirm(question, parsed_args)
        self.queue(parsed_args.queue_name).purge(
            resource_types=parsed_args.resource_types
        )

"""Commands on queues."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.queues.v2.cli import options
from zaqarclient.queues.v2.cli.attributes import (
    add_attributes,
    attributes_of,
    given_attributes,
)
from zaqarclient.queues.v2.cli.base import Command, CommandError, Lister, ShowOne
from zaqarclient.queues.v2.cli.paging import Pages
from zaqarclient.queues.v2.cli.queue_metadata import set_keys

if TYPE_CHECKING:
    from zaqarclient.queues.v2.iterator import Listing

Columns = tuple[str, ...]

#: What the service counts; nobody claims from a topic.
COUNTERS: Final = {"queue": ("free", "claimed", "total"), "topic": ("total",)}


class ListQueues(Lister):
    """List the queues of the project, by name."""

    example = "queue list --filter team=billing --all"

    _count: int | None = None

    def page(self, **params: Any) -> Listing[Any]:
        """Return one page, and note how many there are if that was asked for."""
        queues, count = self.client.queues(**params)
        self._count = self._count or count
        return queues

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the filters and the paging."""
        options.add_paging(parser, "queue_id", "Begin after the queue of this name")
        parser.add_argument(
            "--detailed",
            action="store_true",
            help="Also show the metadata and the address of each queue",
        )
        if self.kind == "queue":
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
        with_count = getattr(parsed_args, "with_count", False)
        filters = dict(parsed_args.filters)
        if parsed_args.detailed:
            filters["detailed"] = True
        if with_count:
            filters["with_count"] = True
        if parsed_args.name:
            filters["name"] = parsed_args.name

        def fetch(**params: Any) -> Any:
            return self.page(**filters, **params)

        pages = Pages(fetch, parsed_args.limit, parsed_args.marker)
        detailed = parsed_args.detailed
        rows = [
            (queue.name, queue.metadata_dict, queue.href) if detailed else (queue.name,)
            for queue in pages
        ]
        if with_count:
            self.hint(f"Queues in the project: {self._count or 0}")
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
        add_attributes(parser, self.kind)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Create the queue."""
        queue = self.source(parsed_args.queue_name)
        queue.ensure_exists(force_create=True)
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
        queue = self.source(parsed_args.queue_name)
        if not queue.is_created():
            raise CommandError(f"there is no {self.kind} {queue.name}")
        metadata = dict(queue.metadata(force_reload=True))
        counters = queue.stats["messages"]
        fields: dict[str, Any] = {"Name": queue.name}
        for name in COUNTERS[self.kind]:
            fields[name.title()] = counters[name]
        for attribute in attributes_of(self.kind):
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
        exists = self.source(parsed_args.queue_name).is_created()
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
        options.add_targets(parser, "queue_name", "Name of the queue")
        options.add_yes(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the queues, one after the other."""
        names = options.targets(parsed_args, "queue_name")
        self.confirm(f"Delete {', '.join(names)} with all messages?", parsed_args)
        self.for_each(self.kind, names, lambda name: self.source(name).delete())


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
        queue = self.source(parsed_args.queue_name)
        stats = queue.stats
        if parsed_args.check and not queue.is_created():
            raise CommandError(f"there is no {self.kind} {queue.name}")
        if [column.strip().lower() for column in parsed_args.columns] == ["stats"]:
            return ("Stats",), (stats,)
        names = (*COUNTERS[self.kind], "oldest", "newest")
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
        self.source(parsed_args.queue_name).purge(
            resource_types=parsed_args.resource_types
        )

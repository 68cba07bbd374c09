"""Commands on queues."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.queues.v2.cli import emptiness
from zaqarclient.queues.v2.cli.argument_types import key_value
from zaqarclient.queues.v2.cli.arguments import (
    QUEUE,
    YES,
    arg,
    flag,
    given_targets,
    paging,
    present,
    targets,
)
from zaqarclient.queues.v2.cli.base import Command
from zaqarclient.queues.v2.cli.displays import Lister, Shown, ShowOne
from zaqarclient.queues.v2.cli.paging import PAGE_SIZE, message_id_of
from zaqarclient.queues.v2.cli.queue_metadata import (
    ATTRIBUTE_OPTIONS,
    attributes_of,
    given_attributes,
    no_such,
    set_keys,
)
from zaqarclient.queues.v2.cli.statuses import Status
from zaqarclient.queues.v2.cli.terminal import is_terminal
from zaqarclient.transport.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.queues.v2.iterator import Listing
    from zaqarclient.queues.v2.queue_or_topic import QueueOrTopic

#: What the service counts; messages of topics are not claimed.
COUNTERS: Final = {"queue": ("free", "claimed", "total"), "topic": ("total",)}

_STATISTICS: Final = (
    *("Free", "Claimed", "Total", "Oldest", "Newest", "Stats"),
    *("Oldest ID", "Oldest Age", "Newest ID", "Newest Age"),
)


#: What a queue holds and a purge removes.
_KINDS: Final = ("messages", "subscriptions")


def chosen_columns(parsed_args: argparse.Namespace) -> list[str]:
    """Return the names after ``-c``, in small letters."""
    return [column.strip().lower() for column in parsed_args.columns]


def counted(count: int, noun: str, more: str = "") -> str:
    """Return a number and what it counts: ``1 message``, ``1,000 messages``."""
    return f"{count:,}{more} {noun}{'' if count == 1 else 's'}"


class ListQueues(Lister):
    """List the queues of the project, by name."""

    columns = ("Name", "Metadata_Dict", "Href", "Count")
    example = "--filter team=billing --all"
    arguments = (
        *paging("queue_id", "Begin after the queue of this name"),
        flag("--detailed", "Also show the metadata and the address of each queue"),
        flag(
            "--with-count",
            "Also print how many queues the project has, on the error stream; with "
            "-c Count that alone, as data",
            queues_only=True,
            old_spelling=True,
        ),
        arg("--name", "Only queues whose name contains this text", metavar="<text>"),
        arg(
            "--filter",
            "Only queues with this metadata. Can be repeated: all must hold",
            key_value,
            metavar="<key=value>",
            dest="filters",
            action="append",
            default=[],
        ),
    )

    _count: int | None = None

    def page(self, **params: Any) -> Listing[Any]:
        """Return one page, and keep the number of queues if the answer has it."""
        if self.kind == "topic":
            return self.client.topics(**params)
        queues, count = self.client.queues(**params)
        self._count = self._count or count
        return queues

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """List the queues."""
        detailed = parsed_args.detailed
        with_count = getattr(parsed_args, "with_count", False)
        wanted = present(
            detailed=detailed or None,
            with_count=with_count or None,
            name=parsed_args.name or None,
            filters=dict(parsed_args.filters) or None,
        )
        columns = ("Name", "Metadata_Dict", "Href") if detailed else ("Name",)
        fetch = partial(self.page, **wanted)
        alone = with_count and chosen_columns(parsed_args)
        listed = self.listed(columns, fetch, parsed_args, self._empty(parsed_args))
        if alone == ["count"]:
            return ("Count",), [(self._count or 0,)]
        if with_count:
            self.hint(f"Queues in the project: {self._count or 0}")
        return listed

    def _empty(self, parsed_args: argparse.Namespace) -> str:
        """Return the sentence for an empty list."""
        if parsed_args.filters or parsed_args.name:
            return f"No {self.kind} matches."
        if parsed_args.marker:
            return f"There are no {self.kind}s after {parsed_args.marker}."
        return f'There are no {self.kind}s; "{self.kind} create NAME" makes one.'


class CreateQueue(ShowOne):
    """Create a queue.

    Creating a queue that exists succeeds, and sets the attributes given.
    """

    example = "orders --ttl 1h --dead-letter-queue bad --max-claims 3"
    topic_example = "news --ttl 1h --property team=press"
    arguments = (
        arg("queue_name", "1 to 64 letters, digits, dots, dashes and underscores"),
        ATTRIBUTE_OPTIONS,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Create the queue."""
        queue = self.queue_or_topic(parsed_args.queue_name)
        metadata = given_attributes(self, parsed_args)
        queue.ensure_exists(force_create=True)
        if metadata:
            set_keys(queue, metadata)
        return ("Name",), (queue.name,)


class ShowQueue(ShowOne):
    """Show a queue: its messages, its attributes and its other metadata."""

    example = "orders"
    arguments = (QUEUE,)

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Show the queue."""
        queue = self.queue_or_topic(parsed_args.queue_name)
        if not queue.is_created():
            raise no_such(queue)
        metadata = dict(queue.metadata(force_reload=True))
        counters: Mapping[str, Any] = queue.stats["messages"]
        fields: dict[str, Any] = {"Name": queue.name}
        for name in COUNTERS[self.kind]:
            fields[name.title()] = counters[name]
        for title, key in attributes_of(self.kind).items():
            fields[title] = metadata.pop(key, None)
        fields["Encrypted"] = metadata.pop("_enable_encrypt_messages", False)
        fields["Properties"] = metadata
        return tuple(fields), tuple(fields.values())


class QueueExists(ShowOne):
    """Show if a queue exists: exit status 0 if it does, 3 if it does not."""

    example = "orders -f value"
    arguments = (QUEUE,)

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Look the queue up."""
        exists = self.queue_or_topic(parsed_args.queue_name).is_created()
        self.exit_status = Status.DONE if exists else Status.NOT_FOUND
        return ("Exists",), (exists,)


class DeleteQueue(Command):
    """Delete queues and all their messages.

    Deleting a queue that does not exist succeeds. On a terminal the command
    asks first.
    """

    example = "orders invoices --yes"
    topic_text = """Delete topics and all their messages; their subscriptions are kept.

    Deleting a topic that does not exist succeeds. On a terminal the command
    asks first.
    """
    topic_example = "news sports --yes"
    arguments = (*targets("queue_name", "Name of the queue"), YES)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the queues, one after the other."""
        names = given_targets(parsed_args, "queue_name")
        self.confirm(lambda: self._question(names), parsed_args)
        self.for_each(
            self.kind,
            names,
            lambda name: self.queue_or_topic(name).delete(),
            lambda name: self.queue_or_topic(name).is_created(),
        )

    def _question(self, names: list[str]) -> str:
        try:
            targets = map(self.queue_or_topic, names)
            count = sum(target.stats["messages"]["total"] for target in targets)
        except ForbiddenError:
            return f"Delete {', '.join(names)} with all messages?"
        whose = "its" if len(names) == 1 else "their"
        return f"Delete {', '.join(names)} with {whose} {counted(count, 'message')}?"


class GetQueueStats(ShowOne):
    """Count the messages of a queue.

    A queue that does not exist counts as empty, unless --check is given.
    """

    columns = _STATISTICS
    example = "orders -f value -c Total"
    arguments = (QUEUE, flag("--check", "Fail if the queue does not exist"))

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Read the counters; ``-c Stats`` gives the document as it came."""
        queue = self.queue_or_topic(parsed_args.queue_name)
        stats = queue.stats
        if parsed_args.check and not queue.is_created():
            raise no_such(queue)
        if not (parsed_args.check or stats["messages"]["total"] or self.is_quiet):
            self.hint(emptiness.reason(queue))
        if chosen_columns(parsed_args) == ["stats"]:
            return ("Stats",), (stats,)
        messages = stats["messages"]
        fields = {name.title(): messages.get(name) for name in COUNTERS[self.kind]}
        for name in ("oldest", "newest"):
            message: Any = messages.get(name) or {}
            if self._shows_messages(parsed_args):
                href = str(message.get("href") or message.get("id") or "")
                fields[f"{name.title()} ID"] = message_id_of(href) or None
                fields[f"{name.title()} Age"] = message.get("age")
            else:
                fields[name.title()] = messages.get(name)
        return tuple(fields), tuple(fields.values())

    def _shows_messages(self, parsed_args: argparse.Namespace) -> bool:
        """Return True for ids and ages of messages in place of their documents."""
        if parsed_args.columns:
            asked = (name.lower().replace("_", " ") for name in parsed_args.columns)
            return any(name.endswith((" id", " age")) for name in asked)
        return parsed_args.formatter == "table" and is_terminal(self.app.stdout)


class PurgeQueue(Command):
    """Remove what a queue holds, and keep the queue and its metadata.

    On a terminal the command asks first.
    """

    example = "orders --resource-type messages --yes"
    arguments = (
        QUEUE,
        arg(
            "--resource-types",
            "What to remove: messages or subscriptions. Can be repeated "
            "(default: both)",
            also=["--resource-type"],
            metavar="<resource_types>",
            action="append",
            choices=_KINDS,
            old_spelling=True,
        ),
        YES,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Purge the queue."""
        kinds = parsed_args.resource_types
        target = self.queue_or_topic(parsed_args.queue_name)
        self.confirm(lambda: self._question(target, kinds or _KINDS), parsed_args)
        if self.is_zaqar and not self.is_quiet and not emptiness.exists(target):
            self.hint(f"There is no {target.kind} {target.name}.")
        target.purge(resource_types=kinds)

    @staticmethod
    def _question(target: QueueOrTopic, kinds: Sequence[str]) -> str:
        parts = []
        if "messages" in kinds:
            parts.append(counted(target.stats["messages"]["total"], "message"))
        if "subscriptions" in kinds:
            count = len(list(target.subscriptions(limit=PAGE_SIZE)))
            more = " or more" if count == PAGE_SIZE else ""
            parts.append(counted(count, "subscription", more))
        return f"Remove {' and '.join(parts)} of {target.name}?"

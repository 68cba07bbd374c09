"""Commands that read and remove messages."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.cli import options
from zaqarclient.queues.v2.cli.base import Command, Lister, ShowOne
from zaqarclient.queues.v2.cli.paging import Pages
from zaqarclient.queues.v2.cli.values import Body
from zaqarclient.queues.v2.cli.waiting import add_wait, until_found

if TYPE_CHECKING:
    from zaqarclient.queues.v2.message import Message

Columns = tuple[str, ...]


class ListMessages(Lister):
    """List the messages of a queue, oldest first, and leave them there.

    Messages that this client posted itself are shown only with --echo.
    """

    example = "message list orders --echo --all"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name, the filters and the paging."""
        options.add_queue_name(parser)
        parser.add_argument(
            "--message-ids",
            metavar="<message_ids>",
            help="Only these messages: ids with commas between, at most 20; the "
            "other options are not looked at",
        )
        options.add_paging(parser, "message_id", "Begin after this message")
        parser.add_argument(
            "--echo",
            action="store_true",
            help="Also messages that this client posted",
        )
        if self.kind == "queue":
            parser.add_argument(
                "--include-claimed",
                action="store_true",
                help="Also messages that somebody has claimed",
            )
        parser.add_argument(
            "--include-delayed",
            action="store_true",
            help="Also messages whose delay is not over",
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, Iterator[tuple[Any, ...]]]:
        """List the messages."""
        columns = ("ID", "Body", "TTL", "Age", "Claim ID", "Checksum")
        queue = self.source(parsed_args.queue_name)
        if parsed_args.message_ids:
            messages = queue.messages(*parsed_args.message_ids.split(","))
            return columns, map(_row, messages)
        flags = {
            name: getattr(parsed_args, name)
            for name in ("echo", "include_claimed", "include_delayed")
            if hasattr(parsed_args, name)
        }

        def fetch(**params: Any) -> Any:
            return queue.messages(**flags, **params)

        pages = Pages(fetch, parsed_args.limit, parsed_args.marker)
        return columns, self._rows(pages, echo=parsed_args.echo)

    def _rows(self, pages: Pages, *, echo: bool) -> Iterator[tuple[Any, ...]]:
        """Give a row for each message, as the pages come, and a hint after."""
        empty = True
        for message in pages:
            empty = False
            yield _row(message)
        self.tell_next_page(pages)
        if empty and not echo:
            self.hint("No messages of other clients (--echo shows your own).")


class ShowMessage(ShowOne):
    """Show one message, and leave it in the queue."""

    example = "message show orders MESSAGE_ID -f value -c Body"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the names."""
        options.add_queue_name(parser)
        parser.add_argument(
            "message_id", metavar="<message_id>", help="ID of the message"
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Read the message."""
        message = self.source(parsed_args.queue_name).message(parsed_args.message_id)
        columns = ("ID", "Body", "TTL", "Age", "Claim ID", "Checksum")
        return columns, _row(message)


class PopMessages(Lister):
    """Take the oldest free messages out of a queue and print them.

    They are gone from the queue once the service has answered. Work that must
    not get lost is better claimed: see "claim create" and "claim run".
    """

    example = "message pop orders --limit 5 --wait 60 -f json"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and how many messages to take."""
        options.add_queue_name(parser)
        parser.add_argument(
            "--limit",
            metavar="<limit>",
            type=options.integer(1),
            default=1,
            help="How many messages to take at most, up to 20 (default: 1)",
        )
        add_wait(parser)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, list[tuple[Any, ...]]]:
        """Take the messages."""
        queue = self.source(parsed_args.queue_name)
        messages = until_found(
            lambda: list(queue.pop(parsed_args.limit)), parsed_args.wait
        )
        columns = ("ID", "Body", "TTL", "Age", "Claim Count", "Checksum")
        return columns, [
            (
                message.id,
                Body(message.body),
                message.ttl,
                message.age,
                message.claim_count,
                message.checksum,
            )
            for message in messages
        ]


class DeleteMessages(Command):
    """Delete messages by their ids.

    A message that is claimed can be deleted only with the id of its claim: so
    a claimed job is finished. Deleting one that is gone succeeds.
    """

    example = "message delete orders MESSAGE_ID --claim-id CLAIM_ID"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the names and the claim."""
        options.add_queue_name(parser)
        parser.add_argument(
            "message_id",
            metavar="<message_id>",
            nargs="+",
            help="IDs of the messages",
        )
        if self.kind == "queue":
            parser.add_argument(
                "--claim-id",
                metavar="<claim_id>",
                help="ID of the claim that holds the messages",
            )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the messages, one after the other."""
        queue = self.source(parsed_args.queue_name)
        claim_id = getattr(parsed_args, "claim_id", None)
        self.for_each(
            "message",
            parsed_args.message_id,
            lambda message: queue.delete_message(message, claim_id),
        )


def _row(message: Message) -> tuple[Any, ...]:
    return (
        message.id,
        Body(message.body),
        message.ttl,
        message.age,
        message.claim_id,
        message.checksum,
    )

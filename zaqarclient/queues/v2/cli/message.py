"""Commands that read and remove messages."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from zaqarclient.queues.v2.cli import emptiness
from zaqarclient.queues.v2.cli.argument_types import integer
from zaqarclient.queues.v2.cli.arguments import FAIL_IF_EMPTY, QUEUE, arg, flag, paging
from zaqarclient.queues.v2.cli.base import Command
from zaqarclient.queues.v2.cli.displays import Lister, Shown, ShowOne, values_of
from zaqarclient.queues.v2.cli.paging import WAIT, Pages
from zaqarclient.queues.v2.cli.terminal import is_terminal
from zaqarclient.queues.v2.message import Message

COLUMNS: Final = ("ID", "Body", "TTL", "Age", "Claim ID", "Checksum")
_RETURNED_COLUMNS: Final = ("Source", "Reason", "Claims")
_POPPED_COLUMNS: Final = ("ID", "Body", "TTL", "Age", "Claim Count", "Checksum")


class ListMessages(Lister):
    """List the messages of a queue, oldest first, and leave them there.

    Those that this client posted are shown too, unless --no-echo is given;
    "openstack" shows them only with --echo.
    """

    columns = (*COLUMNS, *_RETURNED_COLUMNS)
    example = "orders --all"
    arguments = (
        QUEUE,
        arg(
            "--message-ids",
            "Only these messages: ids with commas between, at most 20",
        ),
        *paging("message_id", "Begin after this message"),
        flag(
            "--echo",
            "Also messages that this client posted (default: zaqar shows them)",
            action=argparse.BooleanOptionalAction,
            default=False,
        ),
        flag("--include-claimed", "Also messages under a claim", queues_only=True),
        flag("--include-delayed", "Also messages whose delay is not over"),
        WAIT,
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser; the contract names the default of ``openstack``."""
        parser = super().get_parser(prog_name)
        parser.set_defaults(echo=self.is_zaqar)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """List the messages."""
        queue = self.queue_or_topic(parsed_args.queue_name)
        if parsed_args.message_ids:
            ignored = ("limit", "marker", "include_claimed", "include_delayed", "wait")
            if any(getattr(parsed_args, name, None) for name in ignored):
                self.refuse("--message-ids goes with none of the other options")
            messages = queue.messages(*parsed_args.message_ids.split(","))
            return _shown(messages, parsed_args)
        flags = {
            name: getattr(parsed_args, name)
            for name in ("echo", "include_claimed", "include_delayed")
            if hasattr(parsed_args, name)
        }
        fetch = partial(queue.messages, **flags)
        pages = Pages(fetch, parsed_args.limit, parsed_args.marker, parsed_args.wait)
        scope = emptiness.Scope(**flags, marker=parsed_args.marker)
        why = partial(emptiness.reason, queue, scope)
        return _shown(self._messages(pages, parsed_args, why), parsed_args)

    def _messages(
        self, pages: Pages, parsed_args: argparse.Namespace, why: Callable[[], str]
    ) -> Iterator[Message]:
        """Yield each message, as the pages come, and hint afterwards."""
        empty = True
        streams = is_terminal(self.app.stdout)
        with self.progress("messages", wanted=not streams) as progress:
            for message in progress.over(pages):
                empty = False
                yield message
        self.hint_next_page(pages)
        if empty:
            self.nothing(parsed_args, why)


def _shown(messages: Iterable[Message], parsed_args: argparse.Namespace) -> Shown:
    """Return columns and rows; those of dead letters if the first one is one."""
    found = iter(messages)
    first = next(found, None)
    rest = found if first is None else itertools.chain([first], found)
    wanted = {name.lower() for name in parsed_args.columns}
    named = wanted & {name.lower() for name in _RETURNED_COLUMNS}
    if not named and not (first and (first.reason or first.dead_letter)):
        return COLUMNS, (values_of(message, COLUMNS) for message in rest)

    def row(message: Message) -> tuple[Any, ...]:
        origin = message.dead_letter or {}
        returned = (origin.get("source"), message.reason, origin.get("claims"))
        return *values_of(message, COLUMNS), *returned

    return (*COLUMNS, *_RETURNED_COLUMNS), map(row, rest)


class ShowMessage(ShowOne):
    """Show one message, and leave it in the queue."""

    columns = COLUMNS
    example = "orders MESSAGE_ID -f value -c Body"
    arguments = (QUEUE, arg("message_id", "ID of the message"))

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Read the message."""
        queue = self.queue_or_topic(parsed_args.queue_name)
        return COLUMNS, values_of(queue.message(parsed_args.message_id), COLUMNS)


class PopMessages(Lister):
    """Take the oldest free messages out of a queue and print them.

    They are gone from the queue once the service has answered. Work that must
    not get lost is better claimed: see "claim create" and "claim run".
    """

    columns = _POPPED_COLUMNS
    example = "orders --limit 5 --wait 60 -f json"
    arguments = (
        QUEUE,
        arg(
            "--limit",
            "How many messages to take at most, up to 20 (default: 1)",
            integer(1),
            default=1,
        ),
        WAIT,
        FAIL_IF_EMPTY,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Take the messages."""
        queue = self.queue_or_topic(parsed_args.queue_name)
        messages = list(queue.pop(parsed_args.limit, wait=parsed_args.wait))
        if not messages:
            self.nothing(parsed_args, lambda: emptiness.reason(queue))
        rows = [values_of(message, _POPPED_COLUMNS) for message in messages]
        return _POPPED_COLUMNS, rows


class DeleteMessages(Command):
    """Delete messages by their ids.

    A message that is claimed can be deleted only with the id of its claim: so
    a claimed job is finished. Deleting one that is gone succeeds.
    """

    example = "orders MESSAGE_ID --claim-id CLAIM_ID"
    topic_text = """Delete messages of a topic by their ids.

    Deleting one that is gone succeeds.
    """
    topic_example = "news MESSAGE_ID"
    arguments = (
        QUEUE,
        arg("message_id", "IDs of the messages", nargs="+"),
        arg("--claim-id", "ID of the claim that holds the messages", queues_only=True),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the messages, one after the other."""
        queue = self.queue_or_topic(parsed_args.queue_name)
        claim_id = getattr(parsed_args, "claim_id", None)
        self.for_each(
            "message",
            parsed_args.message_id,
            lambda message: queue.delete_message(message, claim_id),
            queue.message,
        )

"""Commands that return claimed messages, set them aside, and try them again."""

from __future__ import annotations

import argparse
import time
from typing import Any, Final

from zaqarclient.queues.v2.cli.argument_types import integer, whole_seconds
from zaqarclient.queues.v2.cli.arguments import QUEUE, arg, flag
from zaqarclient.queues.v2.cli.base import Command
from zaqarclient.queues.v2.cli.displays import Shown, ShowOne
from zaqarclient.queues.v2.cli.filters import filter_arg
from zaqarclient.queues.v2.message import Message

_HELD: Final = (
    QUEUE,
    arg("message_id", "IDs of the messages", nargs="+"),
    arg("--claim-id", "ID of the claim that holds the messages", required=True),
)
_REASON: Final = arg("--reason", "Why: it is shown with the messages from then on")
_COLUMNS: Final = ("Moved", "Matched", "Next")
#: How many messages one request of a redrive moves, and the seconds between two looks
#: for messages that were claimed.
_PAGE: Final = 100
_PAUSE: Final = 1.0


class _Returning(Command):
    """A command on messages that a claim holds."""

    def return_each(self, parsed_args: argparse.Namespace) -> None:
        """Return the messages, one after the other."""
        queue = self.queue(parsed_args.queue_name)

        def message(id_: str) -> Message:
            return Message(queue, 0, 0, None, id=id_, claim_id=parsed_args.claim_id)

        self.for_each(
            "message",
            parsed_args.message_id,
            lambda id_: self.return_one(message(id_), parsed_args),
        )

    def return_one(self, message: Message, parsed_args: argparse.Namespace) -> None:
        """Return one message."""
        raise NotImplementedError


class ReleaseMessages(_Returning):
    """Release messages from their claim: they are free at once, or after a delay."""

    example = 'orders MESSAGE_ID --claim-id CLAIM_ID --delay 30s --reason "no space"'
    arguments = (
        *_HELD,
        arg("--delay", "Let them be free after this time only", whole_seconds()),
        _REASON,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Release the messages."""
        self.return_each(parsed_args)

    def return_one(self, message: Message, parsed_args: argparse.Namespace) -> None:
        """Release one message."""
        message.release(delay=parsed_args.delay, reason=parsed_args.reason)


class BuryMessages(_Returning):
    """Move claimed messages to the dead letter queue of their queue."""

    example = 'orders MESSAGE_ID --claim-id CLAIM_ID --reason "not an order"'
    arguments = (*_HELD, _REASON)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Bury the messages."""
        self.return_each(parsed_args)

    def return_one(self, message: Message, parsed_args: argparse.Namespace) -> None:
        """Bury one message."""
        message.bury(reason=parsed_args.reason)


def rate(text: str) -> int:
    """Return how many a second: ``50`` or ``50/s``."""
    return integer(1)(text.removesuffix("/s"))


class RedriveQueue(ShowOne):
    """Move messages from a dead letter queue back to where they came from.

    With --to they go to that queue, and any queue will do. They keep their order.
    Claimed messages are skipped. The command can be stopped and given again: it goes
    on with what is left.
    """

    columns = _COLUMNS
    example = "orders-failed --filter total<100 --rate 50/s"
    arguments = (
        QUEUE,
        arg("--to", "The queue to move them to (default: where they came from)"),
        filter_arg("Move only messages that match this filter"),
        arg("--rate", "At most so many a second, such as 50/s", rate),
        arg("--limit", "At most so many messages (default: all)", integer(1)),
        arg("--delay", "Let them be free after this time only", whole_seconds()),
        arg("--marker", "Begin after this message"),
        flag("--dry-run", "Count the messages, and move nothing"),
        flag("--wait", "Wait for messages that are claimed now, too"),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Move the messages, page by page."""
        queue = self.queue(parsed_args.queue_name)
        moved = matched = 0
        marker, limit = parsed_args.marker, parsed_args.limit
        total = limit or queue.stats["messages"]["total"]
        began = time.monotonic()
        with self.progress("messages", total) as progress:
            while limit is None or matched < limit:
                page = min(_PAGE, parsed_args.rate or _PAGE)
                answer = queue.redrive(
                    parsed_args.to,
                    filter=parsed_args.filter,
                    marker=marker,
                    limit=page if limit is None else min(page, limit - matched),
                    delay=parsed_args.delay,
                    dry_run=parsed_args.dry_run,
                )
                moved, matched = moved + answer.moved, matched + answer.matched
                marker = answer.next
                progress.show(matched)
                self.done = f"{moved:,} messages were moved"
                if marker is None and not self._waits(queue, parsed_args):
                    break
                if parsed_args.rate:
                    early = matched / parsed_args.rate - (time.monotonic() - began)
                    time.sleep(max(early, 0))
        return _COLUMNS, (moved, matched, marker)

    @staticmethod
    def _waits(queue: Any, parsed_args: argparse.Namespace) -> bool:
        """Return True after a pause if messages are claimed, and are waited for."""
        if not parsed_args.wait or parsed_args.dry_run:
            return False
        if not queue.stats["messages"]["claimed"]:
            return False
        time.sleep(_PAUSE)
        return True

"""The command that prints messages as they come."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack, suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from zaqarclient.common.quantities import in_words
from zaqarclient.errors import InvalidOperation
from zaqarclient.queues.v2.cli import emptiness, output
from zaqarclient.queues.v2.cli.argument_types import integer, seconds
from zaqarclient.queues.v2.cli.arguments import (
    FAIL_IF_EMPTY,
    QUEUE,
    UTC,
    arg,
    flag,
    one_of,
)
from zaqarclient.queues.v2.cli.base import Command
from zaqarclient.queues.v2.cli.displays import values_of
from zaqarclient.queues.v2.cli.filters import Filter, FilterError, filter_arg
from zaqarclient.queues.v2.cli.message import COLUMNS
from zaqarclient.queues.v2.cli.paging import (
    Pause,
    PushPause,
    Tail,
    newest,
)
from zaqarclient.queues.v2.cli.statuses import Status
from zaqarclient.queues.v2.message import Message
from zaqarclient.transport.errors import NetworkError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zaqarclient.queues.v2.listener import Listener
    from zaqarclient.queues.v2.queue_or_topic import QueueOrTopic

P = TypeVar("P", bound="Listener | PushPause")

#: The columns of a table by default.
_FOR_PEOPLE: Final = ("ID", "Age", "Body")


def _column(text: str) -> str:
    """Argument type: a column, in capitals or not."""
    return {name.lower(): name for name in COLUMNS}.get(text.lower(), text)


class TailMessages(Command):
    """Print the messages of a queue, and with --follow those that come.

    Messages stay in the queue. Each is printed once, in the order of the
    queue, also claimed and delayed ones. To go on later where a run ended,
    give the last id that it printed as --since.

    With --follow the command ends at --limit, at --timeout or by Ctrl-C. The
    service pushes new messages at once, over a WebSocket; their age is 0. Where
    it has none, it is asked to answer when a message comes. Only an older service
    is asked again and again: a quarter of a second after a message, then in
    pauses twice as long each, up to 5 seconds. If the service goes away for a
    while, nothing is lost or printed twice.
    """

    example = "orders --follow --filter status=paid -f json"
    topic_text = """Print the messages of a topic, and with --follow those that come.

    It reads as "message tail" does: each message is printed once, in the order
    of the topic, and stays there.
    """
    topic_example = "news --follow --new -f json"
    arguments = (
        QUEUE,
        flag(
            "--follow",
            "Go on at the end of the queue, and print messages as they come",
        ),
        one_of(
            arg(
                "--since",
                "Start after this message (default: with the oldest one)",
                metavar="<message_id>",
            ),
            flag(
                "--new",
                "Print only messages that are posted from now on",
            ),
        ),
        filter_arg("Print only messages that match this filter"),
        arg(
            "--limit",
            "End after so many messages; 0 sets no limit (default: 0)",
            integer(0),
        ),
        flag(
            "--echo",
            "Also messages that this client posted",
            action=argparse.BooleanOptionalAction,
            default=True,
        ),
        arg(
            "--timeout",
            "With --follow: end when no message was printed for so long",
            seconds,
        ),
        FAIL_IF_EMPTY,
        arg(
            "-f",
            "json: an object a line; value: the values with blanks between; "
            "table: for people (default: table)",
            also=["--format"],
            dest="formatter",
            metavar="<format>",
            choices=sorted(output.FORMATS),
            default="table",
        ),
        arg(
            "-c",
            "Print this column. Can be repeated (default: all; in a table ID, "
            "Age and Body)",
            also=["--column"],
            dest="columns",
            metavar="<column>",
            type=_column,
            choices=COLUMNS,
            action="append",
        ),
        UTC,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Print the messages."""
        if parsed_args.timeout is not None and not parsed_args.follow:
            self.usage_error("--timeout has a meaning only with --follow")
        queue = self.queue_or_topic(parsed_args.queue_name)
        columns = parsed_args.columns
        if not columns:
            columns = _FOR_PEOPLE if parsed_args.formatter == "table" else COLUMNS
        out = output.lines(
            parsed_args.formatter, self.app.stdout, columns, in_utc=parsed_args.utc
        )
        with ExitStack() as stack:
            messages = self._messages(queue, parsed_args, stack)
            count = 0
            for message in islice(messages, parsed_args.limit or None):
                out.print(dict(zip(COLUMNS, values_of(message, COLUMNS), strict=True)))
                count += 1
        self._end(queue, count, parsed_args)

    def _end(
        self, queue: QueueOrTopic, count: int, parsed_args: argparse.Namespace
    ) -> None:
        """Print why nothing was printed, and fail if less came than was waited for."""
        limit, idle = parsed_args.limit or 0, parsed_args.timeout
        if not count:
            self.nothing(parsed_args, lambda: _why_nothing(queue, parsed_args))
        elif idle is not None and count < limit:
            self.hint(
                f"{count:,} of {limit:,} messages came, then none for {in_words(idle)}."
            )
        if idle is not None and count < limit:
            self.exit_status = Status.TIMED_OUT

    def _messages(
        self, queue: QueueOrTopic, parsed_args: argparse.Namespace, stack: ExitStack
    ) -> Iterator[Message]:
        idle = parsed_args.timeout
        tail = self._tail(queue, parsed_args)
        if not parsed_args.follow:
            yield from tail
        elif parsed_args.echo and self.client.offers("resume"):
            yield from tail
            since = tail.marker or "oldest"
            listener = None
            # A service that went away since the read is asked until it is back.
            with suppress(NetworkError):
                listener = self._pushing(stack, lambda: queue.listen(since=since))
            if listener is None:
                yield from tail.follow(self._pause(), time.monotonic, idle)
            else:
                yield from _pushed(queue, listener, tail.wanted, idle)
        else:
            # Listening begins before the first read, so that nothing falls
            # between the two.
            pause = self._pushing(stack, lambda: PushPause(queue)) or self._pause()
            yield from tail.follow(pause, time.monotonic, idle)

    def _pause(self) -> Pause:
        return Pause(on_service=self.client.longest_wait())

    def _pushing(self, stack: ExitStack, subscribe: Callable[[], P]) -> P | None:
        """Subscribe until the stack ends; return None if the service does not push."""
        is_expected = PushPause.serves(self.client)
        try:
            made = subscribe()
            stack.enter_context(made)
        except (TransportError, InvalidOperation) as error:
            if is_expected:
                if isinstance(error, NetworkError):
                    raise
                self.hint(f"The service does not push here; polling: {error}")
            return None
        return made

    def _filter(self, parsed_args: argparse.Namespace) -> Filter | None:
        if parsed_args.filter is None:
            return None
        try:
            return Filter(parsed_args.filter)
        except FilterError as error:
            self.usage_error(f"argument --filter: {error}")

    def _tail(self, queue: QueueOrTopic, parsed_args: argparse.Namespace) -> Tail:
        marker = newest(queue.stats) if parsed_args.new else parsed_args.since
        wanted = self._filter(parsed_args)
        flags = {"echo": parsed_args.echo, "include_delayed": True}
        if self.kind == "queue":
            flags["include_claimed"] = True
        return Tail(
            partial(queue.messages, **flags),
            lambda message: wanted is None or wanted.matches(message.body),
            marker,
            lambda why: self.hint(f"{why} Trying again."),
        )


def _why_nothing(queue: QueueOrTopic, parsed_args: argparse.Namespace) -> str:
    """Return why nothing was printed, and for how long the command waited."""
    filtered, idle = parsed_args.filter is not None, parsed_args.timeout
    waited = f"No {'matching ' if filtered else ''}message came"
    if idle is not None:
        waited = f"{waited} in {in_words(idle)}."
        if parsed_args.new or filtered:
            return waited
    scope = emptiness.Scope(parsed_args.echo, True, True, parsed_args.since)
    otherwise = "No message matches the filter." if filtered else "There is nothing."
    why = emptiness.reason(queue, scope, otherwise)
    return why if idle is None else f"{waited} {why}"


def _pushed(
    queue: QueueOrTopic,
    listener: Listener,
    wanted: Callable[[Message], bool],
    idle: float | None,
) -> Iterator[Message]:
    """Yield the messages that a listener with ``since`` gets.

    Args:
        queue: The queue or topic that it listens to.
        listener: The listener.
        wanted: Returns True for messages to yield.
        idle: End when none was yielded for so many seconds.
    """
    last = time.monotonic()
    while True:
        left = None if idle is None else max(0.0, idle - (time.monotonic() - last))
        found = listener.get(left)
        if found is None:
            return
        message = Message(queue, found.ttl or 0, 0, found.body, id=found.message_id)
        if wanted(message):
            yield message
            last = time.monotonic()

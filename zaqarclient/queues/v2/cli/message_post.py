"""The command that posts messages."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.cli import bodies
from zaqarclient.queues.v2.cli.arguments import (
    QUEUE,
    arg,
    flag,
    integer,
    json_or_text,
    one_of,
    present,
)
from zaqarclient.queues.v2.cli.base import LOG, Lister, Shown, is_terminal
from zaqarclient.queues.v2.cli.output import CommandError, Progress
from zaqarclient.queues.v2.cli.paging import message_id_of

if TYPE_CHECKING:
    from zaqarclient.queues.v2.queue_or_topic import QueueOrTopic


class PostMessages(Lister):
    """Post messages to a queue, and print their ids.

    The messages are given as JSON: an object with a body and, if wanted, a ttl
    and a delay, or a list of such objects. Instead, one message can be given
    by --body or --text, and many by --lines or --json-lines. "-" stands for
    the standard input, and "@FILE" for a file; the standard input is also read
    when nothing is given and it is not a terminal. The queue is created if it
    does not exist.

    More than fits one request of the service is sent in several, in order.
    """

    example = """orders '[{"body": {"sku": 9}, "ttl": 300}]'
  seq 1000 | zaqar message post numbers --lines -f value"""
    topic_text = """Post messages to a topic, and print their ids.

    Every subscriber of the topic is notified of them. They are given as to
    "message post": as JSON, by --body or --text, or many by --lines or
    --json-lines. The topic is created if it does not exist.
    """
    topic_example = 'news --body \'{"title": "Spring"}\' --ttl 3600'
    arguments = (
        QUEUE,
        arg(
            "messages",
            'The messages, as JSON; "-" reads the standard input, "@FILE" a file',
            bodies.messages_argument,
            nargs="?",
            anywhere=True,
        ),
        one_of(
            arg(
                "--body",
                "Post one message with this body: JSON, or text that does not "
                "look like JSON",
                json_or_text,
                metavar="<json>",
                default=argparse.SUPPRESS,
            ),
            arg(
                "--text",
                "Post one message whose body is this text, whatever it looks like",
            ),
            flag(
                "--lines",
                "Post each line of the input as text; empty lines are left out",
            ),
            flag("--json-lines", "Post each line of the input as a body in JSON"),
        ),
        arg(
            "--ttl",
            "Life of messages that name none, from 60 (default: the queue's)",
            integer(1),
            metavar="<seconds>",
        ),
        arg(
            "--delay",
            "How long messages that name no delay stay hidden; only for "
            "queues with a default delay (default: the queue's)",
            integer(0),
            metavar="<seconds>",
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Post the messages; each request is sent when its rows are printed."""
        return ("ID",), self._post(parsed_args)

    def _post(self, parsed_args: argparse.Namespace) -> Iterator[tuple[str]]:
        queue = self.queue_or_topic(parsed_args.queue_name)
        posted = total_size = 0
        with ExitStack() as stack:
            messages, size = self._messages(parsed_args, stack)
            progress = Progress(
                self.app.stderr, size, wanted=self._wants_progress(parsed_args)
            )
            stack.callback(progress.close)
            batches = bodies.batches(
                _with_defaults(messages, parsed_args),
                lambda: _post_size(queue, messages),
            )
            try:
                for batch, batch_size in batches:
                    posted_hrefs = queue.post(batch)["resources"]
                    posted += len(batch)
                    total_size += batch_size
                    progress.show(posted, total_size)
                    yield from ((message_id_of(href),) for href in posted_hrefs)
            except Exception:
                if posted:
                    LOG.error("%d messages were posted before this:", posted)
                raise

    def _messages(
        self, parsed_args: argparse.Namespace, stack: ExitStack
    ) -> tuple[Iterable[bodies.NewMessage | None], int | None]:
        """Return the messages, and the size of the input if it is known."""
        given = parsed_args.messages
        if hasattr(parsed_args, "body") or parsed_args.text is not None:
            if given is not None:
                self.usage_error("give <messages>, --body or --text, not two of them")
            return [{"body": getattr(parsed_args, "body", parsed_args.text)}], None
        if given is None:
            if is_terminal(self.app.stdin):
                self.usage_error('give <messages>, --body, --text, or "-" to read')
            given = bodies.Input(None)
        by_line = parsed_args.lines or parsed_args.json_lines
        if not isinstance(given, bodies.Input):
            if by_line:
                self.usage_error('lines are read from "-" or from "@FILE"')
            return self._checked(given), None
        stream = given.open(self.app.stdin)
        if given.path is not None:
            stack.enter_context(stream)
        if by_line:
            lines = bodies.line_messages(stream, as_json=parsed_args.json_lines)
            return lines, given.size()
        return bodies.messages_of(bodies.read_document(stream)), None

    def _checked(self, document: Any) -> list[bodies.NewMessage]:
        try:
            return bodies.messages_of(document)
        except CommandError as error:
            self.usage_error(str(error))

    def _wants_progress(self, parsed_args: argparse.Namespace) -> bool:
        """False if ids stream to the same terminal."""
        by_line = parsed_args.lines or parsed_args.json_lines
        streams = parsed_args.formatter in {"value", "csv"}
        return (
            by_line and not self.is_quiet and not (streams and self.app.stdout.isatty())
        )


def _with_defaults(
    messages: Iterable[bodies.NewMessage | None], parsed_args: argparse.Namespace
) -> Iterator[bodies.NewMessage | None]:
    defaults = present(ttl=parsed_args.ttl, delay=parsed_args.delay)
    for message in messages:
        yield defaults | message if message is not None else None


def _post_size(
    queue: QueueOrTopic, messages: Iterable[bodies.NewMessage | None]
) -> int:
    """Return the largest post of the queue; not read for a single message."""
    if isinstance(messages, list) and len(messages) == 1:
        return 1 << 62  # the service refuses what is too large
    return bodies.post_size(queue)

"""The command that posts messages."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from zaqarclient import names
from zaqarclient.queues.v2.cli import bodies
from zaqarclient.queues.v2.cli.argument_types import (
    field_value,
    json_or_text,
    moment,
    whole_seconds,
)
from zaqarclient.queues.v2.cli.arguments import QUEUE, arg, flag, one_of, present
from zaqarclient.queues.v2.cli.displays import Lister, Shown
from zaqarclient.queues.v2.cli.output import CommandError
from zaqarclient.queues.v2.cli.paging import message_id_of
from zaqarclient.queues.v2.cli.terminal import is_terminal
from zaqarclient.transport.errors import ForbiddenError

if TYPE_CHECKING:
    from zaqarclient.queues.v2.queue_or_topic import QueueOrTopic


_OWN_BODY: Final = "--field, --body or --text"


class PostMessages(Lister):
    """Post messages to a queue, and print their ids.

    A JSON object that has a "body", or an array of such objects, is posted as
    messages, with the ttl and delay that they name. Anything else is the body
    of one message: JSON where it is valid JSON, else text.

    "-" stands for the standard input, and "@FILE" for a file; the standard
    input is also read when nothing is given and it is not a terminal. The
    queue is created if it does not exist. More than fits one request of the
    service is sent in several, in order.
    """

    columns = ("ID",)
    example = """orders 'Tea for two'
  zaqar message post orders --field item=tea --field count:=2 --ttl 1h
  zaqar message post orders '[{"body": {"sku": 9}, "ttl": 300}, {"body": 1}]'
  seq 1000 | zaqar message post numbers --lines -f value"""
    topic_text = """Post messages to a topic, and print their ids.

    Every subscriber of the topic is notified of them. They are given as to
    "message post". The topic is created if it does not exist.
    """
    topic_example = 'news \'{"title": "Spring"}\' --ttl 1h'
    arguments = (
        QUEUE,
        arg(
            "messages",
            'A body, or messages as JSON; "-" reads the standard input, "@FILE" a file',
            bodies.messages_argument,
            nargs="?",
            anywhere=True,
        ),
        one_of(
            arg(
                "--field",
                "Post one message whose body is an object with this member: text, or "
                "JSON after :=. Can be repeated",
                field_value,
                metavar="<name=text|name:=json>",
                dest="fields",
                action="append",
                default=[],
            ),
            arg(
                "--body",
                "Post a message with this body, JSON or text, whatever members it "
                "has. Can be repeated",
                json_or_text,
                metavar="<json>",
                dest="bodies",
                action="append",
                default=[],
            ),
            arg(
                "--text",
                "Post a message whose body is this text, whatever it looks like. Can "
                "be repeated",
                dest="bodies",
                action="append",
            ),
            flag(
                "--lines",
                "Post each line of the input as text; empty lines are left out",
            ),
            flag("--json-lines", "Post each line of the input as a body in JSON"),
        ),
        arg(
            "--ttl",
            "Life of messages that name none, from 60 s (default: the queue's)",
            whole_seconds(1),
        ),
        one_of(
            arg(
                "--delay",
                "How long messages that name no delay stay hidden; only for "
                "queues with a default delay (default: the queue's)",
                whole_seconds(),
            ),
            arg(
                "--at",
                "The same as --delay until then: the next time of day, as 14:30, or a "
                "date, as 2030-01-31T14:30Z",
                moment,
                metavar="<moment>",
                dest="delay",
            ),
        ),
        arg(
            "--idempotency-key",
            "Post only if nothing was posted under this key in the last ten minutes, "
            "and print the ids of then; for jobs that run again",
            metavar="<key>",
        ),
    )

    def _key(self, parsed_args: argparse.Namespace, number: int) -> str | None:
        """Return the key of a request; a later one of the command has its number."""
        key: str | None = parsed_args.idempotency_key
        return key if key is None or not number else f"{key} {number + 1}"

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Post the messages; each request is sent when its rows are printed."""
        return ("ID",), self._post(parsed_args)

    def _post(self, parsed_args: argparse.Namespace) -> Iterator[tuple[str]]:
        queue = self.queue_or_topic(parsed_args.queue_name)
        posted = 0
        with contextlib.ExitStack() as stack:
            messages, stream = self._messages(parsed_args, stack)
            size = bodies.size_of(stream)
            wanted = self._wants_progress(parsed_args)
            progress = self.progress("messages", size, wanted=wanted)
            stack.enter_context(progress)
            if parsed_args.delay or bodies.any_delay(messages):
                self._check_delays(queue)
            batches = bodies.batches(
                _with_defaults(messages, parsed_args),
                lambda: _post_size(queue, messages),
            )
            for number, batch in enumerate(batches):
                key = self._key(parsed_args, number)
                answer = queue.post(batch, idempotency_key=key)
                if answer.is_replay:
                    self.hint(f"Posted before under the key {key}: nothing is new.")
                posted_hrefs = answer["resources"]
                posted += len(batch)
                self.done = f"{posted:,} messages were posted"
                progress.show(posted, stream.tell() if stream and size else None)
                yield from ((message_id_of(href),) for href in posted_hrefs)

    def _messages(
        self, parsed_args: argparse.Namespace, stack: contextlib.ExitStack
    ) -> tuple[Iterable[bodies.NewMessage | None], BinaryIO | None]:
        """Return the messages, and the stream that they are read from, if any."""
        given = parsed_args.messages
        named = list(parsed_args.bodies)
        if parsed_args.fields:
            named = [self._object(parsed_args.fields)]
        if named:
            if given is not None:
                self.usage_error(f"give <messages>, {_OWN_BODY}, not two of them")
            return [{"body": body} for body in named], None
        if given is None:
            if is_terminal(self.app.stdin):
                self.usage_error(f'give <messages>, {_OWN_BODY}, or "-" to read')
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
            return lines, stream
        return self._checked(bodies.read_document(stream)), None

    def _check_delays(self, queue: QueueOrTopic) -> None:
        """Refuse delays that the service would not heed."""
        with contextlib.suppress(ForbiddenError):  # a signed URL may only post
            if not queue.metadata(force_reload=True).get("_default_message_delay"):
                self.refuse(
                    f"{self.kind} {queue.name} has no default delay, so its messages "
                    f"are not delayed: first run {self.kind} set {queue.name} --delay 1"
                )

    def _object(self, fields: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return the object that ``--field`` describes."""
        members = dict(fields)
        if len(members) < len(fields):
            self.usage_error("--field gives a member more than once")
        return members

    def _checked(self, document: Any) -> list[bodies.NewMessage]:
        """Return the messages that a document stands for."""
        try:
            messages = bodies.messages_of(document)
        except CommandError as error:
            self.usage_error(str(error))
        for number, message in enumerate(messages, start=1):
            for problem in names.MESSAGE.problems(message):
                self.refuse(f"message {number}: {problem}; --body posts any object")
        return messages

    def _wants_progress(self, parsed_args: argparse.Namespace) -> bool:
        """False if ids stream to the same terminal."""
        by_line = parsed_args.lines or parsed_args.json_lines
        streams = parsed_args.formatter in {"value", "csv"}
        return by_line and not (streams and is_terminal(self.app.stdout))


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

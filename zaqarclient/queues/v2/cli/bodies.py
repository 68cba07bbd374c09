"""Where the messages of a post come from, and how they are cut into requests."""

from __future__ import annotations

import argparse
import json
import os
import select
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from zaqarclient.queues.v2.cli.argument_types import (
    json_or_text,
    load_json,
    not_json,
    unreadable,
)
from zaqarclient.queues.v2.cli.output import CommandError
from zaqarclient.transport.errors import ForbiddenError

if TYPE_CHECKING:
    from zaqarclient.queues.v2.queue_or_topic import QueueOrTopic

#: Bytes to read from the input at a time; no less than a buffered stream holds, so
#: that nothing remains in the buffer unseen.
_CHUNK: Final = 65536

#: A request carries no more messages than this, however small they are: one
#: long request would make other clients wait.
MOST_MESSAGES: Final = 1000

#: Limit of a post that the service has by default, in bytes.
_DEFAULT_POST_SIZE: Final = 262144

#: Bytes of a request beside its messages: ``{"messages": []}``.
_ENVELOPE: Final = 16

_NO_MESSAGE: Final = (
    'is not an object with a body, such as {"body": "hello", "ttl": 300}, as others '
    "of the list are; --body posts the list as a body"
)

NewMessage = dict[str, Any]


class Input(NamedTuple):
    """A place to read from: a file, or the standard input if no path is given."""

    path: Path | None

    def open(self, stdin: Any) -> BinaryIO:
        """Return the stream of bytes.

        Raises:
            CommandError: The standard input is closed, or the file cannot be
                opened.
        """
        if self.path is None and stdin is None:
            raise CommandError("there is no standard input to read")
        if self.path is None:
            stream: BinaryIO = stdin.buffer
            return stream
        try:
            return self.path.open("rb")
        except (OSError, ValueError) as error:
            raise CommandError(unreadable(self.path, error)) from error


def size_of(stream: BinaryIO | None) -> int | None:
    """Return the size of a file in bytes; None for what is not a file."""
    try:
        found = os.fstat(stream.fileno()) if stream is not None else None
    except (OSError, ValueError):
        return None
    return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None


def messages_argument(text: str) -> Any:
    """Argument type: JSON, or ``-`` and ``@file`` for a :class:`Input`."""
    if text == "-":
        return Input(None)
    if text.startswith("@"):
        return Input(Path(text[1:]))
    try:
        return json_or_text(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; --text posts it as text") from None


def read_document(stream: BinaryIO) -> Any:
    """Return what a stream holds: a JSON document, or text without its last line end.

    Raises:
        CommandError: It is empty, not UTF-8, or begins like JSON and is not.
    """
    try:
        text = stream.read().decode()
        if not text.strip():
            raise CommandError("the input is empty")
        return json_or_text(text.removesuffix("\n").removesuffix("\r"))
    except argparse.ArgumentTypeError as error:
        raise CommandError(
            f"the input is {error}; --json-lines posts a message a line"
        ) from error
    except UnicodeDecodeError as error:
        raise CommandError("the input is not UTF-8 text") from error


def messages_of(document: Any) -> list[NewMessage]:
    """Return the messages that a JSON document stands for.

    An object with a ``body``, or a list of such objects, are messages as the
    service takes them; anything else is the body of one.

    Raises:
        CommandError: The list is empty, or has such objects and others.
    """
    messages = document if isinstance(document, list) else [document]
    if not messages:
        raise CommandError("the list holds no message; --body posts it as a body")
    bare = [not (isinstance(one, dict) and "body" in one) for one in messages]
    if all(bare):
        return [{"body": document}]
    if any(bare):
        raise CommandError(f"message {bare.index(True) + 1} {_NO_MESSAGE}")
    return messages


def any_delay(messages: Iterable[NewMessage | None]) -> bool:
    """Return True if a list of messages has one with a delay of its own."""
    return isinstance(messages, list) and any(one.get("delay") for one in messages)


def read_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes] | None]:
    """Yield the lines of a stream that are not blank, with their numbers.

    Yields None where the next line may take long, so that what has come
    can be posted meanwhile.
    """
    number, rest = 0, b""
    while True:
        if not _ready(stream):
            yield None
        chunk = stream.read1(_CHUNK)  # type: ignore[attr-defined]  # buffered streams have it
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if not chunk:
            lines.append(rest)
        for line in lines:
            number += 1
            if line.strip():
                yield number, line.removesuffix(b"\r")
        if not chunk:
            return


def line_messages(stream: BinaryIO, *, as_json: bool) -> Iterator[NewMessage | None]:
    """Yield a message for each line of a stream, None where it pauses.

    Args:
        stream: Bytes in UTF-8.
        as_json: Whether each line is JSON; else it is plain text.

    Raises:
        CommandError: a line is not what it should be.
    """
    for item in read_lines(stream):
        if item is None:
            yield None
            continue
        number, line = item
        try:
            yield {"body": load_json(line) if as_json else line.decode()}
        except json.JSONDecodeError as error:
            raise CommandError(f"line {number} is {not_json(error)}") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"line {number} is not UTF-8 text") from error


def post_size(queue: QueueOrTopic) -> int:
    """Return the largest post that a queue accepts, in bytes."""
    try:
        size = queue.metadata(force_reload=True).get("_max_messages_post_size")
    except ForbiddenError:
        size = None  # a signed URL may allow posting only
    return int(size or _DEFAULT_POST_SIZE)


def batches(
    messages: Iterable[NewMessage | None], limit: Callable[[], int]
) -> Iterator[list[NewMessage]]:
    """Cut messages into requests that the service accepts, order kept.

    Args:
        messages: Messages; None where a request should not wait for more.
        limit: Returns the largest request in bytes; called before the first.

    Yields:
        The messages of a request.

    Raises:
        CommandError: a message is too large for a request of its own.
    """
    batch: list[NewMessage] = []
    size, most = 0, limit() - _ENVELOPE
    for number, message in enumerate(messages, start=1):
        if message is None:
            if batch:
                yield batch
                batch, size = [], 0
            continue
        length = len(json.dumps(message)) + 2
        if length > most:
            if batch:
                yield batch
            raise CommandError(
                f"message {number} has {length} bytes, more than the {most} that "
                "the queue accepts"
            )
        if size + length > most or len(batch) == MOST_MESSAGES:
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += length
    if batch:
        yield batch


def _ready(stream: BinaryIO) -> bool:
    """Return True if reading returns at once; anything but a file always does."""
    try:
        return bool(select.select([stream.fileno()], [], [], 0)[0])
    except (OSError, ValueError):
        return True

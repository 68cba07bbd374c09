"""The file of an export: one JSON object a line.

The first line describes the queue, then comes a line for each message, oldest first,
and the last line says how many there are. A file without that line was cut off.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from zaqarclient.queues.v2.cli.argument_types import load_json
from zaqarclient.queues.v2.cli.output import CommandError

FORMAT: Final = 1


class ExportHeader(NamedTuple):
    """The content of the first line.

    Attributes:
        queue: The name of the queue.
        metadata: Its metadata, without what is the service's default.
    """

    queue: str
    metadata: dict[str, Any]


def line(document: Mapping[str, Any]) -> bytes:
    """Return a line of the file."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def header_line(header: ExportHeader) -> bytes:
    """Return the first line."""
    return line({"zaqar_export": FORMAT, **header._asdict()})


def end_line(messages: int) -> bytes:
    """Return the last line."""
    return line({"end": True, "messages": messages})


def read_header(text: bytes) -> ExportHeader:
    """Read the first line.

    Raises:
        CommandError: It is not that of an export.
    """
    document = _read(1, text)
    if document.get("zaqar_export") != FORMAT:
        raise CommandError(
            'this is not an export: its first line lacks "zaqar_export": 1 '
            "(message post --json-lines posts lines of JSON)"
        )
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        raise CommandError("line 1: metadata must be an object")
    return ExportHeader(str(document.get("queue", "")), metadata)


class MessageReader:
    """The messages of an export, read line by line.

    Attributes:
        ended: Whether the last line was there.
        count: How many messages were given.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.ended = False
        self.count = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the messages that were not read yet.

        Raises:
            CommandError: A line is not what it should be.
        """
        while text := self._stream.readline():
            number = self.count + 2  # after the first line
            document = _read(number, text)
            if document.get("end") is True:
                self._check_end(number, document.get("messages"))
                return
            if "body" not in document:
                raise CommandError(f"line {number} is not a message: it has no body")
            self.count += 1
            yield document

    def _check_end(self, number: int, stated: object) -> None:
        if stated != self.count:
            raise CommandError(
                f"line {number} says that there are {stated} messages; "
                f"{self.count} were found"
            )
        self.ended = True

    def take(self, count: int) -> list[dict[str, Any]]:
        """Return the next messages; fewer if there are no more."""
        return list(itertools.islice(self, count))

    def give_back(self, messages: Sequence[dict[str, Any]], position: int) -> None:
        """Go back to where the stream was before these were taken."""
        self._stream.seek(position)
        self.count -= len(messages)

    @property
    def position(self) -> int:
        """Where the stream is, in bytes."""
        return self._stream.tell()


def _read(number: int, text: bytes) -> dict[str, Any]:
    try:
        document = load_json(text)
    except (ValueError, UnicodeDecodeError) as error:
        raise CommandError(f"line {number} is not JSON") from error
    if not isinstance(document, dict):
        raise CommandError(f"line {number} is not a JSON object")
    return document


class Unfinished(NamedTuple):
    """The content of an export that was cut off.

    Attributes:
        marker: The id of its last message, None if it has none.
        messages: How many it has.
        size: Bytes up to the end of its last whole line.
    """

    marker: str | None = None
    messages: int = 0
    size: int = 0


def unfinished(path: Path, queue: str) -> Unfinished:
    """Return the position at which to continue an export.

    Raises:
        CommandError: The file is of another queue, or is complete.
    """
    marker, messages, size = None, 0, 0
    with path.open("rb") as stream:
        for number, text in enumerate(stream, start=1):
            if not text.endswith(b"\n"):
                break  # cut off within a line
            if number == 1:
                found = read_header(text).queue
                if found != queue:
                    raise CommandError(f"{path} is an export of the queue {found}")
            else:
                document = _read(number, text)
                if document.get("end") is True:
                    raise CommandError(
                        f"{path} is complete: there is nothing to resume"
                    )
                marker, messages = str(document["id"]), messages + 1
            size += len(text)
    return Unfinished(marker, messages, size)

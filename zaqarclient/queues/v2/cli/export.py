"""Commands that carry a queue with its messages from one service to another."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from zaqarclient.queues.v2.cli import bodies
from zaqarclient.queues.v2.cli.arguments import QUEUE, arg, flag, one_of
from zaqarclient.queues.v2.cli.base import Command
from zaqarclient.queues.v2.cli.export_file import (
    ExportHeader,
    MessageReader,
    Unfinished,
    end_line,
    header_line,
    line,
    read_header,
    unfinished,
)
from zaqarclient.queues.v2.cli.output import CommandError
from zaqarclient.queues.v2.cli.paging import Pages, message_id_of
from zaqarclient.queues.v2.cli.terminal import is_terminal

if TYPE_CHECKING:
    from zaqarclient.queues.v2.queues import Queue

#: The shortest life that the service accepts, in seconds.
_LEAST_TTL: Final = 60
#: A name that no queue has: what it shows are the service's defaults.
_NO_QUEUE: Final = "no-such-queue-{}"


class ExportQueue(Command):
    """Write a queue's metadata and messages to a file, and leave them there.

    All messages are written, oldest first: claimed and delayed ones too. The
    file has one JSON object a line; "-" is the standard output. An export
    that was interrupted goes on with --resume. Messages that are posted
    meanwhile are written too, if they come before the end is reached.
    """

    example = """orders orders.jsonl
  zaqar queue export orders - | gzip > orders.jsonl.gz"""
    arguments = (
        QUEUE,
        arg("file", 'Where to write; "-" is the standard output'),
        flag("--resume", "Go on with an export to this file that was interrupted"),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the queue."""
        queue = self.queue(parsed_args.queue_name)
        if parsed_args.file == "-":
            if parsed_args.resume:
                self.usage_error("--resume needs a file")
            stream = getattr(self.app.stdout, "buffer", None)
            if stream is None:
                raise CommandError("the standard output takes no bytes")
            self._write(queue, stream, Unfinished())
            return
        path, begun = Path(parsed_args.file), Unfinished()
        if parsed_args.resume and path.exists():
            begun = unfinished(path, queue.name)
        with _opened(path, resume=parsed_args.resume) as stream:
            stream.truncate(begun.size)
            stream.seek(begun.size)
            count = self._write(queue, stream, begun)
        self.hint(f"{count} messages in {path}")

    def _write(self, queue: Queue, stream: BinaryIO, begun: Unfinished) -> int:
        if not begun.size:
            stream.write(header_line(ExportHeader(queue.name, _own_metadata(queue))))
        count = begun.messages
        total = queue.stats["messages"]["total"] + count

        def fetch(**params: Any) -> Any:
            return queue.messages(
                echo=True, include_claimed=True, include_delayed=True, **params
            )

        try:
            with self.progress("messages", total) as progress:
                for message in Pages(fetch, 0, begun.marker):
                    members = ("id", "body", "ttl", "age")
                    kept = {name: getattr(message, name) for name in members}
                    stream.write(line(kept))
                    count += 1
                    self.done = f"{count:,} messages were written"
                    progress.show(count)
        finally:
            stream.flush()
        stream.write(end_line(count))
        stream.flush()
        return count


class ImportQueue(Command):
    """Create a queue from an export, and post its messages in their order.

    Each message lives on for as long as it had left when it was exported, at
    least 60 seconds. An import that was interrupted goes on with --resume:
    how far it came is kept in a file beside the export until it is done.
    """

    example = """orders orders.jsonl
  gunzip -c orders.jsonl.gz | zaqar queue import orders -"""
    arguments = (
        QUEUE,
        arg("file", 'The export; "-" is the standard input'),
        flag(
            "--no-metadata",
            "Post the messages only; leave the queue's metadata as it is",
        ),
        one_of(
            flag("--resume", "Go on with an import of this file that was interrupted"),
            flag(
                "--restart",
                "Begin again; what was imported before stays in the queue",
            ),
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Post the messages."""
        queue = self.queue(parsed_args.queue_name)
        if parsed_args.file == "-":
            if parsed_args.resume:
                self.usage_error("--resume needs a file")
            if is_terminal(self.app.stdin):
                self.usage_error("the standard input is a terminal: give a file")
            count = self._import(
                queue, self.app.stdin.buffer, parsed_args, _ImportState(None)
            )
        else:
            path = Path(parsed_args.file)
            state = self._state(path, parsed_args)
            try:
                with path.open("rb") as stream:
                    count = self._import(queue, stream, parsed_args, state)
            except OSError as error:
                raise CommandError(f"{path}: {error.strerror}") from error
            state.remove()
        self.hint(f"{count} messages posted to {queue.name}")

    @staticmethod
    def _state(export: Path, parsed_args: argparse.Namespace) -> _ImportState:
        state = _ImportState(
            export.with_name(f".{export.name}.import-{parsed_args.queue_name}")
        )
        if parsed_args.restart:
            state.remove()
        state.load()
        if state.begun and not parsed_args.resume:
            raise CommandError(
                f"an import of this file was interrupted after {state.posted} "
                "messages: --resume goes on, --restart begins again"
            )
        return state

    def _import(
        self,
        queue: Queue,
        stream: BinaryIO,
        parsed_args: argparse.Namespace,
        state: _ImportState,
    ) -> int:
        header = read_header(stream.readline())
        messages = MessageReader(stream)
        if not parsed_args.no_metadata and not state.begun:
            _create(queue, header)
        state.settle(queue, messages)
        self._post(queue, messages, state, bodies.size_of(stream))
        if not messages.ended:
            raise CommandError(
                f"the export was cut off after {messages.count} messages, which are "
                "posted: its last line is missing"
            )
        return messages.count

    def _post(
        self,
        queue: Queue,
        messages: MessageReader,
        state: _ImportState,
        size: int | None,
    ) -> None:
        posted = messages.count
        limit = bodies.post_size(queue)
        with self.progress("messages", size) as progress:
            for batch in bodies.batches(_as_new(messages), lambda: limit):
                state.record(posted, posted + len(batch))
                queue.post(batch)
                posted += len(batch)
                self.done = f"{posted:,} messages were posted"
                progress.show(posted, messages.position if size else None)
                state.record(posted, posted)


class _ImportState:
    """How far an import came.

    Args:
        path: The file, beside the export, that keeps it until the import is done;
            None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.begun = False
        self.posted = 0
        self._posting = 0

    def load(self) -> None:
        """Read what an earlier import left."""
        if self._path is not None and self._path.exists():
            kept = json.loads(self._path.read_text())
            self.posted, self._posting = kept["posted"], kept["posting"]
            self.begun = True

    def settle(self, queue: Queue, messages: MessageReader) -> None:
        """Skip the messages that the earlier import posted.

        What it was posting when it was interrupted may have arrived: then the last
        message of it is the newest one of the queue.
        """
        messages.take(self.posted)
        if self._posting == self.posted:
            return
        newest = queue.stats["messages"].get("newest")
        position = messages.position
        unsure = messages.take(self._posting - self.posted)
        arrived = (
            newest is not None
            and bool(unsure)
            and queue.message(message_id_of(newest["href"])).body == unsure[-1]["body"]
        )
        if not arrived:
            messages.give_back(unsure, position)

    def record(self, posted: int, posting: int) -> None:
        """Record how many messages are posted, and how many once the request ends."""
        if self._path is None:
            return
        text = json.dumps({"posted": posted, "posting": posting})
        other = self._path.with_name(f"{self._path.name}.new")
        with other.open("w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        other.replace(self._path)

    def remove(self) -> None:
        """Remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _opened(path: Path, *, resume: bool) -> BinaryIO:
    """Open an export; a new one only its owner can read: it gets all messages.

    Raises:
        CommandError: It exists, and is not to be resumed.
    """
    flags = os.O_RDWR | os.O_CREAT | (0 if resume else os.O_EXCL)
    try:
        return os.fdopen(os.open(path, flags, 0o600), "r+b")
    except FileExistsError:
        raise CommandError(f"{path} exists; --resume goes on with it") from None


def _own_metadata(queue: Queue) -> dict[str, Any]:
    """Return a queue's metadata without what is the service's default."""
    defaults = queue.client.queue(
        _NO_QUEUE.format(os.urandom(8).hex()), auto_create=False
    ).metadata()
    return {
        key: value
        for key, value in queue.metadata(force_reload=True).items()
        if key not in defaults or defaults[key] != value
    }


def _create(queue: Queue, header: ExportHeader) -> None:
    queue.ensure_exists(force_create=True)
    if header.metadata:
        current = queue.metadata(force_reload=True)
        queue.metadata(new_meta={**current, **header.metadata})


def _as_new(messages: MessageReader) -> Iterator[dict[str, Any]]:
    """Yield messages for posting, with the ttl that they have left."""
    for message in messages:
        left = int(message.get("ttl", 0)) - int(message.get("age", 0))
        # Whether it was hidden is not known any more; it is not hidden again.
        yield {"body": message["body"], "ttl": max(left, _LEAST_TTL), "delay": 0}

"""The command that waits for one message."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.errors import ZaqarError
from zaqarclient.queues.v2.cli.argument_types import seconds
from zaqarclient.queues.v2.cli.arguments import QUEUE, arg, flag
from zaqarclient.queues.v2.cli.base import LOG
from zaqarclient.queues.v2.cli.displays import Shown, ShowOne, values_of
from zaqarclient.queues.v2.cli.filters import Filter, FilterError, filter_arg
from zaqarclient.queues.v2.cli.message import COLUMNS
from zaqarclient.queues.v2.cli.output import CommandError
from zaqarclient.queues.v2.cli.paging import (
    LEAST_PAUSE,
    MOST_PAUSE,
    PAGE_SIZE,
    Pause,
    Tail,
)
from zaqarclient.queues.v2.cli.statuses import Status
from zaqarclient.transport.retry import jittered

if TYPE_CHECKING:
    from collections.abc import Callable

    from zaqarclient.queues.v2.claim import Claim
    from zaqarclient.queues.v2.message import Message
    from zaqarclient.queues.v2.queues import Queue

#: How long a claim lasts if this program dies: the least that any service takes.
_LEASE: Final = 60

#: A message that another claimer gave back is older than those that were read: with
#: --consume the queue is read from its beginning again after so many seconds.
_ROUND: Final = 30.0


class WaitForMessage(ShowOne):
    """Wait until a message is in a queue that matches a filter, and print it.

    The oldest one that matches is printed, also one that was there before, is
    claimed, or was posted by this client, and stays in the queue. The exit status
    is 8 if the time is over before: so one pipeline waits for another.

    With --consume the message is taken out of the queue, and no two commands get
    the same one. When a free message that matches is seen, the free messages up
    to it are claimed, and all others are released at once: their claim counts
    rise, so the queue should not move messages to a dead letter queue after few
    claims.
    """

    columns = COLUMNS
    example = """builds --filter commit=0a1b --filter event=success --timeout 20m
  zaqar message wait deploys --filter env=test --consume -f value -c Body"""
    arguments = (
        QUEUE,
        filter_arg("Wait for a message that matches this filter"),
        arg("--timeout", "How long to wait (default: without end)", seconds),
        flag("--consume", "Take the message out of the queue"),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Wait for the message."""
        wanted = self._wanted(parsed_args)
        timeout = parsed_args.timeout
        ends = time.monotonic() + (float("inf") if timeout is None else timeout)
        queue = self.queue(parsed_args.queue_name)
        if parsed_args.consume:
            message = self._take(queue, wanted, ends)
        else:
            every = {"include_claimed": True, "include_delayed": True}
            message = self._see(self._tail(queue, wanted, **every), ends)
        if message is None:
            raise CommandError("no message came that matches", Status.TIMED_OUT)
        return COLUMNS, values_of(message, COLUMNS)

    def _wanted(self, parsed_args: argparse.Namespace) -> Callable[[Message], bool]:
        if parsed_args.filter is None:
            return lambda _message: True
        try:
            wanted = Filter(parsed_args.filter)
        except FilterError as error:
            self.usage_error(f"argument --filter: {error}")
        return lambda message: wanted.matches(message.body)

    def _see(self, tail: Tail, ends: float) -> Message | None:
        """Return the next message of a tail, None when the time is over.

        Args:
            tail: The tail.
            ends: When to end, in seconds of the monotonic clock.
        """
        idle = None if ends == float("inf") else max(0.0, ends - time.monotonic())
        pause = Pause(on_service=self.client.longest_wait())
        return next(tail.follow(pause, time.monotonic, idle), None)

    def _tail(
        self, queue: Queue, wanted: Callable[[Message], bool], **flags: Any
    ) -> Tail:
        return Tail(
            partial(queue.messages, echo=True, **flags),
            wanted,
            warn=lambda why: self.hint(f"{why} Trying again."),
        )

    def _take(
        self, queue: Queue, wanted: Callable[[Message], bool], ends: float
    ) -> Message | None:
        """Return the first free message that matches, deleted."""
        tries = 0
        while True:
            until = min(ends, time.monotonic() + _ROUND)
            if self._see(self._tail(queue, wanted), until) is not None:
                taken = _claimed(queue, wanted)
                if taken is not None:
                    return taken
                # Another one has it, for now.
                time.sleep(jittered(LEAST_PAUSE, tries, MOST_PAUSE))
                tries += 1
            if time.monotonic() >= ends:
                return None


def _claimed(queue: Queue, wanted: Callable[[Message], bool]) -> Message | None:
    """Claim messages until one is wanted, and delete that; release the others."""
    most = time.monotonic() + _LEASE / 2
    with ExitStack() as stack:
        while time.monotonic() < most:
            claim = queue.claim(ttl=_LEASE, grace=_LEASE, limit=PAGE_SIZE)
            if claim.id is None:
                return None
            stack.callback(_release, claim)
            for message in claim:
                if wanted(message):
                    message.delete()
                    return message
    return None


def _release(claim: Claim) -> None:
    try:
        claim.delete()
    except ZaqarError as error:
        LOG.warning("other messages are free again in %d s: %s", _LEASE, error)

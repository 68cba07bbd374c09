"""Leases of consumed messages: renewed in time, and ended by batched deletes."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from zaqarclient.errors import LeaseLost, ZaqarError
from zaqarclient.transport.errors import (
    ForbiddenError,
    MalformedRequest,
    ResourceNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zaqarclient.queues.v2.claim import Claim
    from zaqarclient.queues.v2.message import Message
    from zaqarclient.queues.v2.queues import Queue

_LOG = logging.getLogger(__name__)

#: Seconds that a finished message waits for others to be deleted with it.
_BATCH_SECONDS: Final = 0.02

#: The least seconds between two attempts at what failed for a passing reason.
_RETRY_SECONDS: Final = 0.5

#: The most ids of one request; what the service takes by default.
_IDS: Final = 20


class Lease(threading.Event):
    """The lease of messages that were claimed together; set once it is lost.

    It is also lost when its time has passed without a renewal, by this machine's
    clock: a process that was stopped for longer sees that at once.

    Args:
        claim: The claim.
        seconds: How long it lasts.
        sent: When the claim was asked for. The service counts from later on, so that
            the lease is over here before it is there.
        clock: Returns the time, in seconds.

    Attributes:
        held: The ids of its messages that are neither deleted nor given back.
    """

    def __init__(
        self, claim: Claim, seconds: float, sent: float, clock: Callable[[], float]
    ) -> None:
        super().__init__()
        self.claim = claim
        self.seconds = seconds
        self.held: set[str] = set()
        self.on_lost: list[Callable[[], object]] = []
        self._clock = clock
        self.renewed(sent)

    def is_set(self) -> bool:
        """Return whether the lease is lost."""
        return super().is_set() or self._clock() >= self.ends

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the lease is lost, and return whether it is.

        Args:
            timeout: Seconds to wait at most.
        """
        until = float("inf") if timeout is None else self._clock() + timeout
        while not self.is_set():
            left = min(self.ends, until) - self._clock()
            if left <= 0:
                break
            super().wait(left)
        return self.is_set()

    def renewed(self, sent: float) -> None:
        """Count its time from a renewal that was sent then."""
        self.ends = sent + self.seconds
        self.due = sent + self.seconds / 2

    def lose(self) -> None:
        """Record that it is lost, and call the callbacks."""
        self.set()
        for callback in self.on_lost:
            callback()


def lease_of(message: Message) -> Lease:
    """Return the lease of a message that is consumed."""
    lease = message.lease_lost
    assert isinstance(lease, Lease)  # noqa: S101 - a consumer set it
    return lease


class Keeper:
    """Renews leases at half time and deletes finished messages, in one thread.

    Args:
        queue: The queue.
        on_lost: Called with each message whose lease was lost before it was deleted.
        on_settled: Called when messages were deleted or given up.
        clock: Returns the time, in seconds.
    """

    def __init__(
        self,
        queue: Queue,
        on_lost: Callable[[Message, LeaseLost], object],
        on_settled: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._queue = queue
        self._on_lost = on_lost
        self._on_settled = on_settled
        self._leases: list[Lease] = []
        self._done: list[Message] = []
        self._delete_at = float("inf")
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(
            target=self._run, name="zaqar-leases", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Delete what is finished, and end the thread.

        Args:
            seconds: How long to wait for that at most.
        """
        with self._changed:
            self._is_closed = True
            self._delete_at = self.clock()
            self._changed.notify()
        self._thread.join(seconds)

    @property
    def held(self) -> int:
        """How many messages are held: given out, or not yet deleted."""
        with self._changed:
            return sum(len(lease.held) for lease in self._leases)

    def add(self, lease: Lease) -> None:
        """Renew a lease from now on, for as long as messages are held under it."""
        with self._changed:
            self._leases.append(lease)
            self._changed.notify()

    def done(self, message: Message) -> None:
        """Delete a message soon, with others that finish at about the same time."""
        if message.lease_lost.is_set():
            self.lose(message)
            return
        with self._changed:
            if not self._done:
                self._delete_at = self.clock() + _BATCH_SECONDS
                self._changed.notify()
            self._done.append(message)
            if len(self._done) >= _IDS:
                self.flush()

    def flush(self) -> None:
        """Delete what is finished without waiting for more."""
        with self._changed:
            if self._done and self._delete_at > self.clock():
                self._delete_at = self.clock()
                self._changed.notify()

    def drop(self, message: Message) -> None:
        """Hold a message no longer: it was deleted or given back."""
        lease = lease_of(message)
        with self._changed:
            lease.held.discard(message.id)
            if not lease.held and lease in self._leases:
                self._leases.remove(lease)
        self._on_settled()

    def lose(self, message: Message, cause: ZaqarError | None = None) -> None:
        """Report a message as lost: its work is done or begun, and it comes back."""
        error = LeaseLost(message.id)
        error.__cause__ = cause
        self.drop(message)
        self._on_lost(message, error)

    def renew(self, lease: Lease) -> None:
        """Renew a lease now; it is lost if the service has ended it."""
        sent = self.clock()
        claim = lease.claim
        try:
            claim.update(ttl=claim.ttl, grace=claim.grace)
        except ResourceNotFound:
            lease.lose()
        except ZaqarError as error:
            _LOG.warning("A lease could not be renewed: %s", error)
            lease.due = self.clock() + max(_RETRY_SECONDS, lease.seconds / 10)
        else:
            lease.renewed(sent)

    def step(self) -> float:
        """Do what is due, and return when there is more to do."""
        with self._changed:
            now = self.clock()
            batch: list[Message] = []
            if now >= self._delete_at:
                batch, self._done = self._done[:_IDS], self._done[_IDS:]
                self._delete_at = now if self._done else float("inf")
            due = [lease for lease in self._leases if now >= min(lease.due, lease.ends)]
        if batch:
            self._delete(batch)
        for lease in due:
            if not lease.is_set():
                self.renew(lease)
            if lease.is_set():
                self._forget(lease)
        with self._changed:
            times = [min(lease.due, lease.ends) for lease in self._leases]
            return min([self._delete_at, *times])

    def _forget(self, lease: Lease) -> None:
        lease.lose()
        with self._changed, contextlib.suppress(ValueError):
            self._leases.remove(lease)

    def _run(self) -> None:
        while True:
            at = self.step()
            with self._changed:
                if self._is_closed and not self._done:
                    return
                pause = min(at, self._delete_at) - self.clock()
                if pause > 0 and not self._is_closed:
                    self._changed.wait(min(pause, threading.TIMEOUT_MAX))

    def _delete(self, batch: Sequence[Message]) -> None:
        live = []
        for message in batch:
            if message.lease_lost.is_set():
                self.lose(message)
            else:
                live.append(message)
        if not live:
            return
        claims = {str(message.claim_id) for message in live}
        try:
            self._queue.delete_messages(
                *[message.id for message in live],
                claim_ids=sorted(claims),
                check_claims=True,
            )
        except (ForbiddenError, MalformedRequest):
            # One of them is not under its claim any more, and none was deleted.
            self._delete_each(live)
        except ZaqarError as error:
            self._put_off(live, error)
        else:
            for message in live:
                self._deleted(message)

    def _delete_each(self, batch: Sequence[Message]) -> None:
        for message in batch:
            try:
                message.delete()
            except (ForbiddenError, MalformedRequest) as error:
                lease_of(message).lose()
                self.lose(message, error)
            except ZaqarError as error:
                self._put_off([message], error)
            else:
                self._deleted(message)

    def _deleted(self, message: Message) -> None:
        """Drop a message whose delete was answered while its lease was live.

        Later the answer says only that the message is not in the queue: another worker
        may have buried it, and a redrive brings it back.
        """
        if self.clock() < lease_of(message).ends:
            self.drop(message)
        else:
            self.lose(message)

    def _put_off(self, batch: Sequence[Message], error: ZaqarError) -> None:
        _LOG.warning("Finished messages could not be deleted yet: %s", error)
        with self._changed:
            if self._is_closed:
                batch = [*batch, *self._done]
                self._done = []
            else:
                self._done[:0] = batch
                self._delete_at = self.clock() + _RETRY_SECONDS
                return
        for message in batch:
            self.lose(message, error)

"""The consumer: claims what is wanted, gives it out, and settles it."""

from __future__ import annotations

import contextvars
import functools
import logging
import math
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self

from zaqarclient.common.interrupts import Interrupt
from zaqarclient.common.signals import most_wait
from zaqarclient.errors import InvalidOperation, LeaseLost, ZaqarError
from zaqarclient.queues.v2.consume import LIVE
from zaqarclient.queues.v2.leases import Keeper, Lease, lease_of
from zaqarclient.transport.errors import (
    ForbiddenError,
    NetworkError,
    ResourceNotFound,
    TooManyRequests,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from zaqarclient.queues.v2.claim import Claim
    from zaqarclient.queues.v2.consume import Action, ConsumeOptions
    from zaqarclient.queues.v2.message import Message
    from zaqarclient.queues.v2.queues import Queue

_LOG = logging.getLogger(__name__)

_MOST_REASON: Final = 1024
_CLOSE_SECONDS: Final = 30.0

#: Seconds between two claims where nothing was free.
_LEAST_PAUSE: Final = 0.25
_MOST_PAUSE: Final = 5.0


class Consumer:
    """Messages of a queue, for a ``with`` statement and a loop in it.

    Args:
        queue: The queue.
        options: How to consume.
        clock: Returns the time, in seconds.
    """

    def __init__(
        self,
        queue: Queue,
        options: ConsumeOptions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._options = options
        self._clock = clock
        self._keeper = Keeper(queue, self._report_lost, self._wake, clock)
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._waits = Interrupt()
        self._deadline = math.inf
        self._error: BaseException | None = None
        self._buffer: deque[Message] = deque()
        self._waiting = 0
        self._idle_from = 0.0
        self._claimed: int | None = None
        self._pause = _LEAST_PAUSE
        self.current: Message | None = None
        self._is_started = False
        self._working = 0
        self._leases: weakref.WeakSet[Lease] = weakref.WeakSet()

    # -- by a loop -----------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: object, error: BaseException | None, trace: object
    ) -> None:
        try:
            if error is None or self.current is None:
                self.finish_current()
            else:
                self.fail(self.current, error)
        finally:
            self.close()

    def __iter__(self) -> Self:
        if not self._is_started:
            raise InvalidOperation("consume() without a handler needs a with statement")
        return self

    def __next__(self) -> Message:
        self.finish_current()
        self.current = self.take()
        if self.current is None:
            self.raise_error()
            raise StopIteration
        return self.current

    def finish_current(self) -> None:
        """Take the message that a loop was given last as done."""
        current, self.current = self.current, None
        if current is not None:
            self.done(current)

    # -- by a handler --------------------------------------------------------------

    def run(self, handler: Callable[[Message], object]) -> None:
        """Give each message to a function in one of some threads, until stopped.

        Raises:
            Exception: That of a handler after which to stop, or of a claim.
        """
        with self:
            self._working = self._options.concurrency
            for number in range(self._working):
                context = contextvars.copy_context()
                work = functools.partial(context.run, self._work, handler)
                name = f"zaqar-consume-{number}"
                threading.Thread(target=work, name=name, daemon=True).start()
            with self._changed:
                while self._working and not self.is_overdue:
                    left = self._deadline - self._clock()
                    self._changed.wait(min(left, most_wait()))
        self.raise_error()

    def _work(self, handler: Callable[[Message], object]) -> None:
        try:
            while (message := self.take()) is not None:
                try:
                    handler(message)
                except BaseException as error:  # noqa: BLE001 - also what ends a thread
                    self.fail(message, error)
                else:
                    self.done(message)
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    # -- steps of both -------------------------------------------------------------

    def start(self) -> None:
        """Begin to claim when a message is wanted."""
        options, client = self._options, self._queue.client
        if options.on_error == "bury":
            client.need("release")
        try:
            limits: Any = client.limits()["limits"]
        except (ResourceNotFound, ForbiddenError, KeyError):
            limits = {}  # an older service
        self._ttl = max(options.lease, limits.get("min_claim_ttl", 60))
        self._grace = max(options.grace, limits.get("min_claim_grace", 60))
        self._most = limits.get("max_messages_per_claim_or_pop", 20)
        self._is_started = True
        self._keeper.start()
        claims = threading.Thread(
            target=self._claim_on_demand, name="zaqar-claims", daemon=True
        )
        claims.start()
        LIVE.add(self)

    @property
    def is_overdue(self) -> bool:
        """True if handlers are waited for no longer."""
        return self._clock() >= self._deadline

    def stop(self, within: float = math.inf) -> None:
        """Claim no more; `take` returns None, and what runs may finish.

        Args:
            within: Seconds after which `run` waits no longer for handlers.
        """
        with self._changed:
            self._stopping.set()
            self._waits.set()
            self._deadline = min(self._deadline, self._clock() + within)
            self._changed.notify_all()

    def take(self, *, is_patient: bool = True) -> Message | None:
        """Return the next message, or None at the end.

        Args:
            is_patient: False to wait for none, and to return None if none is there.
        """
        with self._changed:
            if not self._waiting:
                self._idle_from = self._clock()
            self._waiting += 1
            try:
                while not self._stopping.is_set():
                    while self._buffer:
                        message = self._buffer.popleft()
                        if not message.lease_lost.is_set():
                            return message
                    if not is_patient:
                        return None
                    self._keeper.flush()
                    self._changed.notify_all()
                    self._changed.wait(most_wait())
                return None
            finally:
                self._waiting -= 1

    def put_back(self, message: Message | None) -> None:
        """Give a message that was taken to the next that takes one."""
        if message is not None:
            with self._changed:
                self._buffer.appendleft(message)
                self._changed.notify_all()

    def done(self, message: Message) -> None:
        """Delete a message soon."""
        self._keeper.done(message)

    def fail(self, message: Message, error: BaseException) -> None:
        """Give a message back, or bury it, as `on_error` says."""
        self.settlement(message, error)()

    def settlement(
        self, message: Message, error: BaseException
    ) -> Callable[[], object]:
        """Return what is to be done with a message that failed, as a call to make."""
        action: Action | None = "stop"
        if isinstance(error, Exception):
            chosen = self._options.on_error
            try:
                action = chosen(message, error) if callable(chosen) else chosen
            except Exception as own:  # noqa: BLE001 - the caller's: `run` raises it
                error = own
        if action == "stop":
            self._end_with(error)
        if message.lease_lost.is_set():
            return functools.partial(self._keeper.lose, message)
        reason = f"{type(error).__name__}: {error}"[:_MOST_REASON]
        if action == "bury":
            return functools.partial(self._bury, message, reason)
        seconds = self._options.backoff.seconds(message.claim_count)
        delay = 0 if action == "stop" else seconds
        return functools.partial(self._release, message, delay, reason)

    def close(self) -> None:
        """Delete what is finished, and release the rest at once."""
        self.stop()
        self._keeper.close(_CLOSE_SECONDS)
        self._buffer.clear()
        for lease in list(self._leases):
            if lease.held and not lease.is_set():
                lease.lose()
                _try(lease.claim.delete)
        LIVE.discard(self)

    def raise_error(self) -> None:
        """Raise what ended the work, if it was an error."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    # -- giving back ---------------------------------------------------------------

    def _bury(self, message: Message, reason: str) -> None:
        try:
            message.bury(reason=reason)
        except ZaqarError as error:
            _LOG.warning("message %s could not be buried: %s", message.id, error)
            seconds = self._options.backoff.seconds(message.claim_count)
            self._release(message, seconds, reason)
        else:
            self._keeper.drop(message)

    def _release(self, message: Message, delay: int, reason: str) -> None:
        lease = lease_of(message)
        if self._queue.client.offers("release"):
            _try(functools.partial(message.release, delay, reason))
            self._keeper.drop(message)
            return
        self._keeper.drop(message)
        if lease.held:
            return  # it is free when its claim ends, after the work on the others
        if delay:
            _try(functools.partial(lease.claim.update, ttl=60, grace=self._grace))
        else:
            _try(lease.claim.delete)

    # -- claiming, in a thread -----------------------------------------------------

    def _claim_on_demand(self) -> None:
        while (limit := self._wait_for_demand()) > 0:
            try:
                self._claim(limit)
            except Exception as error:  # noqa: BLE001 - raised where the work is
                if self._waits.is_set and _is_passing(error):
                    return
                if self._claimed is None or not _is_passing(error):
                    self._end_with(error)
                    return
                _LOG.warning("Claiming failed, and is tried again: %s", error)
                self._rest(getattr(error, "retry_after", None) or 0)
        self.stop()

    def _wait_for_demand(self) -> int:
        """Return how many messages to claim, once somebody waits; 0 at the end."""
        options = self._options
        with self._changed:
            while not self._stopping.is_set():
                if self._waiting and not self._buffer:
                    left = (options.count or math.inf) - (self._claimed or 0)
                    if left <= 0:
                        break
                    free = options.most - self._keeper.held
                    limit = min(options.limit, self._most, free, left)
                    if limit > 0:
                        return int(limit)
                self._changed.wait()
        return 0

    def _claim(self, limit: int) -> None:
        idle, sent = self._options.idle_timeout, self._clock()
        left = math.inf if idle is None else self._idle_from + idle - sent
        # Where the service cannot wait, this thread does.
        wait = min(self._options.wait, max(left, 0))
        wait = wait if self._queue.client.longest_wait() else 0
        with self._waits.using():
            claim = self._queue.claim(
                ttl=self._ttl, grace=self._grace, limit=limit, wait=wait or None
            )
        messages = list(claim) if claim.id else []
        if messages:
            self._give(claim, messages, sent)
            return
        self._claimed = self._claimed or 0
        left -= self._clock() - sent
        if left <= 0:
            self.stop()
        elif not wait:
            self._rest(0, left)

    def _give(self, claim: Claim, messages: list[Message], sent: float) -> None:
        """Hold claimed messages for those who wait for them."""
        lease = Lease(claim, self._ttl, sent, self._clock)
        lease.held.update(message.id for message in messages)
        for message in messages:
            message.lease_lost = lease
        if self._clock() >= lease.due:
            # Who was stopped while the answer came does not know how old it is.
            self._keeper.renew(lease)
        self._pause = _LEAST_PAUSE
        with self._changed:
            if not self._stopping.is_set():
                self._claimed = (self._claimed or 0) + len(messages)
                self._idle_from = self._clock()
                self._leases.add(lease)
                self._keeper.add(lease)
                self._buffer.extend(messages)
                self._changed.notify_all()
                return
        _try(claim.delete)

    def _rest(self, least: float, most: float = math.inf) -> None:
        """Pause before the next claim, twice as long each time without a message."""
        self._stopping.wait(min(max(self._pause, least), most))
        self._pause = min(self._pause * 2, _MOST_PAUSE)

    # -- reports -------------------------------------------------------------------

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _end_with(self, error: BaseException) -> None:
        self._error = self._error or error
        self.stop()

    def _report_lost(self, message: Message, error: LeaseLost) -> None:
        _LOG.warning("%s", error)
        if callable(self._options.on_error):
            _try(functools.partial(self._options.on_error, message, error))


def _is_passing(error: Exception) -> bool:
    """Return whether a claim that failed may succeed later."""
    status = getattr(error, "status", None) or 0
    return isinstance(error, NetworkError | TooManyRequests) or status >= 500


def _try(action: Callable[[], object]) -> None:
    """Do something whose failure only means that the end of a lease does it later."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - also of a closed client
        _LOG.warning("A message is released at the end of its lease: %s", error)

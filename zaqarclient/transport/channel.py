"""Calls over one open WebSocket connection.

The thread that waits for a frame reads the connection itself: a call for its answer,
`Channel.notification` for a notification. Whatever else it reads, it hands to the call
that waits for it, or keeps. So a call costs no switch of threads, and a notification is
never mistaken for an answer. One thread reads at a time; the others sleep, and when the
reader has its frame the next one reads on. While nothing waits, a thread of the channel
reads: it answers the service's pings and notices when the connection breaks.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from zaqarclient.transport import errors
from zaqarclient.transport.request import encode

if TYPE_CHECKING:
    from zaqarclient.transport.ws_socket import WebSocketConnection

_LOG = logging.getLogger(__name__)

REQUEST_ID = "X-Request-ID"
"""The header of a frame that its answer repeats."""

_CAPACITY = 1000
"""Notifications that wait to be taken before no more are read."""

_CLOSING_SECONDS = 2.0
_KEEPER_SECONDS = 0.5
"""Seconds without a frame after which the channel's own thread reads."""

Frame: TypeAlias = dict[str, Any]


class _Waiter:
    """A thread that waits for a frame: a call for its answer, or a listener.

    Attributes:
        answer: The answer of a call.
        listens: True if it waits for a notification.
    """

    def __init__(self, *, listens: bool = False) -> None:
        self.answer: Frame | None = None
        self.listens = listens
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def is_answered(self) -> bool:
        """Return True if the answer of the call has come."""
        return self.answer is not None

    def sleep(self, seconds: float) -> None:
        """Wait until `wake`, at most so many seconds."""
        self._asleep.acquire(timeout=min(max(0.0, seconds), threading.TIMEOUT_MAX))

    def wake(self) -> None:
        """End one `sleep`, the current or the next."""
        with contextlib.suppress(RuntimeError):  # it is awake already
            self._asleep.release()


class Channel:
    """Calls over one connection, from any number of threads.

    Args:
        connection: The open connection.
    """

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._is_read = False
        self._sleeping: list[_Waiter] = []
        self._calls: dict[str, _Waiter] = {}
        self._notifications: deque[Any] = deque()
        self._frames = 0
        self._lost: str | None = None
        self._is_closing = False
        self._ended = threading.Event()
        self._keeper = threading.Thread(
            target=self._keep, name="zaqar-websocket", daemon=True
        )
        self._keeper.start()

    def is_open(self) -> bool:
        """Return True if the connection is open, by what has arrived of it."""
        self._wait(_Waiter(), self._is_full, 0.0)
        return self._lost is None

    def call(self, frame: Frame, timeout: float) -> Frame:
        """Send a frame and return its answer.

        Args:
            frame: The frame, without an id of its own.
            timeout: Seconds to wait for the answer.

        Raises:
            zaqarclient.transport.errors.NetworkError: No answer came.
            ValueError: The frame is not JSON.
        """
        request_id = f"req-{uuid.uuid4()}"
        headers = {**frame["headers"], REQUEST_ID: request_id}
        text = encode({**frame, "headers": headers})
        waiter = _Waiter()
        # Services that repeat no id answer in the order of the frames.
        with self._sending:
            with self._lock:
                if self._lost is not None:
                    raise errors.ConnectionFailed(description=self._lost, unsent=True)
                self._calls[request_id] = waiter
            try:
                self._connection.send(text)
            except errors.TransportError:
                # Half a frame may have left: nothing more can follow it.
                self._connection.break_off()
                raise
        self._wait(waiter, waiter.is_answered, time.monotonic() + timeout)
        if waiter.answer is not None:
            return waiter.answer
        if self._lost is not None:
            transient = not self._is_closing
            raise errors.ConnectionFailed(description=self._lost, transient=transient)
        # The waiter stays, to take the answer that may still come.
        raise errors.TimedOut(
            description=f"no answer within {timeout:g} seconds", transient=False
        )

    def notification(self, ends: float) -> Any:
        """Return the next notification, waiting for it.

        Args:
            ends: When to stop waiting, by ``time.monotonic()``.

        Raises:
            TimeoutError: None came in time.
            zaqarclient.transport.errors.ConnectionFailed: The connection has
                ended, and what came before was taken.
        """
        waiter = _Waiter(listens=True)
        while True:
            self._wait(waiter, lambda: bool(self._notifications), ends)
            with self._lock:
                if self._notifications:
                    return self._notifications.popleft()
            if self._lost is not None:
                raise errors.ConnectionFailed(description=self._lost)
            if time.monotonic() >= ends:
                raise TimeoutError

    def close(self) -> None:
        """End the connection; calls under way fail, and are not sent again."""
        self._is_closing = True
        for end in self._connection.begin_closing, self._connection.break_off:
            if self._lost is None:
                end()
                ends = time.monotonic() + _CLOSING_SECONDS
                self._wait(_Waiter(), lambda: False, ends)
        self._keeper.join(_CLOSING_SECONDS)

    def forget(self) -> None:
        """Close this process's copy of the connection, after a fork."""
        self._connection.release()

    # -- which thread reads -----------------------------------------------------------

    def _wait(self, waiter: _Waiter, done: Callable[[], bool], ends: float) -> None:
        """Wait until it is done, the connection has ended or the time is over.

        The thread reads; if another one does, it sleeps until that one has
        its frame, or makes way for it.
        """
        while not done() and self._lost is None:
            if self._starts_reading(waiter):
                self._read_until(done, ends)
            else:
                self._sleep(waiter, ends)
            if time.monotonic() >= ends:
                return

    def _starts_reading(self, waiter: _Waiter | None = None) -> bool:
        """Return True if the caller is to read; else remember what waits."""
        with self._lock:
            if self._lost is None:
                if not self._is_read:
                    self._is_read = True
                    return True
                if waiter is not None:
                    self._sleeping.append(waiter)
        return False

    def _sleep(self, waiter: _Waiter, ends: float) -> None:
        try:
            if self._lost is None:
                waiter.sleep(ends - time.monotonic())
        finally:
            with self._lock:
                if waiter in self._sleeping:
                    self._sleeping.remove(waiter)
            self._wake_reader()

    def _wake_reader(self) -> None:
        """Wake a thread to read on, if none does."""
        with self._lock:
            if not self._is_read and self._sleeping:
                self._sleeping[0].wake()

    def _read_until(self, done: Callable[[], bool], ends: float) -> None:
        """Read frames until it is done or the time is over."""
        try:
            while not done():
                text = self._connection.receive(ends)
                if text is None:
                    break
                self._take(_decoded(text))
        except errors.TransportError as error:
            self._end(error.description or error.sentence)
        except BaseException:
            # An interrupted thread may have lost a part of a frame.
            self._end("interrupted")
            raise
        finally:
            self._is_read = False
            self._wake_reader()

    def _keep(self) -> None:
        """Read while nothing else does: answer pings, notice the end.

        It makes way for what waits, since a thread that reads need not be
        woken, and comes back when there were no frames for a while.
        """
        while self._lost is None:
            frames = self._frames
            self._ended.wait(_KEEPER_SECONDS)
            if frames == self._frames and self._starts_reading():
                self._read_until(self._has_to_make_way, math.inf)

    def _has_to_make_way(self) -> bool:
        return bool(self._sleeping) or self._is_full()

    def _is_full(self) -> bool:
        """Return True to stop reading; the service may then drop the connection."""
        return len(self._notifications) >= _CAPACITY

    def _take(self, frame: Any) -> None:
        self._frames += 1
        with self._lock:
            if not is_answer(frame):
                self._notifications.append(frame)
                for waiter in self._sleeping:
                    if waiter.listens:
                        waiter.wake()
                return
            call = self._call_of(frame)
        if call is None:
            _LOG.warning("Reply to an unknown request id dropped.")
        else:
            call.answer = frame
            call.wake()

    def _call_of(self, answer: Frame) -> _Waiter | None:
        repeated = answer["request"]
        headers = repeated.get("headers") if isinstance(repeated, dict) else None
        request_id = answer["headers"].get(REQUEST_ID)
        if request_id is None and isinstance(headers, dict):
            request_id = headers.get(REQUEST_ID)
        if request_id is None and self._calls:
            request_id = next(iter(self._calls))
        return self._calls.pop(str(request_id), None)

    def _end(self, reason: str) -> None:
        with self._lock:
            self._lost = reason
            for waiter in self._sleeping:
                waiter.wake()
        self._ended.set()
        self._connection.break_off()
        with self._sending:
            self._connection.release()


def is_answer(frame: Any) -> bool:
    """Return whether a frame is an answer, not a notification."""
    return (
        isinstance(frame, dict)
        and isinstance(frame.get("headers"), dict)
        and "request" in frame
    )


def _decoded(text: str) -> Any:
    """Return a frame; subscriptions may ask for texts that are not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


class SequentialChannel:
    """Calls over a connection one frame at a time, from one thread.

    It serves connections that are not this package's own: a caller that overrides
    `WebsocketTransport._create_connection` or `recv` (contract, SDK section 21) gets
    one frame out and then frames in, up to the answer.

    Args:
        connection: Has ``send(text)``, ``recv()`` for a text, and ``close()``.
        receive: Returns the next frame, decoded.
    """

    def __init__(self, connection: Any, receive: Callable[[], Any]) -> None:
        self._connection = connection
        self._closed = False
        self._receive = receive
        self._notifications: deque[Any] = deque()

    def is_open(self) -> bool:
        """Return True until it is closed."""
        return not self._closed

    def call(
        self,
        frame: Frame,
        timeout: float,  # noqa: ARG002 - the connection has its own
    ) -> Frame:
        """Send a frame and return its answer: the next frame with headers."""
        self._connection.send(json.dumps(frame))
        before: list[Any] = []
        while "headers" not in (received := self._receive()):
            before.append(received)
        self._notifications.extend(before)
        answer: Frame = received
        return answer

    def notification(
        self,
        ends: float,  # noqa: ARG002 - the connection has a timeout of its own
    ) -> Any:
        """Return the next frame, first those that came before an answer."""
        if self._notifications:
            return self._notifications.popleft()
        return json.loads(self._connection.recv())

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._connection.close()

    def forget(self) -> None:
        """Do nothing: the process that opened the connection keeps it."""

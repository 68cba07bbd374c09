"""Calls over one open WebSocket connection.

A thread reads all frames: it hands each answer to the call that waits for it, and
queues notifications until `Channel.notification` takes them. So a notification is
never mistaken for an answer, the service's pings are answered while no call is under
way, and a broken connection is noticed when it breaks.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeAlias

from zaqarclient.transport import errors

_LOG = logging.getLogger(__name__)

REQUEST_ID = "X-Request-ID"
"""The header of a frame that its answer repeats."""

_CAPACITY = 1000
"""Notifications that wait to be taken before no more are read."""

_CLOSING_SECONDS = 2.0

Frame: TypeAlias = dict[str, Any]


class TextConnection(Protocol):
    """Sends and receives texts; raises only ``TransportError``."""

    def send(self, text: str) -> None:
        """Send a text."""

    def receive(self) -> str:
        """Wait for a text; raise once the connection has ended."""

    def begin_closing(self) -> None:
        """Send a close frame; `receive` raises when the other side answers it."""

    def break_off(self) -> None:
        """Make `receive` raise at once."""

    def release(self) -> None:
        """Close the socket; only for the thread that receives, after the end."""


class Channel:
    """Calls over one connection, from any number of threads.

    Args:
        connection: The open connection.
    """

    def __init__(self, connection: TextConnection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._waiting: dict[str, Future[Frame]] = {}
        self._notifications: deque[Any] = deque()
        self._lost: str | None = None
        self._closing = False
        self._reader = threading.Thread(
            target=self._read, name="zaqar-websocket", daemon=True
        )
        self._reader.start()

    @property
    def is_open(self) -> bool:
        """True if the connection is open, as far as is known."""
        return self._lost is None

    def call(self, frame: Frame, timeout: float) -> Frame:
        """Send a frame and return its answer.

        Args:
            frame: The frame, without an id of its own.
            timeout: Seconds to wait for the answer.

        Raises:
            zaqarclient.transport.errors.NetworkError: No answer came.
        """
        request_id = f"req-{uuid.uuid4()}"
        headers = {**frame["headers"], REQUEST_ID: request_id}
        text = json.dumps({**frame, "headers": headers})
        slot: Future[Frame] = Future()
        # Services that repeat no id answer in the order of the frames.
        with self._sending:
            with self._changed:
                if self._lost is not None:
                    raise errors.ConnectionFailed(description=self._lost, unsent=True)
                self._waiting[request_id] = slot
                self._changed.notify_all()
            try:
                self._connection.send(text)
            except errors.TransportError:
                # Half a frame may have left: nothing more can follow it.
                self._connection.break_off()
                raise
        try:
            return slot.result(timeout)
        except TimeoutError:
            # The slot stays, to take the answer that may still come.
            slot.cancel()
            raise errors.TimedOut(
                description=f"no answer within {timeout:g} seconds", transient=False
            ) from None

    def notification(self, timeout: float | None) -> Any:
        """Return the next notification, waiting for it.

        Args:
            timeout: Seconds; None to wait as long as the connection stands.

        Raises:
            TimeoutError: None came in time.
            zaqarclient.transport.errors.ConnectionFailed: The connection has
                ended, and what came before was taken.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._notifications or self._lost is not None, timeout
            )
            if not self._notifications:
                if self._lost is None:
                    raise TimeoutError
                raise errors.ConnectionFailed(description=self._lost)
            found = self._notifications.popleft()
            self._changed.notify_all()
        return found

    def close(self) -> None:
        """End the connection; calls under way fail."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._connection.begin_closing()
        self._reader.join(_CLOSING_SECONDS)
        if self._reader.is_alive():
            self._connection.break_off()
            self._reader.join(_CLOSING_SECONDS)

    def forget(self) -> None:
        """Close this process's copy of the connection, after a fork."""
        self._connection.release()

    def _read(self) -> None:
        try:
            while True:
                self._take(_decoded(self._connection.receive()))
        except errors.TransportError as error:
            self._end(error.description or error.sentence)
        finally:
            self._connection.release()

    def _take(self, frame: Any) -> None:
        if is_answer(frame):
            slot = self._waiting_for(frame)
            if slot is None:
                _LOG.warning("Reply to an unknown request id dropped.")
            elif slot.set_running_or_notify_cancel():
                slot.set_result(frame)
            return
        with self._changed:
            while self._is_full():
                self._changed.wait()
            self._notifications.append(frame)
            self._changed.notify_all()

    def _is_full(self) -> bool:
        """Return True to stop reading; the service may then drop the connection."""
        calls = any(not slot.cancelled() for slot in self._waiting.values())
        full = len(self._notifications) >= _CAPACITY
        return full and not calls and not self._closing

    def _waiting_for(self, frame: Frame) -> Future[Frame] | None:
        repeated = frame["request"]
        headers = repeated.get("headers") if isinstance(repeated, dict) else None
        request_id = frame["headers"].get(REQUEST_ID)
        if request_id is None and isinstance(headers, dict):
            request_id = headers.get(REQUEST_ID)
        with self._changed:
            if request_id is None and self._waiting:
                request_id = next(iter(self._waiting))
            return self._waiting.pop(str(request_id), None)

    def _end(self, reason: str) -> None:
        with self._changed:
            self._lost = reason
            waiting, self._waiting = self._waiting, {}
            self._changed.notify_all()
        for slot in waiting.values():
            if slot.set_running_or_notify_cancel():
                slot.set_exception(errors.ConnectionFailed(description=reason))


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

    is_open = True

    def __init__(self, connection: Any, receive: Callable[[], Any]) -> None:
        self._connection = connection
        self._receive = receive
        self._notifications: deque[Any] = deque()

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
        timeout: float | None,  # noqa: ARG002 - the connection has its own
    ) -> Any:
        """Return the next frame, first those that came before an answer."""
        if self._notifications:
            return self._notifications.popleft()
        return json.loads(self._connection.recv())

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        self._connection.close()

    def forget(self) -> None:
        """Do nothing: the process that opened the connection keeps it."""

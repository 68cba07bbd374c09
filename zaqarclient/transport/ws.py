"""The WebSocket transport (contract, SDK section 17.5; WebSocket sections 1-8)."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import math
import os
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, Self, TypeVar

from zaqarclient import auth
from zaqarclient.errors import InvalidOperation, ZaqarError
from zaqarclient.transport import base, errors, retry, ws_frames, ws_socket
from zaqarclient.transport.channel import Channel, SequentialChannel
from zaqarclient.transport.request import Request
from zaqarclient.transport.response import Response
from zaqarclient.transport.ws_frames import Login
from zaqarclient.transport.ws_subscriptions import PushSubscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zaqarclient.transport.api import RequestFrame

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_SHOWN = 200
"""Characters of an answer of unknown form to show."""
_TIMEOUT = 60.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class WebsocketTransport(base.Transport):
    """Sends requests as frames over one connection, kept open.

    It connects at the first request and, if there is a token, authenticates
    first. It may be used from several threads, whose requests travel side by
    side. A connection that broke is opened again for the next request or by
    `recv`, with all subscriptions of the connection to itself.

    Args:
        options: The configuration of the client; ``auth_opts``, ``timeout``,
            ``retries``, ``max_retry_after``, ``client_uuid`` and
            ``user_agent`` are read.

    Attributes:
        sleep: Waits some seconds between two attempts of a call.
        login_check: Seconds between two checks, while `recv` waits, whether the
            token is about to end and has to be replaced.
        on_reconnect: Called without arguments each time that subscriptions
            were made again on a new connection: what was posted in between
            was not pushed, except to subscriptions with ``since``.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.sleep = time.sleep
        self._retry_policy = retry.RetryPolicy.of(self.options)
        self.login_check = 10.0
        self.on_reconnect: Callable[[], object] | None = None
        self._backend = auth.get_backend(**(self.options.get("auth_opts") or {}))
        self._client_id = str(self.options.get("client_uuid") or uuid.uuid4())
        self._timeout = float(self.options.get("timeout") or _TIMEOUT)
        self._login: Login | None = None
        self._checked = time.monotonic()
        self._channel: Channel | SequentialChannel | None = None
        self._pushes = PushSubscriptions(self._call)
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._process = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, request: Request) -> Response:
        """Send a request and wait for its answer, again where that is safe.

        A request without an API is sent as it stands: the operation is the
        action, the content the body, and the answer's body comes back
        unchanged.

        Raises:
            zaqarclient.transport.errors.TransportError: The status was 400 or
                more, or no answer came.
        """
        frame = ws_frames.frame_of(request)
        return retry.send_with_retries(
            lambda: self._with_fresh_login(
                self._login_of(request),
                lambda login: self._exchange(login, request, frame),
            ),
            frame.rule,
            self._retry_policy,
            self.sleep,
            request.is_recognized,
        )

    def recv(self, timeout: float | None = None) -> Any:
        """Return the next notification, waiting for it.

        A broken connection is opened again, with its subscriptions, for as
        long as it takes. What was posted in between is not pushed, except to
        subscriptions with ``since``: they go on behind the last notification.

        Args:
            timeout: Seconds to wait; None to wait without end.

        Returns:
            The frame, read as JSON; its text if it is not JSON.

        Raises:
            zaqarclient.transport.errors.TimedOut: None came in time.
            zaqarclient.transport.errors.TransportError: The connection has
                ended and there is nothing to reconnect for, or the service
                refuses the subscriptions.
            zaqarclient.errors.InvalidOperation: Nothing was sent yet.
        """
        ends = math.inf if timeout is None else time.monotonic() + timeout
        stopped = self._stopped
        while True:
            channel = self._channel
            if channel is None:
                raise InvalidOperation("there is no connection: subscribe first")
            due = min(self._pushes.due(), self._login_due())
            try:
                found = channel.notification(min(ends, due))
                with self._lock:
                    if self._pushes.is_new(found):
                        return found
            except TimeoutError:
                with self._lock, contextlib.suppress(errors.NetworkError):
                    self._keep_login()
                    self._pushes.renew()
                if time.monotonic() >= ends:
                    raise _no_notification() from None
            except errors.NetworkError as error:
                if stopped.is_set() or not self._pushes:
                    raise
                self._reopen(error, ends, stopped)

    def pause(self, times: int) -> float:
        """Return how many seconds `recv` waits before it connects again.

        Around 0.5 s doubled each time, at most 30.

        Args:
            times: How often it has tried.
        """
        return retry.jittered(_FIRST_PAUSE, times, _LONGEST_PAUSE)

    def cleanup(self) -> None:
        """Close the connection; the same as `close`."""
        self.close()

    def close(self) -> None:
        """Close the connection and with it its subscriptions.

        The next request opens a new one.
        """
        self._stopped.set()
        with self._lock:
            self._stopped = threading.Event()
            self._pushes.forget()
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _with_fresh_login(self, login: Login, action: Callable[[Login], T]) -> T:
        """Do something with a login, once more with a new token if it is refused."""
        try:
            return action(login)
        except errors.TransportError as error:
            if self.credentials is None or not ws_frames.is_login_refused(error):
                raise
            fresh = self._login_of(self.credentials(renewed=True))
            if fresh.token == login.token:
                raise
        return action(fresh)

    def _login_of(self, request: Request) -> Login:
        return Login.of(request, self._backend, self._client_id)

    def _exchange(
        self, login: Login, request: Request, frame: RequestFrame
    ) -> Response:
        sent: dict[str, Any] = {"action": frame.action, "headers": login.headers}
        if frame.body is not None:
            sent["body"] = frame.body
        reply = self._timed(login, sent)
        headers = reply["headers"]
        try:
            status, body = frame.read(int(headers["status"]), reply.get("body", ""))
        except (KeyError, TypeError, ValueError) as error:
            text = json.dumps(reply.get("body"))[:_SHOWN]
            raise errors.ServerFault(
                ws_frames.TITLE, "An answer of unknown form.", text
            ) from error
        ws_frames.raise_for_status(status, body, headers)
        with self._lock:
            self._pushes.record(frame.action, frame.body, reply.get("body"))
        return Response.of(request, body, headers, status)

    def _timed(self, login: Login, sent: dict[str, Any]) -> Any:
        """Send a frame and return its answer; log it and report its time."""
        channel = self._channel_for(login)
        started = time.monotonic()
        reply = channel.call(sent, self._timeout)
        seconds = time.monotonic() - started
        if _LOG.isEnabledFor(logging.DEBUG):
            line = ws_frames.log_line(sent, reply, seconds)
            _LOG.debug("%s: %s", ws_socket.shown(login.endpoint), line)
        on_answer = self.options.get("on_answer")
        if on_answer is not None:
            on_answer((sent["action"], login.endpoint, seconds))
        return reply

    def _call(self, action: str, body: Mapping[str, Any] | None) -> Any:
        """Do an action on the open connection, with its own credentials."""
        channel, login = self._channel, self._login
        if channel is None or login is None:
            raise errors.ConnectionFailed(description="closed", unsent=True)
        frame: dict[str, Any] = {"action": action, "headers": login.headers}
        if body is not None:
            frame["body"] = body
        else:
            frame["headers"] = {**login.headers, "X-Auth-Token": login.token}
        reply = channel.call(frame, self._timeout)
        headers, answer = reply["headers"], reply.get("body", "")
        ws_frames.raise_for_status(int(headers["status"]), answer, headers)
        return answer

    # -- the connection -------------------------------------------------------

    def _create_connection(self, endpoint: str) -> Any:
        """Open a connection.

        Raises:
            zaqarclient.transport.errors.TransportError: It could not be
                opened.
        """
        login = self._login or self._login_of(Request(endpoint))
        verify, cert = login.tls(self._backend)
        return ws_socket.connect(
            endpoint,
            timeout=self._timeout,
            verify=verify,
            cert=cert,
            product=self.options.get("user_agent"),
        )

    def _channel_for(self, login: Login) -> Channel | SequentialChannel:
        """Return the open connection, opened if need be."""
        if self._process != os.getpid():
            self._after_fork()
        with self._lock:
            channel, current = self._channel, self._login
            if (
                channel is None
                or current is None
                or not channel.is_open()
                or current.endpoint != login.endpoint
            ):
                return self._open(login)
            self._login = login
            if login.token is not None and login.token != current.token:
                self._authenticate(otherwise=current)
            return channel

    def _open(self, login: Login) -> Channel | SequentialChannel:
        old, self._login = self._channel, login
        if old is not None:
            old.close()
        self._channel = channel = self._new_channel(login.endpoint)
        try:
            if login.token is not None:
                self._authenticate()
            self._restore()
        except BaseException:
            channel.close()
            raise
        return channel

    def _new_channel(self, endpoint: str) -> Channel | SequentialChannel:
        connection = self._create_connection(endpoint)
        if not isinstance(connection, ws_socket.WebSocket):
            return SequentialChannel(connection, self.recv)
        return Channel(
            ws_socket.WebSocketConnection(connection, endpoint, self._timeout)
        )

    def _authenticate(self, otherwise: Login | None = None) -> None:
        try:
            self._call("authenticate", None)
        except BaseException:
            # The connection remains authenticated as before.
            self._login = otherwise or self._login
            raise

    def _restore(self) -> None:
        if not self._pushes:
            return
        resumed = self._pushes.restore()
        _LOG.warning(
            "Connected and subscribed again%s.",
            "" if resumed else "; notifications of messages posted in between are lost",
        )
        if self.on_reconnect is not None:
            self.on_reconnect()

    def _reopen(
        self, error: errors.NetworkError, ends: float, stopped: threading.Event
    ) -> None:
        """Connect again, pausing longer each time.

        Raises:
            zaqarclient.transport.errors.TransportError: It was not possible in
                time, or the service refuses.
        """
        reason: errors.TransportError = error
        for times in itertools.count():
            left = ends - time.monotonic()
            if left <= 0:
                raise _no_notification() from reason
            _LOG.warning("%s Connecting again.", reason)
            pause = max(self.pause(times), reason.retry_after or 0.0)
            if stopped.wait(min(pause, left)):
                raise reason
            try:
                self._with_fresh_login(self._current_login(), self._channel_for)
            except errors.TransportError as failure:
                if not _is_passing(failure):
                    raise
                reason = failure
            else:
                return

    def _login_due(self) -> float:
        """Return when the token is checked next, by ``time.monotonic()``."""
        if self.credentials is None or self._login is None or not self._login.token:
            return math.inf
        return self._checked + self.login_check

    def _keep_login(self) -> None:
        """Authenticate with a newer token before the old one ends."""
        if self._login_due() > time.monotonic():
            return
        self._checked = time.monotonic()
        try:
            self._channel_for(self._current_login())
        except errors.NetworkError:
            raise
        except ZaqarError as error:
            # The connection stays authenticated until the old token ends.
            _LOG.warning("No newer token could be presented: %s", error)

    def _current_login(self) -> Login:
        if self.credentials is not None:
            return self._login_of(self.credentials())
        if self._login is None:
            raise InvalidOperation("there is no connection: subscribe first")
        return self._login

    def _after_fork(self) -> None:
        """Keep the connection to the parent: two processes must not share one."""
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._pushes.forget()
        if self._channel is not None:
            self._channel.forget()
            self._channel = None


def _is_passing(error: errors.TransportError) -> bool:
    """Return True if trying again later may help."""
    if isinstance(error, errors.ConnectionFailed):
        return error.transient
    return error.status is None or error.status == 429 or error.status >= 500


def _no_notification() -> errors.TimedOut:
    return errors.TimedOut(description="no notification came in time")

"""WebSocket connections; the only module that imports ``websocket``."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import websocket

from zaqarclient import version
from zaqarclient.errors import EndpointNotFound
from zaqarclient.transport import errors, retry

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONNECT_SECONDS = 10.0
_IDLE_SECONDS = 20.0
"""Seconds without a frame after which a ping is sent; half of what proxies commonly
allow."""

_PIECE = 65536
"""Bytes to read at once."""

WebSocket = websocket.WebSocket


def connect(
    endpoint: str,
    *,
    timeout: float,
    verify: bool | str,
    cert: str | tuple[str, str] | None = None,
    product: str | None = None,
) -> WebSocket:
    """Open a connection.

    Args:
        endpoint: The URL, ``ws://`` or ``wss://``.
        timeout: Seconds to wait, 10 at most.
        verify: Whether, or against which CA certificates, those of the service
            are checked.
        cert: The client certificate, as a file or as files of it and its key.
        product: What the ``User-Agent`` begins with.

    Raises:
        zaqarclient.transport.errors.TransportError: It could not be opened.
        zaqarclient.errors.EndpointNotFound: It is not a URL to connect to.
    """
    own = f"python-zaqarclient/{version.__version__}"
    name = shown(endpoint)
    urls = [endpoint]
    if urlsplit(endpoint).path.strip("/") and not endpoint.endswith("/"):
        # A front end may redirect this path to the one with a slash; over HTTP, where
        # more follows the path, it does not.
        urls.append(f"{endpoint}/")
    for url in urls:
        with _typed_errors(name, unsent=True):
            connection = _unless_redirected(
                url,
                timeout=min(timeout, _CONNECT_SECONDS),
                sslopt=_tls(verify, cert),
                header={"User-Agent": f"{product} {own}" if product else own},
                suppress_origin=True,
                enable_multithread=True,
                # In Python it costs more than all else; `receive` decodes anyway.
                skip_utf8_validation=True,
                # A redirect could lead the token anywhere.
                redirect_limit=0,
            )
        if connection is not None:
            return connection
    raise errors.ConnectionFailed(
        description=f"{name}: redirected elsewhere", transient=False
    )


def _unless_redirected(url: str, **options: Any) -> WebSocket | None:
    """Open a connection; return None if the answer is a redirect."""
    try:
        connection = websocket.create_connection(url, **options)
    except websocket.WebSocketException as error:
        if "redirect" not in str(error).lower():
            raise
        return None
    if connection.getstatus() == 101:
        return connection
    connection.shutdown()  # type: ignore[no-untyped-call]  # of the library
    return None


class WebSocketConnection:
    """An open connection that sends and receives texts.

    Any thread may send; one at a time may receive. All errors are this client's.

    Args:
        connection: The open connection of the library.
        endpoint: Its URL, for the text of errors.
        timeout: Seconds to wait for the other side to take or send something; a ping
            is sent after 20 at most.
    """

    def __init__(self, connection: WebSocket, endpoint: str, timeout: float) -> None:
        self._connection = connection
        self._endpoint = shown(endpoint)
        self._patience = min(timeout, _IDLE_SECONDS)
        self._socket = _BufferedSocket(connection.sock, timeout)
        connection.sock = cast("socket.socket", self._socket)
        self._heard = time.monotonic()
        self._pinged = False

    def send(self, text: str) -> None:
        """Send a text."""
        with _typed_errors(self._endpoint):
            self._connection.send(text)

    def receive(self, ends: float) -> str | None:
        """Return the next text; control frames on the way are answered.

        A silent connection is pinged.

        Args:
            ends: When to stop waiting, by ``time.monotonic()``.

        Returns:
            The text; None if there is none in time.

        Raises:
            zaqarclient.transport.errors.NetworkError: The connection has ended.
        """
        with _typed_errors(self._endpoint):
            while self._is_readable(ends):
                text = self._next_text()
                if text is not None:
                    return text
        return None

    def _is_readable(self, ends: float) -> bool:
        """Wait for something to read; return False if nothing comes in time."""
        while True:
            now = time.monotonic()
            silent = self._heard + self._patience - now
            if self._socket.wait_readable(max(0.0, min(silent, ends - now))):
                return True
            if silent <= ends - now:
                self._ping()
            elif ends <= time.monotonic():
                return False

    def _ping(self) -> None:
        if self._pinged:
            raise TimeoutError
        self._connection.ping()
        self._heard, self._pinged = time.monotonic(), True

    def _next_text(self) -> str | None:
        """Read a frame; return its text, None if it is not one or not yet whole."""
        try:
            opcode, data = self._connection.recv_data(control_frame=True)
        except websocket.WebSocketTimeoutException:
            return None  # The library keeps the part that it has read.
        self._heard, self._pinged = time.monotonic(), False
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            raise websocket.WebSocketException(_why_closed(data))
        if opcode != websocket.ABNF.OPCODE_TEXT:
            return None
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            raise websocket.WebSocketException(f"not UTF-8: {error}") from error

    def begin_closing(self) -> None:
        """Send a close frame; `receive` raises when the other side answers it."""
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self._connection.send_close()

    def break_off(self) -> None:
        """Make `receive` raise at once."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close the socket; only while no thread receives."""
        self._socket.close()


class _BufferedSocket:
    """A socket that is read in large pieces, and only when there is something to read.

    The library reads two bytes of a frame, then two more, then the rest: each would be
    two system calls. What it has read of a frame it keeps over a timeout.

    Args:
        inner: The connected socket.
        timeout: Seconds to wait for the other side to take something.
    """

    def __init__(self, inner: Any, timeout: float) -> None:
        inner.setblocking(False)
        self._inner = inner
        self._timeout = timeout
        self._buffer = b""
        # Not epoll: a child process would share it.
        kind = getattr(selectors, "PollSelector", selectors.SelectSelector)
        self._selector: selectors.BaseSelector = kind()
        self._selector.register(inner, selectors.EVENT_READ)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def gettimeout(self) -> float:
        """Return the seconds to wait for the other side to take something."""
        return self._timeout

    def recv(self, size: int) -> bytes:
        """Return some bytes, at most so many.

        Raises:
            TimeoutError: None have arrived.
        """
        if not self._buffer:
            try:
                self._buffer = self._inner.recv(_PIECE)
            except (BlockingIOError, ssl.SSLWantReadError):
                raise TimeoutError from None
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        return piece

    def send(self, data: bytes) -> int:
        """Send some of these bytes and return how many.

        Raises:
            TimeoutError: The other side takes none.
        """
        while True:
            try:
                sent: int = self._inner.send(data)
            except (BlockingIOError, ssl.SSLWantWriteError):
                with selectors.DefaultSelector() as selector:
                    selector.register(self._inner, selectors.EVENT_WRITE)
                    if not selector.select(self._timeout):
                        raise TimeoutError from None
            else:
                return sent

    def wait_readable(self, seconds: float) -> bool:
        """Wait until there are bytes to read; return False if none come in time."""
        pending = getattr(self._inner, "pending", None)
        if self._buffer or (pending is not None and pending()):
            return True
        return bool(self._selector.select(seconds))


def shown(endpoint: str) -> str:
    """Return a URL without the user and password that it may have."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _tls(verify: bool | str, cert: str | tuple[str, str] | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if cert is not None:
        options["certfile"], *key = [cert] if isinstance(cert, str) else cert
        options["keyfile"] = key[0] if key else None
    if verify is False:
        options |= {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    elif verify is not True:
        options["ca_cert_path" if Path(verify).is_dir() else "ca_certs"] = verify
    return options


def _why_closed(data: bytes) -> str:
    code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
    reason = data[2:].decode(errors="replace")
    return f"the service closed the connection: {code} {reason}".rstrip()


@contextlib.contextmanager
def _typed_errors(endpoint: str, *, unsent: bool = False) -> Iterator[None]:
    """Turn the errors of ``websocket`` and of sockets into this client's.

    Raises:
        zaqarclient.transport.errors.TransportError: Anything went wrong.
        zaqarclient.errors.EndpointNotFound: The URL is not valid.
    """
    try:
        yield
    except websocket.WebSocketBadStatusException as error:
        known = errors.error_class(error.status_code) or errors.ServerFault
        raise known(
            None,
            f"{endpoint} does not take WebSocket connections",
            status=error.status_code,
            retry_after=retry.seconds_of((error.resp_headers or {}).get("retry-after")),
        ) from error
    except (websocket.WebSocketTimeoutException, TimeoutError) as error:
        text = "no connection" if unsent else "no answer, not even to a ping"
        raise errors.TimedOut(
            description=f"{endpoint}: {text}", unsent=unsent
        ) from error
    except ssl.SSLError as error:
        raise errors.ConnectionFailed(
            description=f"{endpoint}: {error}", transient=False
        ) from error
    except (OSError, websocket.WebSocketException) as error:
        # The library wraps the error of an unknown address.
        inner = error.args[0] if error.args else None
        reason = inner if isinstance(inner, OSError) else error
        words = getattr(reason, "strerror", None) or str(reason)
        raise errors.ConnectionFailed(
            description=f"{endpoint}: {words}", unsent=unsent
        ) from error
    except ValueError as error:
        raise EndpointNotFound(f"{endpoint!r}: {error}") from error

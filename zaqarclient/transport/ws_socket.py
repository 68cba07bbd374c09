"""WebSocket connections; the only module that imports ``websocket``."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
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


class WebsocketConnection:
    """A connection for `Channel`.

    Args:
        connection: The open connection.
        endpoint: Its URL, for the text of errors.
        timeout: Seconds to wait for the other side to take or send something; a ping
            is sent after 20 at most.
    """

    def __init__(self, connection: WebSocket, endpoint: str, timeout: float) -> None:
        self._connection = connection
        self._endpoint = shown(endpoint)
        self._socket: Any = connection.sock
        connection.settimeout(min(timeout, _IDLE_SECONDS))

    def send(self, text: str) -> None:
        """Send a text."""
        with _typed_errors(self._endpoint):
            self._connection.send(text)

    def receive(self) -> str:
        """Wait for a text; raise once the connection has ended."""
        asked = False
        with _typed_errors(self._endpoint):
            while True:
                try:
                    opcode, data = self._connection.recv_data(control_frame=True)
                except websocket.WebSocketTimeoutException:
                    if asked:
                        raise
                    asked = True
                    self._connection.ping()
                    continue
                asked = False
                if opcode == websocket.ABNF.OPCODE_TEXT:
                    return str(data, "utf-8")
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    raise websocket.WebSocketException(_why_closed(data))

    def begin_closing(self) -> None:
        """Send a close frame."""
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self._connection.send_close()

    def break_off(self) -> None:
        """Make `receive` raise at once."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close the socket."""
        self._socket.close()


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

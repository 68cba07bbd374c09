"""Webhooks: one HTTP request a message (``notifications`` section 5)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import email.utils
import functools
import hashlib
import hmac
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
from yarl import URL

from zaqarserver import __version__
from zaqarserver.errors import BadRequest, SettingsError
from zaqarserver.notify.addresses import (
    AddressPolicy,
    AddressRefused,
    CheckedResolver,
    networks,
)
from zaqarserver.notify.connections import (
    Origin,
    WebhookAnswer,
    WebhookConnections,
)
from zaqarserver.notify.deliverer import (
    Delivered,
    Deliverer,
    Failed,
    Following,
    Gone,
    Notification,
    Outcome,
    Retry,
)
from zaqarserver.notify.payload import substituted
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.storage.subscriptions import Subscription
from zaqarserver.subscribers.options import check_post_data, check_post_headers
from zaqarserver.subscribers.uris import webhook_url

_WAIT_STATUSES = frozenset((429, 503))
_UNUSABLE = "the subscriber's URL or headers cannot be used"


def signing_key(text: str) -> bytes:
    """Return the bytes of ``webhook_signing_key``.

    Raises:
        SettingsError: It is not ``whsec_`` (which may be left out) and 24 to 64
            bytes in base64.
    """
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise SettingsError(
            "[notification] webhook_signing_key must be whsec_ and 24 to 64 random "
            "bytes in base64."
        )
    return key


def signature(key: bytes, message_id: str, timestamp: int, content: bytes) -> str:
    """Return the header ``webhook-signature`` after the standard webhooks rules."""
    signed = f"{message_id}.{timestamp}.".encode() + content
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class Target(msgspec.Struct, frozen=True):
    """The target of a request: its URL and additional headers.

    Attributes:
        url: An ``http`` or ``https`` URL.
        headers: Headers; ``post_headers`` of the subscription override them.
    """

    url: str
    headers: Mapping[str, str]


class WebhookDeliverer(Deliverer):
    """Posts to ``http`` and ``https`` subscribers.

    No redirect is followed: the address policy and the subscriber's consent are
    about the URL that was given, so an answer of 300 to 399 is a final failure.
    Neither cookies nor proxies of the environment are used.
    """

    def __init__(self, settings: NotifySettings) -> None:
        super().__init__(settings)
        self.resolver: CheckedResolver | None = None
        self._policy = AddressPolicy(
            networks("allowed_networks", settings.allowed_networks),
            networks("denied_networks", settings.denied_networks),
        )
        self._tls = functools.partial(_tls_context, settings.webhook_ca_file)
        if settings.webhook_ca_file is not None:
            self._tls()  # refuses a file that cannot be used
        key = settings.webhook_signing_key
        self._key = signing_key(key) if key else None
        self._connections: WebhookConnections | None = None

    async def open(self) -> None:
        """Prepare for connections."""
        self.resolver = self.resolver or CheckedResolver(self._policy)
        self._connections = WebhookConnections(
            self.settings, self._policy, self.resolver, self._tls
        )

    async def close(self) -> None:
        """Close the connections and lookups."""
        if self._connections is not None:
            self._connections.close()
            self._connections = None
        if self.resolver is not None:
            await self.resolver.close()
            self.resolver = None

    def proceed(self) -> None:
        """Read the answers that have arrived."""
        if self._connections is not None:
            self._connections.proceed()

    def endpoint(self, subscription: Subscription) -> str:
        """Return the URL's scheme, host and port."""
        try:
            parts = urlsplit(subscription.subscriber)
            port = parts.port
        except ValueError:
            return "invalid"
        return f"{parts.scheme.lower()}://{parts.hostname}:{port}"

    async def target(self, notification: Notification) -> Target:
        """Return the target of a notification; subclasses override it.

        Raises:
            BadRequest: The subscription has no usable target.
        """
        return Target(notification.subscription.subscriber, {})

    async def deliver(self, notification: Notification) -> Outcome:
        """Send one request; :func:`outcome_of` maps its status to an outcome."""
        return await self.deliver_all(notification, lambda: None)

    async def deliver_all(
        self, notification: Notification, following: Following
    ) -> Outcome:
        """Send a request for each notification, over one connection where it lasts."""
        try:
            run = _Run(self, notification, await self.target(notification), following)
            return await self._send_all(run)
        except BadRequest as error:
            return Failed(error.description)
        except TimeoutError:
            return Retry("timeout")
        except AddressRefused:
            return Failed("the address is not one that may be notified")
        # Before ValueError: the error of an untrusted certificate is one, too.
        except OSError as error:
            return Retry(f"no answer: {type(error).__name__}")
        except ValueError:
            return Failed(_UNUSABLE)

    async def _send_all(self, run: _Run) -> Outcome:
        if self._connections is None:
            raise RuntimeError("the deliverer is not open")
        seconds = self.settings.request_timeout
        while run.notification is not None:
            request = run.request(run.notification)
            deadline = asyncio.get_running_loop().time() + seconds
            async with asyncio.timeout_at(deadline):
                connection = await self._connections.take(run.origin)
            await connection.send(request, deadline, seconds, run.take_answer)
            self._connections.keep(run.origin, connection)
        return run.outcome

    def judge(
        self, _target: Target, _notification: Notification, status: int, asked: float
    ) -> Outcome:
        """Return the outcome of an answer; subclasses override it."""
        return outcome_of(status, asked)

    def signed(self, notification: Notification, content: bytes) -> str:
        """Return the headers that are about a notification, as lines."""
        timestamp = int(notification.now)
        lines = (
            f"webhook-id: {notification.id}\r\n"
            f"webhook-timestamp: {timestamp}\r\n"
            f"Zaqar-Delivery-Attempt: {notification.attempt}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        if self._key is None:
            return lines
        signed = signature(self._key, notification.id, timestamp, content)
        return f"webhook-signature: {signed}\r\n{lines}"


class _Run:
    """The requests of one subscription, one after the other.

    Args:
        deliverer: The deliverer.
        first: The first notification.
        target: The target of all.
        following: Returns the next notification.

    Attributes:
        notification: What is being sent; ``None`` at the end.
        outcome: That of the last answer.
        origin: The receiver.
    """

    outcome: Outcome

    def __init__(
        self,
        deliverer: WebhookDeliverer,
        first: Notification,
        target: Target,
        following: Following,
    ) -> None:
        self.notification: Notification | None = first
        self._deliverer = deliverer
        self._target = target
        self._following = following
        url = webhook_url(target.url)
        self.origin = Origin(url.scheme, url.raw_host or "", url.port or 0)
        self._head = _head(url, target, first.subscription)

    def request(self, notification: Notification) -> bytes:
        """Return the request for a notification.

        Raises:
            BadRequest: ``post_data`` cannot be used.
        """
        content = _content(notification)
        lines = self._deliverer.signed(notification, content)
        return self._head + lines.encode() + content

    def take_answer(self, answer: WebhookAnswer) -> bytes | None:
        """Judge an answer, and return the request for the next notification."""
        sent = self.notification
        if sent is None:
            raise RuntimeError("an answer to nothing")
        asked = 0.0
        if answer.retry_after is not None:
            most = self._deliverer.settings.max_retry_after
            asked = min(retry_after(answer.retry_after, sent.now), most)
        self.outcome = self._deliverer.judge(self._target, sent, answer.status, asked)
        after = self._following() if isinstance(self.outcome, Delivered) else None
        self.notification = after
        return None if after is None else self.request(after)


def _head(url: URL, target: Target, subscription: Subscription) -> bytes:
    """Return the part of a request's head that is the same for all notifications.

    Raises:
        BadRequest: The subscription's headers cannot be sent.
    """
    wanted = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": f"zaqarserver/{__version__}",
        **target.headers,
    }
    if url.user is not None or url.password is not None:
        user = f"{url.user or ''}:{url.password or ''}".encode("latin-1")
        wanted["Authorization"] = f"Basic {base64.b64encode(user).decode()}"
    wanted |= check_post_headers(subscription.options.get("post_headers") or {})
    # Names are compared without case: a header of the options replaces a default.
    named = {name.lower(): f"{name}: {value}" for name, value in wanted.items()}
    first = f"POST {url.raw_path_qs} HTTP/1.1"
    host = f"Host: {url.host_port_subcomponent}"
    return "\r\n".join([first, host, *named.values(), ""]).encode()


@functools.cache
def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the context of all connections; the system's file takes 20 ms to read."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SettingsError(
            f"[notification] webhook_ca_file: {ca_file} cannot be used: {error}."
        ) from error


def _content(notification: Notification) -> bytes:
    raw = notification.subscription.options.get("post_data")
    post_data = None if raw is None else check_post_data(raw)
    return substituted(
        notification.payload, post_data, keep=notification.confirmation is not None
    )


def outcome_of(status: int, asked: float = 0.0) -> Outcome:
    """Return the outcome of an answer's status (``notifications`` 5.3).

    Args:
        status: The HTTP status.
        asked: Seconds of ``Retry-After``; used with 429 and 503.
    """
    if status == 410:
        return Gone()
    if status in _WAIT_STATUSES:
        return Retry(f"status {status}", asked)
    if 200 <= status < 300:
        return Delivered()
    if 300 <= status < 500:
        return Failed(f"status {status}")
    return Retry(f"status {status}")


def retry_after(header: str, now: float) -> float:
    """Return the seconds of ``Retry-After``, 0 if it is malformed.

    Args:
        header: A number of seconds, or an HTTP date.
        now: The time, seconds since the epoch.
    """
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        when = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError):
        return 0.0
    return max(0.0, when - now)

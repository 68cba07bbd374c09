"""Webhooks: one HTTP request a message (``notifications`` section 5)."""

from __future__ import annotations

import base64
import binascii
import email.utils
import hashlib
import hmac
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
import msgspec

from zaqarserver import __version__
from zaqarserver.errors import BadRequest, SettingsError
from zaqarserver.notify.addresses import (
    AddressPolicy,
    AddressRefused,
    CheckedResolver,
    networks,
)
from zaqarserver.notify.deliverer import (
    Delivered,
    Deliverer,
    Failed,
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
_CHUNK = 16384
_KEEP_ALIVE = 15.0  # seconds


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
        self._tls = _tls_context(settings.webhook_ca_file)
        key = settings.webhook_signing_key
        self._key = signing_key(key) if key else None
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the one session that all requests share."""
        settings = self.settings
        self.resolver = self.resolver or CheckedResolver(self._policy)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self.resolver,
                socket_factory=self._policy.socket,
                use_dns_cache=False,
                ssl=self._tls,
                limit=0,  # the slots are the limit
                keepalive_timeout=_KEEP_ALIVE,
            ),
            timeout=aiohttp.ClientTimeout(
                total=settings.request_timeout, sock_connect=settings.connect_timeout
            ),
            headers={"User-Agent": f"zaqarserver/{__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections and lookups."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self.resolver is not None:
            await self.resolver.close()
            self.resolver = None

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
        try:
            return await self._send(notification, await self.target(notification))
        except BadRequest as error:
            return Failed(error.description)
        except TimeoutError:
            return Retry("timeout")
        # Before ValueError: the error of an untrusted certificate is one, too.
        except aiohttp.ClientError as error:
            return _outcome_of_error(error)
        except ValueError:
            return Failed(_UNUSABLE)

    async def _send(self, notification: Notification, target: Target) -> Outcome:
        if self._session is None:
            raise RuntimeError("the deliverer is not open")
        content = _content(notification)
        async with self._session.post(
            webhook_url(target.url),
            data=content,
            headers=self._headers(notification, target, content),
            allow_redirects=False,
        ) as answer:
            await self._discard(answer)
        asked = retry_after(answer.headers.get("Retry-After"), notification.now)
        asked = min(asked, self.settings.max_retry_after)
        return self.judge(target, notification, answer.status, asked)

    def judge(
        self, _target: Target, _notification: Notification, status: int, asked: float
    ) -> Outcome:
        """Return the outcome of an answer; subclasses override it."""
        return outcome_of(status, asked)

    async def _discard(self, answer: aiohttp.ClientResponse) -> None:
        """Read the answer's body, so that the connection can be used again.

        Close the connection if the body is longer than allowed.
        """
        left = self.settings.max_response_size
        async for chunk in answer.content.iter_chunked(_CHUNK):
            left -= len(chunk)
            if left < 0:
                answer.close()
                return

    def _headers(
        self, notification: Notification, target: Target, content: bytes
    ) -> dict[str, str]:
        timestamp = int(notification.now)
        wanted = {
            "Content-Type": "application/json",
            **target.headers,
            **check_post_headers(
                notification.subscription.options.get("post_headers") or {}
            ),
        }
        # Names are compared without case: a header of the options replaces a default.
        named = {name.lower(): (name, value) for name, value in wanted.items()}
        headers = dict(named.values())
        headers["webhook-id"] = notification.id
        headers["webhook-timestamp"] = str(timestamp)
        if self._key is not None:
            headers["webhook-signature"] = signature(
                self._key, notification.id, timestamp, content
            )
        headers["Zaqar-Delivery-Attempt"] = str(notification.attempt)
        return headers


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
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


def _outcome_of_error(error: aiohttp.ClientError) -> Outcome:
    if isinstance(error, aiohttp.InvalidURL):
        return Failed(_UNUSABLE)
    if isinstance(getattr(error, "os_error", error), AddressRefused):
        return Failed("the address is not one that may be notified")
    return Retry(f"no answer: {type(error).__name__}")


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


def retry_after(header: str | None, now: float) -> float:
    """Return the seconds of ``Retry-After``, 0 if it is malformed.

    Args:
        header: A number of seconds, or an HTTP date.
        now: The time, seconds since the epoch.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        when = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError):
        return 0.0
    return max(0.0, when - now)

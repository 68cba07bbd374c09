"""The content of notifications and confirmations (``notifications`` 5.1 and 7.2).

The body of a message is copied as the text that was posted: numbers keep their
digits and objects the order of their members. Only what is not ASCII is escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from zaqarserver.subscribers.options import PLACEHOLDER

NOTIFICATION = "Notification"
SUBSCRIPTION_CONFIRMATION = "SubscriptionConfirmation"
UNSUBSCRIBE_CONFIRMATION = "UnsubscribeConfirmation"

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def notification(queue: str, body: bytes, ttl: int, delay: int = 0) -> bytes:
    """Return the JSON object of a notification about one message, in ASCII.

    Exactly four keys, or five with ``delay``: receivers compare the whole.

    Args:
        queue: The source of the subscription.
        body: The message body as JSON text in UTF-8.
        ttl: Seconds, as posted.
        delay: Seconds, as posted; 0 leaves the key out.

    Raises:
        ValueError: The body is not JSON.
    """
    msgspec.json.decode(body, type=msgspec.Raw)
    late = f', "delay": {delay}' if delay else ""
    return (
        f'{{"ttl": {ttl}, "body": {_ascii(body.decode())}{late}, '
        f'"Message_Type": "{NOTIFICATION}", "queue_name": {json.dumps(queue)}}}'
    ).encode("ascii")


def identified(content: bytes, message_id: str) -> bytes:
    """Return the JSON object of a notification with the id of its message."""
    return b'%b, "message_id": "%b"}' % (content[:-1], message_id.encode())


def _ascii(text: str) -> str:
    """Escape characters that are not ASCII; in valid JSON they are in strings only."""
    if text.isascii():
        return text
    return _NOT_ASCII.sub(lambda found: json.dumps(found.group())[1:-1], text)


class SignedConfirmation(msgspec.Struct, frozen=True):
    """A pre-signed confirm request (``notifications`` 10.1), one path, one method.

    Attributes:
        signature: Lower-case hex digits.
        methods: The methods, joined by commas.
        paths: The paths, joined by commas.
        project: The project that was signed.
        expires: UTC as ``%Y-%m-%dT%H:%M:%S``.
    """

    signature: str
    methods: str
    paths: str
    project: str
    expires: str


def confirmation(
    message_type: str, queue: str, signed: SignedConfirmation, public_url: str | None
) -> dict[str, Any]:
    """Return the object of a request to confirm, or about the end of a subscription.

    Args:
        message_type: ``SubscriptionConfirmation`` or ``UnsubscribeConfirmation``.
        queue: The source of the subscription, a queue or a topic.
        signed: The request that answers it.
        public_url: Where this server's REST API is reached from outside, without
            the path; ``None`` leaves ``WSGISubscribeURL`` out.
    """
    kind = "topic" if signed.paths.startswith("/v2/topics/") else "queue"
    text = f"You asked to receive messages of {kind} {queue}."
    if message_type == UNSUBSCRIBE_CONFIRMATION:
        text = (
            f"You no longer receive messages of {kind} {queue}. "
            "To subscribe again, confirm with confirmed=True."
        )
    found: dict[str, Any] = {
        "Message_Type": message_type,
        "Message": text,
        "URL-Signature": signed.signature,
        "URL-Methods": signed.methods,
        "URL-Paths": signed.paths,
        "X-Project-ID": signed.project,
        "URL-Expires": signed.expires,
        "SubscribeBody": {"confirmed": True},
        "UnsubscribeBody": {"confirmed": False},
    }
    if public_url is not None:
        found["WSGISubscribeURL"] = public_url.rstrip("/") + signed.paths
    found["queue_name"] = queue
    return found


def encoded(document: Mapping[str, Any]) -> bytes:
    """Return the document as the JSON text that is sent, in ASCII."""
    return json.dumps(document).encode("ascii")


def substituted(payload: bytes, post_data: str | None, *, keep: bool = False) -> bytes:
    """Return what is sent in place of the payload (``notifications`` section 3).

    Args:
        payload: The JSON object.
        post_data: ``options.post_data``, or ``None``. Each placeholder in it,
            with its quotes, becomes the payload.
        keep: Ignore a ``post_data`` without placeholder: a confirmation that
            does not arrive can never be answered.
    """
    if post_data is None or (keep and PLACEHOLDER not in post_data):
        return payload
    return post_data.replace(PLACEHOLDER, payload.decode("ascii")).encode()

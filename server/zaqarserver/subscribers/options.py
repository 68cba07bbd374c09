"""The members of a subscription's options that the server uses (section 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from zaqarserver.errors import BadRequest
from zaqarserver.subscribers.filters import compile_filter
from zaqarserver.subscribers.retry import check_policy

#: The text in ``post_data`` that the message replaces, including the quotes.
PLACEHOLDER: Final = '"$zaqar_message$"'
MAX_HEADERS: Final = 32
MAX_HEADER: Final = 4096
MAX_PLACEHOLDERS: Final = 8

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = re.compile(
    # The server decides framing, target and connection of the request.
    r"connection|content-length|expect|host|http2-settings|keep-alive"
    r"|proxy(-.*)?|te|trailer|transfer-encoding|upgrade"
    # A subscription that sets these could imitate signed requests of this server.
    r"|webhook-.*|zaqar-delivery-.*"
)
#: Characters that CGI and its successors do not distinguish in header names.
_ALIKE = re.compile(r"[^0-9a-z]")


def check_options(options: Any) -> None:
    """Refuse invalid options of a subscription.

    Unknown members are free for the caller's use.

    Raises:
        BadRequest: They are not an object, or a member is invalid; the text names it.
    """
    if not isinstance(options, Mapping):
        raise BadRequest("Options must be a dict.")
    if "_retry_policy" in options:
        check_policy(options["_retry_policy"])
    if "filter" in options:
        compile_filter(options["filter"])
    if "post_data" in options:
        check_post_data(options["post_data"])
    if "post_headers" in options:
        check_post_headers(options["post_headers"])
    for name in ("from", "subject"):
        if name in options:
            check_header_value(name, options[name])


def check_post_data(raw: Any) -> str:
    """Return ``post_data`` if it is valid.

    Raises:
        BadRequest: It is not a text, or repeats the message too often.
    """
    if not isinstance(raw, str):
        raise BadRequest("post_data must be a string.")
    try:
        raw.encode()
    except UnicodeEncodeError:
        raise BadRequest("post_data must be text without lone surrogates.") from None
    if raw.count(PLACEHOLDER) > MAX_PLACEHOLDERS:
        raise BadRequest(
            f"post_data must not hold more than {MAX_PLACEHOLDERS} times {PLACEHOLDER}."
        )
    return raw


def check_post_headers(raw: Any) -> dict[str, str]:
    """Return ``post_headers`` if they are valid.

    Raises:
        BadRequest: They are not an object of texts, are too many or not valid in
            HTTP, or name a header that the server sets.
    """
    if not isinstance(raw, Mapping):
        raise BadRequest("post_headers must be an object of strings.")
    if len(raw) > MAX_HEADERS:
        raise BadRequest(f"post_headers must not hold more than {MAX_HEADERS} headers.")
    for name, value in raw.items():
        if not _TOKEN.fullmatch(name):
            raise BadRequest(f"post_headers: {name!r} is not the name of a header.")
        if _OURS.fullmatch(_ALIKE.sub("-", name.lower())):
            raise BadRequest(
                f"post_headers: {name} is set by the server, or looks like a header "
                "that is."
            )
        check_header_value(f"post_headers[{name!r}]", value)
    return dict(raw)


def check_header_value(name: str, value: Any) -> str:
    """Return the value of a header of a request or mail.

    Raises:
        BadRequest: It is not a text of one line and at most 4096 characters.
    """
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be a string.")
    if len(value) > MAX_HEADER or _CONTROL.search(value):
        raise BadRequest(
            f"{name} must be one line of at most {MAX_HEADER} characters, without "
            "control characters."
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRequest(f"{name} must be text without lone surrogates.") from None
    return value


#: The prefix of the URIs of these subscribers; the webhook's URI follows.
PREFIX: Final = "trust+"
#: The member of options that names the trust.
TRUST_ID: Final = "trust_id"
#: Set in addition if the caller created the trust: the server then never deletes it.
GIVEN: Final = "trust_given"


def needs_trust(subscriber: str) -> bool:
    """Return True if a subscriber gets a token with each message."""
    return subscriber[: len(PREFIX)].lower() == PREFIX


def trust_of(subscriber: str, options: Mapping[str, Any]) -> str | None:
    """Return the trust that notifications to a subscriber use, or ``None``."""
    trust = options.get(TRUST_ID)
    return trust if needs_trust(subscriber) and isinstance(trust, str) else None


def own_trust_of(subscriber: str, options: Mapping[str, Any]) -> str | None:
    """Return the trust that the server created for a subscription, or ``None``."""
    return None if options.get(GIVEN) else trust_of(subscriber, options)

"""The members of a subscription's options that mean something (section 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from zaqarserver.errors import BadRequest
from zaqarserver.subscribers.filters import compile_filter
from zaqarserver.subscribers.retry import check_policy

#: What ``post_data`` has where the message is to be, quotes included.
PLACEHOLDER: Final = '"$zaqar_message$"'
MAX_HEADERS: Final = 32
MAX_HEADER: Final = 4096
MAX_PLACEHOLDERS: Final = 8

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = re.compile(
    # How the request is framed, where it goes and how the connection is kept is not
    # the subscriber's.
    r"connection|content-length|expect|host|http2-settings|keep-alive"
    r"|proxy(-.*)?|te|trailer|transfer-encoding|upgrade"
    # Whoever could set these could pretend to be this server.
    r"|webhook-.*|zaqar-delivery-.*"
)
#: What CGI and its heirs do not tell apart in the name of a header.
_ALIKE = re.compile(r"[^0-9a-z]")


def check_options(options: Any) -> None:
    """Refuse options of a subscription that could not be followed.

    Unknown members are the caller's own and pass.

    Raises:
        BadRequest: They are no object, or a member is wrong; the text names it.
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
    """Return ``post_data`` if it can be sent.

    Raises:
        BadRequest: It is no text, or repeats the message too often.
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
    """Return ``post_headers`` if they can be sent.

    Raises:
        BadRequest: They are no object of texts, too many, not valid in HTTP, or
            name a header that the server sets itself.
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
                f"post_headers: {name} is set by the server, or may pass for what is."
            )
        check_header_value(f"post_headers[{name!r}]", value)
    return dict(raw)


def check_header_value(name: str, value: Any) -> str:
    """Return the value of a header of a request or mail.

    Raises:
        BadRequest: It is no text of one line and at most 4096 characters.
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


#: What the URIs of these subscribers begin with; the webhook's follows.
PREFIX: Final = "trust+"
#: The member of options that names the trust.
TRUST_ID: Final = "trust_id"
#: Set beside it if the caller brought the trust: then it is not ours to remove.
GIVEN: Final = "trust_given"


def needs_trust(subscriber: str) -> bool:
    """Return whether a subscriber gets a token with each message."""
    return subscriber[: len(PREFIX)].lower() == PREFIX


def trust_of(subscriber: str, options: Mapping[str, Any]) -> str | None:
    """Return the trust that a subscriber is told with, if it is told with one."""
    trust = options.get(TRUST_ID)
    return trust if needs_trust(subscriber) and isinstance(trust, str) else None


def own_trust_of(subscriber: str, options: Mapping[str, Any]) -> str | None:
    """Return the trust that was made for a subscription, to be removed with it."""
    return None if options.get(GIVEN) else trust_of(subscriber, options)

"""The target of a subscriber's URI: the URL of a webhook, the addresses of a mail.

The same functions check a new subscriber and resolve it for sending, so that no
subscriber is accepted that nothing can be sent to.
"""

from __future__ import annotations

import contextlib
import re
import socket
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from yarl import URL

from zaqarserver.errors import BadRequest
from zaqarserver.subscribers.options import PREFIX, check_header_value, needs_trust

MAX_RECIPIENTS: Final = 20

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"(?=.{{1,64}}$){_ATOM}(\.{_ATOM})*")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
# Host names may have underscores, too, and the dot of the root.
_NAME = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,254}}$){_NAME}(\.{_NAME})*\.?")
# No top level domain looks like a part of an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PRINTABLE = "".join(map(chr, range(33, 127)))


def check_subscriber(uri: str) -> None:
    """Refuse a subscriber that nothing can be sent to.

    Args:
        uri: Its URI, of a supported scheme.

    Raises:
        BadRequest: It is invalid; the text says why.
    """
    scheme, _, rest = uri.partition(":")
    if not rest or any(ord(sign) <= 32 or ord(sign) == 127 for sign in uri):
        raise BadRequest(
            "subscriber must be a URI without blanks, and not only a scheme."
        )
    if scheme.lower() == "mailto":
        recipients_of(uri)
    else:
        webhook_url(uri)


# -- webhooks ----------------------------------------------------------------


def webhook_url(uri: str) -> URL:
    """Return the URL of a webhook.

    Its path and query are those of the subscriber, byte for byte, since the URL may
    be signed; only characters that are not ASCII are percent-encoded. Host and port
    are parsed as HTTP clients do.

    Raises:
        BadRequest: It names no host, or the host, port or user cannot be used.
    """
    plain = uri[len(PREFIX) :] if needs_trust(uri) else uri
    try:
        parts = urlsplit(plain)
        base = URL(f"{parts.scheme}://{parts.netloc}")
        usable = _is_host(base.raw_host or "") and base.port != 0
        target = quote(_target(plain, parts), safe=_PRINTABLE)
    except ValueError:
        usable = False
    if not usable:
        raise BadRequest("subscriber must name a host, and a port if any, correctly.")
    _check_user(base)
    # Not as path and query: splitting them would lose a trailing question mark.
    return URL.build(
        scheme=base.scheme, authority=base.raw_authority, path=target, encoded=True
    )


def _target(uri: str, parts: SplitResult) -> str:
    """Return path and query as written, without the fragment."""
    rest = uri.partition("#")[0][len(parts.scheme) + 3 + len(parts.netloc) :]
    return rest if rest.startswith("/") else f"/{rest}"


def _is_host(host: str) -> bool:
    if ":" in host:
        ip_address(host)
        return True
    last = host.removesuffix(".").rpartition(".")[2]
    if _NUMBER.fullmatch(last):
        with contextlib.suppress(OSError):
            socket.inet_aton(host)
            return True
        return False
    return _HOST.fullmatch(host) is not None


def _check_user(base: URL) -> None:
    """Refuse a user or password that does not fit into basic authentication."""
    user, password = base.user or "", base.password or ""
    try:
        (user + password).encode("latin-1")
        usable = ":" not in user
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise BadRequest(
            "subscriber: user and password must be Latin-1, the user without a colon."
        )


# -- mail ----------------------------------------------------------------------


def recipients_of(uri: str) -> tuple[tuple[str, ...], str | None]:
    """Return the addresses of a ``mailto`` URI, and its subject if it has one.

    Both are percent-decoded (RFC 6068) before they are checked; other members of the
    query are ignored.

    Raises:
        BadRequest: An address is missing or invalid, or there are too many; or the
            subject cannot be a header.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise BadRequest("subscriber is not a valid URI.") from None
    if uri.partition(":")[2].startswith("//"):
        raise BadRequest("subscriber must be mailto: and an address, without //.")
    addresses = tuple(_address(unquote(text).strip()) for text in parts.path.split(","))
    if len(addresses) > MAX_RECIPIENTS:
        raise BadRequest(
            f"subscriber: a mailto may name at most {MAX_RECIPIENTS} addresses."
        )
    subjects = parse_qs(parts.query, keep_blank_values=True).get("subject")
    if subjects is None:
        return addresses, None
    return addresses, check_header_value("subscriber: subject", subjects[0])


def _address(text: str) -> str:
    local, _, domain = text.rpartition("@")
    with contextlib.suppress(UnicodeError):
        domain = domain.encode("idna").decode("ascii")
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise BadRequest(
            "subscriber must be mailto: and addresses such as joe@mail.example, "
            "separated by commas."
        )
    return f"{local}@{domain}"

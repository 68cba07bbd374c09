"""Identifies callers: the one place that decides it (``rest-v2`` 6.1).

An edge passes the request's headers and gets an :class:`Identity` or an error.
Without authentication the identity is taken from the request's headers unverified;
that is why such a server listens on loopback only, unless ``insecure`` is set.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Mapping
from typing import Protocol

import msgspec

from zaqarserver.errors import BadRequest
from zaqarserver.operations.settings import Settings

Headers = Mapping[bytes, bytes]

MAX_PROJECT = 256  # characters
_UUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PROJECT_HEADERS = (b"x-project-id", b"x-tenant-id", b"x-tenant")
_CLAIMS = (*_PROJECT_HEADERS, b"x-roles", b"x-user-id")
#: Headers that identify the caller. A request that repeats one is refused, because
#: two readers could use different values.
SINGLE_HEADERS = frozenset(
    (
        *_CLAIMS,
        *(b"client-id", b"x-auth-token", b"x-service-token"),
    )
)


class Identity(msgspec.Struct, frozen=True, gc=False):
    """A caller.

    Attributes:
        project: The project that it acts in.
        roles: Its roles, lower case.
        user_id: Its user, empty if unknown.
        token: Its token, empty without one. A secret: it is used to act for the
            caller (trusts), never stored or logged.
        expires: When it expires, in the server's time, or ``None`` for never.
        recheck: When the token has to be verified again, which is earlier, or
            ``None``.
        restricted: True if the token is valid for some requests only: then each one
            has to be verified with its method and path.
    """

    project: str
    roles: tuple[str, ...] = ()
    user_id: str = ""
    token: str = ""
    expires: float | None = None
    recheck: float | None = None
    restricted: bool = False

    def __post_init__(self) -> None:
        """Refuse a project whose id could be mistaken for the space of topics.

        Raises:
            BadRequest: Its id has a NUL (:mod:`zaqarserver.spaces`).
        """
        if "\0" in self.project:
            raise BadRequest(
                "A project id must not contain a NUL character.",
                title="Invalid header value",
            )


class Authenticator(Protocol):
    """Identifies the caller of a request.

    Attributes:
        required: True if callers have to authenticate. Then an anonymous request
            learns nothing, not even which paths exist.
    """

    required: bool

    async def identify(self, headers: Headers, method: str, path: str, /) -> Identity:
        """Return the caller's identity.

        Args:
            headers: The request's headers, names in lower case.
            method: The request's method.
            path: The request's path, decoded.

        Raises:
            RequestError: The caller is refused.
            Unavailable: The identity service does not answer.
        """


def header_text(headers: Headers, name: bytes) -> str:
    """Return a header's value as text, empty without it.

    Raises:
        BadRequest: It is not UTF-8. In another encoding it could equal the value of
            another caller.
    """
    try:
        return headers.get(name, b"").decode()
    except UnicodeDecodeError:
        raise BadRequest(
            f"The header {name.decode()} must be UTF-8.", title="Invalid header value"
        ) from None


def is_loopback_host(host: str | None) -> bool:
    """Return True if a host name or address is a loopback one."""
    try:
        return host is not None and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class NoAuth:
    """Takes project and roles from the request's headers, unverified."""

    required = False

    async def identify(self, headers: Headers, _method: str, _path: str, /) -> Identity:
        """Return the identity in the request's headers.

        Raises:
            BadRequest: A header is missing or malformed.
        """
        return _claimed(*map(headers.get, _CLAIMS))


@functools.lru_cache(maxsize=256)
def _claimed(*values: bytes | None) -> Identity:
    """Return the identity of the headers ``_CLAIMS``; most clients repeat them."""
    headers = {
        name: value
        for name, value in zip(_CLAIMS, values, strict=True)
        if value is not None
    }
    project = _project(headers)
    names = header_text(headers, b"x-roles").lower().split(",")
    roles = tuple(role.strip() for role in names if role.strip())
    return Identity(project, roles, header_text(headers, b"x-user-id"))


def _project(headers: Headers) -> str:
    for name in _PROJECT_HEADERS:
        if name not in headers:
            continue
        project = header_text(headers, name).strip()
        if not project:
            raise BadRequest(
                "X-Project-ID must name a project; it is empty.",
                title="Empty project header not allowed",
            )
        return project
    raise BadRequest(
        "The header X-Project-ID is required: the id of the project.",
        title="Project-Id Missing",
    )


class ClientIds:
    """Checks and normalises client ids (``rest-v2`` 1.10)."""

    def __init__(self, settings: Settings) -> None:
        self._strict = settings.client_id_uuid_safe == "strict"
        self._lengths = (settings.min_length_client_id, settings.max_length_client_id)

    def read(self, headers: Headers) -> str:
        """Return the client id of a request.

        Raises:
            BadRequest: It is missing or malformed.
        """
        if b"client-id" not in headers:
            raise BadRequest(
                "The header Client-ID is required: a UUID of this client.",
                title="Missing header value",
            )
        return self.normalise(header_text(headers, b"client-id"))

    def normalise(self, text: str) -> str:
        """Return a client id in its normal form, which is stored and compared.

        Raises:
            BadRequest: It is malformed.
        """
        if self._strict:
            return _uuid_hex(text)
        low, high = self._lengths
        if not low <= len(text) <= high:
            raise BadRequest(
                f"Client-ID must have {low} to {high} characters.",
                title="Wrong UUID value",
            )
        return text


@functools.lru_cache(maxsize=4096)
def _uuid_hex(text: str) -> str:
    # Python's UUID() accepts signs, underscores, blanks and foreign digits, too.
    digits = text.lower().removeprefix("urn:uuid:")
    if digits.startswith("{") and digits.endswith("}"):
        digits = digits[1:-1]
    if not _UUID.fullmatch(digits):
        raise BadRequest(
            "Client-ID must be a UUID, for example "
            "3381af92-2b9e-11e3-b191-71861300734c.",
            title="Wrong UUID value",
        )
    return digits.replace("-", "")

"""Transports: how a request reaches the service."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from zaqarclient.errors import EndpointNotFound
from zaqarclient.transport import drivers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.transport.base import Transport
    from zaqarclient.transport.request import Request


def get_transport(
    transport: str = "http",
    version: object = 2,
    options: Mapping[str, Any] | None = None,
) -> Transport:
    """Return a new transport.

    Args:
        transport: The scheme of the URLs that it serves.
        version: The version of the API.
        options: The configuration of the client (its ``conf``).

    Raises:
        zaqarclient.errors.DriverLoadFailure: There is no transport for this
            scheme and version.
    """
    name = f"{transport}.v{drivers.api_version(version)}"
    return cast("Transport", drivers.load(drivers.TRANSPORT_GROUP, name)(options))


def get_transport_for(
    url_or_request: str | Request,
    version: object = 2,
    options: Mapping[str, Any] | None = None,
) -> Transport:
    """Return a new transport for a URL or for a request's endpoint.

    Args:
        url_or_request: Where to send to.
        version: The version of the API.
        options: The configuration of the client (its ``conf``).

    Raises:
        zaqarclient.errors.EndpointNotFound: There is no URL, or it has no
            scheme or no host.
        zaqarclient.errors.DriverLoadFailure: There is no transport for its
            scheme.
    """
    given = url_or_request
    url = given if isinstance(given, str) else given.endpoint
    return get_transport(scheme_of(url), version, options)


def scheme_of(url: str | None) -> str:
    """Return the scheme of a URL.

    Raises:
        zaqarclient.errors.EndpointNotFound: There is no URL, or it has no
            scheme or no host.
    """
    with contextlib.suppress(ValueError):
        parts = urlsplit(url or "")
        if parts.scheme and parts.netloc:
            return parts.scheme
    raise EndpointNotFound(
        f"{url!r} is not the URL of a messaging service; give one as http://HOST:8888"
    )

"""Transports: how a request reaches the service, and how they are found.

The transports and APIs of this package are known here, so that a request does not
read the metadata of every installed distribution; others are found by their entry
points (contract, SDK section 1).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from zaqarclient.errors import DriverLoadFailure, EndpointNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.transport.base import Transport
    from zaqarclient.transport.request import Request

API_GROUP = "zaqarclient.api"
TRANSPORT_GROUP = "zaqarclient.transport"

_BUILT_IN = {
    (API_GROUP, "queues.v2"): "zaqarclient.queues.v2.api:V2",
    (TRANSPORT_GROUP, "http.v2"): "zaqarclient.transport.http:HttpTransport",
    (TRANSPORT_GROUP, "https.v2"): "zaqarclient.transport.http:HttpTransport",
    (TRANSPORT_GROUP, "ws.v2"): "zaqarclient.transport.ws:WebsocketTransport",
    (TRANSPORT_GROUP, "wss.v2"): "zaqarclient.transport.ws:WebsocketTransport",
}


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
    name = f"{transport}.v{api_version(version)}"
    return cast("Transport", load(TRANSPORT_GROUP, name)(options))


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
        zaqarclient.errors.EndpointNotFound: The URL lacks a scheme or a host.
        zaqarclient.errors.DriverLoadFailure: No transport serves its scheme.
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


def api_version(version: object) -> int:
    """Return the number of an API version.

    Args:
        version: 2, 2.0, ``"2"``, ``"2.0"`` or ``"v2"``, or another number.

    Raises:
        ValueError: It is not a whole number in any of these forms.
    """
    try:
        number = float(str(version).removeprefix("v"))
        if number.is_integer():
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"not an API version: {version!r}")


def load(group: str, name: str) -> Any:
    """Return the object that an entry point names.

    Args:
        group: `API_GROUP` or `TRANSPORT_GROUP`.
        name: As ``http.v2``.

    Raises:
        zaqarclient.errors.DriverLoadFailure: It does not exist, or cannot be
            imported.
    """
    try:
        if (group, name) in _BUILT_IN:
            return _built_in(group, name)
        return _installed(group, name)
    except Exception as error:
        # An entry point imports code of others, which may fail in any way.
        raise DriverLoadFailure(name, error) from error


@functools.cache
def _built_in(group: str, name: str) -> Any:
    module, _, attribute = _BUILT_IN[group, name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _installed(group: str, name: str) -> Any:
    # Costs some 20 ms to import, which only unknown names pay.
    from importlib import metadata  # noqa: PLC0415

    for entry_point in metadata.entry_points(group=group, name=name):
        return entry_point.load()
    known = ", ".join(known for in_group, known in _BUILT_IN if in_group == group)
    raise LookupError(f"it does not exist; known ones are {known}")

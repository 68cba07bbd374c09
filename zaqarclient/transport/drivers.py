"""Loads transports and APIs by name.

Those of this package are known here, so that the way to a request does not
read the metadata of every installed distribution; others are found by their
entry points (contract, SDK section 1).
"""

from __future__ import annotations

import importlib
from typing import Any

from zaqarclient import errors

API_GROUP = "zaqarclient.api"
TRANSPORT_GROUP = "zaqarclient.transport"

_BUILT_IN = {
    (API_GROUP, "queues.v2"): "zaqarclient.queues.v2.api:V2",
    (TRANSPORT_GROUP, "http.v2"): "zaqarclient.transport.http:HttpTransport",
    (TRANSPORT_GROUP, "https.v2"): "zaqarclient.transport.http:HttpTransport",
    (TRANSPORT_GROUP, "ws.v2"): "zaqarclient.transport.ws:WebsocketTransport",
    (TRANSPORT_GROUP, "wss.v2"): "zaqarclient.transport.ws:WebsocketTransport",
}


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
        zaqarclient.errors.DriverLoadFailure: There is none, or it cannot be
            imported.
    """
    try:
        built_in = _BUILT_IN.get((group, name))
        if built_in is not None:
            module, _, attribute = built_in.partition(":")
            return getattr(importlib.import_module(module), attribute)
        return _installed(group, name)
    except Exception as error:
        # An entry point imports foreign code, which may fail in any way.
        raise errors.DriverLoadFailure(name, error) from error


def _installed(group: str, name: str) -> Any:
    # Costs some 20 ms to import, which only unknown names pay.
    from importlib import metadata  # noqa: PLC0415

    for entry_point in metadata.entry_points(group=group, name=name):
        return entry_point.load()
    known = ", ".join(known for in_group, known in _BUILT_IN if in_group == group)
    raise LookupError(f"there is none of that name, but for example {known}")

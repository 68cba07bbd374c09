"""The way in: a client for a version of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient import errors
from zaqarclient.queues.v1 import client as v1
from zaqarclient.queues.v2 import client as v2
from zaqarclient.transport import api_version

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLIENTS = {2: v2.Client}


def Client(  # noqa: N802 - a class to its callers (contract, SDK section 3)
    url: str | None = None,
    version: object = None,
    conf: Mapping[str, Any] | None = None,
    session: Any = None,
) -> v2.Client:
    """Return a client; nothing is sent.

    Args:
        url: The messaging service, as ``http://127.0.0.1:8888``; if missing it
            is looked up in the service catalog when first needed.
        version: 2, in any of its spellings, which is also the default. 1 and
            1.1 give the client of ``zaqarclient.queues.v1``, which speaks 2.
        conf: See `zaqarclient.queues.v2.client.Client`.
        session: A keystoneauth1 session to send everything through.

    Raises:
        zaqarclient.errors.ZaqarError: There is no such version.
    """
    if v1.is_version_one(version):
        return v1.Client(url, version, conf, session)
    try:
        client_class = _CLIENTS[2 if version is None else api_version(version)]
    except (KeyError, ValueError):
        raise errors.ZaqarError(f"Unknown client version: {version!r}") from None
    return client_class(url=url, version=version, conf=conf, session=session)

"""The client of version 1, for programs that still import it.

Services have dropped versions 1 and 1.1 of the API, so this client speaks
version 2. What programs do most works as it did: queues, posting, popping,
claiming, deleting (contract, SDK section 20, heat-agents and Manila).
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2 import client as v2_client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.queues.v2 import iterator
    from zaqarclient.queues.v2.queues import Queue


def is_version_one(version: object) -> bool:
    """Return whether this is 1, 1.0 or 1.1, as a number or a text."""
    return str(version).removeprefix("v") in {"1", "1.0", "1.1"}


class Client(v2_client.Client):
    """A client that takes the arguments of version 1 and speaks version 2.

    The first one that a program makes warns of it.

    Args:
        url: As of the client of version 2.
        version: 1 or 1.1; also 2, which is what is spoken.
        conf: As of the client of version 2.
        session: As of the client of version 2.

    Raises:
        zaqarclient.errors.ZaqarError: The version is another one.
    """

    def __init__(
        self,
        url: str | None = None,
        version: object = 1,
        conf: Mapping[str, Any] | None = None,
        session: Any = None,
    ) -> None:
        if is_version_one(version):
            version = 2
        super().__init__(url, version, conf, session)
        _warn()

    def queues(  # type: ignore[override]  # in version 1 it was no pair
        self, **params: Any
    ) -> iterator.Listing[Queue]:
        """Return one page of the project's queues, by name.

        Args:
            **params: ``marker``, ``limit``, ``detailed``.
        """
        found, _ = super().queues(**params)
        return found

    def iter_queues(self, **params: Any) -> iterator.Listing[Queue]:
        """Return all queues, page by page as they are used up."""
        return self.queues(**params).stream()


@functools.cache
def _warn() -> None:
    warnings.warn(
        "version 1 of the queues API is gone; this client speaks version 2: use "
        "zaqarclient.queues.client.Client(version=2)",
        DeprecationWarning,
        stacklevel=3,
    )

"""The contract of transports."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from zaqarclient.transport import errors

if TYPE_CHECKING:
    from zaqarclient.transport.request import Request
    from zaqarclient.transport.response import Response


class Credentials(Protocol):
    """Prepares a request: adds the endpoint and the credentials."""

    def __call__(self, *, renewed: bool = False) -> Request:
        """Return a request without a call.

        Args:
            renewed: Whether the token that was used last was refused.
        """


class Transport(abc.ABC):
    """Carries one request to the service and its answer back.

    Args:
        options: The configuration of the client (its ``conf``).

    Attributes:
        options: The same.
        http_to_zaqar: The class of the error for each status that has its
            own (contract, SDK section 18).
        credentials: Set by a client, for a transport that has to open a
            connection without a request; None if there are none.
    """

    http_to_zaqar: ClassVar[Mapping[int, type[errors.TransportError]]] = (
        errors.BY_STATUS
    )

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options: Mapping[str, Any] = options or {}
        self.credentials: Credentials | None = None

    @abc.abstractmethod
    def send(self, request: Request) -> Response:
        """Send a request and wait for its answer.

        Args:
            request: What to send; it is not changed.

        Returns:
            The answer, whose status is below 400.

        Raises:
            zaqarclient.transport.errors.TransportError: The status was 400 or
                more, or no usable answer came.
        """

    def close(self) -> None:  # noqa: B027 - a transport may hold nothing open
        """Close what the transport holds open; it opens again when used."""

"""Everything that this client raises on purpose.

The tree; the statuses are those of ``zaqarclient.transport.errors``::

    ZaqarError
    ├── DriverLoadFailure            no transport or API of that name
    ├── InvalidOperation             the API has no such operation, or it
    │                                makes no sense on this object
    ├── UnsupportedVersion           the API version lacks this call
    ├── UnsupportedFeature           the service lacks this extension of the API
    ├── LeaseLost                    the claim of a message ended before its work
    ├── UnknownBackend               no authentication backend of that name;
    │                                also a ``KeyError``
    ├── AuthenticationFailed         no token could be had
    ├── EndpointNotFound             the messaging endpoint is not known
    └── transport.errors.TransportError
        ├── one class a status       400, 401, 403, 404, 405, 406, 409, ...
        └── NetworkError             no usable answer came back
            ├── ConnectionFailed     over HTTP also a ``requests`` ConnectionError
            └── TimedOut             over HTTP also a ``requests`` Timeout

Bad arguments of a call (a queue name with a blank in it, a message that is
not JSON) raise ``ValueError`` before anything is sent.
"""

from __future__ import annotations


class ZaqarError(Exception):
    """The base of every error that this client raises on purpose."""


class DriverLoadFailure(ZaqarError):
    """No transport or API is installed under that name.

    Attributes:
        driver: The name that was looked for, as ``http.v2``.
        ex: What went wrong, an exception or a text.
    """

    def __init__(self, driver: str, ex: object) -> None:
        super().__init__(f"Cannot load {driver!r}: {ex}")
        self.driver = driver
        self.ex = ex


class InvalidOperation(ZaqarError):
    """The API has no such operation, or it makes no sense on this object."""


class UnsupportedVersion(ZaqarError):
    """The API version in use lacks this call."""


class UnsupportedFeature(ZaqarError):
    """The service lacks an extension of the API that the call needs.

    Attributes:
        feature: Its name, as in ``Client.limits()["features"]``.
    """

    def __init__(self, feature: str) -> None:
        super().__init__(f"this service lacks the extension {feature!r} of the API")
        self.feature = feature


class LeaseLost(ZaqarError):
    """The claim of a consumed message ended before the message was deleted.

    The message was not deleted, or it is not known by which worker: others may get it.

    Attributes:
        message_id: The message.
    """

    def __init__(self, message_id: str) -> None:
        super().__init__(f"message {message_id}: the claim was lost")
        self.message_id = message_id


class UnknownBackend(ZaqarError, KeyError):
    """There is no authentication backend of that name."""

    # A KeyError shows the text in quotes.
    __str__ = Exception.__str__


class AuthenticationFailed(ZaqarError):
    """The identity service gave no token; its own error is the cause."""


class EndpointNotFound(ZaqarError):
    """The messaging endpoint is neither given nor in the service catalog."""

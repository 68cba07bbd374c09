"""Answers of the service that are errors, and answers that never came.

One class a status; the class of a raised error is always one of this module's
own attributes, never a hidden subclass (contract, SDK sections 18 and 24.3),
except that the HTTP transport's network errors also derive from their
``requests`` counterparts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from zaqarclient.common.text import printable
from zaqarclient.errors import ZaqarError


class TransportError(ZaqarError):
    """A call that failed: a status of 400 or more, or no answer at all.

    Every argument may be left out.

    Attributes:
        code: The status that the class stands for; None for the classes that
            stand for several.
        title: The short name of the problem, from the answer.
        description: What is wrong and what was expected, from the answer.
        text: The raw answer when it was not the service's error document.
        status: The status of the answer; `code` if the error was made by hand.
        request_id: The ``X-OpenStack-Request-ID`` of the answer, to look for
            in the server's log; over WebSocket the id that the request had.
            None if there was none.
        retry_after: How many seconds the server asks to wait, or None.
        outcome_unknown: Whether the service may have done what it was asked for
            all the same. The client repeats such a call only where doing it twice
            does no harm; before repeating another one, check what was done.
    """

    code: ClassVar[int | None] = None
    outcome_unknown: bool = False
    sentence: ClassVar[str] = "The call failed."

    def __init__(
        self,
        title: str | None = None,
        description: str | None = None,
        text: str | None = None,
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.title = title
        self.description = description
        self.text = text
        self.status = self.code if status is None else status
        self.request_id = request_id
        self.retry_after = retry_after
        super().__init__(printable(self._message()))

    def _message(self) -> str:
        parts = [self.sentence]
        for label, value in (
            ("Title", self.title),
            ("Description", self.description),
            ("Text", self.text),
        ):
            if value:
                parts.append(f"{label}: {value.rstrip().removesuffix('.')}.")
        return " ".join(parts)


class MalformedRequest(TransportError):
    """400: a name, parameter, header or body member is wrong."""

    code = 400
    sentence = "The request is not what the service expects."


class UnauthorizedError(TransportError):
    """401: the token is missing, expired or unknown."""

    code = 401
    sentence = "The service does not accept these credentials."


class ForbiddenError(TransportError):
    """403: policy forbids it, or another client holds the message."""

    code = 403
    sentence = "The service does not allow this."


class ResourceNotFound(TransportError):
    """404: there is no such queue, message, claim or path."""

    code = 404
    sentence = "There is no such resource."


class MethodNotAllowed(TransportError):
    """405: the path exists but does not know the method."""

    code = 405
    sentence = "The service does not know this method here."


class NotAcceptable(TransportError):
    """406: the service cannot answer in the media type asked for."""

    code = 406
    sentence = "The service cannot answer in this media type."


class ConflictError(TransportError):
    """409: it clashes with what is stored."""

    code = 409
    sentence = "The request clashes with what is stored."


class PayloadTooLarge(TransportError):
    """413: a proxy or the service refuses a body of this size."""

    code = 413
    sentence = "The request is too large."


class UnsupportedMediaType(TransportError):
    """415: the body's content type is not accepted here."""

    code = 415
    sentence = "The service does not accept this content type."


class TooManyRequests(TransportError):
    """429: slow down; nothing was changed."""

    code = 429
    sentence = "The service asks to slow down."


class InternalServerError(TransportError):
    """500: the service failed."""

    code = 500
    outcome_unknown = True
    sentence = "The service failed."


class BadGateway(TransportError):
    """502: a proxy got no proper answer from the service."""

    code = 502
    outcome_unknown = True
    sentence = "The gateway got no proper answer from the service."


class ServiceUnavailableError(TransportError):
    """503: the service cannot serve now; nothing was changed."""

    code = 503
    sentence = "The service is not available now."


class GatewayTimeout(TransportError):
    """504: it is not known whether the request was executed.

    The service says so of its store, and a proxy of the service.
    """

    code = 504
    outcome_unknown = True
    sentence = "It is not known whether the request was executed."


class RequestRefused(TransportError):
    """Any other status from 400 to 499."""

    sentence = "The service refused the request."


class ServerFault(TransportError):
    """Any other status from 500."""

    outcome_unknown = True
    sentence = "The service failed."


class UnexpectedAnswer(ServerFault):
    """The answer is not one of the service, or not one to this request.

    The page of a proxy, a redirect that leads nowhere, a document of another shape.
    """

    sentence = "The service answered something that is not a messaging answer."


class NetworkError(TransportError):
    """No usable answer came back.

    Attributes:
        unsent: True if it is certain that the service saw nothing of the
            request, because no connection could be opened.
        transient: False if sending again will not help: the certificate is
            not trusted, or a whole timeout has passed already.
    """

    sentence = "The service did not answer."

    def __init__(
        self,
        title: str | None = None,
        description: str | None = None,
        text: str | None = None,
        *,
        unsent: bool = False,
        transient: bool = True,
    ) -> None:
        super().__init__(title, description, text)
        self.unsent = unsent
        self.transient = transient
        self.outcome_unknown = not unsent


class ConnectionFailed(NetworkError):
    """The connection could not be opened, or broke."""

    sentence = "The connection to the service failed."


class TimedOut(NetworkError):
    """No answer within the timeout; the request may have been served."""

    sentence = "The service did not answer in time."


BY_STATUS: Mapping[int, type[TransportError]] = {
    error.code: error
    for error in TransportError.__subclasses__()
    if error.code is not None
}
"""The class of the error for each status that has its own."""


def error_class(status: int) -> type[TransportError] | None:
    """Return the class of the error that a status means.

    Args:
        status: An HTTP status, or the status of a WebSocket answer.

    Returns:
        The class; None for a status of success, 200 to 299.
    """
    if status < 400:
        return None if 200 <= status < 300 else UnexpectedAnswer
    fallback = RequestRefused if status < 500 else ServerFault
    return BY_STATUS.get(status, fallback)

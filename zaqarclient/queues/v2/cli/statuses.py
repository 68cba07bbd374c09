"""Exit statuses: what a script can tell by the end of a command."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from zaqarclient.errors import AuthenticationFailed, EndpointNotFound
from zaqarclient.queues.v2.cli.output import CommandError
from zaqarclient.transport import errors


class Status(IntEnum):
    """The exit statuses of ``zaqar``; ``openstack`` knows 0, 1 and 2 only."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    CONFLICT = 5
    EMPTY = 6
    TIMED_OUT = 8
    QUOTA = 9
    UNREACHABLE = 69
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


#: The title of the service's answer where a quota is reached; its status is 403.
_QUOTA_TITLE: Final = "Quota exceeded"

_STATUSES: Final[tuple[tuple[Status, tuple[type[Exception], ...]], ...]] = (
    (Status.NOT_FOUND, (errors.ResourceNotFound,)),
    (
        Status.NOT_ALLOWED,
        (errors.UnauthorizedError, errors.ForbiddenError, AuthenticationFailed),
    ),
    (Status.CONFLICT, (errors.ConflictError,)),
    (Status.QUOTA, (errors.TooManyRequests,)),
    (
        Status.UNREACHABLE,
        (
            errors.NetworkError,
            errors.BadGateway,
            errors.ServiceUnavailableError,
            errors.GatewayTimeout,
            EndpointNotFound,
        ),
    ),
)


def status_of(error: BaseException | None) -> Status:
    """Return the status for an error, or for the error that caused it."""
    while error is not None:
        if isinstance(error, CommandError) and error.status != Status.FAILED:
            return Status(error.status)
        if isinstance(error, errors.ForbiddenError) and error.title == _QUOTA_TITLE:
            return Status.QUOTA
        for status, kinds in _STATUSES:
            if isinstance(error, kinds):
                return status
        error = error.__cause__
    return Status.FAILED

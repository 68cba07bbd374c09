"""The operations of an API."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from zaqarclient import errors

if TYPE_CHECKING:
    from zaqarclient.transport.request import Request


class Retry(enum.Enum):
    """When a failed call may be sent again.

    A call that is sent twice must not do twice what was asked for once.
    """

    SAFE = "safe"
    """Doing it twice is doing it once: again after any broken connection and
    after 429, 502, 503 and 504."""

    UNACCEPTED = "unaccepted"
    """Doing it twice would post, pop or claim twice: again only when no
    connection could be opened, and after 429 and 503, which say that nothing
    was changed."""

    NEVER = "never"
    """The caller wants to know how things stand now."""


class RequestFrame(NamedTuple):
    """A request as the WebSocket has it.

    Attributes:
        action: What to do.
        body: All of its arguments; None for no body at all.
        rule: When it may be sent again.
        read: Makes status and body of the answer over HTTP from those of the
            answer in a frame.
    """

    action: str
    body: dict[str, Any] | None
    rule: Retry
    read: Callable[[int, Any], tuple[int, Any]]


class Api:
    """The operations of one version of an API.

    Attributes:
        label: The path prefix of the version, as ``v2``.
        schema: For each operation its ``method``, its ``ref`` (a path
            template below the prefix), and for `validate` what is
            ``required`` and the ``properties``.
        validators: Compiled validators by operation; one cache a class.
    """

    label: ClassVar[str] = ""
    schema: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    validators: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.validators = {}

    def is_supported(self, operation: str) -> bool:
        """Return whether the API has an operation of this name."""
        return operation in self.schema

    def get_schema(self, operation: str) -> Mapping[str, Any]:
        """Return what the API knows about an operation.

        Raises:
            zaqarclient.errors.InvalidOperation: There is no such operation.
        """
        try:
            return self.schema[operation]
        except KeyError:
            raise errors.InvalidOperation(
                f"API {self.label} has no operation {operation!r}"
            ) from None

    def retry(
        self,
        operation: str,
        params: Mapping[str, Any],  # noqa: ARG002 - for APIs where it matters
    ) -> Retry:
        """Return when a failed call of this operation may be sent again."""
        method = self.get_schema(operation).get("method", "GET")
        return Retry.UNACCEPTED if method in {"POST", "PATCH"} else Retry.SAFE

    def frame(self, request: Request) -> RequestFrame:
        """Return a request as the WebSocket has it.

        Raises:
            zaqarclient.errors.InvalidOperation: There is no such operation, or
                the API has no WebSocket.
        """
        raise errors.InvalidOperation(
            f"API {self.label} has no WebSocket for {request.operation!r}"
        )

    def validate(self, operation: str, params: Mapping[str, Any]) -> bool:
        """Return whether the arguments of an operation have the right shape.

        Nothing calls this on the way to the service, which has the last word.

        Raises:
            zaqarclient.errors.InvalidOperation: There is no such operation.
        """
        validator = self.validators.get(operation)
        if validator is None:
            # jsonschema costs some 70 ms to import and is needed only here.
            import jsonschema  # noqa: PLC0415

            known = self.get_schema(operation)
            validator = jsonschema.Draft4Validator(
                {
                    "type": "object",
                    "properties": known.get("properties", {}),
                    # Draft 4 wants at least one name in `required`.
                    **({"required": r} if (r := known.get("required")) else {}),
                    "additionalProperties": known.get("additionalProperties", False),
                }
            )
            self.validators[operation] = validator
        return bool(validator.is_valid(dict(params)))
